//! Hashing and publishing a folder of large files, beside two threads that do nothing but hash.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::running::{Asking, Known};
use super::world::{World, write_old};
use super::{Effort, MIB, ratios, spread};
use crate::bench::report::{Row, Target, figure, row};
use crate::bench::stats::median;

/// Files, and bytes of each.
const FILES: usize = 8;
const BYTES: usize = 128 << 20;
/// Bytes that the bare threads read at once.
const READ: usize = 64 * 1024;

pub(super) fn rows(world: &World, effort: Effort) -> anyhow::Result<()> {
    let folder = world.folder("large")?;
    let bytes = BYTES / effort.divisor;
    let mut random = fastrand::Rng::with_seed(1);
    let paths: Vec<PathBuf> = (0..FILES).map(|number| folder.join(format!("f{number}"))).collect();
    for path in &paths {
        write_old(path, bytes, &mut random)?;
    }
    let names: Vec<String> = (0..FILES).map(|number| format!("large/f{number}")).collect();
    let rate = |seconds: f64| (FILES * bytes) as f64 / MIB / seconds;
    let (mut ours, mut read, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let sharing = world.share(&folder)?;
        Asking::connect(sharing.index.address)?.wait(&names, Known::Hash)?;
        ours.push(rate(sharing.began.elapsed().as_secs_f64()));
        drop(sharing);
        read.push(rate(two_threads(|half| reading(&paths, half))?));
        let mut content = vec![0; bytes];
        random.fill(&mut content);
        memory.push(rate(two_threads(|_| hashing(&content, FILES / 2))?));
    }
    let behind = format!(
        "{} MiB/s from the start of share to the last hash at the index; reading and hashing {} MiB/s, hashing from memory {} MiB/s",
        figure(median(&ours)),
        figure(median(&read)),
        figure(median(&memory))
    );
    let rows = [
        ("hashing and publishing / two threads of blake3 that read the files", &read, Target::AtLeast(0.9)),
        ("hashing and publishing / two threads of blake3 without reading", &memory, Target::None),
    ];
    for (name, floor, target) in rows {
        let (reached, range) = spread(&ratios(&ours, floor));
        row(&Row { name: name.into(), reached, unit: "", target, remark: format!("{range}; {behind}") });
    }
    Ok(())
}

/// How many seconds two threads take, each for its half.
fn two_threads(work: impl Fn(usize) -> anyhow::Result<()> + Sync) -> anyhow::Result<f64> {
    let began = Instant::now();
    let work = &work;
    std::thread::scope(|scope| {
        let other = scope.spawn(move || work(1));
        work(0)?;
        other.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
    })?;
    Ok(began.elapsed().as_secs_f64())
}

/// Every second file.
fn reading(paths: &[PathBuf], half: usize) -> anyhow::Result<()> {
    paths.iter().skip(half).step_by(2).try_for_each(|path| read_one(path))
}

fn read_one(path: &Path) -> anyhow::Result<()> {
    let file = File::open(path)?;
    let (mut hasher, mut buffer, mut at) = (blake3::Hasher::new(), vec![0; READ], 0);
    loop {
        let count = file.read_at(&mut buffer, at)?;
        if count == 0 {
            black_box(hasher.finalize());
            return Ok(());
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
        at += count as u64;
    }
}

fn hashing(content: &[u8], times: usize) -> anyhow::Result<()> {
    for _ in 0..times {
        black_box(blake3::hash(black_box(content)));
    }
    Ok(())
}

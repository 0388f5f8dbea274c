//! A folder of very many small files: how soon the index knows them, and what the peer keeps of them.

use std::fs;

use super::running::{Asking, Known};
use super::world::{World, write_old};
use super::{Effort, MIB, spread};
use crate::bench::report::{Row, Target, figure, row};
use crate::bench::stats::median;

const FILES: usize = 100_000;
/// Folders over which they are spread.
const FOLDERS: usize = 1000;
/// Bytes of each.
const BYTES: usize = 100;
/// Every so many-th file is asked for.
const ASKED: usize = 97;

pub(super) fn rows(world: &World, effort: Effort) -> anyhow::Result<()> {
    let folder = world.folder("many")?;
    let files = FILES / effort.divisor;
    let mut random = fastrand::Rng::with_seed(2);
    let name = |number: usize| format!("{:03}/f{number}", number % FOLDERS);
    for number in 0..FOLDERS {
        fs::create_dir(folder.join(format!("{number:03}")))?;
    }
    for number in 0..files {
        write_old(&folder.join(name(number)), BYTES, &mut random)?;
    }
    let asked: Vec<String> =
        (0..files).step_by(ASKED).chain([files - 1]).map(|number| format!("many/{}", name(number))).collect();
    let (mut found, mut hashed, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let sharing = world.share(&folder)?;
        let mut asking = Asking::connect(sharing.index.address)?;
        asking.wait(&asked, Known::Name)?;
        found.push(sharing.began.elapsed().as_secs_f64());
        asking.wait(&asked, Known::Hash)?;
        hashed.push(sharing.began.elapsed().as_secs_f64());
        memory.push(sharing.share.anonymous().unwrap_or(0) as f64 / MIB);
    }
    let (reached, range) = spread(&found);
    let remark = format!(
        "{range} s; {} of them asked for; all hashes after {} s",
        asked.len(),
        figure(median(&hashed))
    );
    let title = format!("share of {files} small files, until LOOKUP finds them");
    row(&Row { name: title, reached, unit: "s", target: Target::AtMost(5.0), remark });
    let (reached, remark) = spread(&memory);
    let title = format!("share of {files} small files, anonymous memory");
    row(&Row { name: title, reached, unit: "MiB", target: Target::AtMost(128.0), remark });
    Ok(())
}

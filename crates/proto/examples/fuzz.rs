//! Runs the fuzz bodies over seeded mutations of the corpus, without feedback from coverage: `cargo xtask fuzz` calls it.
//!
//! `fuzz CORPUS [--runs N | --minutes M] [--seed S] [--body NAME]`. A failure prints its body and its seed, and leaves its
//! input in the system's temporary folder; an input that takes seconds counts as a hang.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

use std::error::Error;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proto::fuzz::mutate::{Choices, mutate};
use proto::fuzz::{BODIES, Body};

/// Bytes of the longest input.
const LONGEST: usize = 4096;
/// A hang: many thousand times what the slowest input takes.
const HANG: Duration = Duration::from_secs(5);
/// Memory above which inputs are called greedy, in KiB; the process with its corpus takes a tenth.
const MEMORY_KIB: u64 = 256 * 1024;
/// Inputs that a thread takes at once.
const BATCH: u64 = 1000;

struct Asked {
    corpus: PathBuf,
    runs: u64,
    minutes: Option<u64>,
    seed: u64,
    body: Option<String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz: {error}");
            ExitCode::from(2)
        }
    }
}

fn asked() -> Result<Asked, Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let corpus = words.next().ok_or("the folder of the corpus is missing")?.into();
    let mut asked = Asked { corpus, runs: 1_000_000, minutes: None, seed: 1, body: None };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--runs" => asked.runs = value.parse()?,
            "--minutes" => asked.minutes = Some(value.parse()?),
            "--seed" => asked.seed = value.parse()?,
            "--body" => asked.body = Some(value),
            _ => return Err(format!("unknown argument {word}").into()),
        }
    }
    Ok(asked)
}

fn run() -> Result<bool, Box<dyn Error>> {
    let asked = asked()?;
    let is_asked = |body: &&Body| asked.body.as_deref().is_none_or(|name| name == body.name);
    let bodies: Vec<&Body> = BODIES.iter().filter(is_asked).collect();
    let share = u32::try_from(bodies.len())?.max(1);
    let limit = asked.minutes.map(|minutes| Duration::from_secs(minutes * 60) / share);
    let runs = if limit.is_some() { u64::MAX } else { asked.runs.div_ceil(share.into()) };
    // Failures are told once, by us.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut all, started) = (0, Instant::now());
    for body in bodies {
        let corpus = read(&asked.corpus.join(body.name))?;
        let began = Instant::now();
        let (done, failed) = on_all_cores(body, &corpus, asked.seed, runs, limit);
        all += done;
        println!("{:14} {done} inputs, {:.1} s", body.name, began.elapsed().as_secs_f64());
        if let Some(seed) = failed {
            let path = std::env::temp_dir().join(format!("p2pci-fuzz-{}-{seed}", body.name));
            fs::write(&path, input(&corpus, seed))?;
            println!("{}: seed {seed} fails or hangs; its input is {}", body.name, path.display());
            return Ok(false);
        }
    }
    let (memory, took) = (peak_kib()?, started.elapsed().as_secs_f64());
    println!("fuzz: {all} inputs, none failed, {took:.1} s, at most {memory} KiB of memory");
    Ok(memory <= MEMORY_KIB)
}

fn read(folder: &Path) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths.iter().map(fs::read).collect::<Result<_, _>>()?)
}

/// The input of a seed: the same one for ever, as long as the corpus is.
fn input(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut choices = Choices::new(seed);
    let mut input = corpus.get(choices.below(corpus.len())).cloned().unwrap_or_default();
    mutate(&mut input, corpus, LONGEST, &mut choices);
    input
}

/// Says how many inputs were run, and the seed of one that failed.
fn on_all_cores(
    body: &Body,
    corpus: &[Vec<u8>],
    seed: u64,
    runs: u64,
    limit: Option<Duration>,
) -> (u64, Option<u64>) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (next, done, over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let worker = || {
        while !over.load(Ordering::Relaxed) && limit.is_none_or(|limit| began.elapsed() < limit) {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            for at in from..from.saturating_add(BATCH).min(runs) {
                let seed = seed.wrapping_shl(40).wrapping_add(at);
                let (bytes, now) = (input(corpus, seed), Instant::now());
                let held = catch_unwind(|| (body.run)(&bytes, now)).is_ok();
                // On a busy machine a thread may stand still for seconds; what hangs does so again.
                let hangs = now.elapsed() > HANG && {
                    let again = Instant::now();
                    catch_unwind(|| (body.run)(&bytes, again)).is_err() || again.elapsed() > HANG
                };
                if !held || hangs {
                    over.store(true, Ordering::Relaxed);
                    return Some(seed);
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            if from.saturating_add(BATCH) >= runs {
                break;
            }
        }
        None
    };
    let failed = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok().flatten()).min()
    });
    (done.into_inner(), failed)
}

/// The most that this process ever held, in KiB (proc(5): `VmHWM`).
fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

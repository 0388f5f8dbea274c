//! Whole systems, each in a process of its own: nothing of one can reach the next, and one that hangs or dies has a seed all the same.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Context as _;
use sim::system::scenario::Scenario;
use sim::system::world::{self, Report};

use crate::asked::{Asked, Seeds};

/// Every so-manieth world is played twice, to see that it is the same.
const PLAYED_TWICE: u64 = 20;
/// A file system without a disk, where there is one: what survives a loss of power is the simulation's to say.
const IN_MEMORY: &str = "/dev/shm";

/// Before each fault.
const FAULT: &str = "fault: ";

/// Plays one world and says what became of it: `trace events happened failed seconds`, then its faults, then what happened.
pub(crate) fn play(seed: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let mut place = tempfile::Builder::new();
    place.prefix("p2pci-sim-");
    let memory = Path::new(IN_MEMORY);
    let folder = if memory.is_dir() { place.tempdir_in(memory) } else { place.tempdir() }?;
    let Report { faults, trace, events, happened, took, failed, log } =
        world::run(&Scenario::random(seed), folder.path())?;
    writeln!(out, "{trace} {events} {happened} {failed} {}", took.as_secs())?;
    for fault in &faults {
        writeln!(out, "{FAULT}{fault}")?;
    }
    log.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    Ok(())
}

/// What a process said.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    trace: String,
    /// Events, faults that happened, downloads that failed, seconds.
    counts: [u64; 4],
    faults: Vec<String>,
    log: Vec<String>,
}

/// Plays many worlds, as many at once as there are cores.
pub(crate) fn play_all(asked: &Asked, out: &mut impl Write) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let seeds = Mutex::new(asked.seeds());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let (mut worlds, mut bad, mut sums) = (0_u64, 0, [0; 4]);
    thread::scope(|scope| -> anyhow::Result<()> {
        let (played, results) = channel();
        for _ in 0..cores {
            let (program, seeds, played) = (&program, &seeds, played.clone());
            scope.spawn(move || {
                while let Some(seed) = next(seeds) {
                    if played.send((seed, play_checked(program, seed, asked))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(played);
        for (seed, result) in results {
            let Played { trace, counts, faults, log } = result.with_context(|| format!("world {seed}"))?;
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            worlds += 1;
            if asked.is_one() {
                log.iter().try_for_each(|line| writeln!(out, "{line}"))?;
                writeln!(out, "world {seed}: trace {trace}")?;
            }
            for fault in &faults {
                writeln!(out, "world {seed}: {fault}; again with --seed {seed}")?;
            }
            bad += u64::from(!faults.is_empty());
        }
        Ok(())
    })?;
    let [events, happened, failed, seconds] = sums;
    writeln!(
        out,
        "{worlds} worlds from seed {}, {events} events, {happened} faults injected, {failed} downloads begun again, {} hours of their time, {bad} worlds with faults",
        asked.first,
        seconds / 3600
    )?;
    anyhow::ensure!(bad == 0, "{bad} worlds with faults");
    Ok(())
}

fn next(seeds: &Mutex<Seeds>) -> Option<u64> {
    seeds.lock().unwrap_or_else(PoisonError::into_inner).next()
}

fn play_checked(program: &PathBuf, seed: u64, asked: &Asked) -> anyhow::Result<Played> {
    let mut played = play_apart(program, seed)?;
    if (asked.twice || seed.is_multiple_of(PLAYED_TWICE)) && play_apart(program, seed)? != played {
        played.faults.push("the same seed gave another world".to_owned());
    }
    Ok(played)
}

fn play_apart(program: &PathBuf, seed: u64) -> anyhow::Result<Played> {
    let ended = Command::new(program).args(["--world", &seed.to_string()]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let mut lines = said.lines().map(str::to_owned);
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let trace = words.next().unwrap_or_default().to_owned();
    let mut counts = [0; 4];
    counts.iter_mut().zip(words).for_each(|(count, word)| *count = word.parse().unwrap_or(0));
    let (faults, log): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with(FAULT));
    let mut faults: Vec<String> = faults.iter().map(|fault| fault[FAULT.len()..].to_owned()).collect();
    if !ended.status.success() {
        let why = String::from_utf8_lossy(&ended.stderr);
        faults.push(format!("it died: {}", why.trim().replace('\n', " / ")));
    }
    Ok(Played { trace, counts, faults, log })
}

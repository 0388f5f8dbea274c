//! `cargo xtask torture`: every call to the system of a download, of a share and of an index start fails once with each plausible
//! error, and the process is killed at each of them. Afterwards only the disk is asked, and the same command once more.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::repository;

mod faults;
mod injected;
mod ops;
mod power;
mod scenario;
mod world;

use injected::{Blow, Point};
use scenario::{ALL, Scenario};
use world::World;

pub(crate) const USAGE: &str = "  torture [get|replace|resume|folder|few|old|share|server|power] … [--files]
                     each call to the system fails once with each plausible error, and a kill comes at each; then the
                     disk must be right and the same command must work (--files: only calls that touch files);
                     power: the machine loses what was not durable, at each step of each kind of download
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    scenarios: Vec<Scenario>,
    /// Only calls that touch files.
    files: bool,
    power: bool,
}

/// Those of which a failure of the power is recorded.
const DOWNLOADS: [Scenario; 5] =
    [Scenario::Get, Scenario::Replace, Scenario::Folder, Scenario::Few, Scenario::Old];
/// A call is over when so many numbers in a row were not reached: threads do not always make the same calls.
const MISSES: u32 = 3;
/// Runs at once; a run mostly waits.
const AT_ONCE: usize = 3;
/// So many wrong runs of a line tell enough.
const WRONG_MAX: usize = 5;
/// No command makes more calls of a kind than this.
const NTH_MAX: u32 = 2_000;

pub(crate) fn parse(words: &[&str]) -> Result<Asked, String> {
    let mut asked = Asked { scenarios: Vec::new(), files: false, power: false };
    for word in words {
        match (*word, ALL.iter().find(|(name, _)| name == word)) {
            ("--files", _) => asked.files = true,
            ("power", _) => asked.power = true,
            (_, Some((_, scenario))) => asked.scenarios.push(*scenario),
            _ => return Err(format!("torture of what? there is no '{word}'")),
        }
    }
    if asked.scenarios.is_empty() && !asked.power {
        asked.scenarios = ALL.map(|(_, scenario)| scenario).to_vec();
        asked.power = true;
    }
    Ok(asked)
}

/// Runs them one after the other; `false` when something was wrong, which was printed then.
pub(crate) fn command(asked: &Asked) -> anyhow::Result<bool> {
    let program = program()?;
    let mut is_ok = true;
    for scenario in &asked.scenarios {
        let world = World::start(program.clone())?;
        is_ok &= torture(*scenario, &world, asked.files)?;
    }
    if asked.power {
        let world = World::start(program)?;
        for scenario in DOWNLOADS {
            is_ok &= power_fails(scenario, &world)?;
        }
    }
    Ok(is_ok)
}

/// The power at each step of one kind of download.
fn power_fails(scenario: Scenario, world: &World) -> anyhow::Result<bool> {
    let started = Instant::now();
    let (runs, wrong) = power::torture(scenario, world)?;
    let is_ok = told(scenario, &format!("the power failed {runs} times"), &wrong, started);
    let started = Instant::now();
    let Some((runs, wrong)) = power::torture_the_next(scenario, world)? else { return Ok(is_ok) };
    let did = format!("the power failed {runs} times in one that found the folders of a killed one");
    Ok(told(scenario, &did, &wrong, started) && is_ok)
}

/// Prints what was wrong, and the sum; whether nothing was.
fn told(scenario: Scenario, did: &str, wrong: &[String], started: Instant) -> bool {
    for line in wrong {
        println!("torture: {scenario:?}: {line}");
    }
    let took = started.elapsed().as_secs_f64();
    println!("torture: {scenario:?}: {did}, {} wrong, {took:.0} s", wrong.len());
    wrong.is_empty()
}

fn program() -> anyhow::Result<PathBuf> {
    let target = repository::metadata(&repository::root())?.target_directory;
    let program = target.join("release/p2pci");
    ensure!(program.is_file(), "there is no {}; cargo build --release --package p2pci", program.display());
    Ok(program)
}

/// All points of one command.
fn torture(scenario: Scenario, world: &World, files: bool) -> anyhow::Result<bool> {
    let started = Instant::now();
    let calls = scenario.calls(world)?;
    let unknown: Vec<&String> = calls.iter().filter(|call| faults::for_call(call).is_none()).collect();
    ensure!(unknown.is_empty(), "xtask/src/torture/faults.rs knows nothing of {unknown:?}");
    let lines = lines(&calls, files);
    let (next, runs) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((call, blow)) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = along(scenario, world, call, *blow, &runs);
                    if let Ok(mut wrong) = wrong.lock() {
                        wrong.extend(found);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().ok().context("a run panicked")?;
    let did = format!("{} faults and kills at {} kinds of calls", runs.into_inner(), calls.len());
    Ok(told(scenario, &did, &wrong, started))
}

/// Each kind of call with each thing that can happen at it.
fn lines(calls: &[String], files: bool) -> Vec<(&str, Blow)> {
    let chosen = calls.iter().filter(|call| !files || faults::ON_FILES.contains(&call.as_str()));
    let blows = |call: &String| {
        let errors = faults::for_call(call).unwrap_or_default();
        errors.iter().map(|error| Blow::Error(error)).chain([Blow::Kill]).collect::<Vec<_>>()
    };
    chosen.flat_map(|call| blows(call).into_iter().map(move |blow| (call.as_str(), blow))).collect()
}

/// The first, the second, … call of a kind, as far as there are any; what was wrong.
fn along(scenario: Scenario, world: &World, call: &str, blow: Blow, runs: &AtomicUsize) -> Vec<String> {
    let (mut wrong, mut missed) = (Vec::new(), 0);
    for nth in 1..=NTH_MAX {
        let point = Point { call, blow, nth };
        match scenario.run(world, point) {
            Ok(true) => {
                missed = 0;
                runs.fetch_add(1, Ordering::Relaxed);
            }
            Ok(false) => missed += 1,
            Err(error) => wrong.push(format!("{point}: {error:#}")),
        }
        if missed == MISSES || wrong.len() == WRONG_MAX {
            break;
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tortured_is_named_and_none_means_all() {
        assert_eq!(parse(&[]).unwrap().scenarios.len(), ALL.len());
        let some = Asked { scenarios: vec![Scenario::Share], files: true, power: false };
        assert_eq!(parse(&["share", "--files"]), Ok(some));
        assert!(parse(&["cat"]).is_err());
    }

    #[test]
    fn each_call_fails_with_each_of_its_errors_and_is_a_place_for_a_kill() {
        let calls = ["fsync".to_owned(), "futex".to_owned()];
        let blows = [Blow::Error("EIO"), Blow::Error("ENOSPC"), Blow::Kill];
        let mut expected: Vec<(&str, Blow)> = blows.map(|blow| ("fsync", blow)).to_vec();
        assert_eq!(lines(&calls, true), expected);
        expected.push(("futex", Blow::Kill));
        assert_eq!(lines(&calls, false), expected);
    }
}

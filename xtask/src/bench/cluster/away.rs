//! An engine that nobody can reach for a while: nothing may be refused, transfers go on, and afterwards each node has everything.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::Signal;

use super::engine::Engine;
use super::peers::{Node, Peer, name};
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::{Programs, Server};
use crate::bench::stats::median;

/// Bytes of the file that is fetched again and again.
const FILE_BYTES: usize = 64 << 20;
/// How often each node is told something, and how many files.
const ADD_EVERY: Duration = Duration::from_millis(100);
const FILES: u32 = 20;
/// Fetches before.
const FETCHES: usize = 5;
/// Bound of waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// Times of fetches, and of the longest answer to an ADD in milliseconds.
struct Stretch {
    fetches: Vec<f64>,
    failed: usize,
    longest_ms: usize,
}

pub(super) fn measure(programs: &Programs, away: Duration) -> anyhow::Result<()> {
    let engine = Engine::start(programs)?;
    let nodes = [Node::start(programs, &engine)?, Node::start(programs, &engine)?];
    let folder = tempfile::tempdir()?;
    let shared = folder.path().join("shared");
    fs::create_dir(&shared)?;
    let bytes: Vec<u8> =
        (0..FILE_BYTES as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
    fs::write(shared.join("large"), bytes)?;
    let program = programs.target.join("release/p2pci");
    let mut share = Command::new(&program);
    share.arg("share").arg(&shared).args(["--server", &nodes[0].server.address.to_string(), "--json"]);
    let _share = Server::announced(share, &folder.path().join("share.log"))?;
    nodes[1].wait_records(1)?;
    let (ends, longest, added) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let get = || fetch(&program, &nodes[1], folder.path());
    let (before, during, _peers) = scope(|scope| {
        let add = |at: usize| {
            let (node, ends, longest, added) = (&nodes[at], &ends, &longest, &added);
            scope.spawn(move || keep_adding(node, at as u32, ends, longest, added))
        };
        let adding = [add(0), add(1)];
        let stretches = (|| {
            let before = stretch(&get, &longest, |done, _| done < FETCHES)?;
            engine.signal_all(Signal::STOP)?;
            let during = stretch(&get, &longest, |_, since| since < away);
            engine.signal_all(Signal::CONT)?;
            anyhow::Ok((before, during?))
        })();
        ends.store(true, Ordering::Relaxed);
        let joined =
            adding.into_iter().map(|thread| thread.join().map_err(|_| anyhow::anyhow!("panicked"))?);
        let peers = joined.collect::<anyhow::Result<Vec<Peer>>>()?;
        let (before, during) = stretches?;
        anyhow::Ok((before, during, peers))
    })?;
    let back = Instant::now();
    let expected = added.load(Ordering::Relaxed) + 1;
    let mut lists = Vec::new();
    while lists.len() != 2 || lists[0] != lists[1] || lists[0] != expected {
        ensure!(back.elapsed() < PATIENCE, "after {PATIENCE:?} the nodes have {lists:?} and not {expected}");
        sleep(Duration::from_millis(20));
        lists = nodes.iter().map(distinct).collect::<anyhow::Result<_>>()?;
    }
    tell(away, &before, &during, expected, back.elapsed());
    Ok(())
}

/// How many different files a node lists; all of them once.
fn distinct(node: &Node) -> anyhow::Result<usize> {
    let (told, distinct) = node.list_all()?;
    ensure!(told == distinct, "{} records are there twice", told - distinct);
    Ok(distinct)
}

fn tell(away: Duration, before: &Stretch, during: &Stretch, records: usize, converged: Duration) {
    let row = |name: &str, reached: f64, unit, most: f64, remark: String| {
        let name = format!("engine stopped for {} s: {name}", away.as_secs());
        report::row(&Row { name, reached, unit, target: Target::AtMost(most), remark });
    };
    // A refusal, or an answer that did not come, has ended the run.
    let longest = format!("{records} records at two nodes; the longest answer {} ms", during.longest_ms);
    row("ADDs that were refused", 0.0, "", 0.0, format!("{longest}, {} ms before", before.longest_ms));
    let failed = (before.failed + during.failed) as f64;
    row(
        "fetches that failed",
        failed,
        "",
        0.0,
        format!("of {}", before.fetches.len() + during.fetches.len()),
    );
    let (mean_before, mean_during) = (median(&before.fetches), median(&during.fetches));
    row(
        "time of a fetch of 64 MiB, of that before",
        mean_during / mean_before,
        "",
        1.2,
        format!("{} s, {} s before", figure(mean_during), figure(mean_before)),
    );
    row("until both nodes have all of it afterwards", converged.as_secs_f64(), "s", 10.0, String::new());
}

/// Fetches again and again while `goes_on`, which is told how often and for how long.
fn stretch(
    get: &impl Fn() -> anyhow::Result<bool>,
    longest: &AtomicUsize,
    goes_on: impl Fn(usize, Duration) -> bool,
) -> anyhow::Result<Stretch> {
    longest.store(0, Ordering::Relaxed);
    let (began, mut fetches, mut failed) = (Instant::now(), Vec::new(), 0);
    while goes_on(fetches.len(), began.elapsed()) {
        let at = Instant::now();
        failed += usize::from(!get()?);
        fetches.push(at.elapsed().as_secs_f64());
    }
    Ok(Stretch { fetches, failed, longest_ms: longest.load(Ordering::Relaxed) })
}

fn fetch(program: &Path, node: &Node, folder: &Path) -> anyhow::Result<bool> {
    let into = tempfile::tempdir_in(folder)?;
    let mut get = Command::new(program);
    get.args(["get", "shared/large", "--no-upload", "--server", &node.server.address.to_string()]);
    get.current_dir(into.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let ended = get.status().context("cannot start p2pci get")?;
    Ok(ended.success() && fs::metadata(into.path().join("large"))?.len() == FILE_BYTES as u64)
}

/// Tells a node of new files until it ends; every one must be taken.
fn keep_adding(
    node: &Node,
    at: u32,
    ends: &AtomicBool,
    longest: &AtomicUsize,
    added: &AtomicUsize,
) -> anyhow::Result<Peer> {
    let (mut peer, mut next) = (Peer::connect(node)?, at * 1_000_000);
    while !ends.load(Ordering::Relaxed) {
        let began = Instant::now();
        peer.add((next..next + FILES).map(|number| (name(number), number)))?;
        peer.answered()?;
        added.fetch_add(FILES as usize, Ordering::Relaxed);
        longest.fetch_max(began.elapsed().as_millis() as usize, Ordering::Relaxed);
        next += FILES;
        sleep(ADD_EVERY.saturating_sub(began.elapsed()));
    }
    Ok(peer)
}

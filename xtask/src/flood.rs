//! `cargo xtask flood`: many at once on one real index, and what a peer that goes about its business notices of them.
//!
//! Not a bench: nothing is compared, and the bounds are generous enough for a busy machine. The released server is one process and
//! this generator another, as each connection takes a descriptor on both sides.

mod half_open;
mod restart;
mod stop;
mod writers;

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::list::{REQUEST, read_all};
use crate::bench::load::{Load, Measured, Numbers, Window, join};
use crate::bench::server::{Kind, Programs, Server, wait_for};
use crate::bench::stats::percentile;
use crate::bench::talk;
use crate::repository;

/// The lines of the help text.
pub(crate) const USAGE: &str = "\
  flood crowd        15,000 idle peers, a million records, one LIST after the other, and a busy peer that must not notice
  flood deaf         the same million, and a thousand who ask for a LIST and never read it (a minute)
  flood writers      the same million, and 15,000 who send their request byte by byte
  flood restart      10,000 real peers whose index is killed and started again
  flood half-open    2,000 peers whose cable is pulled: nobody says that they are gone (root)
  flood stop         10,000 peers, half of which await answers when the index is told to end
";

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    Crowd,
    Deaf,
    Writers,
    Restart,
    HalfOpen,
    Stop,
}

/// Each by its name on the command line.
pub(crate) const NAMES: [(&str, Flood); 6] = [
    ("crowd", Flood::Crowd),
    ("deaf", Flood::Deaf),
    ("writers", Flood::Writers),
    ("restart", Flood::Restart),
    ("half-open", Flood::HalfOpen),
    ("stop", Flood::Stop),
];

/// The flood of this name.
pub(crate) fn named(name: &str) -> Option<Flood> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, flood)| *flood)
}

/// Descriptors that are not for peers.
const SPARE: u64 = 500;
const PEERS: u64 = 15_000;
const RECORDS: u32 = 1_000_000;
const PER_RICH_PEER: u32 = 10_000;
const DEAF: usize = 1_000;
/// The busy peer's requests: 99 of 100 are answered within 50 ms on a quiet machine; here five times that.
const P99_BOUND: Duration = Duration::from_millis(250);
/// More memory for those who do not read: 100 MiB for a thousand.
const DEAF_BYTES_MAX: u64 = 100 << 20;
/// When the last of them must be cut.
const CUT_WITHIN: Duration = Duration::from_secs(35);
/// A busy machine may take so much longer before it counts as a hang.
const HANG: Duration = Duration::from_secs(175);
const WINDOW: Window = Window { warm_up: Duration::from_millis(500), measured: Duration::from_secs(5) };

/// Runs a flood; `false` when a bound was not kept, which was printed then.
pub(crate) fn command(flood: Flood) -> anyhow::Result<bool> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let target = repository::metadata(&repository::root())?.target_directory;
    let programs = Programs::new(target, None)?;
    if flood == Flood::HalfOpen {
        return half_open::run(&programs);
    }
    let server = Server::start(Kind::Index, &programs)
        .context("cannot start the index; cargo build --release --package p2pci")?;
    match flood {
        Flood::Crowd => {
            let room = limit.maximum.unwrap_or(u64::MAX).saturating_sub(SPARE);
            crowd(&server, u32::try_from(PEERS.min(room))?)
        }
        Flood::Deaf => deaf(&server),
        Flood::Writers => writers::run(&server),
        Flood::Restart => restart::run(server, &programs),
        Flood::Stop => stop::run(server),
        Flood::HalfOpen => half_open::run(&programs),
    }
}

fn crowd(server: &Server, peers: u32) -> anyhow::Result<bool> {
    let idle = (0..peers).map(|at| (talk::add(Kind::Index, at as usize), row(at, 1, peers)));
    let idle = join(server.address, idle).context("the idle peers cannot register")?;
    let _rich = fill(server, peers)?;
    let records = peers + RECORDS;
    let (measured, lists) = thread::scope(|scope| {
        let listing = scope.spawn(|| {
            let (started, mut lists) = (Instant::now(), 0);
            while started.elapsed() < WINDOW.measured {
                read_all(server, records)?;
                lists += 1;
            }
            anyhow::Ok(lists)
        });
        let measured = busy(server, records, WINDOW)?;
        let lists = listing.join().map_err(|_| anyhow::anyhow!("the reader of the LIST panicked"))??;
        anyhow::Ok((measured, lists))
    })?;
    let kept = told(&measured, &format!("{peers} idle peers, {lists} LISTs of {records} records"));
    // Whoever was silent is still there: each of their records is found.
    let each = [(talk::lookup(Kind::Index), row(0, peers, peers))];
    Load::connect(server.address, each)?.fill().context("an idle peer's record is gone")?;
    drop(idle);
    Ok(kept)
}

fn deaf(server: &Server) -> anyhow::Result<bool> {
    let _rich = fill(server, 0)?;
    let before = server.resident()?;
    let started = Instant::now();
    let mut deaf = Vec::new();
    for _ in 0..DEAF {
        let mut stream = TcpStream::connect(server.address)?;
        stream.write_all(REQUEST)?;
        deaf.push(stream);
    }
    let measured = busy(server, RECORDS, WINDOW)?;
    let grown = server.resident()?.saturating_sub(before);
    let kept = told(&measured, &format!("{DEAF} readers that do not read"));
    println!(
        "memory: {:.1} MiB more, {:.1} KiB each",
        grown as f64 / 1_048_576.0,
        grown as f64 / 1024.0 / DEAF as f64
    );
    let mut last_cut = Duration::ZERO;
    while !deaf.is_empty() {
        ensure!(started.elapsed() < HANG, "{} are still there after {HANG:?}", deaf.len());
        // A reset is an error of the socket, and shows without reading.
        deaf.retain(|stream| matches!(stream.take_error(), Ok(None)));
        last_cut = started.elapsed();
        thread::sleep(Duration::from_millis(100));
    }
    println!(
        "the last of them was cut off {:.1} s after the first LIST (at most {})",
        last_cut.as_secs_f64(),
        CUT_WITHIN.as_secs()
    );
    wait_for("their memory to come back", || {
        let left = server.resident().ok()?.saturating_sub(before);
        (left < DEAF_BYTES_MAX).then_some(())
    })?;
    Ok(kept && grown <= DEAF_BYTES_MAX && last_cut <= CUT_WITHIN)
}

/// A million records after the first ones.
fn fill(server: &Server, first: u32) -> anyhow::Result<Load> {
    let count = first + RECORDS;
    let rich = (0..RECORDS / PER_RICH_PEER).map(|at| {
        (talk::add(Kind::Index, at as usize), row(first + at * PER_RICH_PEER, PER_RICH_PEER, count))
    });
    let mut load = Load::connect(server.address, rich)?;
    load.fill().context("the records cannot be added")?;
    server.when_idle()?;
    Ok(load)
}

/// One peer that asks one question after the other.
fn busy(server: &Server, records: u32, window: Window) -> anyhow::Result<Measured> {
    let talks = [(talk::lookup(Kind::Index), Numbers::random(1, records))];
    Load::connect(server.address, talks)?.closed(1, window, server, &mut |_| {})
}

fn row(at: u32, left: u32, count: u32) -> Numbers {
    Numbers::Row { at, left, count }
}

/// Shows what the busy peer met, and whether that is within the bound.
fn told(measured: &Measured, beside: &str) -> bool {
    let latencies: Vec<f64> = measured.latencies.iter().map(|(_, latency)| *latency).collect();
    let [p50, p99, longest] = [50.0, 99.0, 100.0].map(|part| percentile(&latencies, part) * 1e3);
    let rate = measured.rate();
    println!(
        "beside {beside}: {rate:.0} look-ups/s, p50 {p50:.2} ms, p99 {p99:.2} ms, longest {longest:.1} ms"
    );
    let kept = p99 <= P99_BOUND.as_secs_f64() * 1e3;
    if !kept {
        println!("p99 must be at most {} ms", P99_BOUND.as_millis());
    }
    kept
}

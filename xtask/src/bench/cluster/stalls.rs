//! `kill -9` of a master while it is written to: how long it takes, for each bucket, until another node knows what is added.
//!
//! One file for each bucket is added again and again with a new size, and another node is asked all the time what it knows. A bucket's
//! stall is the longest time from an ADD until the other node knows it or a later one. Meanwhile other files are added, and peers go.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::engine::{BUCKETS, Engine};
use super::peers::{Node, Peer};
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::Programs;

const PREFIX: &str = "probe/";
/// Names among which there is one for each bucket.
const NAMES: u32 = 4_000;
/// How often every bucket has something new.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// Files that are added beside the probes, each time.
const BESIDE: u32 = 200;
/// How long it goes on before the master is killed; the first second does not count.
const BEFORE: Duration = Duration::from_secs(5);
/// For how long it goes on afterwards at least.
const AFTER: Duration = Duration::from_secs(8);
/// Bound of waits.
const PATIENCE: Duration = Duration::from_secs(60);
/// Peers of each node, of which half go after the kill, and the files of each.
const PEERS: (u32, u32) = (10, 100);

/// What one kill brought.
struct Killed {
    before: Duration,
    healthy: Duration,
    dead: Duration,
    /// Buckets of the master that was killed.
    dead_buckets: usize,
    /// The longest answer to an ADD.
    answered: Duration,
    /// From the end of all stalls until both nodes and the engine have exactly what is there.
    equal: Duration,
    records: usize,
}

pub(super) fn measure(programs: &Programs, runs: usize) -> anyhow::Result<()> {
    let runs = (0..runs).map(|run| kill(programs, run % 3)).collect::<Result<Vec<_>, _>>()?;
    let of = |value: fn(&Killed) -> Duration| {
        let all: Vec<f64> = runs.iter().map(|run| value(run).as_secs_f64() * 1e3).collect();
        let words: Vec<String> = all.iter().map(|value| figure(*value)).collect();
        (all.into_iter().fold(0.0, f64::max), words.join(", "))
    };
    let dead: Vec<String> = runs.iter().map(|run| run.dead_buckets.to_string()).collect();
    let (before, answered) = (of(|run| run.before).1, of(|run| run.answered).1);
    let row = |name: &str, (reached, each): (f64, String), most: f64, remark: String| {
        report::row(&Row {
            name: format!("kill -9 of a master under load, {} runs: {name}", runs.len()),
            reached,
            unit: "ms",
            target: Target::AtMost(most),
            remark: format!("{each}; {remark}"),
        });
    };
    row(
        "longest time until another node knows an ADD, buckets of the other masters",
        of(|run| run.healthy),
        200.0,
        format!("before the kill {before}; ADD answered within {answered}"),
    );
    let remark = format!("{} of {BUCKETS} buckets", dead.join(", "));
    row("the same, buckets of that master", of(|run| run.dead), 6_000.0, remark);
    let records: Vec<String> = runs.iter().map(|run| run.records.to_string()).collect();
    row(
        "from then until both nodes and the engine have exactly what is there",
        of(|run| run.equal),
        10_000.0,
        format!("{} records", records.join(", ")),
    );
    Ok(())
}

fn probe(number: u32) -> String {
    format!("{PREFIX}{number:06}")
}

/// A name for each bucket, and the bucket's master: learned from the engine.
fn probes(engine: &Engine, node: &Node) -> anyhow::Result<Vec<(String, usize)>> {
    let mut peer = Peer::connect(node)?;
    peer.add((0..NAMES).map(|number| (probe(number), number)))?;
    peer.answered()?;
    node.wait_told()?;
    let mut probes = Vec::new();
    for bucket in 0..BUCKETS {
        let owners = engine.owners(bucket)?;
        let owner = owners.first().context("a bucket is empty")?;
        let fields = engine.ask_bucket("HKEYS", bucket, &format!("r:{owner}"))?;
        let length = probe(0).len();
        let at = fields.windows(PREFIX.len()).position(|part| part == PREFIX.as_bytes());
        let name = at.and_then(|at| fields.get(at..at + length)).context("no name in a bucket")?;
        probes.push((String::from_utf8(name.to_vec())?, engine.master_of(bucket)?));
    }
    Ok(probes)
}

/// When each round was sent, from the first on.
type Rounds = Mutex<Vec<Instant>>;

/// What the other node knows of each probe.
struct Watch<'a> {
    rounds: &'a Rounds,
    known: HashMap<&'a str, (usize, u32)>,
    /// By probe: the longest time so far, and since the kill.
    longest: Vec<[Duration; 2]>,
}

impl Watch<'_> {
    fn look(&mut self, peer: &mut Peer, killed: Option<Instant>) -> anyhow::Result<()> {
        let mut found = Vec::new();
        peer.list(PREFIX, |file| {
            if let Some((at, last)) = self.known.get_mut(file.name)
                && file.size > *last
            {
                found.push((*at, *last));
                *last = file.size;
            }
        })?;
        let now = Instant::now();
        let rounds = self.rounds.lock().map_err(|_| anyhow::anyhow!("a thread has panicked"))?;
        for (at, last) in found {
            // Round 1 is the first; the one after the last that was known has waited longest.
            let Some(sent) = rounds.get(last as usize) else { bail!("a round that was not sent") };
            if rounds[0].elapsed() > Duration::from_secs(1) {
                let longest = &mut self.longest[at][usize::from(killed.is_some())];
                *longest = (*longest).max(now - *sent);
            }
        }
        Ok(())
    }

    /// The last round that every probe has reached.
    fn reached(&self) -> u32 {
        self.known.values().map(|(_, round)| *round).min().unwrap_or(0)
    }
}

fn kill(programs: &Programs, doomed: usize) -> anyhow::Result<Killed> {
    let mut engine = Engine::start(programs)?;
    let (told, asked) = (Node::start(programs, &engine)?, Node::start(programs, &engine)?);
    let probes = probes(&engine, &told)?;
    asked.wait_no_more_than(0)?;
    let mut staying = Vec::new();
    for at in 0..2 * PEERS.0 {
        let node = if at % 2 == 0 { &told } else { &asked };
        staying.push(node.add_folder(at, PEERS.1)?);
    }
    let (rounds, ends) = (Rounds::default(), AtomicBool::new(false));
    let known = probes.iter().enumerate().map(|(at, (name, _))| (name.as_str(), (at, 0))).collect();
    let longest = vec![[Duration::ZERO; 2]; probes.len()];
    let mut watch = Watch { rounds: &rounds, known, longest };
    let (answered, beside, stalled) = scope(|scope| {
        let adding = scope.spawn(|| {
            let added = add(&told, &probes, &rounds, &ends);
            // Whoever waits for what will not come any more is to hear it.
            ends.store(true, Ordering::Relaxed);
            added
        });
        let watched = follow(&mut watch, &asked, &mut engine, doomed, &mut staying, &ends);
        ends.store(true, Ordering::Relaxed);
        let (answered, beside, peer) =
            adding.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))??;
        watched.map(|()| (answered, (beside, peer), Instant::now()))
    })?;
    let (beside, _peer) = beside;
    let mut expected: Vec<String> = probes.iter().map(|(name, _)| name.clone()).collect();
    expected.extend((0..beside).map(|number| format!("beside/{number:08}")));
    let left = PEERS.0 * PEERS.1;
    expected.extend((left..2 * left).map(super::peers::name));
    expected.sort_unstable();
    loop {
        if told.names()? == expected
            && asked.names()? == expected
            && engine.records()? == expected.len() as u64
        {
            break;
        }
        ensure!(stalled.elapsed() < PATIENCE, "the nodes and the engine do not agree");
    }
    let equal = stalled.elapsed();
    let (mut before, mut healthy, mut dead, mut dead_buckets) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0);
    for ((_, master), [earlier, later]) in probes.iter().zip(&watch.longest) {
        before = before.max(*earlier);
        let of = if *master == doomed { &mut dead } else { &mut healthy };
        *of = (*of).max(*later);
        dead_buckets += usize::from(*master == doomed);
    }
    Ok(Killed { before, healthy, dead, dead_buckets, answered, equal, records: expected.len() })
}

/// Adds to every bucket, and beside, until it ends. Gives the longest answer, and how many were added beside.
fn add(
    node: &Node,
    probes: &[(String, usize)],
    rounds: &Rounds,
    ends: &AtomicBool,
) -> anyhow::Result<(Duration, u32, [Peer; 2])> {
    let (mut peer, mut other) = (Peer::connect(node)?, Peer::connect(node)?);
    let (mut longest, mut beside, mut round) = (Duration::ZERO, 0, 0);
    while !ends.load(Ordering::Relaxed) {
        let began = Instant::now();
        round += 1;
        rounds.lock().map_err(|_| anyhow::anyhow!("a thread has panicked"))?.push(began);
        peer.add(probes.iter().map(|(name, _)| (name.clone(), round)))?;
        peer.answered()?;
        longest = longest.max(began.elapsed());
        other.add((beside..beside + BESIDE).map(|number| (format!("beside/{number:08}"), number)))?;
        other.answered()?;
        beside += BESIDE;
        sleep(PROBE_EVERY.saturating_sub(began.elapsed()));
    }
    Ok((longest, beside, [peer, other]))
}

/// Looks all the time, kills in between, and goes on until no bucket is held up any more.
fn follow(
    watch: &mut Watch<'_>,
    asked: &Node,
    engine: &mut Engine,
    doomed: usize,
    staying: &mut Vec<Peer>,
    ends: &AtomicBool,
) -> anyhow::Result<()> {
    let mut asking = Peer::connect(asked)?;
    let began = Instant::now();
    while began.elapsed() < BEFORE {
        watch.look(&mut asking, None)?;
        sleep(Duration::from_millis(5));
    }
    engine.kill(doomed)?;
    let killed = Instant::now();
    staying.drain(..PEERS.0 as usize);
    loop {
        watch.look(&mut asking, Some(killed))?;
        let rounds = watch.rounds.lock().map_err(|_| anyhow::anyhow!("a thread has panicked"))?;
        let since = rounds.iter().position(|sent| *sent > killed);
        drop(rounds);
        // Every bucket has told something of after the kill.
        if killed.elapsed() > AFTER && since.is_some_and(|since| watch.reached() as usize > since) {
            return Ok(());
        }
        ensure!(!ends.load(Ordering::Relaxed), "nothing is added any more");
        ensure!(killed.elapsed() < PATIENCE, "a bucket is held up for good");
        sleep(Duration::from_millis(5));
    }
}

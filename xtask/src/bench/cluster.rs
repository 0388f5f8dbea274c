//! `bench cluster`: nodes of one cluster on six processes of redis-server, all on this machine.
//!
//! What counts is the ratio to a bare loop that has the engine run the same script with the same records, and to the embedded index.

mod away;
mod bare;
mod crowd;
mod engine;
mod peers;
mod stalls;

use std::time::{Duration, Instant};

use self::bare::Bare;
use self::engine::Engine;
use self::peers::Node;
use super::load::{Load, Numbers, Window};
use super::report::{self, Row, Target, figure};
use super::server::{Kind, Programs, Server};
use super::stats::{median, percentile};
use super::talk;
use crate::{parts, repository};

/// Records that are added in one round.
const RECORDS: u32 = 100_000;
/// Records of one connection.
const OF_ONE: u32 = 10_000;
/// Numbers that are looked up.
const KNOWN: u32 = 10_000;
/// Requests in one write.
const PIPELINED: usize = 16;
/// Connections that look up.
const CONNECTIONS: usize = 8;

/// A part of it, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Add,
    Lookup,
    Memory,
    Crowd,
    Kill,
    Away,
}

const PARTS: [(&str, Part); 6] = [
    ("add", Part::Add),
    ("lookup", Part::Lookup),
    ("memory", Part::Memory),
    ("crowd", Part::Crowd),
    ("kill", Part::Kill),
    ("away", Part::Away),
];

/// What was typed after `bench cluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// All of them, if none was named.
    parts: Vec<Part>,
    /// One short round instead of several: to see that it works.
    pub(crate) quick: bool,
}

impl Cluster {
    pub(crate) fn parse(typed: &[&str]) -> Result<Self, String> {
        let (mut parts, mut quick) = (Vec::new(), false);
        for word in typed {
            match PARTS.iter().find(|(name, _)| name == word) {
                Some((_, part)) => parts.push(*part),
                None if *word == "--quick" => quick = true,
                None => return Err(format!("there is no part '{word}'")),
            }
        }
        if parts.is_empty() {
            parts.extend(PARTS.map(|(_, part)| part));
        }
        Ok(Self { parts, quick })
    }
}

/// Measures what was asked for; `false` where there is no engine. `P2PCI_ENGINE` names another one than redis-server.
pub(super) fn command(asked: &Cluster) -> anyhow::Result<bool> {
    let target = repository::metadata(&repository::root())?.target_directory;
    let named = std::env::var_os("P2PCI_ENGINE").map(std::path::PathBuf::from);
    let Some(redis) = named.or_else(|| parts::find("redis-server", &target.join("parts"))) else {
        println!("not measured: there is no redis-server here");
        return Ok(false);
    };
    let programs = Programs::new(target, Some(redis))?;
    let quick = asked.quick;
    report::begin(quick);
    let rounds = if quick { 1 } else { 5 };
    for part in &asked.parts {
        match part {
            Part::Add => adding(&programs, rounds)?,
            Part::Lookup => looking_up(&programs, rounds, quick)?,
            Part::Memory => [1, 10, 100].into_iter().try_for_each(|peers| memory(&programs, peers))?,
            Part::Crowd => crowd::measure(&programs, if quick { 300 } else { 3_000 }, 100)?,
            Part::Kill => stalls::measure(&programs, if quick { 1 } else { 3 })?,
            Part::Away => away::measure(&programs, Duration::from_secs(if quick { 10 } else { 60 }))?,
        }
    }
    Ok(true)
}

/// Structured records through one node, and the bare loop, in turn and each with an empty engine. Beside them an index that stands alone, as a node
/// has to do what that does and the engine what it does in the bare loop: on the same cores both together are no faster.
fn adding(programs: &Programs, rounds: usize) -> anyhow::Result<()> {
    let (mut ours, mut bare, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    let cores: Vec<usize> = (0..std::thread::available_parallelism()?.get()).collect();
    for _ in 0..rounds {
        let engine = Engine::start(programs)?;
        // On all cores, as the bare loop is.
        let node = Node::start_on(&cores, programs, &engine)?;
        let began = Instant::now();
        let connections = node.add_files(RECORDS, OF_ONE)?;
        node.wait_told()?;
        ours.push(f64::from(RECORDS) / began.elapsed().as_secs_f64());
        drop((connections, node, engine));
        let engine = Engine::start(programs)?;
        let loop_ = Bare::connect(&engine)?;
        let began = Instant::now();
        loop_.put(RECORDS)?;
        bare.push(f64::from(RECORDS) / began.elapsed().as_secs_f64());
        drop(engine);
        let index = Node::alone_on(&cores, programs)?;
        let began = Instant::now();
        let _connections = index.add_files(RECORDS, OF_ONE)?;
        alone.push(f64::from(RECORDS) / began.elapsed().as_secs_f64());
    }
    let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    report::row(&Row {
        name: "ADD FILES through one node, until the engine has it, rate / bare loop of the same script in batches of 64".into(),
        reached: median(&ratios),
        unit: "",
        target: Target::AtLeast(0.8),
        remark: format!(
            "{} records/s; bare {}; {}; an index that stands alone {}, so both on these cores at best {:.2}",
            figure(median(&ours)),
            figure(median(&bare)),
            spread(&ratios),
            figure(median(&alone)),
            median(&alone) / (median(&alone) + median(&bare)),
        ),
    });
    Ok(())
}

/// LOOKUP of what another node was told, and the same at an index that stands alone, in turn.
fn looking_up(programs: &Programs, rounds: usize, quick: bool) -> anyhow::Result<()> {
    let seconds = if quick { 1.0 } else { 2.0 };
    let window = Window { warm_up: Duration::from_millis(300), measured: Duration::from_secs_f64(seconds) };
    let engine = Engine::start(programs)?;
    let (told, asked) = (Node::start(programs, &engine)?, Node::start(programs, &engine)?);
    let alone = Server::start(Kind::Index, programs)?;
    let fill = |server: &Server| {
        let talk = talk::add(Kind::Index, 0);
        let mut load =
            Load::connect(server.address, [(talk, Numbers::Row { at: 0, left: KNOWN, count: KNOWN })])?;
        load.fill().map(|()| load)
    };
    let _held = (fill(&told.server)?, fill(&alone)?);
    asked.wait_records(u64::from(KNOWN))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (server, rates) in [(&asked.server, &mut ours), (&alone, &mut theirs)] {
            let talks =
                (0..CONNECTIONS).map(|seed| (talk::lookup(Kind::Index), Numbers::random(seed, KNOWN)));
            let mut load = Load::connect(server.address, talks)?;
            rates.push(load.closed(PIPELINED, window, server, &mut |_| {})?.rate());
        }
    }
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    report::row(&Row {
        name: "LOOKUP P=16 of what another node was told, rate / an index that stands alone".into(),
        reached: median(&ratios),
        unit: "",
        target: Target::AtLeast(0.8),
        remark: format!(
            "{} requests/s; alone {}; {}",
            figure(median(&ours)),
            figure(median(&theirs)),
            spread(&ratios)
        ),
    });
    Ok(())
}

/// What a record costs a master: with so many peers for each name.
fn memory(programs: &Programs, peers_a_name: u32) -> anyhow::Result<()> {
    let engine = Engine::start(programs)?;
    let node = Node::start(programs, &engine)?;
    let before = engine.memory()?;
    let connections = node.add_same_files(RECORDS, peers_a_name)?;
    node.wait_told()?;
    let used = engine.memory()? - before;
    drop(connections);
    let studied = match peers_a_name {
        1 => 570.0,
        10 => 289.0,
        _ => 252.0,
    };
    report::row(&Row {
        name: format!("memory of the engine for each record and copy, {peers_a_name} peers a name"),
        reached: used as f64 / f64::from(RECORDS),
        unit: "B",
        target: Target::AtMost(studied),
        remark: format!("{RECORDS} files with hashes; the masters' used_memory"),
    });
    Ok(())
}

fn spread(values: &[f64]) -> String {
    format!("{} to {}", figure(percentile(values, 0.0)), figure(percentile(values, 100.0)))
}

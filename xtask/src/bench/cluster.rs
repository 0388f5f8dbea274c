//! `bench cluster`: nodes of one cluster on six processes of redis-server, all on this machine.
//!
//! What counts is the ratio to a bare loop that has the engine run the same script with the same records, and to the embedded index.

mod bare;
mod engine;
mod peers;

use std::time::{Duration, Instant};

use anyhow::Context;

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

/// What was typed after `bench cluster`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// One short round instead of five: to see that it works.
    pub(crate) quick: bool,
}

impl Cluster {
    pub(crate) fn parse(typed: &[&str]) -> Result<Self, String> {
        match typed {
            [] => Ok(Self { quick: false }),
            ["--quick"] => Ok(Self { quick: true }),
            [other, ..] => Err(format!("there is no part '{other}'")),
        }
    }
}

/// Measures everything; `false` where there is no engine.
pub(super) fn command(asked: Cluster) -> anyhow::Result<bool> {
    let target = repository::metadata(&repository::root())?.target_directory;
    let Some(redis) = parts::find("redis-server", &target.join("parts")) else {
        println!("not measured: there is no redis-server here");
        return Ok(false);
    };
    let programs = Programs::new(target, Some(redis))?;
    report::begin(asked.quick);
    let rounds = if asked.quick { 1 } else { 5 };
    adding(&programs, rounds)?;
    looking_up(&programs, rounds, asked.quick)?;
    for peers_a_name in [1, 10, 100] {
        memory(&programs, peers_a_name)?;
    }
    let (peers, each) = if asked.quick { (300, 100) } else { (3_000, 100) };
    crowd(&programs, peers, each)?;
    Ok(true)
}

/// Structured records through one node, and the bare loop, in turn and each with an empty engine.
fn adding(programs: &Programs, rounds: usize) -> anyhow::Result<()> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let engine = Engine::start(programs)?;
        let node = Node::start(programs, &engine)?;
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
    }
    let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    report::row(&Row {
        name: "ADD FILES through one node, until the engine has it, rate / bare loop of the same script in batches of 64".into(),
        reached: median(&ratios),
        unit: "",
        target: Target::AtLeast(0.8),
        remark: format!("{} records/s; bare {}; {}", figure(median(&ours)), figure(median(&bare)), spread(&ratios)),
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

/// Three nodes with many peers: how soon a record is known elsewhere, and a LIST of everything.
fn crowd(programs: &Programs, peers: u32, each: u32) -> anyhow::Result<()> {
    let engine = Engine::start(programs)?;
    let nodes = [(); 3].map(|()| Node::start(programs, &engine));
    let nodes: Vec<Node> = nodes.into_iter().collect::<Result<_, _>>()?;
    let began = Instant::now();
    let mut held = Vec::new();
    for peer in 0..peers {
        let node = nodes.get(peer as usize % nodes.len()).context("three nodes")?;
        held.push(node.add_folder(peer, each)?);
    }
    let all = u64::from(peers * each);
    nodes.iter().try_for_each(|node| node.wait_records(all))?;
    let filled = began.elapsed();
    let mut delays = Vec::new();
    for number in 0..100 {
        let (told, asked) = (number % nodes.len(), (number + 1) % nodes.len());
        delays.push(peers::seen_after(&nodes[told], &nodes[asked], number as u32)?.as_secs_f64() * 1e3);
    }
    report::row(&Row {
        name: format!(
            "three nodes, {peers} peers, {all} records: a LOOKUP at another node finds a new record after (p99)"
        ),
        reached: percentile(&delays, 99.0),
        unit: "ms",
        target: Target::AtMost(1000.0),
        remark: format!(
            "p50 {} ms; all were everywhere after {:.1} s",
            figure(median(&delays)),
            filled.as_secs_f64()
        ),
    });
    let began = Instant::now();
    let (told, distinct) = nodes[1].list_all()?;
    report::row(&Row {
        name: "a LIST of all of them at one node, records told that were told before".into(),
        reached: (told - distinct) as f64,
        unit: "",
        target: Target::AtMost(0.0),
        remark: format!("{distinct} of {} in {:.1} s", all + 100, began.elapsed().as_secs_f64()),
    });
    anyhow::ensure!(distinct as u64 == all + 100, "a node lists {distinct} records");
    report::row(&Row {
        name: "commands that kept a master for more than 10 ms, in all of that".into(),
        reached: engine.slow()? as f64,
        unit: "",
        target: Target::AtMost(0.0),
        remark: "the masters' own slow logs".into(),
    });
    report::row(&Row {
        name: "memory of a node with all of them".into(),
        reached: nodes[1].server.resident()? as f64 / (1024.0 * 1024.0),
        unit: "MiB",
        target: Target::None,
        remark: "a third of the connections included".into(),
    });
    Ok(())
}

fn spread(values: &[f64]) -> String {
    format!("{} to {}", figure(percentile(values, 0.0)), figure(percentile(values, 100.0)))
}

//! Three nodes with many peers: how soon each finds what another was told, and whether a LIST of everything is whole.

use std::time::Instant;

use anyhow::Context;

use super::engine::Engine;
use super::peers::{Node, seen_after};
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::Programs;
use crate::bench::stats::{median, percentile};

/// Three nodes with many peers: how soon a record is known elsewhere, and a LIST of everything.
pub(super) fn measure(programs: &Programs, peers: u32, each: u32) -> anyhow::Result<()> {
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
        delays.push(seen_after(&nodes[told], &nodes[asked], number as u32)?.as_secs_f64() * 1e3);
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
    let slow = engine.slow()?;
    report::row(&Row {
        name: "commands that kept a master for more than 10 ms, in all of that".into(),
        reached: slow.values().sum::<u64>() as f64,
        unit: "",
        target: Target::AtMost(0.0),
        remark: format!("the masters' own slow logs: {slow:?}"),
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

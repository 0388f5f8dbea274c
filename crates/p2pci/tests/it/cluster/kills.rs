//! `kill -9` of a node, and of a master of the engine while it is written to.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{BOUND, listed, node, once, wait_listed, wait_ready};
use crate::places::tree;
use crate::world::{Engine, Index, Raw, Sharer, http_get, wait_for};

#[test]
fn threat_c2_the_records_of_a_killed_node_are_gone_and_its_peers_come_back_elsewhere() {
    let test = "threat_c2_the_records_of_a_killed_node_are_gone_and_its_peers_come_back_elsewhere";
    let Some(engine) = Engine::start(test, 0) else { return };
    let mut nodes: Vec<Index> = (0..3).map(|_| node(&engine)).collect();
    let all = nodes.iter().map(Index::address).collect::<Vec<_>>().join(",");
    let doomed = nodes[0].address();
    let (_outer, root) = tree("moves", &[("a", "a")]);
    let (_outer, stays) = tree("stays", &[("b", "b")]);
    let mut sharer = Sharer::start(&root, &format!("{doomed},{all}"));
    let _stays = Sharer::start(&stays, &nodes[1].address());
    let mut only_there = nodes[0].raw();
    let add = "ADD RFC 3 P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: 5000\r\nTitle: Lost\r\n\r\n";
    assert!(only_there.ask_whole(add).contains("200 OK"));
    let at = sharer.registered()["server"].as_str().unwrap().to_owned();
    for index in &nodes {
        wait_listed(index, BOUND, &once(&["moves/a", "stays/b", "rfc3"]));
    }
    let killed = Instant::now();
    nodes[0].process().kill();
    if at == doomed {
        sharer.process().wait_in_lines("the registration elsewhere", |lines| {
            lines.iter().filter(|line| line.contains("\"registered\"")).nth(1).cloned()
        });
        println!("back after {:?}", killed.elapsed());
    }
    while killed.elapsed() < BOUND {
        for index in &nodes[1..] {
            let now = listed(index);
            assert!(now.values().all(|sources| *sources == 1), "nothing is there twice: {now:?}");
        }
        if nodes[1..].iter().all(|index| listed(index) == once(&["moves/a", "stays/b"])) {
            println!("gone after {:?}", killed.elapsed());
            return;
        }
    }
    panic!("{:?}", listed(&nodes[1]));
}

/// Adds numbers from one peer at a node, and gives those that were taken.
fn add(raw: &mut Raw, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let add = format!("ADD RFC {number} P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: 5000\r\nTitle: T\r\n\r\n");
        assert!(raw.ask_whole(&add).contains("200 OK"), "RFC {number} was refused");
    }
}

#[test]
fn threat_c1_what_a_killed_master_forgets_is_told_again() {
    let Some(mut engine) = Engine::start("threat_c1_what_a_killed_master_forgets_is_told_again", 1) else {
        return;
    };
    let (one, other) = (node(&engine), node(&engine));
    let (mut here, mut there) = (one.raw(), other.raw());
    add(&mut here, 1..2000);
    let doomed = engine.master_of("pci:{nodes}:h");
    engine.kill(doomed);
    let killed = Instant::now();
    add(&mut here, 2000..4000);
    // Two thirds have healthy masters, and wait for nobody. Ten times the target, and before anybody can have taken over.
    let healthy = 1999 + 2001 * 2 / 5;
    wait_for(Duration::from_secs(2), "what has a healthy master", || {
        (other.status().records >= healthy).then_some(())
    });
    println!("the healthy ones were through {:?} after the master was killed", killed.elapsed());
    add(&mut there, 10_000..11_000);
    drop(there);
    let all = |index: &Index| index.status().records;
    wait_for(BOUND, "both nodes to know all that is there", || {
        (all(&one) == 3999 && all(&other) == 3999).then_some(())
    });
    println!("converged {:?} after the master was killed", killed.elapsed());
    // And what is said now is heard at once.
    let began = Instant::now();
    add(&mut here, 20_000..20_100);
    wait_for(Duration::from_secs(20), "what is said now", || (all(&other) == 4099).then_some(()));
    println!("a hundred more within {:?}", began.elapsed());
}

/// The worst moment: the engine has just been claimed, and its replica has not heard of it.
#[test]
fn threat_c1_a_claim_is_not_relied_on_before_a_replica_has_it() {
    let Some(mut engine) = Engine::start("threat_c1_a_claim_is_not_relied_on_before_a_replica_has_it", 1)
    else {
        return;
    };
    // The master of the claim, and its replica that hangs.
    let claimed_at = engine.master_of("pci:{meta}");
    let replica = engine.replicas_of(claimed_at).next().unwrap();
    engine.signal(replica, Signal::STOP);
    let one = Index::with(&["--store", &engine.url()]);
    let why = || String::from_utf8_lossy(&http_get(one.port(), "/readyz").body).into_owned();
    wait_for(BOUND, "the node to doubt", || why().contains("no replica has heard").then_some(()));
    assert!(engine.ask(claimed_at, "HGET pci:{meta} cluster").starts_with("$16"), "it is claimed");
    engine.signal(replica, Signal::CONT);
    wait_ready(&one);
    engine.kill(claimed_at);
    let other = node(&engine);
    let (_outer, root) = tree("live", &[("a", "a")]);
    let _sharer = Sharer::start(&root, &other.address());
    wait_listed(&one, BOUND, &once(&["live/a"]));
}

//! What one node is told all of them know, at once, and say alike.

use std::time::{Duration, Instant};

use super::{BOUND, node, once, wait_listed};
use crate::places::{empty_folder, put, tree};
use crate::world::v11::{add_files, file};
use crate::world::{Engine, Index, Process, Raw, Sharer, http_get, p2pci, run, run_in, wait_for};

/// Five times the target.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

fn add(raw: &mut Raw, number: u32, title: &str, port: u16) {
    let request =
        format!("ADD RFC {number} P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: {port}\r\nTitle: {title}\r\n\r\n");
    assert!(raw.ask_whole(&request).contains("200 OK"), "RFC {number}");
}

#[test]
fn any_node_knows_what_any_other_was_told() {
    let Some(engine) = Engine::start("any_node_knows_what_any_other_was_told", 0) else { return };
    let nodes: Vec<Index> = (0..3).map(|_| node(&engine)).collect();
    let (_outer, root) = tree("live", &[("a", "a"), ("b/c", "c")]);
    let sharer = Sharer::start(&root, &nodes[0].address());
    nodes[0].wait_hashed(2);
    let mut old = nodes[1].raw();
    add(&mut old, 7, "Seven", 5000);
    let began = Instant::now();
    for index in &nodes {
        wait_listed(index, SEEN_WITHIN, &once(&["live/a", "live/b/c", "rfc7"]));
    }
    println!("seen everywhere after {:?}", began.elapsed());
    // Looked up, searched and fetched at a node to which it was not told; and the answer is the same by 1.0.
    let found = run(["lookup", "live/a", "--json", "--server", &nodes[2].address()]).objects();
    assert_eq!(found[0]["sources"][0]["port"], u64::from(sharer.port()), "{found:?}");
    assert_eq!(found[0]["sources"][0]["host"], "127.0.0.1", "claimed on loopback, and we are there too");
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "c", "--server", &nodes[2].address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    let found = run(["search", "seven", "--json", "--server", &nodes[0].address()]).objects();
    assert_eq!(found[0]["number"], 7, "{found:?}");
    let looked_up =
        nodes[2].raw().ask_whole("LOOKUP RFC 7 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: T\r\n\r\n");
    assert!(looked_up.contains("RFC 7 Seven 127.0.0.1 5000"), "{looked_up}");
    let peers = http_get(nodes[2].port(), "/api/v1/peers").json();
    assert_eq!(peers["peers"].as_array().or(peers["rows"].as_array()).map_or(0, Vec::len), 2, "{peers}");
    // Changes and ends are told as they happen.
    let mut watching = Process::start(p2pci(["watch", "--json", "--server", &nodes[2].address()]));
    watching.wait_in_lines("the watch", |lines| (!lines.is_empty()).then_some(()));
    put(&root.join("d"), "d");
    watching.wait_in_lines("a new file", |lines| lines.iter().find(|line| line.contains("live/d")).cloned());
    drop(old);
    drop(sharer);
    watching.wait_in_lines("the end of a file", |lines| {
        lines.iter().find(|line| line.contains("\"removed\"") && line.contains("live/b/c")).cloned()
    });
    for index in &nodes {
        wait_listed(index, SEEN_WITHIN, &once(&[]));
    }
}

#[test]
fn what_a_peer_has_said_at_two_nodes_stays_when_one_of_its_connections_ends() {
    let test = "what_a_peer_has_said_at_two_nodes_stays_when_one_of_its_connections_ends";
    let Some(engine) = Engine::start(test, 0) else { return };
    let nodes: Vec<Index> = (0..3).map(|_| node(&engine)).collect();
    // More than there are buckets, so that several are in one.
    let named = |folder: &str| -> Vec<String> { (0..600).map(|at| format!("{folder}/{at:03}")).collect() };
    let register = |raw: &mut Raw, names: &[String]| {
        let files: Vec<_> = names.iter().map(|name| file(name, 1)).collect();
        for batch in files.chunks(200) {
            assert_eq!(raw.ask_v11(add_files("127.0.0.1", 6000, batch)).object()["taken"], batch.len());
        }
    };
    let (both, once_only) = (named("both"), named("once"));
    let listed = |index: &Index, folder: &str| {
        index
            .raw()
            .ask_v11(format!("LIST ALL P2P-CI/1.1\r\nLimit: 1000\r\nPrefix: {folder}/\r\n\r\n"))
            .objects()
            .len()
    };
    let (mut first, mut second) = (nodes[0].raw(), nodes[1].raw());
    register(&mut first, &both);
    wait_for(BOUND, "them at each node", || {
        nodes.iter().all(|node| listed(node, "both") == 600).then_some(())
    });
    register(&mut second, &both);
    register(&mut second, &once_only);
    wait_for(BOUND, "all of it", || nodes.iter().all(|node| listed(node, "once") == 600).then_some(()));
    drop(second);
    wait_for(BOUND, "the end of one", || nodes.iter().all(|node| listed(node, "once") == 0).then_some(()));
    wait_for(BOUND, "the other's", || nodes.iter().all(|node| listed(node, "both") == 600).then_some(()));
}

#[test]
fn whoever_waits_at_one_node_hears_of_what_another_is_told() {
    let Some(engine) = Engine::start("whoever_waits_at_one_node_hears_of_what_another_is_told", 0) else {
        return;
    };
    let (one, other) = (node(&engine), node(&engine));
    let mut waiting = one.raw();
    waiting.send("LOOKUP RFC 9 P2P-CI/1.1\r\nWait: 60\r\n\r\n");
    let mut peer = other.raw();
    add(&mut peer, 9, "Nine", 5000);
    let mut answer = String::new();
    wait_for(BOUND, "the answer", || {
        answer.push_str(&String::from_utf8_lossy(&waiting.segment_within(BOUND)?));
        answer.contains("Nine").then_some(())
    });
}

#[test]
fn a_peer_registers_once_with_a_cluster_and_goes_over_when_its_node_stops() {
    let test = "a_peer_registers_once_with_a_cluster_and_goes_over_when_its_node_stops";
    let Some(engine) = Engine::start(test, 0) else { return };
    let mut nodes = [node(&engine), node(&engine)];
    let both = nodes.each_ref().map(Index::address).join(",");
    let (_outer, root) = tree("live", &[("a", "a")]);
    let mut sharer = Sharer::start(&root, &both);
    let at = nodes.iter().position(|node| sharer.registered()["server"] == node.address()).unwrap();
    for node in &nodes {
        wait_listed(node, SEEN_WITHIN, &once(&["live/a"]));
    }
    let server = nodes[1 - at].address();
    nodes[at].stop(BOUND);
    sharer.process().wait_in_lines("the registration with the other node", |lines| {
        lines.iter().find(|line| line.contains("\"registered\"") && line.contains(&server)).cloned()
    });
    wait_listed(&nodes[1 - at], SEEN_WITHIN, &once(&["live/a"]));
    assert_eq!(run(["list", "--server", &both]).code, Some(0));
    // A node that stopped has left nothing of its own.
    nodes[1 - at].stop(BOUND);
    wait_for(BOUND, "the engine to be empty", || (engine.keys() <= 2 + 256).then_some(()));
}

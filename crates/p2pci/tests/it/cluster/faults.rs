//! Engines that are away, open, foreign, or hold what nobody of us has written.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{BOUND, listed, node, once, wait_listed, wait_ready};
use crate::places::tree;
use crate::world::{Engine, Index, Sharer, http_get, p2pci, run, run_command, wait_for};

fn readiness(index: &Index) -> (u16, String) {
    let answer = http_get(index.port(), "/readyz");
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

#[test]
fn a_node_without_its_engine_serves_at_once_and_says_that_it_is_not_ready() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    let index = Index::with(&["--store", &format!("redis+cluster://{closed}")]);
    // Five times the target.
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let (_outer, root) = tree("live", &[("a", "a")]);
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    assert_eq!(listed(&index), once(&["live/a"]));
    let (status, why) = readiness(&index);
    assert!(status == 503 && why.starts_with("not ready: the engine does not answer"), "{status} {why}");
    assert_eq!(http_get(index.port(), "/healthz").status, 200);
    let answer = index.raw().ask_whole("LIST ALL P2P-CI/1.1\r\n\r\n");
    assert!(answer.contains("\r\nStale: true\r\n"), "{answer}");
    index.wait_event("a line about the cluster", |event| {
        event["type"] == "cluster" && event["ready"] == false
    });
}

#[test]
fn threat_c3_nothing_is_refused_while_the_engine_is_away_and_all_is_told_afterwards() {
    let test = "threat_c3_nothing_is_refused_while_the_engine_is_away_and_all_is_told_afterwards";
    let Some(engine) = Engine::start(test, 0) else { return };
    let (one, other) = (node(&engine), node(&engine));
    let (_outer, first) = tree("first", &[("a", "a")]);
    let _first = Sharer::start(&first, &other.address());
    wait_listed(&one, BOUND, &once(&["first/a"]));
    engine.signal_all(Signal::STOP);
    let (_outer, second) = tree("second", &[("b", "b"), ("c", "c")]);
    let _second = Sharer::start(&second, &one.address());
    // Not a part of the catalogue that it had still to read before.
    let is_cut_off = |(status, why): (u16, String)| status == 503 && !why.contains("parts of the catalogue");
    wait_for(BOUND, "the node to notice", || is_cut_off(readiness(&one)).then_some(()));
    // What it knew it still knows, and what it is told it has.
    assert_eq!(listed(&one), once(&["first/a", "second/b", "second/c"]));
    let missing = || one.raw().ask_whole("LOOKUP FILE nothing P2P-CI/1.1\r\n\r\n");
    wait_for(BOUND, "a miss to be called stale", || missing().contains("\r\nStale: true\r\n").then_some(()));
    assert_eq!(listed(&other), once(&["first/a"]));
    let missed = run(["lookup", "nothing", "--server", &one.address()]);
    assert_eq!(missed.code, Some(3), "{}", missed.stderr);
    assert!(
        missed.stderr.contains("cut off from its cluster"),
        "{} but {:?}",
        missed.stderr,
        readiness(&one)
    );
    engine.signal_all(Signal::CONT);
    let back = Instant::now();
    wait_listed(&other, BOUND, &once(&["first/a", "second/b", "second/c"]));
    println!("converged {:?} after the engine was back", back.elapsed());
    wait_ready(&one);
    wait_for(BOUND, "a miss to be certain again", || (!missing().contains("Stale")).then_some(()));
}

#[test]
fn threat_c5_what_is_no_record_is_left_out_and_counted() {
    let Some(engine) = Engine::start("threat_c5_what_is_no_record_is_left_out_and_counted", 0) else {
        return;
    };
    let one = node(&engine);
    let (_outer, root) = tree("live", &[("a", "a")]);
    let _sharer = Sharer::start(&root, &one.address());
    one.wait_hashed(1);
    // A whole run of a node that never was one, with nonsense under every key.
    assert!(engine.ask_any("HSET pci:{nodes}:h evil 1|0000000000000001").starts_with(':'));
    let long = "x".repeat(5000);
    for bucket in 0..8 {
        engine.ask_any(&format!("HSET pci:{{{bucket}}}:n evil 1"));
        engine.ask_any(&format!("HSET pci:{{{bucket}}}:r:evil field value {long} {long}"));
    }
    for bucket in 8..12 {
        // Of another type than anybody expects.
        engine.ask_any(&format!("DEL pci:{{{bucket}}}:n pci:{{{bucket}}}:q"));
        engine.ask_any(&format!("SET pci:{{{bucket}}}:n wrong"));
        engine.ask_any(&format!("SET pci:{{{bucket}}}:q wrong"));
    }
    let other = Index::with(&["--store", &engine.url()]);
    wait_listed(&other, BOUND, &once(&["live/a"]));
    for words in ["garbage", "5:garbage", "99999999999999999999999:x", "7:evil:+"] {
        engine.ask_any(&format!("SPUBLISH pci:{{1}}:ev {words}"));
    }
    let metric = |index: &Index| {
        let text = String::from_utf8(http_get(index.port(), "/metrics").body).unwrap();
        let line =
            text.lines().find_map(|line| line.strip_prefix("p2pci_cluster_left_out ")).unwrap().to_owned();
        line.parse::<f64>().unwrap()
    };
    wait_for(BOUND, "nonsense to be counted", || (metric(&other) > 0.0).then_some(()));
    assert_eq!(listed(&other), once(&["live/a"]));
}

#[test]
fn threat_c6_an_open_engine_off_this_machine_is_refused() {
    let ended = run(["server", "--listen", "127.0.0.1:0", "--store", "redis+cluster://10.0.0.5:6379"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("has no password"), "{}", ended.stderr);
}

#[test]
fn a_password_is_read_from_a_file_and_is_needed() {
    let test = "a_password_is_read_from_a_file_and_is_needed";
    let Some(engine) = Engine::with(test, 1, 0) else { return };
    assert!(engine.ask(0, "CONFIG SET requirepass secret").starts_with("+OK"));
    let (_outer, root) = tree("secrets", &[("password", "secret\n")]);
    let file = root.join("password");
    let with = ["--store", &engine.url(), "--store-password-file", file.to_str().unwrap()].map(str::to_owned);
    let index = Index::with(&with.each_ref().map(String::as_str));
    wait_ready(&index);
    let without = Index::with(&["--store", &engine.url()]);
    wait_for(BOUND, "a node to say why", || readiness(&without).1.contains("NOAUTH").then_some(()));
}

#[test]
fn threat_c8_a_foreign_engine_is_not_written_to() {
    let Some(engine) = Engine::start("threat_c8_a_foreign_engine_is_not_written_to", 0) else { return };
    engine.ask_any("SET somebody else");
    let index = Index::with(&["--store", &engine.url()]);
    let (_outer, root) = tree("live", &[("a", "a")]);
    let _sharer = Sharer::start(&root, &index.address());
    let why = wait_for(BOUND, "a reason", || {
        Some(readiness(&index).1).filter(|why| why.contains("it holds other data"))
    });
    assert!(why.starts_with("not ready"), "{why}");
    assert_eq!(engine.keys(), 1, "nothing was written");
    let check = run(["server", "--store", &engine.url(), "--check"]);
    assert_eq!(check.code, Some(1), "{}", check.stderr);
    assert!(
        check.stderr.contains("1 keys of something else") && check.stderr.contains("no replica"),
        "{}",
        check.stderr
    );
}

#[test]
fn threat_c9_an_engine_is_fit_when_each_replica_has_its_copy() {
    let Some(engine) = Engine::start("threat_c9_an_engine_is_fit_when_each_replica_has_its_copy", 1) else {
        return;
    };
    for node in 0..6 {
        engine.ask(node, "CONFIG SET maxmemory-policy noeviction");
    }
    let check = wait_for(BOUND, "the replicas to have their first copy", || {
        Some(run(["server", "--store", &engine.url(), "--check"])).filter(|check| check.code == Some(0))
    });
    assert!(check.text().contains("it is empty"), "{}", check.text());
    engine.ask(0, "CONFIG SET maxmemory-policy allkeys-lru");
    let check = run_command(p2pci(["server", "--store", &engine.url(), "--check"]));
    assert!(check.code == Some(1) && check.stderr.contains("noeviction"), "{}", check.stderr);
}

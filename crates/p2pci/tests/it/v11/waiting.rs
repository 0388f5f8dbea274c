//! LOOKUP that waits for a file to appear, and an index that has just started.

use std::time::{Duration, Instant};

use crate::world::spec::{self, NOT_FOUND};
use crate::world::v11::{GONE_WITHIN, PING, PONG, add_files, file, hash, hashed, lookup, lookup_waiting};
use crate::world::{Index, PATIENCE};

/// What is promised, five times.
const SOON: Duration = Duration::from_secs(5);
/// Time for a request to arrive and be waited with. Were it too short, a test would still be right, but show less.
const SETTLED: Duration = Duration::from_millis(200);

#[test]
fn a_waiting_lookup_is_answered_when_the_file_appears() {
    let index = Index::start();
    let mut ada = index.raw();
    let by_hash = format!("HASH {}", hash('a'));
    for (at, target) in ["FILE d/m", "FILE m", &by_hash, "RFC 1"].iter().enumerate() {
        let mut asker = index.raw();
        asker.send(lookup_waiting(target, 60));
        assert!(asker.is_silent_for(SETTLED), "{target}");
        // Another file wakes nobody for good.
        ada.ask_v11(add_files("ada", 6000, &[file(&format!("other{at}"), 1)]));
        assert!(asker.is_silent_for(SETTLED), "{target}");
        let added = Instant::now();
        match *target {
            "RFC 1" => ada.exchange(spec::add(1, "One", "ada", 6000), spec::ok(&["RFC 1 One ada 6000"])),
            _ => assert_eq!(ada.ask_v11(add_files("ada", 6000, &[hashed("d/m", 3, 'a')])).status, 200),
        }
        assert_eq!(asker.told().status, 200, "{target}");
        assert!(added.elapsed() < SOON, "{target}: {:?}", added.elapsed());
        drop(ada);
        index.wait_gone(target);
        ada = index.raw();
    }
}

#[test]
fn a_waiting_lookup_ends_with_its_time_or_at_once_when_the_file_is_there() {
    let index = Index::start();
    let mut asker = index.raw();
    let began = Instant::now();
    // Earlier answers do not wait with it, later ones come after it.
    asker.send([PING, &lookup_waiting("FILE m", 1), PING].concat());
    asker.expect(PONG);
    assert!(began.elapsed() < Duration::from_secs(1), "the first answer came late");
    assert_eq!(asker.told().status, 404);
    let waited = began.elapsed();
    assert!((Duration::from_secs(1)..SOON).contains(&waited), "{waited:?}");
    asker.expect(PONG);
    index.raw().ask_v11(lookup_waiting("FILE m", 0));
    let mut ada = index.raw();
    ada.ask_v11(add_files("ada", 6000, &[file("m", 1)]));
    let began = Instant::now();
    assert_eq!(asker.ask_v11(lookup_waiting("FILE m", 60)).status, 200);
    assert!(began.elapsed() < SOON);
}

#[test]
fn records_do_not_outlive_a_connection_that_waits() {
    let index = Index::start();
    for behind in ["", PING] {
        let mut ada = index.raw();
        ada.ask_v11(add_files("ada", 6000, &[file("m", 1)]));
        ada.send(lookup_waiting("FILE missing", 60));
        assert!(ada.is_silent_for(SETTLED));
        // A request behind it, in a segment of its own, must not hide the end.
        ada.send(behind);
        assert_eq!(index.raw().ask_v11(lookup("FILE m")).status, 200);
        drop(ada);
        index.wait_gone("FILE m");
    }
    assert!(GONE_WITHIN < Duration::from_secs(60));
}

#[test]
fn whoever_says_no_more_is_answered_without_waiting() {
    let index = Index::start();
    let mut asker = index.raw();
    let began = Instant::now();
    asker.send(lookup_waiting("FILE m", 60));
    asker.end_sending();
    assert_eq!(asker.told().status, 404);
    assert!(asker.read_to_end().is_empty());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn a_waiting_lookup_does_not_keep_the_index_from_stopping() {
    let mut index = Index::start();
    let mut asker = index.raw();
    asker.send(lookup_waiting("FILE m", 60));
    assert!(asker.is_silent_for(SETTLED));
    assert_eq!(index.stop(PATIENCE), Some(0));
    assert_eq!(asker.told().status, 404, "answered before the end");
    assert!(asker.read_to_end().is_empty());
}

#[test]
fn a_miss_says_while_the_index_is_warming() {
    let index = Index::with(&["--warm-up", "30s"]);
    let told = index.raw().ask_v11(lookup("FILE m"));
    let left: u32 = told.header("Warming").expect("it has just started").parse().unwrap();
    assert_eq!(told.status, 404);
    assert!((1..=30).contains(&left), "{left} s");
    let mut ada = index.raw();
    let hit = ada.ask_v11([add_files("ada", 6000, &[file("m", 1)]), lookup("FILE m")].concat());
    assert_eq!(hit.header("Warming"), None);
    assert_eq!(ada.told().header("Warming"), None, "a hit is a hit");
    // 1.0 keeps its plain answer.
    index.raw().exchange(spec::lookup(9), NOT_FOUND);

    let cold = Index::with(&["--warm-up", "0s"]);
    assert_eq!(cold.raw().ask_v11(lookup("FILE m")).header("Warming"), None);
}

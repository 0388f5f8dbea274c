//! WATCH: changes that the index tells by itself, and `p2pci watch`, which shows them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::world::spec;
use crate::world::v11::{
    LIST, PING, PONG, add_files, file, hash, hashed, lookup, remove_files, watch, with, with_body,
};
use crate::world::{Index, PATIENCE, Process, Raw, p2pci, wait_for};

/// What is promised, five times.
const SOON: Duration = Duration::from_millis(250);
/// Time in which something that must not come would have come.
const SETTLED: Duration = Duration::from_millis(200);
/// Silence in which the index would have taken a change for another answer: longer than it gathers changes.
const PAUSE: Duration = Duration::from_millis(50);

/// A conversation that watches.
fn watching(index: &Index, target: &str) -> Raw {
    let mut raw = index.raw();
    raw.send(watch(target));
    raw.expect(PONG);
    raw
}

/// The next changes, as kind and name or number, and host.
fn told(raw: &mut Raw) -> Vec<String> {
    let words = |change: &Value| {
        let name = change["name"].as_str().map_or_else(|| change["rfc"].to_string(), str::to_owned);
        format!("{} {name} {}", change["change"].as_str().unwrap(), change["host"].as_str().unwrap())
    };
    raw.told().objects().iter().map(words).collect()
}

#[test]
fn every_change_of_every_kind_is_told_soon() {
    let index = Index::start();
    let mut ben = index.raw();
    let mut all = watching(&index, "ALL");
    let mut ada = index.raw();
    let began = Instant::now();
    ada.ask_v11(add_files("ada", 6000, &[file("d/m", 3)]));
    let added = all.told().object();
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(
        added,
        json!({"change": "added", "name": "d/m", "size": 3, "modified": 1_232_529_826,
               "host": "ada", "port": 6000, "speaks": "1.1", "published": true})
    );
    std::thread::sleep(PAUSE);
    ada.ask_v11(add_files("ada", 6000, &[hashed("d/m", 3, 'a')]));
    assert_eq!(told(&mut all), ["changed d/m ada"]);
    std::thread::sleep(PAUSE);
    ada.ask_v11(remove_files(&["d/m"]));
    assert_eq!(told(&mut all), ["removed d/m ada"]);
    ben.exchange(spec::add(7, "Seven", "ben", 6001), spec::ok(&["RFC 7 Seven ben 6001"]));
    assert_eq!(told(&mut all), ["added 7 ben"]);
    std::thread::sleep(PAUSE);
    let began = Instant::now();
    drop(ben);
    assert_eq!(told(&mut all), ["removed 7 ben"], "who leaves takes everything along");
    assert!(began.elapsed() < SOON * 2, "{:?}", began.elapsed());
    // The same said again is no change.
    ada.ask_v11(add_files("ada", 6000, &[file("m", 1)]));
    assert_eq!(told(&mut all), ["added m ada"]);
    std::thread::sleep(PAUSE);
    ada.ask_v11(add_files("ada", 6000, &[file("m", 1)]));
    assert!(all.is_silent_for(SETTLED));
}

#[test]
fn one_file_is_watched_by_name_hash_or_number() {
    let index = Index::start();
    let by_hash = format!("HASH {}", hash('a'));
    let mut watches: Vec<Raw> =
        ["FILE d/m", "FILE m", &by_hash, "RFC 5"].iter().map(|target| watching(&index, target)).collect();
    let mut ada = index.raw();
    let other = with(hashed("other", 3, 'b'), json!({"rfc": 6}));
    let wanted = with(hashed("d/m", 3, 'a'), json!({"rfc": 5, "partial": true, "copied": true}));
    ada.ask_v11(add_files("ada", 6000, &[other, wanted]));
    for raw in &mut watches {
        let added = raw.told().object();
        assert_eq!((&added["name"], &added["partial"]), (&json!("d/m"), &json!(true)));
    }
    // Under another content and no number it is gone for those who look for these.
    std::thread::sleep(PAUSE);
    ada.ask_v11(add_files("ada", 6000, &[hashed("d/m", 3, 'c')]));
    let kinds: Vec<String> = watches.iter_mut().flat_map(told).collect();
    assert_eq!(kinds, ["changed d/m ada", "changed d/m ada", "removed d/m ada", "removed d/m ada"]);
}

#[test]
fn a_prefix_leaves_out_the_others() {
    let index = Index::start();
    let mut docs = index.raw();
    docs.send("WATCH ALL P2P-CI/1.1\r\nPrefix: docs/\r\n\r\n");
    docs.expect(PONG);
    let mut ada = index.raw();
    ada.exchange(spec::add(7, "Seven", "ada", 6000), spec::ok(&["RFC 7 Seven ada 6000"]));
    ada.ask_v11(add_files("ada", 6000, &[file("doc", 1), file("docs/a", 1), file("docs", 1)]));
    assert_eq!(told(&mut docs), ["added docs/a ada"]);
}

#[test]
fn what_a_look_after_the_first_answer_does_not_see_is_told() {
    let index = Index::start();
    let adders: Vec<_> = (0..4_u16)
        .map(|peer| {
            let mut raw = index.raw();
            std::thread::spawn(move || {
                for at in 0..50 {
                    raw.ask_v11(add_files("h", 6000 + peer, &[file(&format!("{peer}/{at}"), 1)]));
                }
                raw
            })
        })
        .collect();
    let mut all = watching(&index, "ALL");
    let mut seen: Vec<String> = Vec::new();
    let names = |objects: &[Value]| -> Vec<String> {
        objects.iter().map(|object| object["name"].as_str().unwrap().to_owned()).collect()
    };
    seen.extend(names(&index.raw().ask_v11(LIST).objects()));
    let _peers: Vec<Raw> = adders.into_iter().map(|adder| adder.join().unwrap()).collect();
    let began = Instant::now();
    while seen.iter().collect::<std::collections::BTreeSet<_>>().len() < 200 {
        assert!(began.elapsed() < PATIENCE, "{} were seen", seen.len());
        seen.extend(names(&all.told().objects()));
    }
}

#[test]
fn a_watch_ends_with_what_the_requester_sends_and_takes_no_body() {
    let index = Index::start();
    let mut raw = index.raw();
    raw.send([PING, &watch("FILE m"), PING].concat());
    raw.expect(PONG);
    raw.expect(PONG);
    assert!(raw.is_silent_for(SETTLED), "what comes behind a watch waits");
    raw.end_sending();
    raw.expect(PONG);
    assert!(raw.read_to_end().is_empty());
    assert_eq!(index.raw().ask_v11(with_body("WATCH ALL P2P-CI/1.1", "{}\n")).status, 400);
    assert_eq!(index.raw().ask_v11(watch("HASH 12")).status, 400);
    // Records of a connection that watches go with it.
    let mut ada = index.raw();
    ada.ask_v11(add_files("ada", 6000, &[file("m", 1)]));
    ada.send(watch("ALL"));
    ada.expect(PONG);
    assert_eq!(index.raw().ask_v11(lookup("FILE m")).status, 200);
    drop(ada);
    index.wait_gone("FILE m");
}

#[test]
fn a_watch_does_not_keep_the_index_from_stopping() {
    let mut index = Index::start();
    let mut all = watching(&index, "ALL");
    assert_eq!(index.stop(PATIENCE), Some(0));
    assert!(all.read_to_end().is_empty());
}

#[test]
fn watches_of_everything_are_limited_and_those_of_one_file_are_not() {
    let index = Index::with(&["--max-per-address", "400"]);
    let mut held: Vec<Raw> = (0..256).map(|_| watching(&index, "ALL")).collect();
    let refused = index.raw().ask_v11(watch("ALL"));
    assert_eq!(refused.status, 400);
    assert!(refused.object()["reason"].as_str().unwrap().contains("256"));
    watching(&index, "FILE m");
    drop(held.pop());
    wait_for(PATIENCE, "a place", || (index.raw().ask_v11(watch("ALL")).status == 200).then_some(()));
}

#[test]
fn i6_a_watcher_that_does_not_read_costs_bounded_memory_and_gets_a_mark() {
    let mut index = Index::start();
    let mut lazy = watching(&index, "ALL");
    let mut ada = index.raw();
    let before = index.process().resident_bytes();
    // Far more than what is kept for a reader and what the system's buffers take.
    for round in 0..10 {
        let long = "x".repeat(150);
        let files: Vec<Value> = (0..4000).map(|at| file(&format!("{long}/{round}/{at}"), 1)).collect();
        ada.ask_v11(add_files("ada", 6000, &files));
    }
    let grown = index.process().resident_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    let mut kinds = Vec::new();
    let began = Instant::now();
    while !kinds.contains(&json!("lost")) {
        assert!(began.elapsed() < PATIENCE, "no mark");
        kinds = lazy.told().each("change");
    }
    // Behind one mark there may be another one, which stands for what was added before it.
    let began = Instant::now();
    for at in 0.. {
        let after = format!("after/{at}");
        ada.ask_v11(add_files("ada", 6000, &[file(&after, 1)]));
        if lazy.told().each("name").contains(&json!(after)) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "nothing after the mark");
    }
}

fn watcher(index: &Index, arguments: &[&str]) -> Process {
    let server = index.address();
    let mut process = Process::start(p2pci([&["watch", "--server", &server], arguments].concat()));
    process.wait_in_lines("the watch", |lines| lines.first().map(|_| ()));
    process
}

#[test]
fn p2pci_watch_shows_changes_for_people_and_programs() {
    let index = Index::start();
    let mut people = watcher(&index, &[]);
    let mut programs = watcher(&index, &["--json", "*.gguf"]);
    let mut ada = index.raw();
    ada.ask_v11(add_files("ada", 6000, &[hashed("models/llama.gguf", 2048, 'a'), file("x", 1)]));
    people.wait_in_lines("both files to come", |lines| (lines.len() >= 3).then_some(()));
    programs.wait_in_lines("the file to come", |lines| (lines.len() >= 2).then_some(()));
    drop(ada);
    let lines = people.wait_in_lines("both files to go", |lines| (lines.len() >= 5).then(|| lines.to_vec()));
    let mut lines: Vec<&str> = lines[1..].iter().map(String::as_str).collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "+ models/llama.gguf  2.00 KiB  ada:6000",
            "+ x  1 B  ada:6000",
            "- models/llama.gguf  2.00 KiB  ada:6000",
            "- x  1 B  ada:6000"
        ]
    );
    let lines = programs.wait_in_lines("the file to go", |lines| (lines.len() >= 3).then(|| lines.to_vec()));
    let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects[0]["type"], "watching");
    assert_eq!(
        objects[1],
        json!({"type": "added", "name": "models/llama.gguf", "size": 2048, "modified": 1_232_529_826, "hash": hash('a'),
               "sha256": null, "number": null, "title": null,
               "source": {"host": "ada", "port": 6000, "speaks": "1.1", "published": true}})
    );
    assert_eq!(objects[2]["type"], "removed");
    people.signal(Signal::INT);
    assert_eq!(people.exit_code(PATIENCE), Some(0));
}

#[test]
fn p2pci_watch_outlives_the_index() {
    let mut index = Index::start();
    let mut watch = watcher(&index, &["--json"]);
    let port = index.port().to_string();
    assert_eq!(index.stop(PATIENCE), Some(0));
    wait_for(PATIENCE, "a word about it", || watch.stderr().contains("trying again").then_some(()));
    let index = Index::on(&format!("127.0.0.1:{port}"), &[]);
    watch.wait_in_lines("the watch to go on", |lines| (lines.len() == 2).then_some(()));
    // It stays: of what comes and goes within a moment nothing is told.
    let mut ada = index.raw();
    ada.ask_v11(add_files("ada", 6000, &[file("m", 1)]));
    let added = watch.wait_in_lines("the change", |lines| lines.get(2).cloned());
    assert!(added.contains("added"), "{added}");
}

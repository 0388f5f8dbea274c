//! Whoever downloads is a source: partial sources, the end of seeds and index, serving on, and seven bad sources of eight.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::foreign::index_v11::{self, variant};
use crate::foreign::source::{Nature, source};
use crate::places::{empty_folder, hash_of, names_in, tree};
use crate::world::{BLOCK, Index, Process, Raw, Sharer, noise, p2pci, run_in, wait_for};

mod seed_time;

/// Bound of every wait in these tests.
const BOUND: Duration = Duration::from_secs(60);

fn get(index: &str, into: &Path, flags: &[&str]) -> Process {
    let args = [&["get", "film/reel", "--json", "-o", "reel", "--server", index], flags].concat();
    let mut command = p2pci(args);
    command.current_dir(into);
    Process::start(command)
}

/// Waits until it says that it serves, and presses Ctrl+C.
fn end_serving(process: &mut Process) {
    wait_for(BOUND, "it to say that it serves", || {
        process.stderr().contains("serving it until Ctrl+C").then_some(())
    });
    assert!(!process.has_ended(), "it goes on serving");
    process.signal(Signal::INT);
}

/// The whole answer to a request about this content.
fn ask(port: u16, hash: &str, what: &str, range: &str) -> Vec<u8> {
    let mut raw = Raw::connect(port);
    raw.send(format!(
        "GET /hash/{hash}{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{range}\r\n"
    ));
    raw.read_to_end()
}

/// What a peer says that it has; `None` while it says nothing.
fn have(port: u16, hash: &str) -> Option<Value> {
    let answer = String::from_utf8(ask(port, hash, "/have", "")).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| serde_json::from_str(body).unwrap())
}

/// The blocks that are there.
fn blocks(have: &Value) -> Vec<u64> {
    let runs = have["has"].as_array().cloned().unwrap_or_default();
    runs.iter().flat_map(|run| run[0].as_u64().unwrap()..run[1].as_u64().unwrap()).collect()
}

/// The upload ports of those who have a part.
fn partial_ports(index: &Index, hash: &str) -> Vec<u16> {
    let found = run_in(Path::new("/"), ["lookup", hash, "--json", "--server", &index.address()]);
    let sources = found.objects().into_iter().flat_map(|object| match object["sources"].as_array() {
        Some(sources) => sources.clone(),
        None => vec![object],
    });
    sources.filter(|one| one["partial"] == true).map(|one| one["port"].as_u64().unwrap() as u16).collect()
}

#[test]
fn two_downloaders_finish_from_each_other_when_seed_and_index_are_gone() {
    let content = noise(3, (8 * BLOCK + 1234) as usize);
    let (_outer, root) = tree("film", &[("reel", &content)]);
    let hash = hash_of(&content);
    let mut index = Index::start();
    let mut seed = Sharer::with(&root, &index.address(), &["--upload-limit", "3M"]);
    index.wait_hashed(1);
    let (first, second) = (empty_folder(), empty_folder());
    // What they send each other comes slowly, so that they need each other when the seed has given everything.
    let flags = ["--upload-limit", "700K", "--seed-time", "forever"];
    let mut gets = [&first, &second].map(|folder| get(&index.address(), folder.path(), &flags));
    let ports = wait_for(BOUND, "both to be registered", || {
        Some(partial_ports(&index, &hash)).filter(|ports| ports.len() == 2)
    });
    wait_for(BOUND, "each block to be with one of the two", || {
        let there: Vec<Vec<u64>> =
            ports.iter().filter_map(|port| Some(blocks(&have(*port, &hash)?))).collect();
        (0..9).all(|block| there.iter().any(|blocks| blocks.contains(&block))).then_some(())
    });
    seed.process().kill();
    index.process().kill();
    for (process, folder) in gets.iter_mut().zip([&first, &second]) {
        process.wait_in_lines("the file", |lines| {
            lines.iter().any(|line| line.contains("\"fetched\"")).then_some(())
        });
        assert!(fs::read(folder.path().join("reel")).unwrap() == content, "the file differs");
    }
    // Only now: whoever is first is what the other one needs.
    for (process, folder) in gets.iter_mut().zip([&first, &second]) {
        end_serving(process);
        assert_eq!(process.exit_code(BOUND), Some(0));
        assert_eq!(names_in(folder.path()), ["reel"]);
    }
}

#[test]
fn a_partial_source_gives_what_it_has_and_nothing_else() {
    let content = noise(4, (6 * BLOCK) as usize);
    let (_outer, root) = tree("film", &[("reel", &content)]);
    let hash = hash_of(&content);
    let index = Index::start();
    let _seed = Sharer::with(&root, &index.address(), &["--upload-limit", "500K"]);
    index.wait_hashed(1);
    let folder = empty_folder();
    let _get = get(&index.address(), folder.path(), &[]);
    let port = wait_for(BOUND, "it to be registered", || partial_ports(&index, &hash).first().copied());
    let known = wait_for(BOUND, "a first block", || {
        have(port, &hash).filter(|known| (1..6).contains(&blocks(known).len()))
    });
    assert_eq!((known["size"].as_u64(), &known["whole"]), (Some(6 * BLOCK), &Value::Bool(true)));
    let ask = |what: &str, range: &str| ask(port, &hash, what, range);
    let range = |block: u64| format!("Range: bytes={}-{}\r\n", block * BLOCK, (block + 1) * BLOCK - 1);
    let there = blocks(&known)[0];
    let answer = ask("", &range(there));
    assert!(answer.starts_with(b"HTTP/1.1 206 "), "{}", String::from_utf8_lossy(&answer[..80]));
    assert!(answer.ends_with(&content[(there * BLOCK) as usize..((there + 1) * BLOCK) as usize]));
    assert!(ask("", "").starts_with(b"HTTP/1.1 404 "), "the whole is not there");
    let missing = (0..6).find(|block| !blocks(&known).contains(block)).unwrap();
    let now = have(port, &hash).unwrap();
    if !blocks(&now).contains(&missing) {
        assert!(ask("", &range(missing)).starts_with(b"HTTP/1.1 404 "), "{now}");
    }
    assert!(
        ask("/blocks", "").starts_with(b"HTTP/1.1 200 ") && ask("/end", "").starts_with(b"HTTP/1.1 200 ")
    );
    // News comes by itself.
    let next = known["next"].as_u64().unwrap();
    let news = ask(&format!("/have?after={next}"), "");
    let (_, body) = std::str::from_utf8(&news).unwrap().split_once("\r\n\r\n").unwrap();
    assert!(serde_json::from_str::<Value>(body).unwrap()["next"].as_u64().unwrap() > next, "{body}");
}

#[test]
fn who_fetched_serves_on_for_as_long_as_it_was_told() {
    let content = noise(5, (3 * BLOCK) as usize);
    let (_outer, root) = tree("film", &[("reel", &content)]);
    let index = Index::start();
    let mut seed = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    let folder = empty_folder();
    let mut first = get(&index.address(), folder.path(), &["--seed-time", "forever"]);
    first.wait_in_lines("the file", |lines| {
        lines.iter().any(|line| line.contains("\"fetched\"")).then_some(())
    });
    seed.process().kill();
    let there = empty_folder();
    let got = run_in(there.path(), ["get", &hash_of(&content), "-o", "reel", "--server", &index.address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert!(fs::read(there.path().join("reel")).unwrap() == content);
    end_serving(&mut first);
    assert_eq!(first.exit_code(BOUND), Some(0));
    // Nobody asked the second one for anything, so it did not stay; and one that serves nothing is not registered at all.
    assert!(
        index.names().is_empty()
            || wait_for(BOUND, "both to be gone", || index.names().is_empty().then_some(true))
    );
}

#[test]
fn who_has_it_already_serves_nothing_and_says_so() {
    let content = noise(7, (2 * BLOCK) as usize);
    let (_outer, root) = tree("film", &[("reel", &content)]);
    let index = Index::start();
    let _seed = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    let folder = empty_folder();
    fs::write(folder.path().join("reel"), &content).unwrap();
    let server = index.address();
    let got = run_in(folder.path(), ["get", "film/reel", "--seed-time", "forever", "--server", &server]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert!(
        got.stderr.contains("nothing is served") && !got.stderr.contains("until Ctrl+C"),
        "{}",
        got.stderr
    );
    let got = run_in(folder.path(), ["get", "film/reel", "--server", &server]);
    assert!(got.code == Some(0) && !got.stderr.contains("served"), "who did not ask for it: {}", got.stderr);
}

#[test]
fn seven_bad_sources_of_eight_cost_a_block_each_and_the_file_arrives() {
    let content = noise(6, (12 * BLOCK + 100) as usize);
    let size = content.len() as u64;
    let natures = [
        Nature::FlipsEach(17),
        Nature::Claims(size + 1),
        Nature::Claims(u64::MAX),
        Nature::Cuts(1000),
        Nature::Nothing,
        Nature::Silent,
        Nature::Drips,
    ];
    let bad = natures.map(|nature| source(&content, nature));
    let good = source(&content, Nature::Slow(Duration::from_millis(20)));
    let known: Vec<Value> = bad.iter().chain([&good]).map(|one| index_v11::source(one.port())).collect();
    let index = index_v11::telling(&[variant("film/reel", &content, &known)], &[]);
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "film/reel", "--json", "--server", &index.address()]);
    assert_eq!(got.code, Some(0), "{}{}", got.text(), got.stderr);
    assert!(fs::read(here.path().join("reel")).unwrap() == content, "the file differs");
    let fetched = got.objects().into_iter().find(|object| object["type"] == "fetched").unwrap();
    let sources = fetched["sources"].as_array().unwrap();
    let of = |address: &str| sources.iter().find(|one| one["from"] == address).cloned().unwrap_or_default();
    assert_eq!(of(&good.address())["fault"], Value::Null, "{sources:?}");
    for (nature, one) in natures.iter().zip(&bad) {
        let report = of(&one.address());
        // Who says nothing may still be waited for when everything is there from others.
        let is_slow = matches!(nature, Nature::Silent | Nature::Drips);
        assert!(is_slow || report["fault"].is_string(), "{nature:?}: {report}");
        // What a liar gave rightly is at most the block that proved the size.
        assert!(report["bytes"].as_u64().unwrap_or(0) <= BLOCK, "{nature:?}: {report}");
    }
}

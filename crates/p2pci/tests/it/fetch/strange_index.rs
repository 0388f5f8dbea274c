//! Indexes that say what cannot be: names that lead elsewhere, sources without number.

use std::fs;

use serde_json::Value;

use crate::foreign::index_v11::{self, record, source_at, variant};
use crate::foreign::source::{Nature, source};
use crate::places::{empty_folder, everything_in, hash_of, names_in};
use crate::world::{PATIENCE, Process, p2pci, run_in};

const CONTENT: &[u8] = b"what was asked for";

/// Most memory that a get may take for what an index says, in KiB: many times an answer's limit.
const MEMORY_KIB: u64 = 128 * 1024;

#[test]
fn no_name_of_an_index_leads_out_of_the_folder() {
    let good = source(CONTENT, Nature::Good);
    let evil = [
        "../x",
        "f/../../x",
        "f/../x",
        "/x",
        "/tmp/x",
        "f//x",
        "f/./x",
        "f/",
        "f/a\0b",
        "f/a\nb",
        "f/\u{1b}[2Jx",
        "..",
        "f/..",
    ];
    let mut names: Vec<&str> = evil.to_vec();
    names.push("f/good");
    let records: Vec<Value> = names.iter().map(|name| record(name, CONTENT, good.port())).collect();
    let index = index_v11::telling(&[], &records);
    let outer = empty_folder();
    let here = outer.path().join("a/b");
    fs::create_dir_all(&here).unwrap();
    for args in [&["-r", "f"][..], &["*"], &["-r", "f", "-o", "into/"]] {
        let server = index.address();
        let got = run_in(&here, [&["get"], args, &["--server", &server]].concat());
        assert_eq!(got.code, Some(0), "{args:?}: {}", got.stderr);
    }
    let expected =
        ["a/", "a/b/", "a/b/f/", "a/b/f/good", "a/b/good", "a/b/into/", "a/b/into/f/", "a/b/into/f/good"];
    assert_eq!(everything_in(outer.path()), expected);
}

#[test]
fn the_index_does_not_choose_the_name_of_what_was_typed() {
    let good = source(CONTENT, Nature::Good);
    for name in ["x/.bashrc", "..", "a/..", "", "/", "x/a\u{1b}[2Jb", "a\0b"] {
        let known = [index_v11::source(good.port())];
        let index = index_v11::telling(&[variant(name, CONTENT, &known)], &[]);
        let here = empty_folder();
        let got = run_in(here.path(), ["get", "typed/file", "--server", &index.address()]);
        assert_eq!(got.code, Some(0), "{name:?}: {}", got.stderr);
        assert_eq!(names_in(here.path()), ["file"], "{name:?}");
        let got = run_in(here.path(), ["get", &hash_of(CONTENT), "--server", &index.address()]);
        assert_eq!(got.code, Some(0), "{name:?}: {}", got.stderr);
        let shown = format!("{}{}", got.text(), got.stderr);
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        let new: Vec<String> = names_in(here.path()).into_iter().filter(|name| name != "file").collect();
        let expected = if name == "x/.bashrc" { ".bashrc".to_owned() } else { hash_of(CONTENT) };
        assert_eq!(new, [expected], "{name:?}: a name that is none is not used");
    }
}

/// Runs get to its end; gives its exit code, its output and the most memory that it took, in KiB.
fn watched_get(server: &str) -> (Option<i32>, Vec<Value>, u64) {
    let here = empty_folder();
    let mut command = p2pci(["get", "some/file", "--json", "--server", server]);
    command.current_dir(here.path());
    let mut getting = Process::start(command);
    let mut most = 0;
    crate::world::wait_for(PATIENCE, "get to end", || {
        let status = fs::read_to_string(format!("/proc/{}/status", getting.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        most = most.max(line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0));
        getting.has_ended().then_some(())
    });
    let objects = getting.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    (getting.exit_code(PATIENCE), objects, most)
}

#[test]
fn a_million_sources_are_no_answer_and_take_no_memory() {
    let source = source_at("127.9.9.9", 1).to_string();
    let mut body = format!(
        "{{\"name\":\"some/file\",\"size\":{},\"hash\":\"{}\",\"published\":true,\"sources_in_all\":1000000,\"sources\":[",
        CONTENT.len(),
        hash_of(CONTENT)
    );
    body.push_str(&vec![source; 1_000_000].join(","));
    body.push_str("]}\n");
    let index = index_v11::saying(body, String::new());
    let (code, objects, memory) = watched_get(&index.address());
    assert_eq!(code, Some(1), "{objects:?}");
    assert_eq!(objects.last().unwrap()["type"], "error", "{objects:?}");
    assert!(memory > 0 && memory < MEMORY_KIB, "{memory} KiB");
}

#[test]
fn at_most_two_hundred_sources_are_tried_each_once() {
    let good = source(CONTENT, Nature::Good);
    // Nobody listens at port 1 of these.
    let many: Vec<Value> =
        (0..10_000).map(|at| source_at(&format!("127.77.{}.{}", at / 250, at % 250 + 1), 1)).collect();
    let index = index_v11::telling(&[variant("some/file", CONTENT, &many)], &[]);
    let (code, objects, memory) = watched_get(&index.address());
    assert_eq!(code, Some(1), "{:?}", objects.last());
    let tried = objects.iter().filter(|object| object["type"] == "source_failed").count();
    assert_eq!(tried, proto::limits::SOURCES_MAX);
    assert!(memory > 0 && memory < MEMORY_KIB, "{memory} KiB");

    let same = vec![index_v11::source(good.port()); 1000];
    let index = index_v11::telling(&[variant("some/file", CONTENT, &same)], &[]);
    let (code, objects, _) = watched_get(&index.address());
    assert_eq!((code, objects.len()), (Some(0), 1), "{objects:?}");
    assert_eq!(objects[0]["sources"].as_array().unwrap().len(), 1, "{objects:?}");
}

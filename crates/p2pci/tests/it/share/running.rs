//! What a running share reads, writes and says.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::places::{empty_folder, everything_in, names_in, tree};
use crate::world::{BLOCK, Index, PATIENCE, Process, Sharer, noise, p2pci, run_in, wait_for};

/// Bytes that a process has read, from files or elsewhere.
fn bytes_read(process: &Process) -> u64 {
    let counters = fs::read_to_string(format!("/proc/{}/io", process.id())).unwrap();
    let line = counters.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("a count of bytes");
    line.parse().unwrap()
}

#[test]
fn a_second_start_reads_no_file_again() {
    const SIZE: u64 = 64 * BLOCK;
    let (_outer, root) = tree("big", &[("large", noise(1, SIZE as usize)), ("small", noise(2, 1000))]);
    let state = empty_folder();
    let index = Index::start();
    let start = || Sharer::with(&root, &index.address(), &["--state-dir", state.path().to_str().unwrap()]);
    let mut first = start();
    let hashed = index.wait_hashed(2);
    assert!(bytes_read(first.process()) >= SIZE, "the first time everything is read");
    first.process().signal(Signal::TERM);
    assert_eq!(first.process().exit_code(PATIENCE), Some(0));
    let mut second = start();
    let again = index.wait_hashed(2);
    let hash = |files: &[Value]| files.iter().map(|file| file["hash"].clone()).collect::<Vec<_>>();
    assert_eq!(hash(&hashed), hash(&again));
    let read = bytes_read(second.process());
    assert!(read < SIZE / 4, "{read} bytes were read");
    let mut third = start();
    wait_for(PATIENCE, "a word about the hashes, whose folder is taken", || {
        third.process().stderr().contains("hashes are not kept over a restart").then_some(())
    });
    drop(second);
    index.wait_hashed(2);
    // A content that changes is read again, whatever was kept.
    let changed = noise(3, SIZE as usize);
    fs::write(root.join("large"), &changed).unwrap();
    wait_for(PATIENCE, "the new content's hash", || {
        let hash = crate::places::hash_of(&changed);
        index.files().iter().any(|file| file["hash"] == hash.as_str()).then_some(())
    });
}

/// Everything about a folder that writing into it would change.
fn state_of(folder: &Path) -> Vec<(String, SystemTime)> {
    let mut all = everything_in(folder);
    all.push(String::new());
    all.into_iter()
        .map(|path| {
            let modified = fs::metadata(folder.join(&path)).unwrap().modified().unwrap();
            (path, modified)
        })
        .collect()
}

#[test]
fn nothing_is_written_into_a_shared_folder_nor_beside_it() {
    let (outer, root) = tree("mine", &[("a.txt", noise(1, 3_000_000)), ("sub/b.txt", noise(2, 10))]);
    let before = state_of(outer.path());
    let index = Index::start();
    let mut sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(2);
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "-r", "mine", "--server", &index.address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(everything_in(here.path()), ["mine/", "mine/a.txt", "mine/sub/", "mine/sub/b.txt"]);
    sharer.process().signal(Signal::TERM);
    assert_eq!(sharer.process().exit_code(PATIENCE), Some(0));
    assert_eq!(state_of(outer.path()), before);
}

#[test]
fn a_large_file_is_listed_at_once_and_whoever_gets_it_waits_for_its_hash() {
    let (_outer, root) = tree("big", &[("small", "s")]);
    let large = File::create(root.join("large")).unwrap();
    large.set_len(300 * BLOCK).unwrap();
    // Until the clock has passed this, the file counts as one that is still being written.
    large.set_modified(SystemTime::now() + Duration::from_millis(300)).unwrap();
    let index = Index::start();
    let mut sharer = Sharer::start(&root, &index.address());
    // Whatever its speed, it does not hash while we look.
    sharer.process().signal(Signal::STOP);
    let listed = index.files();
    let file = listed.iter().find(|file| file["name"] == "big/large").expect("the file is listed");
    assert_eq!((&file["hash"], &file["size"]), (&Value::Null, &(300 * BLOCK).into()), "{file}");
    let here = empty_folder();
    let mut command = p2pci(["get", "big/large", "--json", "--server", &index.address()]);
    command.current_dir(here.path());
    let mut getting = Process::start(command);
    wait_for(PATIENCE, "the wait to be told", || {
        getting.stderr().contains("waiting for big/large to be hashed").then_some(())
    });
    assert!(names_in(here.path()).is_empty() && !getting.has_ended());
    sharer.process().signal(Signal::CONT);
    assert_eq!(getting.exit_code(PATIENCE), Some(0), "{}", getting.stderr());
    let fetched: Value = serde_json::from_str(getting.lines().last().unwrap()).unwrap();
    assert_eq!((&fetched["verified"], &fetched["bytes"]), (&true.into(), &(300 * BLOCK).into()), "{fetched}");
    assert_eq!(names_in(here.path()), ["large"]);
}

//! `get` without `--seed-time` does what its help says: it serves until running uploads end, and at most 30 s.

use std::time::{Duration, Instant};

use super::{BOUND, blocks, get, have, partial_ports};
use crate::places::{empty_folder, hash_of, names_in, tree};
use crate::world::{BLOCK, Index, Process, Raw, Sharer, noise, wait_for};

/// What uploads may hold up the end by, as the help says it.
const AT_MOST: Duration = Duration::from_secs(30);

/// A download that is done, and somebody whom it sends a block.
struct Asked {
    get: Process,
    raw: Raw,
    /// The bytes of that block.
    expected: Vec<u8>,
    /// Before it was done.
    before: Instant,
    _seed: Sharer,
    _index: Index,
    _folders: [tempfile::TempDir; 2],
}

/// Asks a download for a block as soon as it has one, and waits until it has the file; it sends at this rate.
fn asked(rate: &str) -> Asked {
    let content = noise(11, (5 * BLOCK) as usize);
    let (outer, root) = tree("film", &[("reel", &content)]);
    let hash = hash_of(&content);
    let index = Index::start();
    let seed = Sharer::with(&root, &index.address(), &["--upload-limit", "1M"]);
    index.wait_hashed(1);
    let folder = empty_folder();
    let get = get(&index.address(), folder.path(), &["--upload-limit", rate]);
    let port = wait_for(BOUND, "it to be registered", || partial_ports(&index, &hash).first().copied());
    let block = wait_for(BOUND, "a first block", || blocks(&have(port, &hash)?).first().copied());
    let (from, to) = (block * BLOCK, (block + 1) * BLOCK);
    let mut raw = Raw::connect(port);
    raw.send(format!(
        "GET /hash/{hash} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nRange: bytes={from}-{}\r\n\r\n",
        to - 1
    ));
    let mut before = Instant::now();
    wait_for(BOUND, "the file", || {
        let looked = Instant::now();
        let is_done = get.lines().iter().any(|line| line.contains("\"fetched\""));
        if !is_done {
            before = looked;
        }
        is_done.then_some(())
    });
    assert_eq!(names_in(folder.path()), ["reel"]);
    assert!(get.stderr().is_empty(), "it says nothing of serving: {}", get.stderr());
    let expected = content[from as usize..to as usize].to_vec();
    Asked { get, raw, expected, before, _seed: seed, _index: index, _folders: [outer, folder] }
}

#[test]
fn without_seed_time_an_upload_that_runs_comes_to_its_end_and_then_the_command_does() {
    // Ten seconds for the block; the file is there after five.
    let mut asked = asked("100K");
    let answer = asked.raw.read_to_end();
    assert!(
        answer.starts_with(b"HTTP/1.1 206 ") && answer.ends_with(&asked.expected),
        "{} bytes",
        answer.len()
    );
    assert_eq!(asked.get.exit_code(BOUND), Some(0));
}

#[test]
fn without_seed_time_an_upload_that_does_not_end_is_cut_after_30_s() {
    // Longer than a minute and a half for the block.
    let mut asked = asked("10K");
    assert_eq!(asked.get.exit_code(5 * AT_MOST), Some(0));
    let stayed = asked.before.elapsed();
    assert!(stayed >= AT_MOST, "it stayed for {stayed:?} only");
    let answer = asked.raw.try_to_end().unwrap_or_default();
    assert!(!answer.ends_with(&asked.expected), "the upload had come to its end");
}

#[test]
fn without_seed_time_and_without_uploads_the_command_ends_when_it_is_done() {
    let content = noise(12, (3 * BLOCK) as usize);
    let (_outer, root) = tree("film", &[("reel", &content)]);
    let index = Index::start();
    let _seed = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    let folder = empty_folder();
    let began = Instant::now();
    let mut get = get(&index.address(), folder.path(), &[]);
    assert_eq!(get.exit_code(BOUND), Some(0));
    assert!(began.elapsed() < AT_MOST / 2, "it stayed for {:?}", began.elapsed());
    assert_eq!((names_in(folder.path()), get.stderr()), (vec!["reel".to_owned()], String::new()));
}

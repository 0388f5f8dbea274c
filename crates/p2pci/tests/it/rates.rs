//! How fast uploads and downloads may go: all connections of a process together, in both tongues.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::places::{empty_folder, tree};
use crate::world::{Index, Raw, Sharer, noise, run_in};

/// Bytes of each file.
const SIZE: usize = 2 * 1024 * 1024;
/// Bytes a second, as they are typed.
const RATE: &str = "2M";
/// The same as a number.
const PER_SECOND: f64 = 2.0 * 1024.0 * 1024.0;

/// An index and a peer with two files, one of which is also a text of 1.0.
struct World {
    index: Index,
    sharer: Sharer,
    _outer: TempDir,
}

impl World {
    fn new(flags: &[&str]) -> Self {
        let files = [("one", noise(1, SIZE)), ("rfc7.txt", noise(2, SIZE))];
        let (outer, root): (TempDir, PathBuf) = tree("some", &files);
        let index = Index::start();
        let sharer = Sharer::with(&root, &index.address(), flags);
        index.wait_hashed(2);
        Self { index, sharer, _outer: outer }
    }

    /// Fetches all of the folder, or what else the words name; gives the time.
    fn get(&self, words: &[&str]) -> Duration {
        let here = empty_folder();
        let address = self.index.address();
        let words = [&["get", "--server", &address], words].concat();
        let began = Instant::now();
        let got = run_in(here.path(), words);
        let elapsed = began.elapsed();
        assert_eq!(got.code, Some(0), "{}", got.stderr);
        elapsed
    }
}

/// So many bytes took as long as their rate makes them take: within a tenth of it, or longer where the machine is busy.
fn holds(bytes: usize, elapsed: Duration) {
    let due = bytes as f64 / PER_SECOND;
    let took = elapsed.as_secs_f64();
    assert!(took >= due * 0.9, "{bytes} bytes in {took} s instead of {due}");
    assert!(took <= due * 5.0, "{bytes} bytes in {took} s instead of {due}");
}

/// Asks and reads to the end; how many bytes came.
fn ask(mut raw: Raw, request: &str) -> usize {
    raw.send(request);
    raw.read_to_end().len()
}

#[test]
fn an_upload_limit_holds_for_all_connections_and_both_tongues_together() {
    let world = World::new(&["--upload-limit", RATE]);
    let began = Instant::now();
    let bytes: usize = std::thread::scope(|scope| {
        let http = "GET /file/some/one HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
        let old = "GET RFC 7 P2P-CI/1.0\r\nHost: h\r\nOS: Linux\r\n\r\n";
        let asked = [http, http, old].map(|request| scope.spawn(|| ask(world.sharer.raw(), request)));
        asked.into_iter().map(|asked| asked.join().unwrap()).sum()
    });
    assert!(bytes > 3 * SIZE, "three answers with their heads, not {bytes} bytes");
    holds(bytes, began.elapsed());
}

#[test]
fn a_download_limit_holds_for_files_from_both_tongues() {
    let world = World::new(&[]);
    let from = world.sharer.address();
    std::thread::scope(|scope| {
        let verified = scope.spawn(|| holds(2 * SIZE, world.get(&["--download-limit", RATE, "-r", "some"])));
        holds(SIZE, world.get(&["--download-limit", RATE, "--from", &from, "7"]));
        verified.join().unwrap();
    });
}

#[test]
fn neighbours_are_exempt_only_where_that_was_said() {
    let world = World::new(&["--upload-limit", RATE, "--lan-exempt"]);
    let free = world.get(&["--download-limit", RATE, "--lan-exempt", "-r", "some"]);
    assert!(free.as_secs_f64() < 2.0 * SIZE as f64 / PER_SECOND * 0.9, "as slow as with a limit: {free:?}");
}

#[test]
fn a_rate_that_is_none_is_refused_with_examples() {
    let here = empty_folder();
    for wrong in ["0", "fast", "1T", "-1", "18446744073709551615G"] {
        let refused = run_in(here.path(), ["get", "--download-limit", wrong, "x"]);
        assert_eq!(refused.code, Some(2), "{wrong}");
        assert!(refused.stderr.contains("500K or 10M") || wrong == "-1", "{}", refused.stderr);
    }
    assert!(fs::read_dir(here.path()).unwrap().next().is_none());
}

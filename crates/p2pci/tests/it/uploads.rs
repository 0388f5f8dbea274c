//! The queue for uploads, and the memory of many: nobody is kept waiting by somebody greedy, and who waits knows its place.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::places::{empty_folder, tree};
use crate::world::{BLOCK, Index, PATIENCE, Process, Raw, Sharer, noise, p2pci, wait_for};

/// Most anonymous memory of `get` and of `share`, in KiB.
const MEMORY_MAX: u64 = 64 * 1024;

struct World {
    index: Index,
    sharer: Sharer,
    _outer: TempDir,
}

impl World {
    /// A peer with a large file, which nobody takes at once, and a small one.
    fn new(large: u64, flags: &[&str]) -> Self {
        let files = [("large", noise(1, large as usize)), ("small", noise(2, 200_000))];
        let (outer, root): (TempDir, PathBuf) = tree("some", &files);
        let index = Index::start();
        let sharer = Sharer::with(&root, &index.address(), flags);
        index.wait_hashed(2);
        Self { index, sharer, _outer: outer }
    }

    /// Asks for a file from this address.
    fn ask(&self, source: Ipv4Addr, file: &str) -> Raw {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, self.sharer.port()));
        let mut raw = Raw::connect_from(source.into(), server);
        raw.send(format!("GET /file/some/{file} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        raw
    }
}

/// Anonymous memory of a process in KiB; nothing once it has ended.
fn anonymous(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn who_waits_is_told_its_place_and_comes_to_it() {
    let world = World::new(8 * BLOCK, &["--upload-limit", "256K"]);
    // More of them than are sent to at once.
    let before: Vec<Raw> = (0..20).map(|_| world.ask(Ipv4Addr::LOCALHOST, "large")).collect();
    let here = empty_folder();
    let mut command = p2pci(["get", "some/small", "--json", "--server", &world.index.address()]);
    command.current_dir(here.path());
    let mut get = Process::start(command);
    let waiting: Value = get.wait_in_lines("a word about waiting", |lines| {
        let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects.into_iter().find(|object| object["type"] == "waiting")
    });
    assert!(waiting["place"].as_u64().is_some_and(|place| (1..=20).contains(&place)), "{waiting}");
    drop(before);
    assert_eq!(get.exit_code(PATIENCE), Some(0), "{}", get.stderr());
    assert!(fs::read(here.path().join("small")).unwrap() == noise(2, 200_000));
}

#[test]
fn hundreds_from_one_address_keep_nobody_else_waiting() {
    let world = World::new(16 * BLOCK, &[]);
    let greedy = Ipv4Addr::new(127, 0, 0, 2);
    let mut crowd: Vec<Raw> = (0..200).map(|_| world.ask(greedy, "large")).collect();
    let began = Instant::now();
    let mut other = world.ask(Ipv4Addr::new(127, 0, 0, 3), "large");
    let first = other.segment_within(PATIENCE).unwrap_or_default();
    assert!(first.starts_with(b"HTTP/1.1 200 "), "{}", crate::world::shown(&first));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // The queue has an end, and whoever finds it full is told so.
    let last = crowd.last_mut().unwrap().segment_within(PATIENCE).unwrap_or_default();
    let told = String::from_utf8_lossy(&last);
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nRetry-After: "), "{told}");
}

#[test]
fn sixty_four_downloads_at_once_cost_the_peer_little_memory() {
    let mut world = World::new(8 * BLOCK, &[]);
    let id = world.sharer.process().id();
    let bytes = AtomicU64::new(0);
    let most = std::thread::scope(|scope| {
        let readers: Vec<_> = (1..=64_u8)
            .map(|number| {
                let mut raw = world.ask(Ipv4Addr::new(127, 0, 1, number), "large");
                let bytes = &bytes;
                scope.spawn(move || {
                    let mut came = 0;
                    while came < 8 * BLOCK {
                        let segment = raw.segment_within(PATIENCE).expect("more of the file");
                        assert!(!segment.is_empty(), "it was cut off");
                        came += segment.len() as u64;
                        bytes.fetch_add(segment.len() as u64, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut most = 0;
        wait_for(PATIENCE, "all of the downloads", || {
            most = most.max(anonymous(id).unwrap_or(0));
            readers.iter().all(|reader| reader.is_finished()).then_some(())
        });
        most
    });
    assert!(bytes.into_inner() >= 64 * 8 * BLOCK);
    assert!((1..=MEMORY_MAX).contains(&most), "{most} KiB");
}

#[test]
fn a_download_holds_little_memory_however_long_the_file() {
    let world = World::new(128 * BLOCK, &[]);
    for portable in ["", "1"] {
        let here = empty_folder();
        let mut command = p2pci(["get", "some/large", "--server", &world.index.address()]);
        command.env("P2PCI_PORTABLE", portable).current_dir(here.path());
        let mut get = Process::start(command);
        let (id, mut most) = (get.id(), 0);
        wait_for(PATIENCE, "the end of the download", || {
            most = most.max(anonymous(id).unwrap_or(0));
            get.has_ended().then_some(())
        });
        assert_eq!(get.exit_code(PATIENCE), Some(0), "{}", get.stderr());
        assert!((1..=MEMORY_MAX).contains(&most), "{most} KiB");
    }
}

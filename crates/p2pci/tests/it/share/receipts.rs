//! A file that `get` lays into a shared folder is taken over by the share: it is verified already, and not read again.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::places::{empty_folder, hash_of, names_in, tree};
use crate::world::{BLOCK, Index, PATIENCE, Sharer, noise, p2pci, run_command, run_in, wait_for};

/// Bytes that a process has asked for in calls such as `read`, from files and sockets alike.
fn bytes_read(id: u32) -> u64 {
    let counters = fs::read_to_string(format!("/proc/{id}/io")).unwrap();
    let line = counters.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.parse().unwrap()
}

fn with_caches(mut command: Command, caches: &Path) -> Command {
    command.env("XDG_CACHE_HOME", caches);
    command
}

/// Fetches a file of 12 blocks into the folder of a share, which has these caches as `get` has those; how many bytes the share read
/// until others could have the file from it.
fn read_by_the_share(caches_of_share: &Path, caches_of_get: &Path) -> u64 {
    let content = noise(8, (12 * BLOCK + 77) as usize);
    let (_outer, root) = tree("film", &[("reel", &content)]);
    let (_here, folder) = tree("own", &[("small", b"something")]);
    let index = Index::start();
    let _seed = Sharer::start(&root, &index.address());
    let share = p2pci(Sharer::args(&folder, &index.address(), &[]));
    let mut share = Sharer::from_command(with_caches(share, caches_of_share));
    index.wait_hashed(2);
    let before = bytes_read(share.process().id());
    let mut get = p2pci(["get", "film/reel", "--server", &index.address()]);
    get.current_dir(&folder);
    let got = run_command(with_caches(get, caches_of_get));
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    let (hash, port) = (hash_of(&content), format!("\"port\":{}", share.port()));
    wait_for(PATIENCE, "the share to have the file", || {
        let found = run_in(Path::new("/"), ["lookup", &hash, "--json", "--server", &index.address()]);
        found.text().contains(&port).then_some(())
    });
    let read = bytes_read(share.process().id()) - before;
    // What others get of it is right, with its block list.
    let there = empty_folder();
    let got = run_in(there.path(), ["get", &hash, "-o", "reel", "--from", &share.address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert!(fs::read(there.path().join("reel")).unwrap() == content);
    read
}

#[test]
fn a_share_takes_a_fetched_file_over_without_hashing_it_again() {
    let (caches, others) = (empty_folder(), empty_folder());
    let read = read_by_the_share(caches.path(), caches.path());
    assert!(read < 2 * BLOCK, "{read}");
    assert!(names_in(&caches.path().join("p2pci/receipts")).is_empty(), "it is taken once");
    // Without a receipt it is read, or the test would see nothing.
    let read = read_by_the_share(caches.path(), others.path());
    assert!(read >= 12 * BLOCK, "{read}");
    assert_eq!(names_in(&others.path().join("p2pci/receipts")).len(), 1);
}

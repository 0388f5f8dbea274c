//! What happens to a shared folder is in the index a moment later, and whoever fetches meanwhile gets whole files only.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::places::{empty_folder, hash_of, put, tree};
use crate::world::{Finished, Index, PATIENCE, Sharer, noise, run_in, wait_for};

/// How soon a change is listed: five times the target.
const LISTED_WITHIN: Duration = Duration::from_secs(5);

/// Waits until these files, and no others, are listed with their hashes.
fn wait_listed(index: &Index, after: &str, expected: &HashMap<String, String>) {
    wait_for(LISTED_WITHIN, &format!("the list after: {after}"), || {
        let files = index.files();
        let listed: HashMap<String, String> = files
            .iter()
            .filter_map(|file| Some((file["name"].as_str()?.to_owned(), file["hash"].as_str()?.to_owned())))
            .collect();
        (files.len() == expected.len() && listed == *expected).then_some(())
    });
}

/// A shared folder, and what of it is published now and was ever.
struct Mirror<'a> {
    root: &'a Path,
    now: HashMap<String, String>,
    ever: HashSet<String>,
}

impl Mirror<'_> {
    fn put(&mut self, path: &str, content: &[u8]) {
        let hash = hash_of(content);
        self.ever.insert(hash.clone());
        put(&self.root.join(path), content);
        self.now.insert(format!("live/{path}"), hash);
    }

    fn rename(&mut self, from: &str, to: &str) {
        fs::rename(self.root.join(from), self.root.join(to)).unwrap();
        let prefix = format!("live/{from}");
        let moved: Vec<String> = self.now.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
        for name in moved {
            let hash = self.now.remove(&name).unwrap();
            self.now.insert(name.replacen(&prefix, &format!("live/{to}"), 1), hash);
        }
    }

    fn remove(&mut self, path: &str) {
        fs::remove_file(self.root.join(path)).unwrap();
        self.now.remove(&format!("live/{path}"));
    }
}

/// Fetches everything again and again until told to stop; gives how each round ended, and the hashes of all files that it got.
fn fetch_until(stop: &std::sync::atomic::AtomicBool, server: &str) -> (Vec<Finished>, Vec<String>) {
    let (mut rounds, mut hashes) = (Vec::new(), Vec::new());
    while !stop.load(std::sync::atomic::Ordering::SeqCst) {
        let here = empty_folder();
        rounds.push(run_in(here.path(), ["get", "-r", "live", "--server", server]));
        for path in crate::places::everything_in(here.path()) {
            let is_final = !path.ends_with('/') && !path.contains(".p2pci-part");
            if is_final {
                hashes.push(hash_of(fs::read(here.path().join(&path)).unwrap()));
            }
        }
    }
    (rounds, hashes)
}

#[test]
fn every_change_is_listed_while_another_peer_fetches_whole_files() {
    let (_outer, root) = tree::<&str>("live", &[]);
    let mut mirror = Mirror { root: &root, now: HashMap::new(), ever: HashSet::new() };
    for at in 0..5 {
        mirror.put(&format!("file{at}"), &noise(at, 2_000_000 + at as usize));
    }
    let index = Index::start();
    let server = index.address();
    let _sharer = Sharer::start(&root, &server);
    wait_listed(&index, "the start", &mirror.now);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch_until(&stop, &server));
        // Even when a step below fails, the thread ends.
        let _stop = StopOnDrop(&stop);
        change_everything(&index, &mut mirror);
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        let (rounds, hashes) = fetching.join().unwrap();
        assert!(!hashes.is_empty() && rounds.iter().any(|round| round.code == Some(0)), "{rounds:?}");
        for hash in hashes {
            assert!(mirror.ever.contains(&hash), "a content that was never published: {hash}");
        }
    });
}

struct StopOnDrop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

fn change_everything(index: &Index, mirror: &mut Mirror<'_>) {
    mirror.put("sub/deep/new", &noise(10, 50_000));
    wait_listed(index, "a new file in a new folder", &mirror.now);
    mirror.put("file0", &noise(11, 1_500_000));
    wait_listed(index, "a file that was rewritten", &mirror.now);
    let same_length = noise(12, 2_000_001);
    mirror.put("file1", &same_length);
    wait_listed(index, "a file that was rewritten to the same length", &mirror.now);
    mirror.rename("file2", "renamed");
    wait_listed(index, "a file that was renamed", &mirror.now);
    mirror.rename("sub", "other");
    wait_listed(index, "a folder that was renamed", &mirror.now);
    mirror.remove("file3");
    wait_listed(index, "a file that was deleted", &mirror.now);
    mirror.rename("file4", "renamed");
    mirror.now.insert("live/renamed".to_owned(), hash_of(noise(4, 2_000_004)));
    wait_listed(index, "a file that replaced another", &mirror.now);
    fs::remove_dir_all(mirror.root.join("other")).unwrap();
    mirror.now.retain(|name, _| !name.starts_with("live/other/"));
    wait_listed(index, "a folder that was deleted", &mirror.now);
}

#[test]
fn an_index_that_was_started_again_is_told_everything_again() {
    let (_outer, root) = tree("live", &[("a", "a"), ("b", "b")]);
    let mut index = Index::start();
    let (server, place) = (index.address(), format!("127.0.0.1:{}", index.port()));
    let _sharer = Sharer::start(&root, &server);
    index.wait_hashed(2);
    index.process().kill();
    // What changes while nobody listens is told as well.
    fs::write(root.join("c"), "c").unwrap();
    fs::remove_file(root.join("a")).unwrap();
    let index = Index::on(&place, &[]);
    wait_for(PATIENCE, "the files to be there again", || {
        (index.names() == ["live/b", "live/c"]).then_some(())
    });
    index.wait_hashed(2);
}

#[test]
fn a_warming_index_makes_get_wait_and_then_say_that_there_is_nothing() {
    let index = Index::with(&["--warm-up", "5s"]);
    let began = std::time::Instant::now();
    let here = empty_folder();
    let missing = run_in(here.path(), ["get", "nothing", "--server", &index.address()]);
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    assert!(missing.stderr.contains("has just started"), "{}", missing.stderr);
    // Started a moment before we looked at the clock.
    assert!(began.elapsed() > Duration::from_secs(3), "it waited for {:?} only", began.elapsed());
    let again = run_in(here.path(), ["get", "nothing", "--server", &index.address()]);
    assert_eq!((again.code, again.stderr.contains("has just started")), (Some(3), false), "{}", again.stderr);
}

#[test]
fn a_file_that_appears_while_the_index_warms_up_is_fetched() {
    let index = Index::with(&["--warm-up", "60s"]);
    let here = empty_folder();
    let mut command = crate::world::p2pci(["get", "late/file", "--server", &index.address()]);
    command.current_dir(here.path());
    let mut getting = crate::world::Process::start(command);
    wait_for(PATIENCE, "get to say that it waits", || {
        getting.stderr().contains("has just started").then_some(())
    });
    let (_outer, root) = tree("late", &[("file", "here at last")]);
    let _sharer = Sharer::start(&root, &index.address());
    assert_eq!(getting.exit_code(PATIENCE), Some(0), "{}", getting.stderr());
    assert_eq!(fs::read_to_string(here.path().join("file")).unwrap(), "here at last");
}

//! curl, wget and aria2 from Debian, as their users type them: from a peer, and by way of the index.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::browse::ask;
use crate::foreign::source::{Nature, source};
use crate::places::{empty_folder, hash_of, names_in, put};
use crate::world::v11::{add_files, file, lookup, with};
use crate::world::{BLOCK, Finished, Index, PATIENCE, Sharer, noise, on_path, run_command, skip, wait_for};

/// Runs a program in a folder, without settings and proxies of whoever runs the tests.
fn tool(folder: &Path, program: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("HOME", folder);
    for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    run_command(command)
}

/// curl without its own settings; an answer of 400 or above is a failure.
fn curl(folder: &Path, arguments: &[&str]) -> Finished {
    let always = ["-q", "--silent", "--show-error", "--fail", "--max-time", "60"];
    tool(folder, "curl", &[&always, arguments].concat())
}

fn is_here(test: &str, program: &str) -> bool {
    let found = on_path(program);
    if !found {
        skip(test, &format!("there is no {program} here"));
    }
    found
}

fn succeeded(finished: &Finished) {
    assert_eq!(finished.code, Some(0), "{}{}", finished.text(), finished.stderr);
}

/// An index, and a peer that shares a folder with one file of 3 MiB and a bit.
struct World {
    index: Index,
    sharer: Sharer,
    content: Vec<u8>,
    here: tempfile::TempDir,
    _shared: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let shared = empty_folder();
        let content = noise(11, 3 * BLOCK as usize + 17);
        put(&shared.path().join("sub/data set.bin"), &content);
        put(&shared.path().join("rfc7.txt"), "the text of seven");
        let index = Index::start();
        let sharer = Sharer::with(shared.path(), &index.address(), &["--as", "a"]);
        index.wait_hashed(2);
        Self { index, sharer, content, here: empty_folder(), _shared: shared }
    }

    fn at_index(&self, path: &str) -> String {
        format!("http://{}{path}", self.index.address())
    }

    fn at_peer(&self, path: &str) -> String {
        format!("http://{}{path}", self.sharer.address())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.here.path().join(name)
    }

    /// The first of a file, as an interrupted download leaves it.
    fn cut(&self, name: &str) {
        fs::write(self.path(name), &self.content[..1_500_000]).unwrap();
    }

    fn assert_whole(&self, name: &str) {
        assert!(fs::read(self.path(name)).unwrap() == self.content, "{name} differs");
    }
}

#[test]
fn curl_fetches_resumes_and_takes_pieces_from_a_peer_and_by_way_of_the_index() {
    if !is_here("curl_fetches_resumes_and_takes_pieces", "curl") {
        return;
    }
    let world = World::new();
    let here = world.here.path();
    for url in [world.at_peer("/file/a/sub/data%20set.bin"), world.at_index("/file/a/sub/data%20set.bin?a=b")]
    {
        succeeded(&curl(here, &["-L", "-o", "whole", &url]));
        world.assert_whole("whole");
        world.cut("part");
        succeeded(&curl(here, &["-L", "-C", "-", "-o", "part", &url]));
        world.assert_whole("part");
        let piece = curl(here, &["-L", "-r", "1000-1000999", &url]);
        assert!(piece.stdout == world.content[1000..1_001_000], "{}", piece.stderr);
        let two = curl(here, &["-L", "-r", "0-3,100-103", &url]);
        for bytes in [&world.content[..4], &world.content[100..104]] {
            assert!(two.stdout.windows(4).any(|four| four == bytes), "{}", two.text());
        }
    }
    // Under its own name, by number, by hash and by the last part of the name.
    succeeded(&curl(here, &["-L", "-O", "-J", &world.at_index("/file/data%20set.bin")]));
    assert!(names_in(here).iter().any(|name| name.starts_with("data")), "{:?}", names_in(here));
    assert_eq!(curl(here, &["-L", &world.at_index("/rfc/7")]).text(), "the text of seven");
    let by_hash = world.at_index(&format!("/hash/{}", hash_of(&world.content)));
    assert!(curl(here, &["-L", &by_hash]).stdout == world.content);
    let head = curl(here, &["-L", "--head", &by_hash]).text();
    assert!(head.contains("307 Temporary Redirect") && head.contains("Content-Length: 3145745"), "{head}");
    for nothing in ["/rfc/8", "/file/b", "/hash/00", "/file/a/sub"] {
        assert_eq!(curl(here, &["-L", &world.at_index(nothing)]).code, Some(22), "{nothing}");
    }
}

#[test]
fn wget_fetches_and_goes_on_by_way_of_the_index() {
    if !is_here("wget_fetches_and_goes_on", "wget") {
        return;
    }
    let world = World::new();
    let here = world.here.path();
    let wget = |arguments: &[&str]| {
        let always = ["--no-config", "--no-proxy", "--tries=2", "--timeout=30", "-nv"];
        tool(here, "wget", &[&always, arguments].concat())
    };
    succeeded(&wget(&[&world.at_index("/file/a/sub/data%20set.bin")]));
    world.assert_whole("data set.bin");
    world.cut("data set.bin");
    succeeded(&wget(&["-c", &world.at_index("/file/a/sub/data%20set.bin")]));
    world.assert_whole("data set.bin");
    succeeded(&wget(&["-N", "-O", "whole", &world.at_peer("/file/a/sub/data%20set.bin")]));
    world.assert_whole("whole");
    // A second time it is not fetched again: its date says that it is the same.
    let again = wget(&["-N", &world.at_peer("/file/a/rfc7.txt")]);
    succeeded(&again);
    let third = wget(&["-N", &world.at_peer("/file/a/rfc7.txt")]);
    assert!(third.stderr.is_empty() || !third.stderr.contains("rfc7.txt\" [1]"), "{}", third.stderr);
    assert_eq!(fs::read(world.path("rfc7.txt")).unwrap(), b"the text of seven");
}

#[test]
fn aria2_finds_the_wrong_bytes_of_a_metalinks_source_and_gets_the_file_whole_from_the_others() {
    if !is_here("aria2_finds_the_wrong_bytes", "aria2c") {
        return;
    }
    let content = noise(11, 4 * BLOCK as usize + 17);
    let hash = hash_of(&content);
    // The one that lies about every block comes first, so that it is asked in any case.
    let index = Index::with(&["--order", "added"]);
    let liar = source(&content, Nature::FlipsEach(99));
    let mut lying = index.raw();
    let record = with(file("liar.bin", content.len() as u64), json!({"hash": hash}));
    assert_eq!(lying.ask_v11(add_files("127.0.0.1", liar.port(), &[record])).status, 200);
    let (one, two, here) = (empty_folder(), empty_folder(), empty_folder());
    put(&one.path().join("data set.bin"), &content);
    put(&two.path().join("copy.bin"), &content);
    // Slow enough that it does not have all before the liar is found out.
    let slow = ["--upload-limit", "2M", "--as", "a"];
    let first = Sharer::with(one.path(), &index.address(), &slow);
    wait_for_sources(&index, &hash, 2);
    let _second = Sharer::with(two.path(), &index.address(), &slow);
    wait_for_sources(&index, &hash, 3);

    let xml = metalink(&index, "/file/a/data%20set.bin.meta4");
    assert_eq!(xml.matches("<url priority=").count(), 3, "{xml}");
    assert!(xml.contains("<file name=\"data set.bin\">"), "{xml}");
    assert!(xml.contains("<pieces type=\"sha-256\" length=\"1048576\">"), "{xml}");
    assert_eq!(xml.matches("<hash>").count(), 5, "{xml}");
    // Both were asked; which was first is chance.
    wait_for(PATIENCE, "a Repr-Digest", || {
        let (head, _) = ask(first.raw(), "/file/a/data%20set.bin");
        head.contains("\r\nRepr-Digest: sha-256=:").then_some(())
    });

    let url = format!("http://{}/file/a/data%20set.bin.meta4", index.address());
    let aria2 = || {
        let always = ["--no-conf", "--no-proxy=*", "--split=3", "--min-split-size=1M", "--retry-wait=0"];
        let told =
            ["--file-allocation=none", "--max-tries=2", "--console-log-level=info", "--summary-interval=0"];
        tool(here.path(), "aria2c", &[&always[..], &told, &[&*url]].concat())
    };
    // It asks the same source for the same piece until its tries are over, and gives up: nothing wrong counts as fetched.
    let failed = aria2();
    assert_ne!(failed.code, Some(0), "{}", failed.text());
    assert!(failed.text().contains("Chunk checksum validation failed"), "{}", failed.text());
    assert!(here.path().join("data set.bin.aria2").exists(), "it goes on where it stopped");
    drop(lying);
    wait_for_sources(&index, &hash, 2);
    succeeded(&aria2());
    assert!(fs::read(here.path().join("data set.bin")).unwrap() == content, "the file differs");
}

/// Waits until so many have a content.
fn wait_for_sources(index: &Index, hash: &str, count: u64) {
    let mut raw = index.raw();
    wait_for(PATIENCE, &format!("{count} sources"), || {
        let variants = raw.ask_v11(lookup(&format!("HASH {hash}"))).objects();
        variants.first().filter(|variant| variant["sources_in_all"] == count).map(|_| ())
    });
}

/// A Metalink with pieces: on a machine that is busy they may be there only for the second who asks.
fn metalink(index: &Index, path: &str) -> String {
    wait_for(PATIENCE, "a Metalink with pieces", || {
        let (head, xml) = ask(index.raw(), path);
        assert!(head.contains("application/metalink4+xml"), "{head}");
        Some(String::from_utf8(xml).unwrap()).filter(|xml| xml.contains("<pieces "))
    })
}

//! curl, wget and aria2 from Debian, as their users type them: from a peer, and by way of the index.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::browse::ask;
use crate::foreign::source::{Nature, source};
use crate::places::{empty_folder, hash_of, names_in, put};
use crate::world::v11::{add_files, file, with};
use crate::world::{BLOCK, Finished, Index, Sharer, noise, on_path, run_command, skip, wait_for};

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
        Self::with(&[])
    }

    /// With more flags for the peer.
    fn with(flags: &[&str]) -> Self {
        let shared = empty_folder();
        let content = noise(11, 3 * BLOCK as usize + 17);
        put(&shared.path().join("sub/data set.bin"), &content);
        put(&shared.path().join("rfc7.txt"), "the text of seven");
        let index = Index::start();
        let sharer = Sharer::with(shared.path(), &index.address(), &[&["--as", "a"], flags].concat());
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
fn aria2_takes_a_metalink_finds_the_wrong_bytes_and_gets_the_file_whole() {
    if !is_here("aria2_takes_a_metalink", "aria2c") {
        return;
    }
    // Slow enough that all are asked.
    let slow = ["--upload-limit", "1M"];
    let world = World::with(&slow);
    // Another good peer, and one that lies about every block.
    let copy = empty_folder();
    put(&copy.path().join("copy.bin"), &world.content);
    let _second = Sharer::with(copy.path(), &world.index.address(), &slow);
    let liar = source(&world.content, Nature::FlipsEach(99));
    let mut lying = world.index.raw();
    let hash = hash_of(&world.content);
    let record = with(file("liar.bin", world.content.len() as u64), json!({"hash": hash}));
    assert_eq!(lying.ask_v11(add_files("127.0.0.1", liar.port(), &[record])).status, 200);
    wait_for(crate::world::PATIENCE, "three sources", || {
        let variants = lying.ask_v11(crate::world::v11::lookup(&format!("HASH {hash}"))).objects();
        variants.first().filter(|variant| variant["sources_in_all"] == 3).map(|_| ())
    });
    let url = world.at_index("/file/a/sub/data%20set.bin.meta4");
    // On a machine that is busy the digests may be there only for the second who asks.
    let (head, xml) = wait_for(crate::world::PATIENCE, "a Metalink with pieces", || {
        let (head, xml) = ask(world.index.raw(), "/file/a/sub/data%20set.bin.meta4");
        let xml = String::from_utf8(xml).unwrap();
        xml.contains("<pieces ").then_some((head, xml))
    });
    assert!(head.contains("application/metalink4+xml"), "{head}");
    assert_eq!(xml.matches("<url priority=").count(), 3, "{xml}");
    assert!(
        xml.contains("<file name=\"data set.bin\">")
            && xml.contains("<pieces type=\"sha-256\" length=\"1048576\">"),
        "{xml}"
    );
    assert_eq!(xml.matches("<hash>").count(), 4, "{xml}");
    let arguments = [
        "--no-conf",
        "--no-proxy=*",
        "--split=3",
        "--min-split-size=1M",
        "--max-connection-per-server=1",
        "--file-allocation=none",
        "--max-tries=20",
        "--retry-wait=0",
        "--console-log-level=info",
        "--summary-interval=0",
        "--uri-selector=inorder",
        &url,
    ];
    let fetched = tool(world.here.path(), "aria2c", &arguments);
    succeeded(&fetched);
    world.assert_whole("data set.bin");
    assert!(fetched.text().contains("Invalid chunk checksum"), "{}", fetched.text());
    // The digest of the whole file is known to everybody by now.
    let (head, _) = ask(world.sharer.raw(), "/file/a/sub/data%20set.bin");
    assert!(head.contains("\r\nRepr-Digest: sha-256=:"), "{head}");
}

//! U10: the disk stops giving a file that is shared.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::places::{empty_folder, tree};
use crate::world::{BLOCK, Index, PATIENCE, Process, Raw, Sharer, noise, on_path, p2pci, skip, wait_for};

const LARGE: usize = 4 * BLOCK as usize;

/// Lets every call that reads this file fail in a running process, as a broken disk does.
fn break_reads(process: u32, file: &Path) -> Process {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-p", &process.to_string(), "-P", file.to_str().unwrap(), "-o", "/dev/null"]);
    strace.args(["-e", "inject=read,pread64,preadv2,sendfile:error=EIO"]);
    let breaking = Process::start(strace);
    wait_for(PATIENCE, "strace to be attached", || breaking.stderr().contains("attached").then_some(()));
    breaking
}

#[test]
fn u10_a_file_that_the_disk_does_not_give_is_cut_off_and_withdrawn_and_comes_back_when_it_can_be_read() {
    let test =
        "u10_a_file_that_the_disk_does_not_give_is_cut_off_and_withdrawn_and_comes_back_when_it_can_be_read";
    if !on_path("strace") {
        return skip(test, "no strace here");
    }
    let (_outer, root) = tree(
        "some",
        &[
            ("large", noise(1, LARGE)),
            ("small", noise(2, 20_000)),
            ("rfc7.txt", noise(3, LARGE)),
            ("good", b"as ever".to_vec()),
        ],
    );
    let index = Index::start();
    let mut sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(4);
    let http = |name: &str| {
        format!("GET /file/some/{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    };
    let old = "GET RFC 7 P2P-CI/1.0\r\nHost: h\r\nOS: o\r\n\r\n";
    for (left, (name, request, whole)) in [
        ("large", http("large"), LARGE),
        ("small", http("small"), 20_000),
        ("rfc7.txt", old.to_owned(), LARGE),
    ]
    .into_iter()
    .enumerate()
    {
        let mut breaking = break_reads(sharer.process().id(), &root.join(name));
        let mut raw = sharer.raw();
        raw.send(request);
        match raw.try_to_end() {
            // A reset, which nobody takes for the end of a file.
            Err(_) => assert_ne!(name, "small"),
            Ok(answer) => {
                assert_eq!(name, "small");
                assert!(answer.starts_with(b"HTTP/1.1 500 ") && answer.len() < whole, "{}", answer.len());
            }
        }
        wait_for(PATIENCE, "the file to be withdrawn", || (index.files().len() == 3 - left).then_some(()));
        assert!(!index.files().iter().any(|file| file["name"] == format!("some/{name}")));
        let said = format!("p2pci: 'some/{name}' is not shared: Input/output error");
        wait_for(PATIENCE, &said, || sharer.process().stderr().contains(&said).then_some(()));
        // It lets go of the process, which goes on.
        breaking.signal(Signal::TERM);
        wait_for(PATIENCE, "strace to be gone", || breaking.has_ended().then_some(()));
    }
    // Looked at again, all of them are there, read anew from end to end.
    fs::write(root.join(".p2pciignore"), "nothing\n").unwrap();
    let back = index.wait_hashed(4);
    let hash = blake3::hash(&noise(1, LARGE)).to_hex().to_string();
    assert!(back.iter().any(|file| file["hash"] == hash), "{back:?}");
}

#[test]
fn u10_a_copy_that_the_disk_does_not_give_is_cut_off_and_withdrawn() {
    let test = "u10_a_copy_that_the_disk_does_not_give_is_cut_off_and_withdrawn";
    if !on_path("strace") {
        return skip(test, "no strace here");
    }
    let bytes = noise(1, LARGE);
    let (_outer, root) = tree("some", &[("large", &bytes)]);
    let index = Index::start();
    let mut sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    let here = empty_folder();
    let mut command = p2pci(["get", "some/large", "--seed-time", "forever", "--server", &index.address()]);
    command.current_dir(here.path());
    let seeder = Process::start(command);
    wait_for(PATIENCE, "the copy", || here.path().join("large").exists().then_some(()));
    sharer.process().kill();
    let port = wait_for(PATIENCE, "the copy to be the only source", || {
        let files = index.files();
        let sources = files.first()?["sources"].as_array()?;
        let is_it = sources.len() == 1 && sources[0]["published"] == false && sources[0]["partial"] != true;
        is_it.then(|| sources[0]["port"].as_u64()).flatten()
    });
    let _breaking = break_reads(seeder.id(), &here.path().join("large"));
    let mut raw = Raw::connect(u16::try_from(port).unwrap());
    let hash = blake3::hash(&bytes).to_hex();
    raw.send(format!("GET /hash/{hash} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    assert!(raw.try_to_end().is_err(), "a reset, which nobody takes for the end of a file");
    wait_for(PATIENCE, "the copy to be withdrawn", || index.files().is_empty().then_some(()));
}

//! Disks that do not take the file: named as what they are, and gone on with when there is room.

use std::process::Command;

use serde_json::json;

use crate::foreign::index_v11::{self, record};
use crate::foreign::source::{Nature, source};
use crate::places::{empty_folder, tree};
use crate::world::{BLOCK, Finished, Index, Sharer, is_root, noise, p2pci_behind, run_command, skip};

/// Runs `script` with the binary as `$0` and these arguments in a mount namespace of its own; there `$1` is a folder to mount on.
/// `None` where that is not allowed, which counts `test` as skipped.
fn mounted(test: &str, script: &str, args: &[&str]) -> Option<Finished> {
    if !is_root() {
        skip(test, "mounts need root");
        return None;
    }
    let place = empty_folder();
    let may = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none"]).arg(place.path()).output();
    if !may.is_ok_and(|output| output.status.success()) {
        skip(test, "no mounts here");
        return None;
    }
    let before = ["unshare", "-m", "sh", "-c", script];
    // The binary stands where the shell has the name of its script.
    let folder = place.path().to_str().unwrap();
    Some(run_command(p2pci_behind(&before, [&[folder], args].concat())))
}

#[test]
fn a_full_disk_is_named_and_the_download_goes_on_when_there_is_room() {
    let test = "a_full_disk_is_named_and_the_download_goes_on_when_there_is_room";
    let (_outer, root) = tree("big", &[("file", noise(1, 6 * BLOCK as usize))]);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    let server = index.address();
    let script = "mount -t tmpfs -o size=4m none \"$1\" && cd \"$1\" || exit 99; shift; \
                  \"$0\" \"$@\"; echo \"code $?\"; ls -A; mount -o remount,size=32m . || exit 99; \
                  \"$0\" \"$@\" --json; echo \"code $?\"; ls -A; cmp file \"$ORIGINAL\"";
    let script = script.replace("$ORIGINAL", root.join("file").to_str().unwrap());
    let Some(got) = mounted(test, &script, &["get", "big/file", "--server", &server]) else { return };
    let (text, said) = (got.text(), &got.stderr);
    assert_eq!(got.code, Some(0), "{text}{said}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&"code 1"), "{text}{said}");
    assert!(said.contains("the disk is full") && said.contains("file"), "{said}");
    assert!(!said.contains("wrong bytes") && !said.contains("differs"), "{said}");
    assert!(lines[1].starts_with('{'), "refused before anything was written: {text}");
    assert_eq!(&lines[lines.len() - 2..], ["code 0", "file"], "{text}");
}

#[test]
fn a_read_only_folder_is_named() {
    let test = "a_read_only_folder_is_named";
    let (_outer, root) = tree("some", &[("file", "x")]);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    let server = index.address();
    let script = "mount -t tmpfs -o ro none \"$1\" && cd \"$1\" || exit 99; shift; exec \"$0\" \"$@\"";
    let Some(got) = mounted(test, script, &["get", "some/file", "--server", &server]) else { return };
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("read-only"), "{}", got.stderr);
    assert_eq!(got.stderr.lines().count(), 1, "{}", got.stderr);
}

#[test]
fn part_of_the_disk_stays_free() {
    let test = "part_of_the_disk_stays_free";
    let (_outer, root) =
        tree("big", &[("file", noise(1, 6 * BLOCK as usize)), ("small/file", vec![7; 9000])]);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(2);
    let server = index.address();
    let script = "mount -t tmpfs -o size=10m none \"$1\" && cd \"$1\" || exit 99; shift; \
                  \"$0\" \"$@\" big/file --keep-free 50; echo \"code $?\"; \
                  \"$0\" \"$@\" -r big/small --keep-free 100; echo \"code $?\"; ls -A; \
                  \"$0\" \"$@\" big/file --json; echo \"code $?\"; ls -A";
    let Some(got) = mounted(test, script, &["get", "--server", &server]) else { return };
    let (text, said) = (got.text(), &got.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(lines, ["code 1", "code 1", "big", "code 0", "big", "file"], "{text}{said}");
    assert_eq!(said.matches("--keep-free").count(), 2, "{said}");
}

/// What small files are, the index says; that it lies shows when they are written.
#[test]
fn small_files_that_find_the_disk_full_say_so_and_leave_nothing() {
    let test = "small_files_that_find_the_disk_full_say_so_and_leave_nothing";
    let content = noise(2, BLOCK as usize);
    let good = source(&content, Nature::Good);
    let records: Vec<_> = (0..6)
        .map(|number| {
            let mut record = record(&format!("f/{number}"), &content, good.port());
            record["size"] = json!(1);
            record
        })
        .collect();
    let index = index_v11::telling(&[], &records);
    let server = index.address();
    let script = "mount -t tmpfs -o size=3m none \"$1\" && cd \"$1\" || exit 99; shift; \"$0\" \"$@\"; \
                  echo \"code $?\"; find . -type f -size -1024k; find . -name '*.p2pci-part*'";
    let Some(got) = mounted(test, script, &["get", "-r", "f", "--json", "--server", &server]) else { return };
    let (text, said) = (got.text(), &got.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    assert_eq!(lines, ["code 1"], "{text}{said}");
    assert!(said.contains("the disk is full"), "{said}");
    assert!(!said.contains("wrong bytes"), "{said}");
}

/// Runs get behind `before` in an empty folder: its end, and what is in the folder then.
fn get_behind(before: &[&str], args: &[&str]) -> (Finished, Vec<String>) {
    let here = empty_folder();
    let mut command = p2pci_behind(before, args);
    command.current_dir(here.path());
    let got = run_command(command);
    (got, crate::places::everything_in(here.path()))
}

#[test]
fn a_limit_on_the_size_of_files_is_named() {
    let (_outer, root) =
        tree("big", &[("file", noise(1, 3 * BLOCK as usize)), ("small/file", vec![7; 9000])]);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(2);
    let server = index.address();
    for (blocks, target) in [("1000", &["big/file"][..]), ("4", &["-r", "big/small"])] {
        // In units of 512 bytes.
        let script = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let (got, there) =
            get_behind(&["sh", "-c", &script], &[&["get", "--server", &server], target].concat());
        assert_eq!(got.code, Some(1), "{target:?}: {}", got.stderr);
        assert!(got.stderr.contains("larger than is allowed"), "{}", got.stderr);
        assert!(!there.iter().any(|path| path.ends_with("file")), "{there:?}");
    }
}

/// The system's calls that fail in turn, as a broken disk makes them fail.
#[test]
fn an_error_of_the_disk_is_named_whichever_call_it_hits() {
    let (_outer, root) =
        tree("big", &[("file", noise(1, 3 * BLOCK as usize)), ("small/file", vec![7; 9000])]);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(2);
    let server = index.address();
    let faults = [
        ("pwrite64:error=EIO:when=2+", &["big/file"][..]),
        ("fsync:error=EIO", &["big/file"]),
        ("renameat2:error=EIO", &["big/file"]),
        ("pwrite64:error=EIO", &["-r", "big/small"]),
        ("fsync:error=EIO", &["-r", "big/small"]),
        ("linkat,renameat2:error=EIO", &["-r", "big/small"]),
    ];
    for (fault, target) in faults {
        let inject = format!("inject={fault}");
        let before = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject];
        let (got, there) = get_behind(&before, &[&["get", "--server", &server], target].concat());
        assert_eq!(got.code, Some(1), "{fault} {target:?}: {}", got.stderr);
        assert!(got.stderr.contains("Input/output error"), "{fault} {target:?}: {}", got.stderr);
        assert!(!got.stderr.contains("wrong bytes"), "{fault} {target:?}: {}", got.stderr);
        assert!(!there.iter().any(|path| path.ends_with("file")), "{fault} {target:?}: {there:?}");
    }
}

//! Disks that do not take the file: named as what they are, and gone on with when there is room.

use std::process::Command;

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
    // The second time half of the file is there, if it was kept.
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
    assert!(!lines[1..].split(|line| line.starts_with('{')).next().unwrap().contains(&"file"), "{text}");
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

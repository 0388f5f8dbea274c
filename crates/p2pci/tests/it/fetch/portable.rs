//! The short cuts between files and sockets, and the portable ways beside them: the same bytes by either.

use std::fs;
use std::process::Command;

use crate::places::{empty_folder, tree};
use crate::world::{BLOCK, Index, Sharer, noise, p2pci, p2pci_behind, run_command, skip};

/// Switches the short cuts off.
const PORTABLE: &str = "P2PCI_PORTABLE";

#[test]
fn files_come_whole_with_the_short_cuts_and_without() {
    let test = "files_come_whole_with_the_short_cuts_and_without";
    if Command::new("strace").arg("-V").output().is_err() {
        return skip(test, "no strace here");
    }
    let content = noise(1, 5 * BLOCK as usize + 12_345);
    let (_outer, root) = tree("some", &[("file", &content)]);
    for portable in ["", "1"] {
        let (here, index) = (empty_folder(), Index::start());
        let address = index.address();
        let mut share = p2pci(Sharer::args(&root, &address, &[]));
        share.env(PORTABLE, portable);
        let _sharer = Sharer::from_command(share);
        index.wait_hashed(1);
        let calls = here.path().join("calls");
        let traced = ["strace", "-f", "-qq", "-e", "trace=splice", "-o", calls.to_str().unwrap()];
        let mut get = p2pci_behind(&traced, ["get", "some/file", "--server", &address]);
        get.env(PORTABLE, portable).current_dir(here.path());
        let got = run_command(get);
        assert_eq!(got.code, Some(0), "{}", got.stderr);
        assert!(fs::read(here.path().join("file")).unwrap() == content);
        let spliced = fs::read_to_string(&calls).unwrap().contains("splice(");
        assert_eq!(spliced, portable.is_empty() && cfg!(target_os = "linux"), "{PORTABLE}={portable}");
    }
}

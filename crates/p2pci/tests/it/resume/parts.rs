//! Parts that somebody touched, journals of garbage, and two downloads of one file.

use std::fs;

use super::{CHECKING, Download, flip};
use crate::world::{BLOCK, PATIENCE, wait_for};

#[test]
fn a_part_that_was_touched_is_checked_and_repaired() {
    let download = Download::new(24 * BLOCK + 5, "12M");
    download.kill_after(6);
    let (verified, bytes) = (download.verified(), download.verified_bytes());
    let block = verified[verified.len() / 2];
    flip(&download.part(), u64::from(block) * BLOCK + 12_345);
    let got = download.run(None);
    assert!(got.stderr.contains(CHECKING), "{}", got.stderr);
    let told = download.whole(&got);
    assert_eq!(
        told.resumed,
        bytes - BLOCK.min(download.size() - u64::from(block) * BLOCK),
        "the rest counts"
    );
}

#[test]
fn a_part_that_was_cut_short_is_made_whole() {
    let download = Download::new(16 * BLOCK, "12M");
    download.kill_after(5);
    fs::File::options().write(true).open(download.part()).unwrap().set_len(BLOCK + 7).unwrap();
    let got = download.run(None);
    assert!(download.whole(&got).resumed <= BLOCK, "{}", got.text());
}

#[test]
fn a_journal_of_garbage_costs_what_was_there_and_nothing_else() {
    let download = Download::new(8 * BLOCK, "12M");
    for garbage in [&b""[..], &[0xff; 5000], b"P2PCI-J1 and nothing else", &[0; 64]] {
        download.kill_after(3);
        fs::write(download.journal(), garbage).unwrap();
        let got = download.run(None);
        assert_eq!(download.whole(&got).resumed, 0);
        fs::remove_file(download.here.path().join("file")).unwrap();
    }
    // One that is torn counts as far as it goes.
    download.kill_after(4);
    let journal = fs::read(download.journal()).unwrap();
    fs::write(download.journal(), &journal[..journal.len() - 40]).unwrap();
    let left = download.verified_bytes();
    let got = download.run(None);
    assert_eq!(download.whole(&got).resumed, left, "{}", got.stderr);
}

#[test]
fn a_part_of_another_content_is_begun_anew() {
    let download = Download::new(8 * BLOCK, "12M");
    download.kill_after(3);
    // What is published under the name is another content now.
    let other = crate::world::noise(43, 8 * BLOCK as usize);
    fs::write(download.root.join("file"), &other).unwrap();
    let hash = crate::places::hash_of(&other);
    wait_for(PATIENCE, "the new content", || {
        (download.index.files()[0]["hash"] == hash.as_str()).then_some(())
    });
    let got = download.run(None);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(got.objects()[0]["resumed"], 0);
    assert!(fs::read(download.here.path().join("file")).unwrap() == other);
}

#[test]
fn two_downloads_of_one_file_are_one() {
    let download = Download::new(24 * BLOCK, "12M");
    let mut first = download.begin(None);
    wait_for(PATIENCE, "a first block", || (!download.verified().is_empty()).then_some(()));
    let second = download.run(None);
    assert!(!first.has_ended(), "the second one was to come while the first one runs");
    assert_eq!(second.code, Some(1), "{}", second.text());
    let message = second.objects()[0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("already being downloaded"), "{message}");
    assert_eq!(first.exit_code(PATIENCE), Some(0), "{}", first.stderr());
    assert!(fs::read(download.here.path().join("file")).unwrap() == download.content);
    assert_eq!(crate::places::names_in(download.here.path()), ["file"]);
}

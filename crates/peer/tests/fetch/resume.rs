//! A download goes on where it stopped, and trusts no more than it can.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use peer::fetch::{FetchError, Fetched, fetch};

use crate::servers::{BOUND, Content, MIB, Nature, Place, Server};

const BLOCK: u64 = MIB as u64;

/// Downloads until this many bytes are verified, then gives up; how many were.
async fn cut_at(place: &Place, content: &Content, bytes: u64) -> u64 {
    let server = Server::start(content, Nature::Slow(20)).await;
    let request = place.request(content, &[&server]);
    let before = place.heard.verified.load(Ordering::SeqCst);
    let enough = async {
        while place.heard.verified.load(Ordering::SeqCst) < before + bytes {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        fetched = fetch(&request, &place.heard) => panic!("it was too fast: {fetched:?}"),
        () = enough => {}
        () = tokio::time::sleep(BOUND) => panic!("it takes too long"),
    }
    place.heard.verified.load(Ordering::SeqCst) - before
}

async fn go_on(place: &Place, content: &Content) -> Fetched {
    let server = Server::start(content, Nature::Good).await;
    let fetched = place.fetch(content, &[&server]).await.unwrap();
    place.assert_whole(content);
    // The last block comes once more when it proves the size.
    assert!(server.sent() <= fetched.fetched_bytes + BLOCK, "{} for {fetched:?}", server.sent());
    fetched
}

#[tokio::test]
async fn a_download_that_was_given_up_goes_on() {
    let (content, place) = (Content::new(16 * MIB + 3), Place::new());
    let mut verified = 0;
    for _ in 0..3 {
        verified += cut_at(&place, &content, 3 * BLOCK).await;
        assert_eq!(place.names(), ["file.p2pci-part", "file.p2pci-part.journal"]);
    }
    let fetched = go_on(&place, &content).await;
    // What was verified counts, though it was not told any more.
    assert!(fetched.resumed_bytes >= verified - 2 * BLOCK, "{verified} {fetched:?}");
    assert!(!place.heard.has("Rehashing"), "nobody touched it");
}

#[tokio::test]
async fn a_touched_part_is_hashed_again_and_only_what_is_wrong_is_fetched() {
    let (content, place) = (Content::new(12 * MIB), Place::new());
    cut_at(&place, &content, 6 * BLOCK).await;
    wait_until_free(&place).await;
    let part = File::options().write(true).open(place.part()).unwrap();
    // Some verified block gets a wrong byte; which ones are there, nobody promises.
    let there = std::fs::read(place.part()).unwrap();
    let block = (0..12).find(|block| {
        there.get(block * MIB..(block + 1) * MIB) == content.bytes.get(block * MIB..(block + 1) * MIB)
    });
    let at = block.unwrap() * MIB + 5;
    part.write_all_at(&[!content.bytes[at]], at as u64).unwrap();
    let fetched = go_on(&place, &content).await;
    assert!(place.heard.has("Rehashing"));
    assert!(fetched.resumed_bytes >= 4 * BLOCK && fetched.resumed_bytes <= 11 * BLOCK, "{fetched:?}");
}

#[tokio::test]
async fn a_part_that_was_cut_short_loses_what_is_gone() {
    let (content, place) = (Content::new(12 * MIB), Place::new());
    cut_at(&place, &content, 6 * BLOCK).await;
    wait_until_free(&place).await;
    File::options().write(true).open(place.part()).unwrap().set_len(5).unwrap();
    let fetched = go_on(&place, &content).await;
    assert_eq!(fetched.resumed_bytes, 0);
}

#[tokio::test]
async fn a_journal_that_was_cut_still_counts_as_far_as_it_goes() {
    let (content, place) = (Content::new(12 * MIB), Place::new());
    cut_at(&place, &content, 6 * BLOCK).await;
    wait_until_free(&place).await;
    let journal = File::options().write(true).open(place.journal()).unwrap();
    let length = journal.metadata().unwrap().len();
    journal.set_len(length - 2 * 64 - 7).unwrap();
    let fetched = go_on(&place, &content).await;
    assert!(fetched.resumed_bytes >= 2 * BLOCK, "{fetched:?}");
}

#[tokio::test]
async fn a_journal_of_garbage_starts_again() {
    for garbage in [&b""[..], &[0xff; 5000], b"P2PCI-J1 and then nothing of sense"] {
        let (content, place) = (Content::new(5 * MIB), Place::new());
        cut_at(&place, &content, 2 * BLOCK).await;
        wait_until_free(&place).await;
        std::fs::write(place.journal(), garbage).unwrap();
        assert_eq!(go_on(&place, &content).await.resumed_bytes, 0);
    }
}

#[tokio::test]
async fn another_content_under_the_same_name_starts_again() {
    let (content, other, place) = (Content::new(5 * MIB), Content::new(5 * MIB + 1), Place::new());
    cut_at(&place, &content, 2 * BLOCK).await;
    assert_eq!(go_on(&place, &other).await.resumed_bytes, 0);
}

#[tokio::test]
async fn what_is_whole_needs_nobody() {
    let (content, place) = (Content::new(3 * MIB), Place::new());
    cut_at(&place, &content, 2 * BLOCK).await;
    wait_until_free(&place).await;
    // As if it had died just before its last step: all blocks are there, the name is not.
    let (part, journal) = (place.part(), place.journal());
    let kept = place.path().join("kept");
    let server = Server::start(&content, Nature::Good).await;
    std::fs::create_dir(place.target()).unwrap();
    let failed = place.fetch(&content, &[&server]).await.unwrap_err();
    assert!(matches!(failed, FetchError::NotAFile { .. }), "{failed:?}");
    assert!(part.exists() && journal.exists() && !kept.exists());
    std::fs::remove_dir(place.target()).unwrap();
    go_on(&place, &content).await;
}

#[tokio::test]
async fn it_goes_on_from_other_sources_when_one_dies() {
    let (content, place) = (Content::new(10 * MIB), Place::new());
    let dying = Server::start(&content, Nature::Cuts(2 * MIB - 10)).await;
    let good = Server::start(&content, Nature::Slow(20)).await;
    place.fetch(&content, &[&dying, &good]).await.unwrap();
    place.assert_whole(&content);
}

/// A download that was given up writes its last block yet.
async fn wait_until_free(place: &Place) {
    let part = File::options().read(true).open(place.part()).unwrap();
    let free = async {
        while part.try_lock().is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(BOUND, free).await.unwrap();
}

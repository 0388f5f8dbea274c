//! A download whose process is killed, again and again.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use peer::fetch::fetch;
use proto::transfer::blocks::Layout;
use proto::transfer::journal::{Boot, ChangeTime, Subject, read};
use proto::value::digest::Digest;

use crate::servers::{BOUND, Content, Heard, MIB, Nature, Place, Server, patient, peer};

/// Tells the process that is to be killed what to do: hash, source and target.
const ORDER: &str = "FETCH_ORDER";
const KILLS: usize = 20;

/// The process that is killed, which is this very program.
#[tokio::test]
#[ignore = "it is started by the test below"]
async fn downloads_as_ordered() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let [hash, source, target] = order.split(' ').collect::<Vec<_>>()[..] else { panic!("{order}") };
    let request = peer::fetch::Request {
        hash: hash.parse().unwrap(),
        size: None,
        sources: vec![peer(source.parse().unwrap())],
        target: target.into(),
        force: false,
        keep_free_percent: 0,
        timing: patient(),
        limit: peer::limit::RateLimit::default(),
        partial: Vec::new(),
        joining: None,
        check: None,
        receipts: None,
    };
    let heard = Heard::default();
    fetch(&request, &heard).await.unwrap();
    assert!(!heard.has("Rehashing"), "nobody touched the part");
}

fn start(content: &Content, server: &Server, place: &Place) -> Child {
    let source = format!("{}:{}", server.peer.host(), server.peer.port());
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::downloads_as_ordered", "--ignored"])
        .env(ORDER, format!("{} {source} {}", content.hash, place.target().display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Blocks that the journal holds as verified.
fn verified(journal: &Path, hash: Digest, layout: Layout) -> BTreeSet<u32> {
    let bytes = std::fs::read(journal).unwrap_or_default();
    let subject = Subject { root: hash, layout };
    let resumed = read(&bytes, &subject, ChangeTime(0), Boot([0; 16]));
    resumed.map(|resumed| resumed.verified.iter().collect()).unwrap_or_default()
}

/// Blocks that were asked for, from the log of the server.
fn asked(log: &[String]) -> Vec<u32> {
    let ranges = log.iter().filter_map(|line| line.split_once(" bytes ")?.1.split_once(".."));
    let blocks = ranges.flat_map(|(from, to)| {
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        (from / MIB..to.div_ceil(MIB)).map(|block| block as u32)
    });
    blocks.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_that_is_killed_fetches_again_only_what_was_not_verified() {
    let (content, place) = (Content::new(64 * MIB + 5), Place::new());
    let layout = content.list.layout();
    let server = Server::start(&content, Nature::Slow(2)).await;
    let mut there = BTreeSet::new();
    for kill in 0..KILLS {
        let before = server.requests.lock().unwrap().len();
        let mut child = start(&content, &server, &place);
        let (enough, started) = (there.len() + 1 + kill % 4, Instant::now());
        while verified(&place.journal(), content.hash, layout).len() < enough {
            assert!(
                started.elapsed() < BOUND && child.try_wait().unwrap().is_none(),
                "run {kill} ended early"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_not_again(&server, before, &there, layout);
        let now = verified(&place.journal(), content.hash, layout);
        assert!(now.is_superset(&there), "verified blocks were forgotten");
        there = now;
        assert!(!place.target().exists() || there.len() == 65);
    }
    let before = server.requests.lock().unwrap().len();
    let ended = start(&content, &server, &place).wait().unwrap();
    assert!(ended.success());
    assert_not_again(&server, before, &there, layout);
    place.assert_whole(&content);
    // What is lost: the block that came, and what was on its way (at most 4 blocks are asked for in advance), and the last
    // block once more for each start.
    let lost = server.sent() - content.bytes.len() as u64;
    assert!(lost <= (KILLS * 5 * MIB) as u64, "{lost} bytes were sent in vain");
}

/// Nothing that was verified is asked for again, but the last block, which proves the size.
fn assert_not_again(server: &Server, before: usize, there: &BTreeSet<u32>, layout: Layout) {
    let log = server.requests.lock().unwrap();
    let again = asked(&log[before..]).into_iter().filter(|block| there.contains(block));
    let again: Vec<u32> = again.filter(|block| *block != layout.blocks() - 1).collect();
    assert!(again.is_empty(), "asked for again: {again:?}");
}

//! `kill -9`, of either side.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::proxy::Proxy;
use super::{Download, uploaded};
use crate::world::{BLOCK, PATIENCE, Sharer, wait_for};

/// How often the downloader is killed.
const KILLS: u64 = 20;
/// Pause after each 32 KiB: a block takes several times as long to come as to be verified and written, so that at most one is
/// on its way from the network to the disk.
const PAUSE: Duration = Duration::from_micros(800);
/// What comes while the last block is written, what the downloader has not read when it is killed, and heads of answers.
const UNDERWAY: u64 = 256 * 1024;

/// Whatever comes next of a row of numbers that looks random.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn twenty_kills_of_the_downloader_refetch_at_most_a_block_each() {
    let download = Download::new(200 * BLOCK, "1G");
    let list_bytes = 200 * 32;
    let proxy = Proxy::start(download.sharer.port(), PAUSE);
    let mut random = u64::from(std::process::id()) | 1;
    let mut refetched = Vec::new();
    for kill in 0..KILLS {
        let (passed, verified) = (proxy.passed(), download.verified_bytes());
        let mut getting = download.begin(Some(&proxy.address()));
        // Some die before anything came, most of them somewhere within a block.
        let enough = passed + next(&mut random) % (14 * BLOCK);
        let began = Instant::now();
        while proxy.passed() < enough && began.elapsed() < PATIENCE {
            assert!(!getting.has_ended(), "kill {kill}: it ended: {}", getting.stderr());
            std::thread::sleep(Duration::from_micros(200));
        }
        getting.kill();
        assert!(download.verified_bytes() >= verified, "kill {kill}: nothing that was verified is lost");
        let came = proxy.passed() - passed;
        let kept = download.verified_bytes() - verified;
        refetched.push(came.saturating_sub(kept + list_bytes));
    }
    let resumed = download.verified_bytes();
    let passed = proxy.passed();
    let last = download.run(Some(&proxy.address()));
    let told = download.whole(&last);
    assert_eq!(told.resumed, resumed, "all that was verified counts");
    refetched.push((proxy.passed() - passed).saturating_sub(told.fetched + list_bytes));
    eprintln!("bytes that came in vain, kill by kill: {refetched:?}");
    // On a busy machine a block may come before the one before it is on the disk: then one kill costs both.
    for (kill, bytes) in refetched.iter().enumerate() {
        assert!(*bytes <= 2 * BLOCK + UNDERWAY, "kill {kill} cost {bytes} bytes: {refetched:?}");
    }
    let all: u64 = refetched.iter().sum();
    assert!(all <= KILLS * BLOCK, "{KILLS} kills cost {all} bytes: {refetched:?}");
}

#[test]
fn a_sharer_that_is_killed_and_started_again_goes_on_being_of_use() {
    let mut download = Download::new(24 * BLOCK, "12M");
    let mut getting = download.begin(None);
    wait_for(PATIENCE, "some verified blocks", || (download.verified().len() >= 5).then_some(()));
    download.sharer.process().kill();
    assert_eq!(getting.exit_code(PATIENCE), Some(1), "{}", getting.stderr());
    let verified = download.verified_bytes();
    assert!(verified >= 5 * BLOCK && verified < download.size());
    download.sharer = Sharer::start(&download.root, &download.index.address());
    download.index.wait_hashed(1);
    let told = download.whole(&download.run(None));
    assert_eq!(told.resumed, verified);
    download.sharer.process().signal(Signal::TERM);
    assert_eq!(download.sharer.process().exit_code(PATIENCE), Some(0));
    let sent = uploaded(&mut download.sharer);
    assert!(sent <= told.fetched + BLOCK + UNDERWAY, "{sent} bytes were sent for {told:?}");
}

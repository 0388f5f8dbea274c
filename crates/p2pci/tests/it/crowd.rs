//! Many peers at once: a thousand join, add and leave, twice, and nothing of them stays.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::world::spec::{LIST, NOT_FOUND, add, lookup, ok};
use crate::world::{Index, PATIENCE, Raw, wait_for};

/// How many join.
const PEERS: u32 = 1000;
/// How many files each of them has.
const FILES: u32 = 10;
/// Connections are opened and used by so many threads of the test.
const THREADS: u32 = 8;

/// An address for each: 127.20.0.1 and on.
fn address(peer: u32) -> Ipv4Addr {
    Ipv4Addr::from(Ipv4Addr::new(127, 20, 0, 1).to_bits() + peer * 7)
}

/// Joins as one peer and adds its files, all in one go.
fn join(index: &Index, peer: u32) -> Raw {
    let mut raw = index.raw_from(address(peer));
    let files = (0..FILES).map(|file| (peer * FILES + file) % 500 + 1);
    let adds: String = files.clone().map(|n| add(n, "Title", &format!("host{peer}"), 5000)).collect();
    let answers: String = files.map(|n| ok(&[&format!("RFC {n} Title host{peer} 5000")])).collect();
    raw.exchange(adds, answers);
    raw
}

fn join_all(index: &Index) -> Vec<Raw> {
    std::thread::scope(|scope| {
        let share = |thread: u32| (0..PEERS).filter(move |peer| peer % THREADS == thread);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || share(thread).map(|peer| join(index, peer)).collect::<Vec<Raw>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_thousand_peers_join_and_leave_twice_and_nothing_stays() {
    net::descriptors::raise_open_file_limit();
    let index = Index::with(&["--quiet"]);
    // One visitor first, so that whatever is made once has been made.
    index.raw().exchange(LIST, NOT_FOUND);
    wait_for(PATIENCE, "the visitor to be gone", || (index.status().peers == 0).then_some(()));
    let (start, descriptors) = (index.status(), index.descriptors());
    for round in 1..=2 {
        let crowd = join_all(&index);
        let full = index.status();
        assert_eq!((full.peers, full.records), (1000, 10_000), "round {round}: {full:?}");
        assert!(full.tasks <= start.tasks + u64::from(PEERS), "one task a peer: {full:?}");
        drop(crowd);
        wait_for(PATIENCE, "tasks and records to be back at the start", || {
            (index.status() == start).then_some(())
        });
        wait_for(PATIENCE, "descriptors to be back at the start", || {
            (index.descriptors() <= descriptors).then_some(())
        });
        index.raw().exchange(LIST, NOT_FOUND);
        wait_for(PATIENCE, "the asker to be gone", || (index.status() == start).then_some(()));
    }
}

#[test]
fn records_go_within_100_ms_of_the_close_of_their_connection() {
    let index = Index::start();
    let mut asker = index.raw();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let leaving = join(&index, 1);
        assert_ne!(asker.ask_whole(&lookup(11)), NOT_FOUND);
        drop(leaving);
        let closed = Instant::now();
        wait_for(PATIENCE, "the records to go", || (asker.ask_whole(&lookup(11)) == NOT_FOUND).then_some(()));
        slowest = slowest.max(closed.elapsed());
    }
    // Five times the target, for a machine that is busy with other tests.
    assert!(slowest < Duration::from_millis(500), "a record was there {slowest:?} after the close");
}

//! Threat I23: numbers that somebody has chosen so that they meet. A million of them cost what a million others cost.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use index::store::{MemoryStore, Peer, Quotas, Store};
use proto::directory::SessionId;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};

const MANY: u32 = 1_000_000;
/// Records that are added between two looks at the clock.
const BATCH: u32 = 100;

/// The n-th of some numbers.
type Choice = fn(u32) -> u32;

/// How the numbers are chosen, all of them different.
const CHOICES: [(&str, Choice); 5] = [
    // An odd factor: every number once, in no order.
    ("scattered", |at| (at + 1).wrapping_mul(0x9e37_79b1)),
    ("in a row", |at| at + 1),
    ("backwards", |at| u32::MAX - at),
    // One in each block of those that share a shard.
    ("apart", |at| (at + 1) << 12),
    // Those whose low bits, or high ones, are all the same.
    ("mirrored", |at| (at + 1).reverse_bits() | 1),
];

fn numbers_differ(choice: Choice) -> bool {
    let mut all: Vec<u32> = (0..MANY).map(choice).collect();
    all.sort_unstable();
    all.dedup();
    all.len() == MANY as usize
}

/// A store, and how long each batch took.
struct Run {
    store: Store,
    session: SessionId,
    took: Vec<Duration>,
}

impl Run {
    fn new() -> Self {
        let quotas = Quotas { per_session: MANY as usize, total: MANY as usize };
        let store = Store::Memory(MemoryStore::new(quotas));
        let session = store.open();
        Self { store, session, took: Vec::new() }
    }

    fn add(&mut self, peer: &Arc<Peer>, numbers: impl Iterator<Item = u32>) {
        let Store::Memory(store) = &self.store else { panic!("another store") };
        let began = Instant::now();
        for number in numbers {
            store.add_title(self.session, RfcNumber::new(number).unwrap(), "T", peer).unwrap();
        }
        self.took.push(began.elapsed());
    }

    /// What 99 of a hundred batches stay below, of the last half.
    fn p99(&mut self) -> Duration {
        let mut late = self.took.split_off(self.took.len() / 2);
        late.sort_unstable();
        late[late.len() * 99 / 100]
    }
}

#[test]
fn i23_a_million_chosen_numbers_are_taken_as_fast_as_others() {
    let claimed = PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(7).unwrap());
    let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let mut runs = CHOICES.map(|(_, choice)| {
        assert!(numbers_differ(choice));
        Run::new()
    });
    // In turns, so that whatever else the machine does meets all of them.
    for from in (0..MANY).step_by(BATCH as usize) {
        for (run, (_, choice)) in runs.iter_mut().zip(CHOICES) {
            run.add(&peer, (from..from + BATCH).map(choice));
        }
    }
    let all = runs.each_mut().map(Run::p99);
    // What meets in one place costs thousands of steps here, and not five times as many.
    let most = 5 * all[0] + Duration::from_millis(1);
    for ((name, _), took) in CHOICES.iter().zip(all) {
        println!("{name}: {BATCH} of them in {took:?} (p99)");
        assert!(took <= most, "{name}: {took:?}, and {:?} for scattered ones", all[0]);
    }
}

//! What a store means: one suite for every engine, and a naive model beside it.
//!
//! A new engine is one line in [`engines`].
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use index::store::{
    Applied, ClusterSettings, ClusterStore, Counts, MemoryStore, Op, Page, Peer, Quotas, Range, Store,
    StoreError,
};
use proptest::prelude::*;
use proto::directory::{Cursor, Key, Said, SessionId};
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use proto::wire::refusal::Reason;

const SOME: Quotas = Quotas { per_session: 1_000, total: 10_000 };

fn engines(quotas: Quotas) -> Vec<Store> {
    // Nobody listens there: a node whose engine is away is as good as one that stands alone. With an engine, see the tests of p2pci.
    let engine = "redis+cluster://127.0.0.1:9".parse().unwrap();
    let settings = ClusterSettings { engine, secure: None, advertised: None, machine: 1 };
    vec![
        Store::Memory(MemoryStore::new(quotas)),
        Store::Memory(MemoryStore::searchable(quotas).unwrap()),
        Store::Cluster(ClusterStore::new(MemoryStore::new(quotas), settings)),
    ]
}

/// Runs a future that has nothing to wait for.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the store waits for something"),
    }
}

fn rfc(number: u32) -> RfcNumber {
    RfcNumber::new(number).unwrap()
}

fn key(number: u32) -> Key {
    Key::Rfc(rfc(number))
}

fn peer(host: &str) -> Arc<Peer> {
    let claimed = PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(7).unwrap());
    Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

fn add(store: &Store, session: SessionId, number: u32, title: &str) -> Result<Applied, StoreError> {
    now(store.apply(session, Op::AddTitle { number: rfc(number), title, peer: peer("h") }))
}

/// Everything in a store as (number, session, title), read in pages of `size`.
fn listed(store: &Store, size: usize) -> Vec<(u32, SessionId, String)> {
    all_pages(size, |after| now(store.list(&Range::Numbers, after, size)))
}

fn held(store: &Store, number: u32, size: usize) -> Vec<(u32, SessionId, String)> {
    all_pages(size, |after| now(store.lookup(&key(number), after, size)))
}

fn all_pages(size: usize, page: impl Fn(Option<Cursor>) -> Page) -> Vec<(u32, SessionId, String)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = page(after);
        assert!(page.entries.len() <= size);
        all.extend(rows(&page));
        after = match page.next {
            None => return all,
            next => next,
        };
    }
}

fn rows(page: &Page) -> impl Iterator<Item = (u32, SessionId, String)> {
    page.entries.iter().map(|entry| {
        let (Key::Rfc(number), Said::Title(title)) = (&entry.key, &entry.said) else { panic!("{entry:?}") };
        (number.get(), entry.session, title.to_string())
    })
}

#[test]
fn a_session_owns_its_records_and_nobody_elses() {
    for store in engines(SOME) {
        let (a, b) = (store.open(), store.open());
        assert!(a < b, "ids rise");
        assert_eq!(add(&store, a, 1, "one"), Ok(Applied::Added));
        assert_eq!(add(&store, b, 1, "another one"), Ok(Applied::Added));
        assert_eq!(add(&store, a, 2, "two"), Ok(Applied::Added));
        assert_eq!(add(&store, a, 1, "one, again"), Ok(Applied::Replaced));
        let holders = [(1, a, "one, again".to_owned()), (1, b, "another one".to_owned())];
        assert_eq!(held(&store, 1, 1), holders);
        assert_eq!(store.counts(), Counts { sessions: 2, records: 3 });
        assert_eq!((store.close(a), store.close(a)), (2, 0));
        assert_eq!(listed(&store, 9), holders[1..]);
        assert_eq!(held(&store, 2, 9), []);
        assert_eq!(store.close(b), 1);
        assert_eq!(store.counts(), Counts { sessions: 0, records: 0 });
        assert!(store.open() > b, "ids are not used again");
    }
}

#[test]
fn a_closed_session_gets_no_records() {
    for store in engines(SOME) {
        let session = store.open();
        store.close(session);
        assert_eq!(add(&store, session, 1, "late"), Err(StoreError::Closed));
        assert_eq!(add(&store, SessionId(1_000), 1, "never opened"), Err(StoreError::Closed));
        assert_eq!(store.counts(), Counts { sessions: 0, records: 0 });
    }
}

#[test]
fn quotas_refuse_the_next_record_and_keep_the_earlier_ones() {
    for store in engines(Quotas { per_session: 3, total: 4 }) {
        let (a, b) = (store.open(), store.open());
        for number in 1..=3 {
            assert_eq!(add(&store, a, number, "t"), Ok(Applied::Added));
        }
        assert_eq!(add(&store, a, 4, "t"), Err(StoreError::SessionFull { max: 3 }));
        assert_eq!(add(&store, b, 1, "t"), Ok(Applied::Added));
        let full = StoreError::Full { max: 4 };
        assert_eq!(add(&store, b, 2, "t"), Err(full));
        assert_eq!(full.reason(), Reason::TooManyRecords(4));
        assert_eq!(add(&store, a, 3, "new"), Ok(Applied::Replaced));
        assert_eq!(add(&store, b, 1, "new"), Ok(Applied::Replaced));
        assert_eq!(listed(&store, 2).len(), 4);
        store.close(a);
        assert_eq!(add(&store, b, 2, "t"), Ok(Applied::Added), "a place that came free");
    }
}

#[test]
fn records_that_were_there_all_along_are_listed_once_while_others_come_and_go() {
    for store in engines(SOME) {
        let steady = store.open();
        let mine: Vec<u32> = (1..=500).map(|n| n * 10).collect();
        for number in &mine {
            add(&store, steady, *number, "steady").unwrap();
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let session = store.open();
                    for number in 1..=300 {
                        add(&store, session, number * 16 + 1, "fleeting").unwrap();
                    }
                    assert_eq!(store.close(session), 300);
                }
            });
            let _end = SetAtEnd(&done);
            for size in [1, 2, 3, 7, 256] {
                let all = listed(&store, size);
                assert!(all.is_sorted(), "pages of {size}");
                let seen: Vec<u32> =
                    all.iter().filter(|(_, session, _)| *session == steady).map(|row| row.0).collect();
                assert_eq!(seen, mine, "pages of {size}");
            }
        });
        assert_eq!(store.counts(), Counts { sessions: 1, records: mine.len() });
    }
}

/// Ends the other thread also when this one fails.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Join,
    Add { peer: usize, number: u32, title: u8 },
    Leave { peer: usize },
}

/// Numbers of which neighbours are in one block of a shard, and others are not.
fn number(at: u32) -> u32 {
    at + at / 4 * 254
}

fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let add = (0..6usize, 1..24u32, 0..3u8).prop_map(|(peer, at, title)| Step::Add {
        peer,
        number: number(at),
        title,
    });
    let leave = (0..6usize).prop_map(|peer| Step::Leave { peer });
    proptest::collection::vec(prop_oneof![1 => Just(Step::Join), 8 => add, 1 => leave], count)
}

/// What the store must be: the open sessions in the order of joining, and the records in theirs.
#[derive(Debug, Default)]
struct Model {
    open: Vec<SessionId>,
    records: BTreeMap<(u32, SessionId), String>,
}

impl Model {
    fn apply(&mut self, step: &Step, store: &Store) {
        match step {
            Step::Join => self.open.push(store.open()),
            Step::Add { peer, number, title } => {
                let Some(session) = self.open.get(*peer) else { return };
                let title = format!("title {title}");
                let replaced = self.records.insert((*number, *session), title.clone()).is_some();
                let applied = if replaced { Applied::Replaced } else { Applied::Added };
                assert_eq!(add(store, *session, *number, &title), Ok(applied));
            }
            Step::Leave { peer } if *peer < self.open.len() => {
                let session = self.open.remove(*peer);
                let before = self.records.len();
                self.records.retain(|(_, owner), _| *owner != session);
                assert_eq!(store.close(session), before - self.records.len());
            }
            Step::Leave { .. } => {}
        }
    }

    fn rows(&self) -> Vec<(u32, SessionId, String)> {
        self.records.iter().map(|((number, session), title)| (*number, *session, title.clone())).collect()
    }

    fn places(&self) -> BTreeSet<(u32, SessionId)> {
        self.records.keys().copied().collect()
    }
}

proptest! {
    #[test]
    fn a_store_equals_a_naive_model(steps in steps(0..120), size in 1usize..6) {
        for store in engines(SOME) {
            let mut model = Model::default();
            for step in &steps {
                model.apply(step, &store);
                let counts = Counts { sessions: model.open.len(), records: model.records.len() };
                prop_assert_eq!(store.counts(), counts);
            }
            prop_assert_eq!(listed(&store, size), model.rows());
            for number in (1..24).map(number) {
                let expected: Vec<_> = model.rows().into_iter().filter(|row| row.0 == number).collect();
                prop_assert_eq!(held(&store, number, size), expected);
            }
        }
    }

    #[test]
    fn a_list_between_changes_misses_nothing_and_repeats_nothing(
        before in steps(0..80),
        between in steps(0..80),
        size in 1usize..6,
    ) {
        for store in engines(SOME) {
            let mut model = Model::default();
            before.iter().for_each(|step| model.apply(step, &store));
            let (mut steady, mut ever) = (model.places(), model.places());
            let (mut seen, mut after, mut changes) = (Vec::new(), None, between.iter());
            loop {
                let page = now(store.list(&Range::Numbers, after, size));
                seen.extend(rows(&page).map(|(number, session, _)| (number, session)));
                after = page.next;
                if after.is_none() {
                    break;
                }
                if let Some(step) = changes.next() {
                    model.apply(step, &store);
                    let here = model.places();
                    steady.retain(|place| here.contains(place));
                    ever.extend(here);
                }
            }
            prop_assert!(seen.is_sorted());
            let once: BTreeSet<_> = seen.iter().copied().collect();
            prop_assert_eq!(once.len(), seen.len(), "twice");
            prop_assert!(steady.is_subset(&once), "missed");
            prop_assert!(once.is_subset(&ever), "never there");
        }
    }
}

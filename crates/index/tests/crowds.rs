//! Records meant to do harm by what they say or by how many they are: each costs what any other costs, and all of it is given back.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use index::store::{Applied, Asked, MemoryStore, Op, Peer, Quotas, Store, StoreError};
use proto::directory::{Key, SessionId};
use proto::limits::RECORDS_PER_SESSION_MAX;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};

fn peer(host: &str) -> Arc<Peer> {
    let claimed = PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(7).unwrap());
    Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

fn add(
    store: &MemoryStore,
    session: SessionId,
    number: u32,
    title: &str,
    peer: &Arc<Peer>,
) -> Result<Applied, StoreError> {
    let number = RfcNumber::new(number).unwrap();
    store.apply(session, Op::AddTitle { number, title, peer: Arc::clone(peer) })
}

/// Hosts of all records of a number.
fn hosts(store: &MemoryStore, number: u32) -> Vec<String> {
    let (key, mut hosts) = (Key::Rfc(RfcNumber::new(number).unwrap()), Vec::new());
    store.visit(Asked::Holders(&key), None, &mut |record| {
        hosts.push(record.peer.claimed().host().to_owned());
        ControlFlow::Continue(())
    });
    hosts
}

#[test]
fn fault_the_100_001st_record_of_a_peer_is_refused_and_the_others_stay() {
    let store = Store::Memory(MemoryStore::default());
    let (session, peer) = (store.open(), peer("h"));
    let memory = store.at_once().unwrap();
    let max = u32::try_from(RECORDS_PER_SESSION_MAX).unwrap();
    for number in 1..=max {
        assert_eq!(add(memory, session, number, "t", &peer), Ok(Applied::Added));
    }
    let refused = Err(StoreError::SessionFull { max: RECORDS_PER_SESSION_MAX });
    assert_eq!(add(memory, session, max + 1, "t", &peer), refused);
    assert_eq!(add(memory, session, max, "another", &peer), Ok(Applied::Replaced));
    assert_eq!((store.counts().records, hosts(memory, max + 1).len()), (RECORDS_PER_SESSION_MAX, 0));
    assert_eq!([1, max].map(|number| hosts(memory, number).len()), [1, 1]);
    assert_eq!(add(memory, store.open(), max + 1, "t", &peer), Ok(Applied::Added), "others may go on");
}

/// Titles of one length, and of one sum and one hash in the ways in which texts are often hashed: `Aa` and `BB` are alike.
fn alike(number: u32) -> String {
    (0..20).map(|bit| if number >> bit & 1 == 0 { "Aa" } else { "BB" }).collect()
}

#[test]
fn fault_titles_chosen_to_collide_cost_what_others_cost() {
    const TITLES: u32 = 20_000;
    let time = |title: &dyn Fn(u32) -> String| {
        let store = Store::Memory(MemoryStore::searchable(Quotas::default()).unwrap());
        let (session, peer) = (store.open(), peer("h"));
        let started = Instant::now();
        for number in 1..=TITLES {
            add(store.at_once().unwrap(), session, number, &title(number), &peer).unwrap();
        }
        assert_eq!(store.close(session), TITLES as usize);
        started.elapsed()
    };
    let usual = time(&|number| format!("Title {number} and some other words more"));
    let colliding = time(&alike);
    // Colliding for good, the last ones would take thousands of times as long.
    let bound = usual * 20 + Duration::from_secs(2);
    assert!(colliding < bound, "{colliding:?}, others {usual:?}");
}

#[test]
fn fault_hosts_without_end_are_told_apart_and_forgotten_with_their_peers() {
    const SESSIONS: u32 = 10;
    let store = Store::Memory(MemoryStore::default());
    let memory = store.at_once().unwrap();
    // A million in all, each another one.
    let each = 100_000;
    let watched = peer("watched.example");
    let sessions: Vec<SessionId> = (0..SESSIONS).map(|_| store.open()).collect();
    for number in 1..each {
        for (at, session) in sessions.iter().enumerate() {
            add(memory, *session, number, "t", &peer(&format!("h{number}x{at}"))).unwrap();
        }
    }
    add(memory, sessions[0], each, "t", &watched).unwrap();
    let expected: Vec<String> = (0..SESSIONS).map(|at| format!("h7777x{at}")).collect();
    assert_eq!(hosts(memory, 7_777), expected);
    assert_eq!(Arc::strong_count(&watched), 2);
    let gone: usize = sessions.iter().map(|session| store.close(*session)).sum();
    assert_eq!(gone, ((each - 1) * SESSIONS + 1) as usize);
    assert_eq!((store.counts().records, Arc::strong_count(&watched)), (0, 1), "nothing keeps them");
}

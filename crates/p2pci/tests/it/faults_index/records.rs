//! Faults about whose records these are, and how long they live.

use std::time::Duration;

use crate::world::spec::{LIST, NOT_FOUND, add, lookup, ok};
use crate::world::{Index, PATIENCE, Raw, wait_for};

/// Waits until nobody has an RFC any more.
fn wait_until_gone(asker: &mut Raw, number: u32) {
    wait_for(PATIENCE, "the record to go", || (asker.ask_whole(&lookup(number)) == NOT_FOUND).then_some(()));
}

#[test]
fn fault_s2_a_half_closed_peer_keeps_its_records() {
    let index = Index::start();
    let mut asker = index.raw();
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    asker.exchange(lookup(1), ok(&["RFC 1 A julian 5000"]));
    // The other direction stays open: only the sending side has said that it leaves.
    peer.end_sending();
    wait_until_gone(&mut asker, 1);
    drop(peer);
}

#[test]
fn fault_s8_two_connections_with_the_same_host_and_port_that_leave_kill_the_index() {
    let index = Index::start();
    let mut asker = index.raw();
    for _ in 0..3 {
        let mut twins = [index.raw(), index.raw()];
        for twin in &mut twins {
            twin.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
        }
        for twin in twins {
            drop(twin);
        }
        wait_until_gone(&mut asker, 1);
    }
    asker.exchange(add(2, "B", "ada", 6000), ok(&["RFC 2 B ada 6000"]));
}

#[test]
fn fault_s10_a_stranger_who_claims_my_host_and_port_and_leaves_removes_my_records() {
    let index = Index::start();
    let mut mine = index.raw();
    mine.exchange(add(1, "Mine", "julian", 5000), ok(&["RFC 1 Mine julian 5000"]));
    let mut stranger = index.raw();
    stranger.exchange(add(1, "Other", "julian", 5000), ok(&["RFC 1 Other julian 5000"]));
    stranger.exchange(add(2, "Other", "julian", 5000), ok(&["RFC 2 Other julian 5000"]));
    drop(stranger);
    wait_until_gone(&mut mine, 2);
    mine.exchange(LIST, ok(&["RFC 1 Mine julian 5000"]));
}

#[test]
fn fault_s11_only_the_last_host_and_port_of_a_connection_are_cleaned() {
    let index = Index::start();
    let mut asker = index.raw();
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    peer.exchange(add(2, "B", "julian", 5001), ok(&["RFC 2 B julian 5001"]));
    peer.exchange(add(3, "C", "ada", 6000), ok(&["RFC 3 C ada 6000"]));
    drop(peer);
    wait_for(PATIENCE, "all three records to go", || (asker.ask_whole(LIST) == NOT_FOUND).then_some(()));
    assert_eq!(index.status().records, 0);
}

#[test]
fn fault_s12_only_the_last_number_is_pruned_and_200_comes_without_a_record() {
    let index = Index::start();
    let mut asker = index.raw();
    let mut peer = index.raw();
    for number in 1..=20 {
        let record = format!("RFC {number} A julian 5000");
        peer.exchange(add(number, "A", "julian", 5000), ok(&[&record]));
    }
    drop(peer);
    wait_until_gone(&mut asker, 1);
    for number in 1..=20 {
        asker.exchange(lookup(number), NOT_FOUND);
    }
    asker.exchange(LIST, NOT_FOUND);
    assert_eq!(index.status().records, 0);
}

#[test]
fn fault_s14_the_first_title_wins_for_all_peers() {
    let index = Index::start();
    let mut first = index.raw();
    first.exchange(add(1, "Poisoned", "mallory", 4000), ok(&["RFC 1 Poisoned mallory 4000"]));
    let mut second = index.raw();
    second.exchange(add(1, "Host Software", "julian", 5000), ok(&["RFC 1 Host Software julian 5000"]));
    let both = ["RFC 1 Poisoned mallory 4000", "RFC 1 Host Software julian 5000"];
    second.exchange(lookup(1), ok(&both));
    // A second ADD by the same peer replaces its own title, and nobody else's.
    second.exchange(add(1, "Better", "julian", 5000), ok(&["RFC 1 Better julian 5000"]));
    first.exchange(LIST, ok(&["RFC 1 Poisoned mallory 4000", "RFC 1 Better julian 5000"]));
    drop(first);
    wait_for(PATIENCE, "the first peer's record to go", || {
        (second.ask_whole(&lookup(1)) == ok(&["RFC 1 Better julian 5000"])).then_some(())
    });
}

#[test]
fn fault_s26_a_lookup_that_meets_a_leaving_peer_is_answered_400() {
    let index = Index::start();
    let mut asker = index.raw();
    let there = ok(&["RFC 1 A julian 5000"]);
    let comings = 200;
    std::thread::scope(|scope| {
        let coming = scope.spawn(|| {
            for _ in 0..comings {
                let mut peer = index.raw();
                peer.exchange(add(1, "A", "julian", 5000), &there);
            }
        });
        while !coming.is_finished() {
            let answer = asker.ask_whole(&lookup(1));
            // Two of them may overlap, as a peer's place is only given up once its end was seen.
            let records = answer.matches("RFC 1 A julian 5000\r\n").count();
            let whole = ok(&vec!["RFC 1 A julian 5000"; records]);
            assert!(answer == NOT_FOUND || (records > 0 && answer == whole), "{answer:?}");
        }
    });
    wait_until_gone(&mut asker, 1);
}

#[test]
fn fault_s27_a_connection_that_is_lost_in_another_way_than_by_closing_keeps_its_records() {
    let index = Index::start();
    let mut asker = index.raw();
    let mut reset = index.raw();
    reset.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    reset.reset();
    wait_until_gone(&mut asker, 1);

    // Lost while an answer is on its way to it: the index meets the error when it writes.
    let mut busy = index.raw();
    busy.exchange(add(2, "B", "julian", 5000), ok(&["RFC 2 B julian 5000"]));
    busy.send(lookup(2).repeat(2000));
    std::thread::sleep(Duration::from_millis(5));
    busy.reset();
    wait_until_gone(&mut asker, 2);
    let left = index
        .wait_event("the lost connection's line", |event| event["type"] == "left" && event["records"] == 1);
    assert!(left["why"].is_string(), "{left}");
}

//! How connections end, and that their records end with them while others notice nothing.

use std::time::Duration;

use crate::world::{BOUND, NOT_FOUND, PANIC, World, add_request, filled, list_request, lookup_request, ok};
use index::server::Settings;

/// What records may outlive their connection, five times over.
const GONE_WITHIN: Duration = Duration::from_millis(500);

#[test]
fn records_go_when_their_connection_closes() {
    let world = World::new();
    let mut stays = world.client();
    stays.ask(add_request(1, "stays"), &ok(&["RFC 1 stays h 1"]));
    let mut leaves = world.client();
    for number in 1..=50 {
        leaves.ask(add_request(number, "leaves"), &ok(&[&format!("RFC {number} leaves h 1")]));
    }
    drop(leaves);
    assert!(world.wait_for_records(1) < GONE_WITHIN);
    stays.ask(list_request(), &ok(&["RFC 1 stays h 1"]));
    world.ear.wait_for("left 2 records 50 EndOfFile");
}

#[test]
fn fault_s1_and_s2_a_half_closed_peer_is_gone_and_gets_nothing_more() {
    let world = World::new();
    let mut client = world.client();
    client.ask(add_request(1, "T"), &ok(&["RFC 1 T h 1"]));
    client.end_writing();
    assert_eq!(client.rest(), "");
    assert_eq!(world.server.status().records, 0);
    world.ear.wait_for("left 1 records 1 EndOfFile");
    assert_eq!(world.ear.count("refused"), 0);
}

#[test]
fn requests_before_the_end_are_answered() {
    let world = World::new();
    let mut client = world.client();
    client.send(add_request(1, "T") + &lookup_request(1));
    client.end_writing();
    assert_eq!(client.rest(), ok(&["RFC 1 T h 1"]).repeat(2));
}

#[test]
fn fault_s8_and_s10_the_same_claim_by_two_connections_is_two_peers() {
    let world = World::new();
    let (mut owner, mut stranger) = (world.client(), world.client());
    owner.ask(add_request(1, "mine"), &ok(&["RFC 1 mine h 1"]));
    stranger.ask(add_request(1, "mine"), &ok(&["RFC 1 mine h 1"]));
    drop(stranger);
    world.wait_for_records(1);
    owner.ask(lookup_request(1), &ok(&["RFC 1 mine h 1"]));
    drop(owner);
    world.wait_for_records(0);
    world.client().ask(lookup_request(1), NOT_FOUND);
}

#[test]
fn fault_s11_every_host_and_port_of_a_connection_goes_with_it() {
    let world = World::new();
    let mut client = world.client();
    for number in 1..=20 {
        let add = add_request(number, "T").replace("Port: 1", &format!("Port: {number}"));
        client.ask(add, &ok(&[&format!("RFC {number} T h {number}")]));
    }
    drop(client);
    world.wait_for_records(0);
    world.client().ask(list_request(), NOT_FOUND);
}

#[test]
fn a_connection_without_a_whole_request_joins_and_leaves() {
    let world = World::new();
    let mut client = world.client();
    client.send("~~\r\nLIST ALL");
    world.ear.wait_for("joined 1");
    drop(client);
    world.ear.wait_for("left 1 records 0 Refused(EndOfFile)");
}

#[test]
fn fault_s25_a_reader_that_takes_nothing_is_cut_off_and_others_notice_nothing() {
    let settings = Settings { write_stall: Duration::from_millis(300), ..Settings::default() };
    let world = World::with(settings, filled(1..=2_000, 500));
    let mut deaf = world.client();
    deaf.ask(add_request(9_999, "deaf"), &ok(&["RFC 9999 deaf h 1"]));
    // 64 MB: far more than the system holds for a connection.
    deaf.send(list_request().repeat(64));
    let mut other = world.client();
    while world.ear.count("Stalled") == 0 {
        other.ask(lookup_request(9_998), NOT_FOUND);
        assert!(world.server.status().since.elapsed() < BOUND, "never cut off");
    }
    world.ear.wait_for("left 2 records 1 Stalled");
    assert_eq!(world.server.status().records, 2_000);
}

#[test]
fn a_reset_ends_a_list_that_is_being_written() {
    let world = World::with(Settings::default(), filled(1..=2_000, 500));
    let mut client = world.client();
    client.ask(add_request(9_999, "T"), &ok(&["RFC 9999 T h 1"]));
    client.send(list_request().repeat(64));
    client.expect("P2P-CI/1.0 200 OK");
    // Closing with unread bytes sends a reset; the stall of 30 s is not what ends this.
    drop(client);
    assert!(world.wait_for_records(2_000) < Duration::from_secs(5));
    world.ear.wait_for("left 2 records 1 Error");
}

#[test]
fn a_panic_takes_its_own_session_only() {
    let world = World::new();
    let (mut doomed, mut other) = (world.client(), world.client());
    doomed.ask(add_request(1, "doomed"), &ok(&["RFC 1 doomed h 1"]));
    other.ask(add_request(2, "other"), &ok(&["RFC 2 other h 1"]));
    doomed.send(add_request(3, PANIC));
    world.ear.wait_for("handler panicked");
    assert_eq!(world.server.status().records, 1);
    other.ask(list_request(), &ok(&["RFC 2 other h 1"]));
    assert_eq!(world.server.status().peers, 1);
}

#[test]
fn a_stop_ends_every_session_cleanly() {
    let world = World::new();
    let mut clients: Vec<_> = (0..20).map(|_| world.client()).collect();
    for client in &mut clients {
        client.ask(add_request(1, "T"), &ok(&["RFC 1 T h 1"]));
    }
    let server = world.server.clone();
    let readers: Vec<_> =
        clients.into_iter().map(|mut client| std::thread::spawn(move || client.rest())).collect();
    let ear = world.stop();
    for reader in readers {
        assert_eq!(reader.join().unwrap(), "", "a clean end");
    }
    assert_eq!(ear.count("Stopping"), 20);
    assert_eq!((server.status().peers, server.status().records), (0, 0));
}

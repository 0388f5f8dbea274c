//! What is answered, and in which framing and order.

use crate::world::{
    NOT_FOUND, World, add_request, filled, held_by, list_request, lookup_request, ok, request,
};
use index::server::Settings;
use index::store::{MemoryStore, Store};
use proto::schedule::Order;

fn in_the_order_of_joining() -> Settings {
    Settings { order: Order::Added, ..Settings::default() }
}

#[test]
fn the_conversation_of_the_specification() {
    let world = World::with(in_the_order_of_joining(), Store::Memory(MemoryStore::default()));
    let (mut a, mut b) = (world.client(), world.client());
    a.ask(list_request(), NOT_FOUND);
    a.ask(
        "ADD RFC 123 P2P-CI/1.0\r\nHost: thishost.csc.ncsu.edu\r\nPort: 5678\r\nTitle: A Proferred Official ICP\r\n\r\n",
        "P2P-CI/1.0 200 OK\r\n\r\nRFC 123 A Proferred Official ICP thishost.csc.ncsu.edu 5678\r\n\r\n",
    );
    a.ask(lookup_request(3457), NOT_FOUND);
    b.ask(add_request(7, "Seven"), &ok(&["RFC 7 Seven h 1"]));
    b.ask(add_request(123, "Mine"), &ok(&["RFC 123 Mine h 1"]));
    let ours = "RFC 123 A Proferred Official ICP thishost.csc.ncsu.edu 5678";
    for client in [&mut a, &mut b] {
        client.ask(lookup_request(123), &ok(&[ours, "RFC 123 Mine h 1"]));
        client.ask(list_request(), &ok(&["RFC 7 Seven h 1", ours, "RFC 123 Mine h 1"]));
    }
    assert!(world.ear.wait_for("request LIST ALL").contains("404 Not Found 0"));
    world.ear.wait_for("200 OK 3");
    let status = world.server.status();
    assert_eq!((status.peers, status.records, status.requests), (2, 3, 9));
}

#[test]
fn the_conversation_of_the_original() {
    let world = World::new();
    let mut julian = world.client();
    julian.ask("LIST ALL P2P-CI/1.0\nHost: julian\nPost: 7163\n", "P2P-CI/1.0 404 Not Found\n");
    let record = "P2P-CI/1.0 200 OK\nRFC 1 Example 1 julian 7163\n";
    julian.ask("ADD RFC 1 P2P-CI/1.0\nHost: julian\nPost: 7163\nTitle: Example 1\n", record);
    julian.ask("LOOKUP RFC 1 P2P-CI/1.0\nHost: julian\nPost: 7163\nTitle: \n", record);
    julian.ask("LIST ALL P2P-CI/1.0\nHost: julian\nPost: 7163\n", record);
}

#[test]
fn fault_s4_pipelined_requests_are_each_answered_in_order() {
    let world = World::new();
    let mut client = world.client();
    let (mut requests, mut answers) = (String::new(), String::new());
    for number in 1..=100 {
        requests += &add_request(number, "T");
        requests += &lookup_request(number);
        let answer = ok(&[&format!("RFC {number} T h 1")]);
        answers += &answer;
        answers += &answer;
    }
    client.ask(requests, &answers);
    assert_eq!(world.server.status().requests, 200);
}

#[test]
fn fault_s3_one_byte_at_a_time_is_answered_as_the_whole() {
    let world = World::new();
    let mut client = world.client();
    let requests = [add_request(9, "Nine"), lookup_request(9), list_request()].concat();
    for byte in requests.as_bytes() {
        client.send([*byte]);
    }
    client.expect(&ok(&["RFC 9 Nine h 1"]).repeat(3));
}

#[test]
fn fault_s14_every_peer_keeps_its_own_title() {
    let world = World::new();
    let (mut a, mut b) = (world.client(), world.client());
    a.ask(add_request(1, "poison"), &ok(&["RFC 1 poison h 1"]));
    b.ask(add_request(1, "cure"), &ok(&["RFC 1 cure h 1"]));
    a.ask(add_request(1, "more poison"), &ok(&["RFC 1 more poison h 1"]));
    b.ask(lookup_request(1), &ok(&["RFC 1 more poison h 1", "RFC 1 cure h 1"]));
}

#[test]
fn fault_s15_headers_count_by_their_names() {
    let world = World::new();
    let swapped = request("ADD RFC 1", &[("title", "T"), ("PORT", "7"), ("X", "y"), ("host", "h")]);
    world.client().ask(swapped, &ok(&["RFC 1 T h 7"]));
}

#[test]
fn a_list_of_many_pages_is_whole_and_in_order() {
    let world = World::with(Settings::default(), filled(1..=3_000, 100));
    let title = "t".repeat(100);
    let records: Vec<String> = (1..=3_000).map(|number| format!("RFC {number} {title} h 1")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    world
        .client()
        .ask([list_request(), lookup_request(3_000)].concat(), &(ok(&records) + &ok(&records[2_999..])));
}

#[test]
fn every_holder_is_told_in_the_order_of_joining() {
    let world = World::with(in_the_order_of_joining(), held_by(700));
    let records: Vec<String> = (0..700).map(|holder| format!("RFC 1 title {holder} h 1")).collect();
    let records: Vec<&str> = records.iter().map(String::as_str).collect();
    world.client().ask(lookup_request(1), &ok(&records));
}

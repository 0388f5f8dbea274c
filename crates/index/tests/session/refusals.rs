//! Bad requests: answered, and nothing lost.

use crate::world::{BAD, World, add_request, list_request, lookup_request, ok, request};
use index::server::Settings;
use index::store::{MemoryStore, Quotas, Store};
use proto::wire::decoder::Reading;

const UNSUPPORTED: &str = "P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n";

#[test]
fn after_a_refusal_that_is_understood_the_connection_goes_on() {
    let add = |number: &str, host: &str, port: &str, title: &str| {
        request(&format!("ADD RFC {number}"), &[("Host", host), ("Port", port), ("Title", title)])
    };
    for (bad, answer, reason) in [
        ("FOO RFC 1 P2P-CI/1.0\r\n\r\n".to_owned(), BAD, "UnknownMethod"),
        ("QUIT\r\n\r\n".to_owned(), BAD, "RequestLine"),
        ("LIST RFC P2P-CI/1.0\r\n\r\n".to_owned(), BAD, "RequestLine"),
        ("LIST ALL P2P-CI/9.9\r\n\r\n".to_owned(), UNSUPPORTED, "Version"),
        (request("GET RFC 1", &[("Host", "h"), ("OS", "x")]), BAD, "NotServedHere"),
        (request("ADD RFC 1", &[("Host", "h"), ("Port", "1")]), BAD, "Missing(Title)"),
        (request("ADD RFC 1", &[("Port", "1"), ("Title", "t")]), BAD, "Missing(Host)"),
        (request("ADD RFC 1", &[("Host", "h"), ("Title", "t")]), BAD, "Missing(Port)"),
        (request("ADD RFC 1", &[("Host", "h"), ("Host", "i")]), BAD, "Duplicate(Host)"),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost h\r\n\r\n".to_owned(), BAD, "NoColon"),
        (add("-5", "h", "1", "t"), BAD, "Number"),
        (add("0", "h", "1", "t"), BAD, "Number"),
        (add("1_0", "h", "1", "t"), BAD, "Number"),
        (add("٣", "h", "1", "t"), BAD, "Number"),
        (add(&"9".repeat(400), "h", "1", "t"), BAD, "Number"),
        (add("1", "h", "0", "t"), BAD, "Value(Port"),
        (add("1", "h", "65536", "t"), BAD, "Value(Port"),
        (add("1", "two words", "1", "t"), BAD, "Value(Host"),
        (add("1", "h", "1", ""), BAD, "Value(Title, Empty)"),
        (add("1", "h", "1", "a\0b"), BAD, "Value(Title, Control)"),
        (add("1", "h", "1", "\x1b[2J"), BAD, "Value(Title, Control)"),
        (add("1", "h", "1", &"t".repeat(513)), BAD, "Value(Title, TooLong"),
    ] {
        let world = World::new();
        let mut client = world.client();
        client.ask(&bad, answer);
        assert!(world.ear.wait_for("refused").contains(reason), "{bad:?}");
        client.ask(add_request(7, "good"), &ok(&["RFC 7 good h 1"]));
        client.ask(list_request(), &ok(&["RFC 7 good h 1"]));
    }
}

#[test]
fn after_a_refusal_that_leaves_the_next_request_in_doubt_the_connection_closes() {
    let many: Vec<(&str, &str)> = vec![("X", "y"); 33];
    let long_head: Vec<(&str, String)> = (0..3).map(|_| ("X", "y".repeat(8_000))).collect();
    let long_head: Vec<(&str, &str)> =
        long_head.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for (bad, reason) in [
        (b"\x80\x04\x95 pickled".to_vec(), "NotText"),
        (b"A".repeat(8 * 1024 + 2), "LineTooLong"),
        (request("LIST ALL", &long_head).into_bytes(), "HeadTooLong"),
        (request("LIST ALL", &many).into_bytes(), "TooManyHeaders"),
        (request("LIST ALL", &[("Content-Length", "5")]).into_bytes(), "Body"),
    ] {
        let world = World::new();
        let mut client = world.client();
        client.ask(add_request(7, "good"), &ok(&["RFC 7 good h 1"]));
        client.send(&bad);
        assert_eq!(client.rest(), BAD, "{reason}");
        assert_eq!(world.server.status().records, 0, "gone before the end is seen: {reason}");
        assert!(world.ear.wait_for("refused").contains(reason), "{reason}");
        assert!(world.ear.wait_for("left").contains(reason), "{reason}");
    }
}

#[test]
fn an_incomplete_request_is_refused_in_time() {
    let world = World::new();
    let mut client = world.client();
    client.send("ADD RFC 1");
    assert_eq!(client.rest(), BAD);
    world.ear.wait_for("left 1 records 0 Refused(Incomplete)");
}

#[test]
fn the_end_in_the_middle_of_a_request_is_refused() {
    let world = World::new();
    let mut client = world.client();
    client.send(add_request(1, "whole") + "ADD RFC 2 P2P-CI/1.0\r\nHost:");
    client.end_writing();
    assert_eq!(client.rest(), ok(&["RFC 1 whole h 1"]) + BAD);
    world.ear.wait_for("left 1 records 1 Refused(EndOfFile)");
}

#[test]
fn strict_reading_refuses_what_lenient_reading_accepts() {
    let settings = Settings { reading: Reading::Strict, ..Settings::default() };
    let world = World::with(settings, Store::Memory(MemoryStore::default()));
    let mut client = world.client();
    client.ask("LIST ALL P2P-CI/1.0\nHost: h\nPort: 1\n\n", "P2P-CI/1.0 400 Bad Request\n\n");
    client.ask(add_request(1, "T"), &ok(&["RFC 1 T h 1"]));
}

#[test]
fn fault_s24_records_have_a_quota_and_the_earlier_ones_stay() {
    let world = World::with_quotas(Quotas { per_session: 2, total: 3 });
    let (mut a, mut b) = (world.client(), world.client());
    a.ask(add_request(1, "one"), &ok(&["RFC 1 one h 1"]));
    a.ask(add_request(2, "two"), &ok(&["RFC 2 two h 1"]));
    a.ask(add_request(3, "three"), BAD);
    world.ear.wait_for("TooManyRecords(2)");
    a.ask(add_request(2, "new"), &ok(&["RFC 2 new h 1"]));
    b.ask(add_request(1, "b"), &ok(&["RFC 1 b h 1"]));
    b.ask(add_request(2, "b"), BAD);
    world.ear.wait_for("TooManyRecords(3)");
    b.ask(lookup_request(2), &ok(&["RFC 2 new h 1"]));
}

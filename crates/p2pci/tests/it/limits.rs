//! Bad input and its limits: each is answered or cut off with a reason in the log, while other peers notice nothing.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::spec::{BAD_REQUEST, LIST, NOT_FOUND, add, lookup, ok};
use crate::world::{Index, PATIENCE, Raw, shown, wait_for};

/// A server must refuse this, close in order, and say why in its log.
fn is_refused_and_closed(index: &Index, request: &[u8], reason: &str) {
    let mut raw = index.raw();
    raw.send(request);
    let answer = raw.read_to_end();
    assert!(answer.starts_with(b"P2P-CI/1.0 400 Bad Request"), "{reason}: {}", shown(&answer));
    assert_eq!(answer.windows(3).filter(|word| word == b"400").count(), 1, "answered once");
    index.wait_event(&format!("the reason '{reason}'"), |event| {
        event["type"] == "refused" && event["reason"].as_str().is_some_and(|told| told.contains(reason))
    });
}

#[test]
fn a_line_longer_than_8_kib_is_refused() {
    let index = Index::start();
    let mut peer = index.raw();
    let line_of = |length: usize| {
        let header = format!("X: {}", "x".repeat(length - 3));
        add(1, "A", "julian", 5000).replace("Title:", &format!("{header}\r\nTitle:"))
    };
    peer.exchange(line_of(8 * 1024), ok(&["RFC 1 A julian 5000"]));
    is_refused_and_closed(&index, line_of(8 * 1024 + 1).as_bytes(), "a line is longer than 8192 bytes");
    // The end of the line need not come for that.
    is_refused_and_closed(&index, &[b'A'; 20_000], "a line is longer than 8192 bytes");
    peer.exchange(lookup(1), ok(&["RFC 1 A julian 5000"]));
}

#[test]
fn more_than_32_headers_are_refused() {
    let index = Index::start();
    let mut peer = index.raw();
    let with_headers = |count: usize| {
        let others: String = (3..count).map(|n| format!("X-{n}: y\r\n")).collect();
        add(1, "A", "julian", 5000).replace("Title:", &format!("{others}Title:"))
    };
    peer.exchange(with_headers(32), ok(&["RFC 1 A julian 5000"]));
    is_refused_and_closed(&index, with_headers(33).as_bytes(), "more than 32 header lines");
    peer.exchange(lookup(1), ok(&["RFC 1 A julian 5000"]));
}

#[test]
fn an_end_of_file_in_the_middle_of_a_request_is_answered_and_stores_nothing() {
    let index = Index::start();
    let request = add(1, "A", "julian", 5000);
    // Up to the middle of the host, and just before the title.
    for cut in [1, 10, 30, request.find("Title").unwrap()] {
        let mut raw = index.raw();
        raw.send(&request[..cut]);
        raw.end_sending();
        assert!(raw.read_to_end().starts_with(b"P2P-CI/1.0 400 Bad Request\r\n"), "cut at {cut}");
    }
    index.wait_event("the reason", |event| {
        event["reason"] == "the connection ended in the middle of the request"
    });
    index.raw().exchange(LIST, NOT_FOUND);
}

#[test]
fn nul_and_escape_bytes_in_titles_are_refused_and_never_stored() {
    let index = Index::start();
    let mut peer = index.raw();
    for title in ["a\0b", "\x1b[2J", "a\x1b]0;title\x07", "\0"] {
        peer.exchange(add(1, title, "julian", 5000), BAD_REQUEST);
    }
    let not_utf8 = [&b"ADD RFC 1 P2P-CI/1.0\r\nHost: j\r\nPort: 5\r\nTitle: na\xefve\r\n\r\n"[..]].concat();
    peer.exchange(not_utf8, BAD_REQUEST);
    peer.exchange(LIST, NOT_FOUND);
    assert_eq!(index.status().records, 0);
    assert_eq!(index.events_of("refused").len(), 5, "each is logged, as JSON that can be read");
}

#[test]
fn ports_are_1_to_65535() {
    let index = Index::start();
    let mut peer = index.raw();
    for port in ["0", "65536", "00", "4294967297"] {
        peer.exchange(add(1, "A", "julian", port), BAD_REQUEST);
    }
    peer.exchange(LIST, NOT_FOUND);
    peer.exchange(add(1, "A", "julian", 1), ok(&["RFC 1 A julian 1"]));
    peer.exchange(add(1, "A", "julian", 65535), ok(&["RFC 1 A julian 65535"]));
    peer.exchange(LIST, ok(&["RFC 1 A julian 65535"]));
}

#[test]
fn one_byte_at_a_time_is_answered_as_if_it_had_come_whole() {
    let index = Index::start();
    let mut peer = index.raw();
    let requests =
        [add(1, "A", "julian", 5000), add(2, "B", "julian", 5000), lookup(7), LIST.to_owned()].concat();
    for byte in requests.as_bytes() {
        peer.send([*byte]);
    }
    let list = ok(&["RFC 1 A julian 5000", "RFC 2 B julian 5000"]);
    let answers = [&ok(&["RFC 1 A julian 5000"]), &ok(&["RFC 2 B julian 5000"]), NOT_FOUND, &list];
    peer.expect(answers.concat());
}

#[test]
fn two_hundred_requests_at_once_are_answered_in_order() {
    let index = Index::start();
    let mut peer = index.raw();
    let record = |n: u32| format!("RFC {n} Title {n} julian 5000");
    let adds: String = (1..=100).map(|n| add(n, &format!("Title {n}"), "julian", 5000)).collect();
    let lookups: String = (1..=100).map(|n| lookup(101 - n)).collect();
    let added: String = (1..=100).map(|n| ok(&[&record(n)])).collect();
    let found: String = (1..=100).map(|n| ok(&[&record(101 - n)])).collect();
    peer.exchange(adds + &lookups, added + &found);
}

#[test]
fn a_request_that_stays_incomplete_is_refused_even_if_it_drips() {
    let index = Index::start();
    let mut raw = index.raw();
    let began = Instant::now();
    let mut answer = None;
    // A byte now and then is the input: it must not put the deadline off.
    for byte in b"ADD RFC 1 P2P-CI/1.0\r\nHost: a-very-long-name-that-takes-its-time\r\n" {
        raw.send([*byte]);
        answer = raw.segment_within(Duration::from_millis(500));
        if answer.is_some() {
            break;
        }
    }
    assert_eq!(shown(&answer.expect("an answer before the request is over")), shown(BAD_REQUEST.as_bytes()));
    assert!(began.elapsed() >= Duration::from_secs(10), "refused after {:?}", began.elapsed());
    index.wait_event("the reason", |event| event["reason"] == "still incomplete 10 s after its first byte");
}

#[test]
fn http_tls_and_garbage_get_an_answer_and_a_close() {
    let index = Index::with(&["--no-http"]);
    for sent in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let answer = answer_before_close(&index, sent);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\\r\\n"), "{} -> {answer}", shown(sent));
    }
    let tls: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    for sent in [tls, b"\x00\x00\x00\x10length", b"\x80\x04\x95pickled", b"\xc3\xa9t\xc3\xa9\n"] {
        let answer = answer_before_close(&index, sent);
        assert!(answer.starts_with("P2P-CI/1.0 400 Bad Request"), "{} -> {answer}", shown(sent));
    }
    index.raw().exchange(LIST, NOT_FOUND);
}

fn answer_before_close(index: &Index, sent: &[u8]) -> String {
    let mut raw = index.raw();
    raw.send(sent);
    shown(&raw.read_to_end())
}

/// Fills the index from one connection, in batches whose answers are read.
fn fill(peer: &mut Raw, records: u32) {
    let title = "t".repeat(500);
    for batch in 0..records / 100 {
        let numbers = batch * 100 + 1..=batch * 100 + 100;
        let adds: String = numbers.clone().map(|n| add(n, &title, "julian", 5000)).collect();
        let answers: String = numbers.map(|n| ok(&[&format!("RFC {n} {title} julian 5000")])).collect();
        peer.exchange(adds, answers);
    }
}

#[test]
fn i6_clients_that_never_read_their_list_are_cut_off_and_others_notice_nothing() {
    const NON_READERS: usize = 8;
    let mut index = Index::start();
    let mut peer = index.raw();
    fill(&mut peer, 10_000);
    let record = format!("RFC 1 {} julian 5000", "t".repeat(500));
    let before = index.process().resident_bytes();
    let mut deaf: Vec<Raw> = (0..NON_READERS).map(|_| index.raw()).collect();
    for raw in &mut deaf {
        raw.send(LIST);
    }
    // Each LIST is 5 MB: more than the system's buffers take.
    let mut slowest = Duration::ZERO;
    for _ in 0..200 {
        let asked = Instant::now();
        peer.exchange(lookup(1), ok(&[&record]));
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "a LOOKUP took {slowest:?} meanwhile");
    let grown = index.process().resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more memory for {NON_READERS} who do not read");
    // By us, 30 s after the last byte that they took, and not at some time by the system.
    let cut_off = |index: &Index| {
        let left = index.events_of("left");
        left.iter().filter(|left| left["why"] == "cut off: it reads none of its answer").count()
    };
    let bound = proto::limits::WRITE_STALL * 5;
    wait_for(bound, "the non-readers to be cut off", || (cut_off(&index) == NON_READERS).then_some(()));
    for raw in &mut deaf {
        let cut = raw.try_to_end();
        assert!(cut.is_err(), "an answer that is not whole must not end as if it were");
    }
    peer.exchange(lookup(1), ok(&[&record]));
}

#[test]
fn i7_one_list_too_many_is_refused_at_once_and_only_lists_are() {
    let index = Index::with(&["--max-lists", "2"]);
    let mut peer = index.raw();
    fill(&mut peer, 10_000);
    let record = format!("RFC 1 {} julian 5000", "t".repeat(500));
    let page = "LIST ALL P2P-CI/1.1\r\nLimit: 1\r\n\r\n";
    // Two that do not read 5 MB hold the places.
    let mut deaf: Vec<Raw> = (0..2).map(|_| index.raw()).collect();
    deaf.iter_mut().for_each(|raw| raw.send(LIST));
    wait_for(PATIENCE, "both places to be taken", || {
        let told = peer.ask(page);
        told.starts_with("P2P-CI/1.1 503 Service Unavailable").then(|| {
            assert!(
                told.contains("too many LISTs are being answered (--max-lists); ask again later"),
                "{told}"
            );
        })
    });
    // A program of 1.0 hears what it knows, and the connection goes on; what is not a LIST is answered.
    peer.exchange(LIST, BAD_REQUEST);
    peer.exchange(lookup(1), ok(&[&record]));
    // The log shows so many lines a second, and the records took them.
    wait_for(PATIENCE, "the reason in the log", || {
        peer.exchange(LIST, BAD_REQUEST);
        let is_told = |event: &Value| event["reason"].to_string().contains("--max-lists");
        index.events_of("refused").iter().any(is_told).then_some(())
    });
    drop(deaf);
    wait_for(PATIENCE, "a place for a LIST", || {
        peer.ask(page).starts_with("P2P-CI/1.1 200 OK").then_some(())
    });
}

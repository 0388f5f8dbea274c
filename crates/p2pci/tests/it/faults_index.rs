//! Faults that the original index had, each as a test with the fault in its name. Those about reading are here,
//! those about whose records these are in `records`, those at the edges of the system in `system`.

mod records;
mod system;

use std::time::Duration;

use crate::world::spec::{BAD_REQUEST, LIST, NOT_FOUND, add, lookup, ok};
use crate::world::{Index, Process, p2pci, shown};

/// A pause that makes two segments out of two writes. It is part of what is sent: well below the silence that ends a request.
const BETWEEN_SEGMENTS: Duration = Duration::from_millis(15);

#[test]
fn fault_s1_end_of_file_starts_an_endless_flood_of_400() {
    let index = Index::start();
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    peer.end_sending();
    assert_eq!(shown(&peer.read_to_end()), "", "nothing is said to a peer that has left");

    let mut silent = index.raw();
    silent.end_sending();
    assert_eq!(shown(&silent.read_to_end()), "");

    let mut cut_off = index.raw();
    cut_off.send("ADD RFC 1 P2P-CI/1.0\r\nHost: ju");
    cut_off.end_sending();
    assert_eq!(shown(&cut_off.read_to_end()), shown(BAD_REQUEST.as_bytes()), "one answer, once");
}

#[test]
fn fault_s3_one_read_is_taken_for_one_request() {
    let index = Index::start();
    let mut peer = index.raw();
    let request = add(1, "A Title", "julian", 5000);
    for cut in [1, 4, 19, 20, 21, 22, 30, 50, request.len() - 3, request.len() - 1] {
        peer.send(&request[..cut]);
        std::thread::sleep(BETWEEN_SEGMENTS);
        peer.exchange(&request[cut..], ok(&["RFC 1 A Title julian 5000"]));
    }
    peer.exchange(LIST, ok(&["RFC 1 A Title julian 5000"]));
}

#[test]
fn fault_s4_requests_in_one_segment_are_dropped() {
    let index = Index::start();
    let mut peer = index.raw();
    let requests = [add(1, "A", "julian", 5000), add(2, "B", "julian", 5000), lookup(2), lookup(3)].concat();
    let answers = [ok(&["RFC 1 A julian 5000"]), ok(&["RFC 2 B julian 5000"]), ok(&["RFC 2 B julian 5000"])];
    peer.exchange(requests, answers.concat() + NOT_FOUND);
}

#[test]
fn fault_s5_a_request_over_1024_bytes_is_cut() {
    let index = Index::start();
    let mut peer = index.raw();
    let title = "t".repeat(512);
    let request =
        add(1, &title, "julian", 5000).replace("Title:", &format!("X: {}\r\nTitle:", "x".repeat(2000)));
    peer.exchange(request, ok(&[&format!("RFC 1 {title} julian 5000")]));
    peer.exchange(add(2, &"t".repeat(1500), "julian", 5000), BAD_REQUEST);
    peer.exchange(LIST, ok(&[&format!("RFC 1 {title} julian 5000")]));
}

#[test]
fn fault_s6_an_empty_title_and_leaving_kill_the_whole_index() {
    let index = Index::start();
    let mut other = index.raw();
    other.exchange(add(1, "A", "ada", 6000), ok(&["RFC 1 A ada 6000"]));
    let mut peer = index.raw();
    for title in ["", " ", "   "] {
        peer.exchange(add(9, title, "julian", 5000), BAD_REQUEST);
    }
    peer.end_sending();
    peer.read_to_end();
    other.exchange(lookup(1), ok(&["RFC 1 A ada 6000"]));
    other.exchange(lookup(9), NOT_FOUND);
}

#[test]
fn fault_s7_a_number_that_is_none_and_leaving_kill_the_whole_index() {
    let index = Index::start();
    let mut other = index.raw();
    other.exchange(add(1, "A", "ada", 6000), ok(&["RFC 1 A ada 6000"]));
    let mut peer = index.raw();
    peer.exchange(add("abc", "A", "julian", 5000), BAD_REQUEST);
    peer.exchange(lookup("abc"), BAD_REQUEST);
    peer.end_sending();
    peer.read_to_end();
    other.exchange(lookup(1), ok(&["RFC 1 A ada 6000"]));
}

#[test]
fn fault_s13_numbers_and_ports_that_are_none_or_do_not_fit_are_accepted() {
    let index = Index::start();
    let mut peer = index.raw();
    let long = "4".repeat(400);
    for number in ["-5", "+5", "1_0", "٣", "²", "0", "0x1", "1.0", "4294967296", &long] {
        peer.exchange(add(number, "A", "julian", 5000), BAD_REQUEST);
        peer.exchange(lookup(number), BAD_REQUEST);
    }
    for port in ["-1", "0", "65536", "99999999999", "٨٠", "", "80 80", "http"] {
        peer.exchange(add(1, "A", "julian", port), BAD_REQUEST);
    }
    peer.exchange(LIST, NOT_FOUND);
    peer.exchange(add(u32::MAX, "A", "julian", 65535), ok(&["RFC 4294967295 A julian 65535"]));
}

#[test]
fn fault_s15_headers_are_read_by_position() {
    let index = Index::start();
    let mut peer = index.raw();
    let swapped = "ADD RFC 1 P2P-CI/1.0\r\nTitle: A\r\nport: 5000\r\nX-Note: 7\r\nHOST: julian\r\n\r\n";
    peer.exchange(swapped, ok(&["RFC 1 A julian 5000"]));
    for name in ["Host", "Port", "Title"] {
        let misnamed = add(2, "B", "julian", 5000).replace(name, "Foo");
        peer.exchange(misnamed, BAD_REQUEST);
    }
    peer.exchange(lookup(2), NOT_FOUND);
}

#[test]
fn fault_s16_control_bytes_are_stored_answered_and_logged() {
    let mut process = Process::start(p2pci(["server", "--listen", "127.0.0.1:0"]));
    let first = process.wait_in_lines("the index to listen", |lines| lines.first().cloned());
    let port = first.split("port ").nth(1).and_then(|rest| rest.split(',').next()?.parse().ok());
    let mut peer = crate::world::Raw::connect(port.expect("the port in the first line"));
    for control in ["\x1b[31mred", "a\x07b", "a\0b", "a\x7fb", "a\u{9b}31mb"] {
        peer.exchange(add(1, control, "julian", 5000), BAD_REQUEST);
        peer.exchange(add(1, "A", control, 5000), BAD_REQUEST);
        peer.exchange(format!("ADD RFC {control} P2P-CI/1.0\r\n\r\n"), BAD_REQUEST);
    }
    peer.exchange(LIST, NOT_FOUND);
    process.wait_in_lines("the log of the LIST", |lines| {
        lines.iter().any(|line| line.contains("LIST ALL")).then_some(())
    });
    let log = String::from_utf8(process.stdout()).expect("a log in UTF-8");
    let raw: Vec<char> = log.chars().filter(|c| c.is_control() && *c != '\n').collect();
    assert!(raw.is_empty(), "control characters in the log: {raw:?}\n{log}");
    assert!(log.contains("[31mred"), "what was refused is shown, escaped:\n{log}");
}

#[test]
fn fault_s17_a_host_with_spaces_shifts_the_fields_of_a_record() {
    let index = Index::start();
    let mut peer = index.raw();
    for host in ["julian 80", "two words", "a\tb", "a\u{a0}b", ""] {
        peer.exchange(add(1, "A", host, 5000), BAD_REQUEST);
    }
    peer.exchange(LIST, NOT_FOUND);
}

#[test]
fn fault_s21_an_answer_has_no_end_and_an_error_has_two_spaces() {
    let index = Index::start();
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), "P2P-CI/1.0 200 OK\r\n\r\nRFC 1 A julian 5000\r\n\r\n");
    peer.exchange(lookup(2), "P2P-CI/1.0 404 Not Found\r\n\r\n");
    peer.exchange(lookup("x"), "P2P-CI/1.0 400 Bad Request\r\n\r\n");
    let newer = lookup(1).replace("1.0", "2.0");
    peer.exchange(newer, "P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n");
    peer.exchange(LIST, "P2P-CI/1.0 200 OK\r\n\r\nRFC 1 A julian 5000\r\n\r\n");
}

#[test]
fn fault_s22_other_characters_than_line_ends_end_a_line() {
    let index = Index::start();
    let mut peer = index.raw();
    let title = "one\u{2028}two\u{2029}three";
    peer.exchange(add(1, title, "julian", 5000), ok(&[&format!("RFC 1 {title} julian 5000")]));
    for separator in ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\u{85}", "\r"] {
        let smuggled = add(2, &format!("a{separator}ADD RFC 3 P2P-CI/1.0"), "julian", 5000);
        peer.exchange(smuggled, BAD_REQUEST);
    }
    peer.exchange(LIST, ok(&[&format!("RFC 1 {title} julian 5000")]));
}

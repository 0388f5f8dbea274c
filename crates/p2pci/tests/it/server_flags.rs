//! What the flags of `p2pci server` do, what it shows, and how it ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::world::spec::{BAD_REQUEST, LIST, NOT_FOUND, add, lookup, ok};
use crate::world::{Index, PATIENCE, Process, Raw, p2pci, run, run_command, shown, wait_for};

/// A request of the original's kind.
const ORIGINAL: &str = "ADD RFC 1 P2P-CI/1.0\nHost: julian\nPost: 7163\nTitle: Example 1\n";

/// An index that logs for people, and its port.
fn text_index(flags: &[&str]) -> (Process, u16) {
    let mut process = Process::start(p2pci([&["server", "--listen", "127.0.0.1:0"], flags].concat()));
    let first = process.wait_in_lines("the index to listen", |lines| lines.first().cloned());
    let port = first.strip_prefix("Index listening on port ").and_then(|rest| rest.split(',').next());
    let port = port.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("no port in {first:?}"));
    (process, port)
}

fn wait_for_text(process: &mut Process, text: &str) -> String {
    process.wait_in_lines(&format!("{text:?} in the log"), |lines| {
        lines.iter().find(|line| line.contains(text)).cloned()
    })
}

#[test]
fn the_log_shows_who_comes_and_goes_and_each_request() {
    let (mut process, port) = text_index(&[]);
    wait_for_text(&mut process, &format!("127.0.0.1:{port}"));
    let mut peer = Raw::connect(port);
    let source = peer.socket().local_addr().unwrap();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    peer.exchange(lookup("x"), BAD_REQUEST);
    drop(peer);
    wait_for_text(&mut process, &format!("{source} connected"));
    let request = wait_for_text(&mut process, "ADD RFC 1 P2P-CI/1.0 | Host: julian | Port: 5000 | Title: A");
    assert!(request.contains(&source.to_string()) && request.contains("200 OK"), "{request}");
    let refused = wait_for_text(&mut process, "400 Bad Request");
    assert!(refused.contains("the RFC number is"), "{refused}");
    let left = wait_for_text(&mut process, &format!("{source} left"));
    assert!(left.contains("1 record"), "{left}");
}

#[test]
fn strict_reads_exactly_as_specified() {
    let index = Index::with(&["--strict"]);
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    let with_lf = format!("{ORIGINAL}\n").replace("Post", "Port");
    for departing in
        [with_lf, add(1, "A", "julian", 5000).replace("Port", "Post"), lookup(1).replace(": ", ":")]
    {
        let answer = peer.ask(departing);
        assert!(answer.starts_with("P2P-CI/1.0 400 Bad Request"), "{answer:?}");
    }
    // Silence ends nothing: twice what would end a request otherwise, then the empty line.
    let request = lookup(1);
    let (request, empty_line) = request.split_at(request.len() - 2);
    peer.send(request);
    assert!(peer.is_silent_for(proto::limits::QUIET_CRLF * 2), "answered without the empty line");
    peer.exchange(empty_line, ok(&["RFC 1 A julian 5000"]));
}

#[test]
fn explain_says_in_a_sentence_how_a_request_departs() {
    let (mut process, port) = text_index(&["--explain"]);
    let mut peer = Raw::connect(port);
    peer.exchange(ORIGINAL, "P2P-CI/1.0 200 OK\nRFC 1 Example 1 julian 7163\n");
    let explained = wait_for_text(&mut process, "'Post' should be 'Port'; no empty line after the headers");
    assert!(explained.contains("original"), "{explained}");
    peer.exchange(add(2, "B", "julian", 5000), ok(&["RFC 2 B julian 5000"]));
    wait_for_text(&mut process, "exactly as specified");

    let index = Index::with(&["--explain"]);
    index.raw().exchange(ORIGINAL, "P2P-CI/1.0 200 OK\nRFC 1 Example 1 julian 7163\n");
    let event = index.wait_event("the request", |event| event["type"] == "request");
    assert_eq!(event["dialect"], "original", "{event}");
    let sentences: Vec<&str> =
        event["departures"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(sentences.contains(&"'Post' should be 'Port'"), "{event}");
}

#[test]
fn quiet_hides_connections_and_requests_and_nothing_else() {
    let mut index = Index::with(&["--quiet", "--max-per-address", "2"]);
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    peer.exchange(lookup("x"), BAD_REQUEST);
    let _second = index.raw();
    assert!(
        index.raw().read_to_end().starts_with(b"P2P-CI/1.0 400 Bad Request"),
        "a third connection is one too many"
    );
    index.wait_event("who is not served", |event| event["type"] == "not_served");
    assert_eq!(index.status().records, 1);
    drop(peer);
    assert_eq!(index.stop(PATIENCE), Some(0));
    let kinds: BTreeSet<String> =
        index.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    let shown: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(shown, ["listening", "not_served", "status", "stopping"]);
}

#[test]
fn every_line_of_the_json_log_can_be_read_whatever_came() {
    let index = Index::with(&["--explain"]);
    let mut peer = index.raw();
    peer.exchange(
        add(1, "quote \" backslash \\ Über", "julian", 5000),
        ok(&["RFC 1 quote \" backslash \\ Über julian 5000"]),
    );
    peer.exchange(&b"ADD RFC \xff\xfe\x1b\0\" P2P-CI/1.0\r\n\r\n"[..], BAD_REQUEST);
    let refused = index.wait_event("the refused request", |event| event["type"] == "refused");
    assert!(refused["status"] == "400 Bad Request" && refused["request"].is_string(), "{refused}");
    let request = index.wait_event("the good request", |event| event["type"] == "request");
    assert_eq!((&request["status"], &request["records"]), (&"200 OK".into(), &1.into()), "{request}");
    assert_eq!(request["source"], peer.socket().local_addr().unwrap().to_string(), "{request}");
    assert!(request["request"].as_str().unwrap().contains("Über"), "{request}");
}

#[test]
fn a_flood_of_requests_is_200_lines_a_second_and_a_count() {
    const REQUESTS: u64 = 3000;
    let index = Index::start();
    let mut peer = index.raw();
    peer.exchange(lookup(1).repeat(REQUESTS as usize), NOT_FOUND.repeat(REQUESTS as usize));
    let count = |kind: &str| index.events_of(kind).len() as u64;
    let hidden =
        || index.events_of("hidden").iter().map(|event| event["lines"].as_u64().unwrap()).sum::<u64>();
    wait_for(PATIENCE, "each line to be shown or counted", || {
        (count("connected") + count("request") + hidden() == REQUESTS + 1).then_some(())
    });
    let mut seconds = std::collections::BTreeMap::<String, u32>::new();
    for event in index.events_of("request") {
        // A second of the clock touches at most two seconds of the budget.
        let second = event["time"].as_str().unwrap().get(..19).unwrap().to_owned();
        *seconds.entry(second).or_default() += 1;
    }
    assert!(seconds.values().all(|lines| *lines <= 400), "{seconds:?}");
    assert!(hidden() > 0, "{seconds:?}");
}

#[test]
fn sigterm_and_ctrl_c_end_it_with_a_closing_line_and_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let (mut process, port) = text_index(&[]);
        let mut peer = Raw::connect(port);
        peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
        process.signal(signal);
        assert_eq!(shown(&peer.read_to_end()), "");
        drop(peer);
        assert_eq!(process.exit_code(PATIENCE), Some(0));
        let lines = process.lines();
        assert!(lines.iter().any(|line| line.contains("stopping")), "{lines:?}");
        assert_eq!(process.stderr(), "");
    }
}

#[test]
fn a_second_index_on_a_taken_port_says_so_and_what_to_do() {
    let index = Index::start();
    let second = run(["server", "--listen", &index.address()]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.starts_with("p2pci: "), "{second:?}");
    assert!(
        second.stderr.contains(&index.port().to_string()) && second.stderr.contains("--listen"),
        "{second:?}"
    );
    assert_eq!(second.stderr.lines().count(), 1, "one sentence: {second:?}");
    index.raw().exchange(LIST, NOT_FOUND);
}

#[test]
fn one_address_gets_so_many_connections_and_no_more() {
    let index = Index::with(&["--max-per-address", "3"]);
    let mut first = index.raw();
    let others = [index.raw(), index.raw()];
    first.exchange(LIST, NOT_FOUND);
    let refused = index.raw().read_to_end();
    assert!(refused.starts_with(b"P2P-CI/1.0 400 Bad Request"), "{}", shown(&refused));
    let told = index.wait_event("who is not served", |event| event["type"] == "not_served");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("--max-per-address")), "{told}");
    index.raw_from(Ipv4Addr::new(127, 9, 9, 9)).exchange(LIST, NOT_FOUND);
    drop(others);
    wait_for(PATIENCE, "a place to be free again", || {
        let mut again = index.raw();
        again.send(LIST);
        again.try_to_answer(NOT_FOUND.len()).is_ok_and(|answer| answer == NOT_FOUND.as_bytes()).then_some(())
    });
}

#[test]
fn record_host_says_which_host_a_record_shows() {
    for (which, shown) in [("auto", "julian"), ("claimed", "julian"), ("observed", "127.0.5.1")] {
        let index = Index::with(&["--record-host", which]);
        let mut peer = index.raw_from(Ipv4Addr::new(127, 0, 5, 1));
        peer.send(add(1, "A", "julian", 5000));
        peer.expect(ok(&[&format!("RFC 1 A {shown} 5000")]));
        index.raw().exchange(LIST, ok(&[&format!("RFC 1 A {shown} 5000")]));
    }
}

#[test]
fn a_variable_stands_for_its_flag_and_an_empty_one_for_none() {
    let index = Index::start();
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    for (switch, is_json) in [("1", true), ("true", true), ("0", false), ("no", false), ("", false)] {
        let mut list = p2pci(["list"]);
        list.env("P2PCI_SERVER", index.address()).env("P2PCI_JSON", switch);
        let listed = run_command(list);
        assert_eq!(listed.code, Some(0), "{switch:?}: {listed:?}");
        assert_eq!(listed.text().starts_with('{'), is_json, "{switch:?}: {listed:?}");
    }
    let mut list = p2pci(["list", "--server", &index.address()]);
    list.env("P2PCI_SERVER", "");
    assert_eq!(run_command(list).code, Some(0));
}

/// A program whose output is left unread. Dropping it kills it.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Where this fails it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_the_index_nor_its_end() {
    let mut index = p2pci(["server", "--listen", "127.0.0.1:0", "--log-format", "json"]);
    let mut index = Owned(index.stdout(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(index.0.stdout.take().unwrap());
    let mut listening = String::new();
    log.read_line(&mut listening).unwrap();
    let listening: Value = serde_json::from_str(&listening).unwrap();
    let port = listening["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap();
    // Several times what a pipe holds, and more than one second's worth of lines.
    let title = "a".repeat(500);
    let mut peer = Raw::connect(port);
    for number in 1..=600 {
        peer.exchange(
            add(number, &title, "julian", 5000),
            ok(&[&format!("RFC {number} {title} julian 5000")]),
        );
    }
    Raw::connect(port).exchange(lookup(1), ok(&[&format!("RFC 1 {title} julian 5000")]));
    let id = rustix::process::Pid::from_child(&index.0);
    rustix::process::kill_process(id, Signal::TERM).unwrap();
    let ended = wait_for(PATIENCE, "the index to end", || index.0.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}

//! Every way to be refused in 1.1: the reason is in the answer, and the connection goes on where the next request is not in doubt.

use serde_json::json;

use crate::world::v11::{
    LIST, PING, PONG, add_files, add_lines, file, hash, hashed, lookup, remove_files, with, with_body,
};
use crate::world::{Index, Raw, wait_for};

const LENGTH: &str = "the body is longer than 1048576 bytes, or its length is not one number";
const EXACT: &str =
    "1.1 is exact: every line ends in CRLF, every header is 'Name: value', and an empty line ends the head";

/// Refused with this reason; the connection goes on.
fn goes_on(raw: &mut Raw, request: &str, reason: &str) {
    let told = raw.ask_v11(request);
    assert_eq!((told.status, told.object()), (400, json!({"reason": reason})), "{request:?}");
    raw.exchange(PING, PONG);
}

/// Refused with this reason, once, and closed in order, although more had come.
fn closes(index: &Index, request: &str, reason: &str) {
    let mut raw = index.raw();
    raw.send(format!("{request}{PING}{}", "x".repeat(10_000)));
    let told = raw.told();
    let start: String = request.chars().take(200).collect();
    assert_eq!((told.status, told.object()), (400, json!({"reason": reason})), "{start:?}");
    assert!(raw.read_to_end().is_empty(), "nothing after a refusal that closes: {start:?}");
    index.wait_event(&format!("the reason '{reason}'"), |event| {
        event["type"] == "refused" && event["reason"].as_str() == Some(reason)
    });
}

#[test]
fn a_bad_line_is_refused_by_its_number_while_the_others_are_taken() {
    let index = Index::start();
    let mut ada = index.raw();
    let bad = [
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "\u{0}".to_owned(),
        format!("{} {}", file("x", 1), file("x", 1)),
        json!({"name": "x", "size": 1}).to_string(),
        with(file("x", 1), json!({"size": -1})).to_string(),
        with(file("x", 1), json!({"size": (1_u64 << 40) + 1})).to_string(),
        with(file("x", 1), json!({"size": "1"})).to_string(),
        with(file("x", 1), json!({"hash": "aa"})).to_string(),
        with(file("x", 1), json!({"rfc": 0})).to_string(),
        with(file("x", 1), json!({"rfc": 1, "title": "a\u{1b}[2J"})).to_string(),
        with(file("x", 1), json!({"rfc": 1, "title": ""})).to_string(),
        with(file("x", 1), json!({"rfc": 1, "title": "t".repeat(513)})).to_string(),
        file("../x", 1).to_string(),
        file("/x", 1).to_string(),
        file("x/", 1).to_string(),
        file("", 1).to_string(),
        file("a\nb", 1).to_string(),
        file("a\u{0}b", 1).to_string(),
        file(&"x".repeat(256), 1).to_string(),
        file(&"x/".repeat(600), 1).to_string(),
    ];
    let mut body = format!("{}\n", hashed("first", 1, 'a'));
    for line in &bad {
        // Empty lines count and say nothing.
        body += &format!("\r\n{line}\n");
    }
    body += &format!("{}", with(file("last", 1 << 40), json!({"later": [1], "modified": -5})));
    let told = ada.ask_v11(add_lines("ada", 6000, &body)).object();
    let lines: Vec<u64> =
        told["refused"].as_array().unwrap().iter().map(|refused| refused["line"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (1..=bad.len() as u64).map(|n| 1 + 2 * n).collect();
    assert_eq!((&told["taken"], lines), (&json!(2), expected), "{told}");
    assert_eq!(told["refused_in_all"], bad.len());
    assert_eq!(ada.ask_v11(LIST).each("name"), ["first", "last"]);
    assert_eq!(index.status().records, 2);

    let told = ada.ask_v11(remove_files(&["first", "../x"])).object();
    assert_eq!((&told["taken"], &told["refused"][0]["line"]), (&json!(1), &json!(2)));
    let many = ada.ask_v11(add_lines("ada", 6000, &"no\n".repeat(150))).object();
    assert_eq!(many["refused"].as_array().unwrap().len(), 100);
    assert_eq!(many["refused_in_all"], 150);
}

#[test]
fn a_line_that_is_no_utf8_is_refused() {
    let index = Index::start();
    let body =
        b"{\"name\":\"na\xefve\",\"size\":1,\"modified\":0}\n{\"name\":\"b\",\"size\":1,\"modified\":0}\n";
    let head =
        format!("ADD FILES P2P-CI/1.1\r\nHost: ada\r\nPort: 6000\r\nContent-Length: {}\r\n\r\n", body.len());
    let told = index.raw().ask_v11([head.as_bytes(), body].concat()).object();
    assert_eq!((&told["taken"], &told["refused"][0]["line"]), (&json!(1), &json!(1)), "{told}");
}

#[test]
fn requests_that_are_no_requests_are_refused_and_the_connection_goes_on() {
    let index = Index::start();
    let mut raw = index.raw();
    let raw = &mut raw;
    let header = |request: &str, header: &str| request.replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
    let method = "the method is none of those of this version";
    let line = "the request line is none of those of this version";
    let value = "the value of a header is not what it must be";
    for (request, reason) in [
        (PING.replace("PING", "EAT"), method),
        (PING.replace("PING", "ping"), method),
        (PING.replace("PING ALL", "GET RFC 1"), method),
        (PING.replace("PING", "WAIT"), method),
        (PING.replace(" ALL", ""), line),
        (PING.replace("ALL", "all"), line),
        (PING.replace("ALL", "ALL ALL"), line),
        (PING.replace("ALL", " ALL"), line),
        (lookup("ALL"), line),
        (lookup("FILE a b"), line),
        (lookup("PATH a"), line),
        (add_files("h", 1, &[]).replace("FILES", "RFC 1"), line),
        (lookup("RFC 0"), "the RFC number is not a number from 1 to 4294967295"),
        (lookup("FILE ../x"), "the target is no RFC number, no name of a file and no hash"),
        (lookup("FILE %2e%2e/x"), "the target is no RFC number, no name of a file and no hash"),
        (lookup("FILE a%0a"), "the target is no RFC number, no name of a file and no hash"),
        (lookup("FILE a%"), "the target is no RFC number, no name of a file and no hash"),
        (lookup("FILE %ff"), "the target is no RFC number, no name of a file and no hash"),
        (lookup("HASH 12"), "the target is no RFC number, no name of a file and no hash"),
        (
            lookup(&format!("HASH {}", hash('g'))),
            "the target is no RFC number, no name of a file and no hash",
        ),
        (header(&lookup("RFC 1"), "Wait: -1"), value),
        (header(&lookup("RFC 1"), "Wait: 1.5"), value),
        (header(&lookup("RFC 1"), "Wait: "), value),
        (header(&lookup("RFC 1"), "Wait: 1\r\nwait: 1"), "a header comes twice"),
        (header(LIST, "Limit: x"), value),
        (header(LIST, "Prefix: %4"), value),
        (header(LIST, "Prefix: %ff"), value),
        (header(LIST, "Prefix: a%0Ab"), value),
        (header(LIST, &format!("Prefix: {}", "x".repeat(2049))), value),
        (with_body("ADD FILES P2P-CI/1.1\r\nPort: 1", "{}"), "the 'Host' header is missing"),
        (with_body("ADD FILES P2P-CI/1.1\r\nHost: h", "{}"), "the 'Port' header is missing"),
        (with_body("ADD FILES P2P-CI/1.1\r\nHost: h\r\nHost: h\r\nPort: 1", "{}"), "a header comes twice"),
    ] {
        goes_on(raw, &request, reason);
    }
    for bad in ["0", "65536", "x", "-1"] {
        let told = raw.ask_v11(format!("ADD FILES P2P-CI/1.1\r\nHost: h\r\nPort: {bad}\r\n\r\n"));
        assert!(told.object()["reason"].as_str().unwrap().starts_with("the value of 'Port' is "), "{bad}");
    }
    let told = raw.ask_v11("ADD FILES P2P-CI/1.1\r\nHost: a b\r\nPort: 1\r\n\r\n");
    assert!(told.object()["reason"].as_str().unwrap().starts_with("the value of 'Host' is "));
    for forged in ["x", "r", "r1", "r1.0", "n-1.a", "n1", "q1.a", "%C3%A9", "n99999999999999999999.a"] {
        let reason = "this cursor was not given by this index";
        goes_on(raw, &header(LIST, &format!("Cursor: {forged}")), reason);
    }
    // One that has the form of a cursor is a place in the order, and harmless.
    assert_eq!(raw.ask_v11(header(LIST, "Cursor: n18446744073709551615.zz")).status, 200);
}

#[test]
fn where_the_next_request_is_in_doubt_the_connection_closes() {
    let index = Index::start();
    let mut peer = index.raw();
    peer.ask_v11(add_files("ada", 6000, &[file("m", 1)]));
    let length = |length: &str| {
        format!("ADD FILES P2P-CI/1.1\r\nHost: h\r\nPort: 1\r\nContent-Length: {length}\r\n\r\n")
    };
    for bad in ["1048577", "-1", "+5", "5,5", "0x10", "", "5 5", "1e3", "0000000005", "18446744073709551616"]
    {
        closes(&index, &length(bad), LENGTH);
    }
    closes(&index, &length("5\r\nContent-Length: 5"), LENGTH);
    let body = "a P2P-CI request has no body, but a header announces one";
    closes(&index, &length("5\r\nTransfer-Encoding: chunked"), body);
    closes(&index, "PING ALL P2P-CI/1.1\r\nTransfer-Encoding: a\r\nTransfer-Encoding: b\r\n\r\n", body);
    for head in ["PING ALL P2P-CI/1.1", "LIST ALL P2P-CI/1.1", "LOOKUP RFC 1 P2P-CI/1.1"] {
        closes(&index, &with_body(head, "{}"), body);
    }
    for framing in [
        "PING ALL P2P-CI/1.1\n\n",
        "PING ALL P2P-CI/1.1\r\n\n",
        "PING ALL P2P-CI/1.1\n\r\n",
        "PING ALL P2P-CI/1.1\r\nA: b\nC: d\r\n\r\n",
        "PING ALL P2P-CI/1.1\r\nno colon\r\n\r\n",
        "PING ALL P2P-CI/1.1\r\nContent-Length : 5\r\n\r\n",
        "PING ALL P2P-CI/1.1\r\nA: b\r\n Content-Length: 5\r\n\r\n",
        "PING ALL P2P-CI/1.1\r\n: 5\r\n\r\n",
    ] {
        closes(&index, framing, EXACT);
    }
    assert_eq!(peer.ask_v11(lookup("FILE m")).status, 200, "others notice nothing");
}

#[test]
fn lines_and_heads_have_the_limits_of_1_0() {
    let index = Index::start();
    let line = |length: usize| format!("PING ALL P2P-CI/1.1\r\nX: {}\r\n\r\n", "x".repeat(length - 3));
    index.raw().exchange(line(8 * 1024), PONG);
    closes(&index, &line(8 * 1024 + 1), "a line is longer than 8192 bytes");
    let headers = |count: usize| format!("PING ALL P2P-CI/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
    index.raw().exchange(headers(32), PONG);
    closes(&index, &headers(33), "more than 32 header lines");
    let long = format!("X: {}\r\n", "x".repeat(6 * 1024)).repeat(3);
    closes(&index, &format!("PING ALL P2P-CI/1.1\r\n{long}\r\n"), "the request is longer than 16384 bytes");
}

#[test]
fn an_end_in_the_middle_of_a_request_changes_nothing() {
    let index = Index::start();
    let request = add_files("ada", 6000, &[file("m", 1), file("n", 1)]);
    // Within the request line the version is not known yet, and the answer is one of 1.0.
    for cut in
        [30, request.find("\r\n\r\n").unwrap() + 2, request.find("\r\n\r\n").unwrap() + 4, request.len() - 1]
    {
        let mut raw = index.raw();
        raw.send(&request[..cut]);
        raw.end_sending();
        let told = raw.told();
        let reason = json!({"reason": "the connection ended in the middle of the request"});
        assert_eq!((told.status, told.object()), (400, reason), "cut at {cut}");
        assert!(raw.read_to_end().is_empty());
    }
    assert_eq!(index.status().records, 0);
    wait_for(crate::world::PATIENCE, "the connections to be gone", || {
        (index.status().peers == 0).then_some(())
    });
}

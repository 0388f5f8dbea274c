//! 1.0 and 1.1 on one index: what each sees of the other.

use serde_json::{Value, json};

use crate::world::spec::{self, NOT_FOUND, add, ok};
use crate::world::v11::{LIST, PING, PONG, add_files, file, hash, hashed, lookup, remove_files, with};
use crate::world::{Index, Sharer};

#[test]
fn programs_of_1_0_see_files_that_have_a_number() {
    let index = Index::start();
    let mut julian = index.raw();
    let mut ada = index.raw();
    julian.exchange(add(5, "Old", "julian", 5000), ok(&["RFC 5 Old julian 5000"]));
    let new = with(hashed("texts/five.txt", 7, 'a'), json!({"rfc": 5, "title": "New"}));
    let copied = with(file("rfc6.txt", 7), json!({"rfc": 6, "copied": true, "partial": true}));
    ada.ask_v11(add_files("ada", 6000, &[new, copied, hashed("notes.bin", 9, 'b')]));
    let five = ["RFC 5 Old julian 5000", "RFC 5 New ada 6000"];
    index.raw().exchange(spec::lookup(5), ok(&five));
    // Without a title it is the last part of the name.
    julian.exchange(spec::LIST, ok(&[five[0], five[1], "RFC 6 rfc6.txt ada 6000"]));
    ada.ask_v11(remove_files(&["texts/five.txt", "rfc6.txt"]));
    julian.exchange(spec::LIST, ok(&five[..1]));
    drop(julian);
    index.wait_gone("RFC 5");
    index.raw().exchange(spec::LIST, NOT_FOUND);
    assert_eq!(index.raw().ask_v11(lookup("FILE notes.bin")).status, 200);
}

#[test]
fn programs_of_1_1_see_records_of_1_0_as_a_variant_of_unknown_content() {
    let index = Index::start();
    let mut julian = index.raw();
    let mut ada = index.raw();
    julian.exchange(add(5, "Old", "julian", 5000), ok(&["RFC 5 Old julian 5000"]));
    let source = |host: &str, port: u16, speaks: &str| json!({"host": host, "port": port, "speaks": speaks, "published": true});
    let old = json!({"rfc": 5, "title": "Old"});
    let variant = |said: &Value, source: Value| {
        with(said.clone(), json!({"published": true, "sources": [source], "sources_in_all": 1}))
    };
    let unknown = variant(&old, source("julian", 5000, "1.0"));
    assert_eq!(ada.ask_v11(lookup("RFC 5")).objects(), std::slice::from_ref(&unknown));
    let new = with(hashed("texts/five.txt", 7, 'a'), json!({"rfc": 5, "title": "New"}));
    ada.ask_v11(add_files("ada", 6000, std::slice::from_ref(&new)));
    let known = variant(&new, source("ada", 6000, "1.1"));
    assert_eq!(ada.ask_v11(lookup("RFC 5")).objects(), [unknown, known]);
    let listed = index.raw().ask_v11(LIST).objects();
    assert_eq!(
        listed,
        [with(old, source("julian", 5000, "1.0")), with(new, source("ada", 6000, "1.1"))],
        "each record once: by number those of 1.0, then by name the files"
    );
    assert_eq!(index.raw().ask_v11(lookup("FILE rfc5.txt")).status, 404, "1.0 names no file");
    assert_eq!(index.raw().ask_v11("LIST ALL P2P-CI/1.1\r\nPrefix: \r\n\r\n").objects().len(), 1);
}

#[test]
fn one_connection_may_speak_both_and_a_number_has_one_record_in_it() {
    let index = Index::start();
    let mut ada = index.raw();
    let numbered = with(file("five.txt", 7), json!({"rfc": 5, "title": "New"}));
    ada.exchange(add(5, "Old", "ada", 6000), ok(&["RFC 5 Old ada 6000"]));
    assert_eq!(index.status().records, 1);
    ada.ask_v11(add_files("ada", 6000, std::slice::from_ref(&numbered)));
    ada.exchange(spec::LIST, ok(&["RFC 5 New ada 6000"]));
    assert_eq!(index.status().records, 1, "the file has taken the number over");
    ada.exchange(add(5, "Old", "ada", 6000), ok(&["RFC 5 Old ada 6000"]));
    ada.exchange(spec::LIST, ok(&["RFC 5 Old ada 6000"]));
    assert_eq!(index.status().records, 2);
    ada.ask_v11(remove_files(&["five.txt"]));
    ada.exchange(spec::LIST, ok(&["RFC 5 Old ada 6000"]));
    drop(ada);
    index.wait_gone("RFC 5");
    assert_eq!(index.status().records, 0);
}

#[test]
fn the_version_is_in_the_request_line_and_505_says_1_0() {
    let index = Index::start();
    let mut raw = index.raw();
    raw.exchange(PING, PONG);
    raw.exchange(spec::LIST, NOT_FOUND);
    for version in ["P2P-CI/1.2", "P2P-CI/2.0", "P2P-CI/1.10", "P2P-CI/1.1x"] {
        raw.exchange(
            format!("LIST ALL {version}\r\nHost: h\r\nPort: 1\r\n\r\n"),
            "P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n",
        );
    }
    raw.exchange(PING, PONG);
    let strict = Index::with(&["--strict"]);
    strict.raw().exchange(PING, PONG);
    // A hash is found by what speaks 1.1 alone.
    raw.exchange(
        format!("LOOKUP HASH {} P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: t\r\n\r\n", hash('a')),
        spec::BAD_REQUEST,
    );
}

#[test]
fn an_upload_port_speaks_no_1_1_and_says_so() {
    let index = Index::start();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rfc1.txt"), "text").unwrap();
    let sharer = Sharer::start(folder.path(), &index.address());
    for request in [
        "GET RFC 1 P2P-CI/1.1\r\nHost: h\r\nOS: o\r\n\r\n",
        "GET RFC 1 P2P-CI/1.1\r\nContent-Length: x\r\n\r\n",
        PING,
    ] {
        let mut raw = sharer.raw();
        raw.exchange(request, "P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n");
        assert!(raw.read_to_end().is_empty(), "{request:?}");
    }
    assert!(sharer.raw().ask(spec::get(1)).starts_with("P2P-CI/1.0 200 OK\r\n"));
}

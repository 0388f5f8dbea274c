//! SEARCH: what it finds while peers come and go, and what it answers to whoever wants to hurt it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::spec::add;
use crate::world::v11::{GONE_WITHIN, PING, Told, add_files, file, hashed, remove_files, with};
use crate::world::{Index, Raw, wait_for};

/// How soon after its ADD something is found: five times what the protocol promises.
const FOUND_WITHIN: Duration = Duration::from_millis(500);

/// A query as a header's value.
fn encoded(typed: &str) -> String {
    typed.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn search(raw: &mut Raw, typed: &str) -> Told {
    raw.ask_v11(format!("SEARCH ALL P2P-CI/1.1\r\nQuery: {}\r\n\r\n", encoded(typed)))
}

fn names(raw: &mut Raw, typed: &str) -> Vec<Value> {
    let told = search(raw, typed);
    assert_eq!(told.status, 200);
    told.each("name")
}

#[test]
fn files_and_titles_are_found_by_any_words_and_gone_with_their_peer() {
    let index = Index::start();
    let (mut ada, mut ben, mut asker) = (index.raw(), index.raw(), index.raw());
    let paper = hashed("papers/Gödel, Escher.pdf", 5_000_000, 'a');
    ada.ask_v11(add_files("ada", 6000, &[paper.clone(), file("papers/notes.txt", 10)]));
    ben.ask_v11(add_files("ben", 6001, &[with(paper, json!({"copied": true}))]));
    ben.ask(add(7, "Host-IMP Protocol", "ben", 6001));
    for typed in [
        "godel",
        "escher papers",
        "GÖDEL esch",
        "godle pdf",
        "papers kind:PDF",
        "escher size:>1M is:complete",
    ] {
        assert_eq!(names(&mut asker, typed), ["papers/Gödel, Escher.pdf"], "{typed}");
    }
    assert_eq!(search(&mut asker, "paper escher").object()["sources_in_all"], 2);
    assert_eq!(
        names(&mut asker, "papers"),
        ["papers/Gödel, Escher.pdf", "papers/notes.txt"],
        "more sources first"
    );
    for typed in ["godel bach", "escher kind:txt", "escher size:<1M", "zzz"] {
        assert_eq!(names(&mut asker, typed), [Value::Null; 0], "{typed}");
    }
    let title = search(&mut asker, "imp hsot").object();
    assert_eq!(
        title,
        json!({"rfc": 7, "title": "Host-IMP Protocol", "published": true, "sources_in_all": 1, "complete": 1})
    );
    drop(ben);
    wait_for(GONE_WITHIN, "ben's title to be gone", || {
        search(&mut asker, "imp").objects().is_empty().then_some(())
    });
    ada.ask_v11(remove_files(&["papers/Gödel, Escher.pdf"]));
    assert_eq!(names(&mut asker, "papers"), ["papers/notes.txt"]);
}

#[test]
fn a_new_title_is_found_while_many_others_come() {
    let index = Index::start();
    let (mut busy, mut asker) = (index.raw(), index.raw());
    for round in 0..20 {
        let files: Vec<Value> =
            (0..500).map(|at| file(&format!("round {round}/file number {at} of many.dat"), at)).collect();
        busy.ask_v11(add_files("busy", 6000, &files));
        let last = format!("round {round} number 499");
        let added = Instant::now();
        wait_for(FOUND_WITHIN, &last, || (!search(&mut asker, &last).objects().is_empty()).then_some(()));
        assert!(added.elapsed() < FOUND_WITHIN);
    }
}

#[test]
fn fault_hostile_queries_get_a_clear_400_and_the_connection_goes_on() {
    let index = Index::start();
    let mut raw = index.raw();
    raw.ask_v11(add_files("ada", 6000, &[file("a", 1)]));
    let query = "'Query' must be there once: at most 2048 bytes of UTF-8, percent-encoded, without control characters";
    let many: String = (0..17).map(|at| format!("w{at} ")).collect();
    for (header, reason) in [
        (String::new(), query),
        ("Query: a\r\nQuery: b".to_owned(), query),
        (format!("Query: {}", "a".repeat(2049)), query),
        (format!("Query: {}", "b%20".repeat(1900)), query),
        ("Query: a%00b".to_owned(), query),
        ("Query: a%0Ab".to_owned(), query),
        ("Query: %C2%9B".to_owned(), query),
        ("Query: %FF".to_owned(), query),
        ("Query: 100%".to_owned(), query),
        ("Query: ".to_owned(), "there is no word to look for: letters or digits are missing"),
        ("Query: .*%2B%3F()".to_owned(), "there is no word to look for: letters or digits are missing"),
        (format!("Query: {}", encoded(&many)), "there are more than 16 words to look for"),
        ("Query: a%20size:x".to_owned(), "'size:' needs a limit such as size:>10M, size:<1G or size:10M..1G"),
        ("Query: a%20size:%3C0".to_owned(), "no size is within the limits of 'size:'"),
        ("Query: a\r\nCursor: x".to_owned(), "this cursor was not given by this index"),
        ("Query: a\r\nCursor: -1".to_owned(), "this cursor was not given by this index"),
        ("Query: a\r\nCursor: 65536".to_owned(), "this cursor was not given by this index"),
    ] {
        let end = if header.is_empty() { "" } else { "\r\n" };
        let told = raw.ask_v11(format!("SEARCH ALL P2P-CI/1.1\r\n{header}{end}\r\n"));
        assert_eq!((told.status, told.object()["reason"].as_str()), (400, Some(reason)), "{header}");
    }
    for bomb in ["(a+)+$".repeat(300), "(?:a{1,9999}){1,9999}".repeat(90), "é".repeat(1000), "a".repeat(2000)]
    {
        assert_eq!(search(&mut raw, &bomb).status, 200, "words like any other");
    }
    assert_eq!(raw.ask_v11(PING).status, 200);
    let mut other = index.raw();
    other.send(format!("SEARCH ALL P2P-CI/1.1\r\nQuery: {}\r\n\r\n", "a".repeat(9000)));
    let told = other.told();
    assert_eq!(
        (told.status, told.object()["reason"].as_str()),
        (400, Some("a line is longer than 8192 bytes"))
    );
}

#[test]
fn an_index_without_search_says_so() {
    let index = Index::with(&["--no-search"]);
    let mut raw = index.raw();
    raw.ask_v11(add_files("ada", 6000, &[file("a", 1)]));
    let told = search(&mut raw, "a");
    assert_eq!((told.status, told.object()), (501, json!({"reason": "this index has no search"})));
}

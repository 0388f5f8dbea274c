//! `p2pci search`: what it shows, what it refuses, and how it ends.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::spec::add;
use crate::world::v11::{add_files, file, hashed};
use crate::world::{Finished, Index, PATIENCE, Raw, run, wait_for};

/// A peer with some files, and a title in 1.0.
fn world() -> (Index, Raw) {
    let index = Index::start();
    let mut ada = index.raw();
    let files = [
        hashed("music/Dvořák - Humoresque.ogg", 5 << 20, 'a'),
        hashed("music/Dvořák - Rusalka.flac", 500 << 20, 'b'),
        file("books/Humoresques\u{202e}.txt", 10),
    ];
    assert_eq!(ada.ask_v11(add_files("ada", 6000, &files)).object()["taken"], 3);
    ada.ask(add(9, "Host Software", "ada", 6000));
    (index, ada)
}

fn text(finished: &Finished) -> &str {
    std::str::from_utf8(&finished.stdout).expect("text")
}

#[test]
fn what_is_found_is_shown_best_first_and_safe_to_look_at() {
    let (index, _ada) = world();
    let server = index.address();
    let found = run(["search", "dvorak", "humoresqeu", "--server", &server]);
    assert_eq!(
        (found.code, text(&found)),
        (Some(0), "music/Dvořák - Humoresque.ogg  5.00 MiB  1 source  aaaaaaaaaaaa\n")
    );
    let found = run(["search", "humoresque", "--server", &server]);
    let expected = "music/Dvořák - Humoresque.ogg  5.00 MiB  1 source  aaaaaaaaaaaa\nbooks/Humoresques\\u{202e}.txt  10 B  1 source\n";
    assert_eq!(text(&found), expected, "a whole word before its beginning");
    let found = run(["search", "sofware", "--server", &server]);
    assert_eq!(text(&found), "RFC 9 Host Software  1 source\n");
    let found = run(["search", "dvorak", "--limit", "1", "--server", &server]);
    assert_eq!(text(&found).lines().count(), 2);
    assert!(text(&found).contains("--limit 1000"), "{}", text(&found));
}

#[test]
fn filters_are_words_or_flags() {
    let (index, _ada) = world();
    let server = index.address();
    for typed in [
        &["music", "--size", ">100M"][..],
        &["music", "size:>100M"],
        &["music", "--size", "<1G", "--size", ">100M", "--complete"],
        &["--kind", "flac"],
        &["dvorak", "kind:FLAC", "is:complete"],
    ] {
        let found = run([&["search", "--json", "--server", &server], typed].concat());
        let objects = found.objects();
        assert_eq!(found.code, Some(0), "{typed:?}");
        assert_eq!(objects[0]["name"], "music/Dvořák - Rusalka.flac", "{typed:?}");
        assert_eq!(objects[1], json!({"type": "searched", "found": 1, "more": false, "incomplete": false}));
    }
    let found = run(["search", "rusalka", "--json", "--server", &server]).objects().remove(0);
    let expected = json!({
        "type": "found", "name": "music/Dvořák - Rusalka.flac", "size": 500 << 20, "modified": 1_232_529_826,
        "hash": "b".repeat(64), "number": null, "title": null, "published": true, "sources_in_all": 1, "complete": 1,
    });
    assert_eq!(found, expected);
}

#[test]
fn each_failure_has_its_exit_code_and_a_sentence() {
    let (index, _ada) = world();
    let (server, without) = (index.address(), Index::with(&["--no-search"]));
    for (typed, server, code, sentence) in [
        (&["zzz"][..], &server, 3, "nothing at "),
        (&["music", "--kind", "pdf"], &server, 3, "matches 'music kind:pdf'"),
        (&["..."], &server, 2, "there is no word to look for"),
        (&["a", "--size", "10"], &server, 2, "'size:' needs a limit"),
        (&["a", "--limit", "0"], &server, 2, "from 1 to 1000"),
        (&[], &server, 2, "WORDS"),
        (&["music"], &without.address(), 1, "this index has no search"),
    ] {
        let ended = run([&["search", "--server", server], typed].concat());
        assert_eq!(ended.code, Some(code), "{typed:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(sentence), "{typed:?}: {}", ended.stderr);
    }
    let nothing = run(["search", "zzz", "--json", "--server", &server]).objects();
    assert_eq!(nothing[0], json!({"type": "searched", "found": 0, "more": false, "incomplete": false}));
    assert_eq!((&nothing[1]["type"], &nothing[1]["code"]), (&Value::from("error"), &Value::from(3)));
}

#[test]
fn more_than_one_answer_holds_comes_page_by_page() {
    let index = Index::start();
    let mut ada = index.raw();
    // Names so long that a thousand of them fill more than one answer.
    let files: Vec<Value> =
        (0..900).map(|at| hashed(&format!("{}/page {at:04}.txt", "x".repeat(240)), 1, 'c')).collect();
    for batch in files.chunks(300) {
        assert_eq!(ada.ask_v11(add_files("ada", 6000, batch)).object()["taken"], batch.len());
    }
    // Pages follow each other by their places, so they are whole once nothing is taken in any more.
    wait_for(PATIENCE, "all of them on pages that do not overlap", || {
        let found = run(["search", "page", "--limit", "1000", "--json", "--server", &index.address()]);
        let objects = found.objects();
        let names: Vec<&str> = objects.iter().filter_map(|object| object["name"].as_str()).collect();
        let distinct: BTreeSet<&str> = names.iter().copied().collect();
        (names.len() == 900 && distinct.len() == 900).then_some(())
    });
}

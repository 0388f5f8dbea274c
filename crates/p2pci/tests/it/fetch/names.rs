//! Names that some systems cannot hold: here they are names like others, and none of them harms another one.

use std::fs;

use crate::places::{empty_folder, everything_in, tree};
use crate::world::{Index, Sharer, run_in};

/// `fault_d16`: what is fetched stays in its folder, each file under its own name.
#[test]
fn fault_d16_hard_names_are_fetched_as_they_are() {
    let long = "n".repeat(255);
    let wide = "\u{fc}".repeat(127);
    let names = [
        "CON",
        "aux.txt",
        "nul",
        "COM1",
        "lpt9.log",
        "a:b",
        "a\\b",
        "q?",
        "star*",
        "<x>",
        "pipe|",
        "quote\"",
        "trailing.",
        "trailing ",
        " leading",
        "a...",
        "-r",
        "--help",
        "~",
        "$HOME",
        "%2e%2e",
        "a\u{202e}txt",
        "case",
        "Case",
        "CASE",
        "\u{e9}",
        "e\u{301}",
        &long,
        &wide,
    ];
    let files: Vec<(&str, String)> = names.iter().map(|name| (*name, format!("this is {name}"))).collect();
    let (_outer, root) = tree("hard", &files);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(names.len());
    let outer = empty_folder();
    let here = outer.path().join("here");
    fs::create_dir(&here).unwrap();
    let got = run_in(&here, ["get", "-r", "hard", "--server", &index.address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    let mut expected: Vec<String> = names.iter().map(|name| format!("here/hard/{name}")).collect();
    expected.extend(["here/", "here/hard/"].map(str::to_owned));
    expected.sort_unstable();
    assert_eq!(everything_in(outer.path()), expected);
    for (name, content) in &files {
        assert_eq!(fs::read_to_string(here.join("hard").join(name)).unwrap(), *content);
    }
    // One by one they are the same; the longest has no room beside it for the ending of a part, and gets a shorter one.
    for name in ["--help", &long, &wide, "Case"] {
        let target = format!("./hard/{name}");
        let into = empty_folder();
        let got = run_in(into.path(), ["get", "--server", &index.address(), &target]);
        assert_eq!(got.code, Some(0), "{name}: {}", got.stderr);
        assert_eq!(fs::read_to_string(into.path().join(name)).unwrap(), format!("this is {name}"));
    }
    let shown = run_in(&here, ["list", "--server", &index.address()]);
    assert!(!shown.text().contains('\u{202e}'), "{}", shown.text());
}

#[test]
fn a_name_that_is_too_long_for_any_disk_is_no_name() {
    let index = Index::start();
    let name = "n".repeat(300);
    let got = run_in(empty_folder().path(), ["get", &name, "--server", &index.address()]);
    assert_eq!(got.code, Some(2), "{}", got.stderr);
    assert!(got.stderr.contains("no name of a file"), "{}", got.stderr);
}

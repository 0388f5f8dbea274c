//! `p2pci demo`: the whole job on one machine, with the samples and with other texts.

use crate::places::empty_folder;
use crate::world::{Finished, run, run_in, texts};

/// It ends with the three commands to try next, each a line to type.
fn ends_with_three_commands(demo: &Finished) {
    let text = demo.text();
    assert_eq!(demo.code, Some(0), "{text}\n{}", demo.stderr);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.iter().rev().take(4).copied().collect::<Vec<_>>().join("\n");
    for command in ["p2pci server", "p2pci share", "p2pci get"] {
        assert!(last.contains(command), "{command} is not among the last lines:\n{last}");
    }
}

/// It shows the conversation, not only its result.
fn shows_the_conversation(demo: &Finished) {
    let text = demo.text();
    for line in ["ADD RFC ", "LOOKUP RFC ", "LIST ALL P2P-CI/1.0", "GET RFC ", "P2P-CI/1.0 200 OK"] {
        assert!(text.contains(line), "{line:?} is not shown:\n{text}");
    }
}

#[test]
fn the_demo_checks_every_step_with_the_samples() {
    let here = empty_folder();
    let demo = run_in(here.path(), ["demo"]);
    ends_with_three_commands(&demo);
    shows_the_conversation(&demo);
    assert_eq!(crate::places::names_in(here.path()), [""; 0], "it leaves nothing where it was started");
}

#[test]
fn the_demo_runs_on_a_folder_of_texts() {
    let demo = run(["demo", "--dir", texts().folder().to_str().unwrap()]);
    ends_with_three_commands(&demo);
    shows_the_conversation(&demo);
}

#[test]
fn a_demo_without_texts_fails_and_says_why() {
    let empty = empty_folder();
    let demo = run(["demo", "--dir", empty.path().to_str().unwrap()]);
    assert_eq!(demo.code, Some(1), "{}", demo.text());
    assert!(demo.stderr.contains("rfcN.txt"), "{}", demo.stderr);
    let missing = run(["demo", "--dir", empty.path().join("missing").to_str().unwrap()]);
    assert_eq!(missing.code, Some(1), "{}", missing.text());
    assert!(missing.stderr.contains("missing"), "{}", missing.stderr);
}

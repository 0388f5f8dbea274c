//! The menu, driven by key strokes in the original's order: all five choices, wrong answers, and the end of the input.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::places::{empty_folder, folder, names_in, rfc};
use crate::world::{Client, Index, PATIENCE, Process, p2pci, run, spec, wait_for};

const REQUEST: &str = "Enter your request: ";
const NUMBER: &str = "Enter the RFC number: ";
const TITLE: &str = "Enter the RFC title: ";
const OPTIONAL_TITLE: &str = "Enter the RFC title(optional): ";
const WORDS: &str = "Enter words to search for: ";
const PEER: &str = "Choose one peer to download: ";

/// A client whose menu alone tells the index what it has.
fn quiet_client(dir: &Path, index: &Index) -> Client {
    Client::with(dir, &index.address(), &["--no-announce"])
}

/// The upload ports of those who have an RFC, in the index's order.
fn ports_of(index: &Index, number: u32) -> Vec<u64> {
    let answer = run(["lookup", &number.to_string(), "--json", "--server", &index.address()]);
    let variants = answer.objects();
    let sources = variants.iter().flat_map(|variant| variant["sources"].as_array().into_iter().flatten());
    sources.filter_map(|source| source["port"].as_u64()).collect()
}

#[test]
fn two_clients_do_the_whole_job_by_key_strokes() {
    let index = Index::start();
    let text = rfc(1, "Host Software");
    let (first_dir, second_dir) = (folder(&[(1, &text)]), empty_folder());
    let (mut first, mut second) =
        (quiet_client(first_dir.path(), &index), quiet_client(second_dir.path(), &index));
    first.answer(REQUEST, "1");
    first.answer(NUMBER, "1");
    first.answer(TITLE, "Host Software");
    let added = first.until(REQUEST);
    let ports = ports_of(&index, 1);
    let record = |port: u64| format!("RFC 1 Host Software 127.0.0.1 {port}");
    let one = spec::ok(&[&record(ports[0])]);
    assert!(added.starts_with(&one), "the answer as it came: {added:?}");

    second.answer(REQUEST, "2");
    second.answer(NUMBER, "1");
    second.answer(OPTIONAL_TITLE, "");
    let looked_up = second.answer(REQUEST, "3");
    assert!(looked_up.starts_with(&one), "{looked_up:?}");
    let listed = second.answer(REQUEST, "4");
    assert!(listed.starts_with(&one), "{listed:?}");
    second.answer(NUMBER, "1");
    let peers = second.answer(PEER, "1");
    assert!(peers.contains(&format!("1: 127.0.0.1:{}", ports[0])), "{peers:?}");
    second.answer(REQUEST, "3");
    assert_eq!(fs::read_to_string(second_dir.path().join("rfc1.txt")).unwrap(), text);
    assert_eq!(names_in(second_dir.path()), ["rfc1.txt"]);
    let both = ports_of(&index, 1);
    assert_eq!((both.len(), both[0]), (2, ports[0]), "the downloader is a second source");
    let listed = second.answer(REQUEST, "5");
    assert!(listed.starts_with(&spec::ok(&[&record(both[0]), &record(both[1])])), "{listed:?}");

    assert_eq!(second.ends(PATIENCE).0, Some(0));
    assert_eq!(ports_of(&index, 1), ports, "the records of who left are gone");
    first.enter("5");
    assert_eq!(first.ends(PATIENCE).0, Some(0));
    assert_eq!(index.raw().ask(spec::LIST), spec::NOT_FOUND);
}

#[test]
fn a_script_of_key_strokes_works_in_one_piece() {
    let index = Index::start();
    let (first_dir, second_dir) = (folder(&[(7, rfc(7, "Host-IMP Interface"))]), empty_folder());
    let mut first = Client::start(first_dir.path(), &index.address());
    first.until(REQUEST);
    let mut second = Process::start(p2pci([
        "client",
        &index.address(),
        "--dir",
        second_dir.path().to_str().unwrap(),
        "--no-announce",
    ]));
    second.type_in(b"2\n7\n\n3\n4\n7\n1\n1\n7\nMy Own Title\n2\n7\nany title\n5\n");
    assert_eq!(second.exit_code(PATIENCE), Some(0), "{}", second.stderr());
    let said = String::from_utf8(second.stdout()).unwrap();
    assert_eq!(said.matches(REQUEST).count(), 6, "{said}");
    assert_eq!(said.matches("RFC 7 Host-IMP Interface 127.0.0.1 ").count(), 4, "{said}");
    assert_eq!(said.matches("RFC 7 My Own Title 127.0.0.1 ").count(), 2, "{said}");
    let same = fs::read(first_dir.path().join("rfc7.txt")).unwrap();
    assert_eq!(fs::read(second_dir.path().join("rfc7.txt")).unwrap(), same);
}

#[test]
fn a_client_announces_its_folder_unless_told_not_to() {
    let index = Index::start();
    let dir = folder(&[(1, rfc(1, "Host Software")), (2, "no heading".into())]);
    fs::write(dir.path().join("rfc17a.txt"), "no number").unwrap();
    let mut client = Client::start(dir.path(), &index.address());
    let said = client.until(REQUEST);
    assert!(said.contains("rfc17a.txt: no number"), "{said}");
    let listed = run(["list", "--json", "--server", &index.address()]).objects();
    let titles: Vec<_> = listed.iter().map(|record| record["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Host Software", "RFC 2"]);
    let quiet = Index::start();
    let mut client = quiet_client(dir.path(), &quiet);
    client.answer(REQUEST, "3");
    let said = client.until(REQUEST);
    assert!(said.starts_with(&format!("{}Nobody has an RFC; 6 finds", spec::NOT_FOUND)), "{said}");
    assert_eq!(quiet.raw().ask(spec::LIST), spec::NOT_FOUND);
}

#[test]
fn every_wrong_answer_gets_a_sentence_and_the_menu_again() {
    let index = Index::start();
    let dir = folder(&[(1, rfc(1, "Host Software"))]);
    let mut client = Client::start(dir.path(), &index.address());
    let mut sorry = |strokes: &[(&str, &str)], expected: &str| {
        for (prompt, line) in strokes {
            client.answer(prompt, line);
        }
        // The menu's own lines follow; its prompt is left for the next key strokes.
        let said = client.until("5: Shut Down\n");
        assert!(said.contains(expected), "{strokes:?}: {said:?} should have {expected:?}");
    };
    for wrong in ["", "0", "7", "add", "1 1", "\u{b2}", "-1", "\u{1b}[2J"] {
        sorry(&[(REQUEST, wrong)], "a number from 1 to 6");
    }
    for wrong in ["", "none", "0", "-5", "1_0", "\u{b2}", "\u{661}", "99999999999", "1.5"] {
        sorry(&[(REQUEST, "1"), (NUMBER, wrong)], "a whole number from 1 to ");
        sorry(&[(REQUEST, "2"), (NUMBER, wrong)], "a whole number from 1 to ");
        sorry(&[(REQUEST, "4"), (NUMBER, wrong)], "a whole number from 1 to ");
    }
    sorry(&[(REQUEST, "1"), (NUMBER, "8"), (TITLE, "Not Here")], "There is no rfc8.txt in ");
    sorry(&[(REQUEST, "2"), (NUMBER, "8"), (OPTIONAL_TITLE, "")], spec::NOT_FOUND);
    sorry(&[(REQUEST, "4"), (NUMBER, "8")], "Nobody has RFC 8");
    for wrong in ["", "0", "2", "one", "99999999999999999999"] {
        sorry(&[(REQUEST, "4"), (NUMBER, "1"), (PEER, wrong)], "Please enter 1:");
    }
    sorry(&[(REQUEST, "6"), (WORDS, " .. ")], "There is no word to look for: letters or digits are missing.");
    sorry(&[(REQUEST, "6"), (WORDS, "host size:x")], "'size:' needs a limit such as size:>10M");
    sorry(&[(REQUEST, "6"), (WORDS, "nothing")], "Nothing matches 'nothing'.");
    client.answer(REQUEST, "5");
    assert_eq!(client.ends(PATIENCE).0, Some(0));
    assert_eq!(names_in(dir.path()), ["rfc1.txt"]);
}

#[test]
fn the_end_of_the_input_shuts_down_wherever_it_comes() {
    let index = Index::start();
    let dir = folder(&[(1, rfc(1, "Host Software"))]);
    for strokes in ["", "1\n", "1\n1\n", "2\n1\n", "4\n", "4\n1\n", "3\n", "2"] {
        let mut client = Client::start(dir.path(), &index.address());
        client.until(REQUEST);
        client.process().type_in(strokes.as_bytes());
        client.process().end_input();
        let (code, said) = client.ends(PATIENCE);
        assert_eq!(code, Some(0), "{strokes:?}: {said}");
        wait_for(PATIENCE, "the records to go", || {
            (index.raw().ask(spec::LIST) == spec::NOT_FOUND).then_some(())
        });
    }
}

#[test]
fn a_signal_at_the_menu_shuts_down_in_order() {
    let index = Index::start();
    let dir = folder(&[(1, "one")]);
    for signal in [Signal::INT, Signal::TERM] {
        let mut client = Client::start(dir.path(), &index.address());
        client.until(REQUEST);
        client.process().signal(signal);
        assert_eq!(client.ends(PATIENCE).0, Some(0));
    }
    assert_eq!(index.raw().ask(spec::LIST), spec::NOT_FOUND);
}

#[test]
fn the_folder_is_made_when_it_is_not_there() {
    let index = Index::start();
    let here = empty_folder();
    let mut command = p2pci(["client", &index.address()]);
    command.current_dir(here.path());
    let mut client = Client::from_command(command);
    client.answer(REQUEST, "5");
    assert_eq!(client.ends(PATIENCE).0, Some(0));
    assert_eq!(names_in(here.path()), ["rfc"]);
}

#[test]
fn the_index_is_an_argument_as_in_the_original_or_an_option_as_elsewhere() {
    let index = Index::start();
    let (here, address) = (empty_folder(), index.address());
    let wrong = "tls://nobody.invalid";
    for (words, variable) in [
        (vec!["client", &address], wrong),
        (vec!["client", "--server", &address], wrong),
        (vec!["client", &address, "--server", wrong], wrong),
        (vec!["client"], &address),
    ] {
        let mut command = p2pci(words.iter().copied());
        command.current_dir(here.path()).env("P2PCI_SERVER", variable);
        let mut client = Client::from_command(command);
        client.answer(REQUEST, "5");
        assert_eq!(client.ends(PATIENCE).0, Some(0), "{words:?}");
    }
}

#[test]
fn a_download_never_replaces_another_content() {
    let index = Index::start();
    let (theirs, mine) = (folder(&[(1, "theirs")]), folder(&[(1, "mine")]));
    let mut owner = Client::start(theirs.path(), &index.address());
    owner.until(REQUEST);
    let mut client = quiet_client(mine.path(), &index);
    client.answer(REQUEST, "4");
    client.answer(NUMBER, "1");
    client.answer(PEER, "1");
    let said = client.until(REQUEST);
    assert!(said.contains("another content"), "{said}");
    assert_eq!(fs::read(mine.path().join("rfc1.txt")).unwrap(), b"mine");
    assert_eq!(names_in(mine.path()), ["rfc1.txt"]);
    assert_eq!(ports_of(&index, 1).len(), 1, "what was not downloaded is not announced");
}

#[test]
fn the_five_choices_are_those_of_the_original_and_search_stands_behind_them() {
    let index = Index::start();
    let dir = folder(&[(1, rfc(1, "Host Software")), (2, rfc(2, "Host Software Again"))]);
    let mut client = Client::start(dir.path(), &index.address());
    let said = client.answer(REQUEST, "6");
    let menu =
        "\n1: Add, 2: Look Up, 3: List All, 4: Download, 5: Shut Down\n6: Search\nEnter your request: ";
    assert!(said.ends_with(menu), "{said:?}");
    client.answer(WORDS, "sofware hos");
    let found = client.until(REQUEST);
    let lines: Vec<&str> = found.lines().filter(|line| line.contains("Host Software")).collect();
    assert_eq!(lines, ["RFC 1 Host Software  1 source", "RFC 2 Host Software Again  1 source"], "{found}");
    assert!(found.contains(&format!("else p2pci get NAME --server {}\n", index.address())), "{found}");
}

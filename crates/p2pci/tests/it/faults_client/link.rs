//! Faults of the link to the index, and of what the client shows of its answers.

use std::fs;
use std::path::Path;

use crate::foreign::Dialect;
use crate::foreign::index::{Entry, ForeignIndex};
use crate::places::{empty_folder, folder, rfc};
use crate::world::{Client, Index, PATIENCE, Process, Sharer, p2pci, run, run_in, spec, wait_for};

const REQUEST: &str = "Enter your request: ";
const NUMBER: &str = "Enter the RFC number: ";
const OPTIONAL_TITLE: &str = "Enter the RFC title(optional): ";

#[test]
fn fault_c13_a_long_answer_is_cut_and_the_rest_taken_for_the_next_answer() {
    let files: Vec<(u32, String)> = (1..=200).map(|number| (number, rfc(number, "A Long List"))).collect();
    let dir = folder(&files);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    let record = |number: u32| format!("RFC {number} A Long List 127.0.0.1 {}", sharer.port());
    let records: Vec<String> = (1..=200).map(record).collect();
    let whole = spec::ok(&records.iter().map(String::as_str).collect::<Vec<_>>());
    let here = empty_folder();
    let mut client = Client::start(here.path(), &index.address());
    client.answer(REQUEST, "3");
    let listed = client.answer(REQUEST, "2");
    assert!(listed.starts_with(&whole), "{listed}");
    client.answer(NUMBER, "150");
    client.answer(OPTIONAL_TITLE, "");
    let looked_up = client.until(REQUEST);
    assert!(looked_up.starts_with(&spec::ok(&[&record(150)])), "{looked_up}");
    let listed = run(["list", "--json", "--server", &index.address()]).objects();
    let mut numbers: Vec<u64> = listed.iter().filter_map(|file| file["number"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<u64>>());
    assert!(listed.iter().all(|file| file["title"] == "A Long List"));
}

/// What moves a cursor, rings, or reorders text.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{9b}31m\u{8}Title";

fn harmless(shown: &str) {
    let bad = |c: &char| (c.is_control() && !matches!(c, '\n' | '\r')) || *c == '\u{202e}';
    assert_eq!(shown.chars().find(bad), None, "{shown:?}");
}

#[test]
fn fault_c14_escape_sequences_of_others_reach_the_terminal() {
    let entry = Entry::new(1, EVIL, "127.0.0.1", 9);
    let index = ForeignIndex::start(Dialect::Spec, vec![entry]);
    let server = index.address();
    for args in [["lookup", "1"].as_slice(), &["list"], &["list", "*Title"]] {
        let shown = run([args, &["--server", &server]].concat());
        assert_eq!(shown.code, Some(0), "{}", shown.stderr);
        assert!(shown.text().contains("Title"), "{}", shown.text());
        harmless(&shown.text());
        harmless(&shown.stderr);
    }
    let here = empty_folder();
    let mut client = Client::start(here.path(), &server);
    client.answer(REQUEST, "3");
    let listed = client.answer(REQUEST, "2");
    assert!(listed.contains("RFC 1 \\u{1b}[2J"), "{listed}");
    harmless(&listed);
    client.answer(NUMBER, "1");
    client.answer(OPTIONAL_TITLE, "");
    harmless(&client.answer(REQUEST, "4"));
    client.answer(NUMBER, "1");
    harmless(&client.answer("Choose one peer to download: ", "1"));
    harmless(&client.answer(REQUEST, "5"));
}

#[test]
fn fault_c14_escape_sequences_of_a_peer_reach_the_terminal() {
    let peers = [
        crate::foreign::Scripted::saying(format!("{EVIL}\r\n\r\n")),
        crate::foreign::Scripted::saying(format!("P2P-CI/1.0 404 {EVIL}\r\n\r\n")),
    ];
    for peer in peers {
        let here = empty_folder();
        let got = run_in(here.path(), ["get", "1", "--from", &peer.address()]);
        assert_ne!(got.code, Some(0));
        harmless(&got.text());
        harmless(&got.stderr);
    }
}

fn fetches(sharer: &Sharer, file: &str) {
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "1", "--from", &sharer.address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(fs::read_to_string(here.path().join("rfc1.txt")).unwrap(), file);
}

#[test]
fn fault_c16_without_its_index_a_peer_never_comes_back() {
    let text = rfc(1, "Host Software");
    let (dir, here) = (folder(&[(1, &text)]), empty_folder());
    let mut index = Index::start();
    let (server, place) = (index.address(), format!("127.0.0.1:{}", index.port()));
    let sharer = Sharer::start(dir.path(), &server);
    let mut client = Client::start(here.path(), &server);
    client.until(REQUEST);
    let record = format!("RFC 1 Host Software 127.0.0.1 {}", sharer.port());
    assert_eq!(index.raw().ask(spec::lookup(1)), spec::ok(&[&record]));
    index.process().kill();
    fetches(&sharer, &text);
    client.enter("3");
    let sentence = client.until(REQUEST);
    assert!(sentence.contains("cannot be reached") || sentence.contains("connection"), "{sentence}");
    assert!(!sentence.contains("System Error"), "{sentence}");
    let index = Index::on(&place, &[]);
    wait_for(PATIENCE, "the sharer to register again", || {
        (index.raw().ask(spec::lookup(1)) == spec::ok(&[&record])).then_some(())
    });
    fetches(&sharer, &text);
    wait_for(PATIENCE, "the client to reach the index again", || {
        client.enter("3");
        client.until(REQUEST).contains(&record).then_some(())
    });
}

#[test]
fn fault_c16_what_was_added_by_hand_is_forgotten_when_the_index_comes_back() {
    let dir = folder(&[(1, rfc(1, "Host Software")), (2, rfc(2, "Host Software"))]);
    let mut index = Index::start();
    let place = format!("127.0.0.1:{}", index.port());
    let mut client = Client::with(dir.path(), &index.address(), &["--no-announce"]);
    client.answer(REQUEST, "1");
    client.answer(NUMBER, "1");
    client.answer("Enter the RFC title: ", "By Hand");
    client.until(REQUEST);
    index.process().kill();
    let index = Index::on(&place, &[]);
    let listed = wait_for(PATIENCE, "the file to be registered again", || {
        let listed = index.raw().ask(spec::LIST);
        listed.contains("RFC 1 By Hand ").then_some(listed)
    });
    assert!(!listed.contains("RFC 2 "), "what was not added is not announced: {listed}");
}

#[test]
fn fault_c16_an_index_that_is_not_there_yet_ends_a_sharer() {
    let dir = folder(&[(1, rfc(1, "Host Software"))]);
    let away = crate::places::RefusingPort::new();
    let (server, port) = (away.address(), away.port());
    let mut sharer =
        Process::start(p2pci(["share", dir.path().to_str().unwrap(), "--server", &server, "--json"]));
    wait_for(PATIENCE, "the sharer to say that there is no index", || {
        sharer.stderr().contains(&port.to_string()).then_some(())
    });
    drop(away);
    let index = Index::on(&server, &[]);
    sharer.wait_in_lines("the registration", |lines| {
        lines.iter().any(|line| line.contains("\"registered\"")).then_some(())
    });
    assert!(index.raw().ask(spec::lookup(1)).contains("RFC 1 Host Software "));
}

/// The numbers that an index lists.
fn listed(index: &Index) -> Vec<u64> {
    let objects = run(["list", "--json", "--server", &index.address()]).objects();
    objects.iter().filter_map(|object| object["number"].as_u64()).collect()
}

#[test]
fn fault_c23_the_folder_that_was_named_is_not_the_one_that_is_used() {
    let here = empty_folder();
    let write = |path: &str| {
        let path = here.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "text").unwrap();
    };
    ["rfc/rfc6.txt", "rfc7.txt", "other/rfc5.txt", "other/rfc/rfc8.txt"].into_iter().for_each(write);
    let index = Index::start();
    let server = index.address();
    let in_here = |args: &[&str]| {
        let mut command = p2pci(args);
        command.current_dir(here.path());
        command
    };
    let mut client = Client::from_command(in_here(&["client", &server, "--dir", "other"]));
    client.until(REQUEST);
    assert_eq!(listed(&index), [5]);
    client.enter("5");
    assert_eq!(client.ends(PATIENCE).0, Some(0));
    let sharer = Sharer::from_command(in_here(&["share", "other", "--server", &server, "--json"]));
    assert_eq!(listed(&index), [5]);
    drop(sharer);
    assert_eq!(run(["share", "/nowhere/at/all", "--server", &server]).code, Some(1));
}

#[test]
fn fault_c24_a_digit_that_is_none_passes_the_client_and_stops_the_index() {
    let superscript = "\u{b2}";
    let dir = folder(&[(1, rfc(1, "Host Software"))]);
    fs::write(dir.path().join(format!("rfc{superscript}.txt")), "text").unwrap();
    let index = Index::start();
    let mut client = Client::start(dir.path(), &index.address());
    client.answer(REQUEST, "1");
    client.answer(NUMBER, superscript);
    client.until("a whole number from 1 to ");
    client.until(REQUEST);
    assert_eq!(listed(&index), [1], "the file of that name is not shared");
    assert_eq!(
        run(["get", superscript, "--server", &index.address()]).code,
        Some(3),
        "a name like any other"
    );
    let mut raw = index.raw();
    assert_eq!(raw.ask(spec::add(superscript, "Title", "127.0.0.1", 5)), spec::BAD_REQUEST);
    drop(raw);
    client.enter("5");
    assert_eq!(client.ends(PATIENCE).0, Some(0));
    assert_eq!(index.raw().ask(spec::LIST), spec::NOT_FOUND, "the index lives");
}

#[test]
fn fault_c26_requests_say_post_for_port() {
    let index = ForeignIndex::start(Dialect::Spec, Vec::new());
    let dir = folder(&[(1, rfc(1, "Host Software"))]);
    let sharer = Sharer::start(dir.path(), &index.address());
    let port = sharer.port();
    let add =
        format!("ADD RFC 1 P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: {port}\r\nTitle: Host Software\r\n\r\n");
    assert_eq!(index.requests_in_v10(), [add]);
}

#[test]
fn fault_c27_a_peer_is_named_by_a_host_name_that_nobody_else_resolves() {
    let index = ForeignIndex::start(Dialect::Spec, Vec::new());
    let dir = folder(&[(1, rfc(1, "Host Software"))]);
    let own_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let _sharer = Sharer::start(dir.path(), &index.address());
    let here = empty_folder();
    let mut client = Client::start(here.path(), &index.address());
    client.answer(REQUEST, "3");
    client.until(REQUEST);
    for request in index.requests_in_v10() {
        assert!(request.contains("\r\nHost: 127.0.0.1\r\n"), "{request:?}");
        assert!(!request.contains(own_name.trim()), "{request:?}");
    }
}

#[test]
fn fault_c28_a_host_name_that_cannot_be_resolved_ends_the_client() {
    // A label above 63 characters is refused by the resolver itself: nobody on the network is asked.
    let nowhere = "n".repeat(64);
    let text = rfc(1, "Host Software");
    let dir = folder(&[(1, &text)]);
    let origin = Index::start();
    let sharer = Sharer::start(dir.path(), &origin.address());
    let entries = vec![
        Entry::new(1, "Host Software", &nowhere, 5000),
        Entry::new(1, "Host Software", "127.0.0.1", sharer.port()),
    ];
    let index = ForeignIndex::start(Dialect::Original, entries);
    let here = empty_folder();
    let got = run_in(here.path(), ["get", "1", "--server", &index.address()]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert!(got.stderr.contains(&nowhere), "{}", got.stderr);
    assert_eq!(fs::read_to_string(here.path().join("rfc1.txt")).unwrap(), text);
    let menu_dir = empty_folder();
    picks_another(menu_dir.path(), &index, &text);
    assert_eq!(run(["lookup", "1", "--server", &nowhere]).code, Some(4));
}

/// At the menu a peer that cannot be found gets a sentence, and another one can be chosen.
fn picks_another(dir: &Path, index: &ForeignIndex, text: &str) {
    let mut client = Client::start(dir, &index.address());
    for (choice, sentence) in [("1", "cannot be reached"), ("2", "complete")] {
        client.answer(REQUEST, "4");
        client.answer(NUMBER, "1");
        client.answer("Choose one peer to download: ", choice);
        client.until(sentence);
    }
    client.until(REQUEST);
    assert_eq!(fs::read_to_string(dir.join("rfc1.txt")).unwrap(), text);
}

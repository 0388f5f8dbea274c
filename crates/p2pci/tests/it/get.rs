//! The commands for scripts: every text fetched with `get`, each exit code, and what `lookup` and `list` show.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::json;

use crate::foreign::{Scripted, hold, read_some, say};
use crate::places::{RefusingPort, empty_folder, folder, hash_of, leaf, names_in, rfc, tree};
use crate::world::{
    Finished, Index, PATIENCE, Process, Raw, Sharer, p2pci, run, run_command, run_in, spec, texts, wait_for,
};

fn get(into: &Path, index: &Index, more: &[&str]) -> Finished {
    let server = index.address();
    run_in(into, [&["get"], more, &["--server", &server]].concat())
}

#[test]
fn the_second_peer_fetches_every_text_byte_for_byte() {
    let (index, texts) = (Index::start(), texts());
    let sharer = Sharer::start(texts.folder(), &index.address());
    let (numbers, names) = (texts.numbers(), names_in(texts.folder()));
    assert!(!numbers.is_empty() && names.len() > numbers.len());
    assert_eq!(sharer.registered()["files"], names.len(), "a name needs no number: {}", sharer.registered());
    assert_eq!(sharer.registered()["refused"], 0);
    assert_eq!(sharer.sharing()["skipped"], json!({}), "{}", sharer.sharing());
    let here = empty_folder();
    for numbers in numbers.chunks(25) {
        let typed: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let got = get(here.path(), &index, &typed.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(got.code, Some(0), "{numbers:?}: {}", got.stderr);
    }
    for number in &numbers {
        let file = fs::read(here.path().join(format!("rfc{number}.txt"))).unwrap();
        assert!(file == texts.bytes(*number), "RFC {number} is not the same");
    }
    assert_eq!(names_in(here.path()).len(), numbers.len(), "nothing else is left in the folder");
}

#[test]
fn a_name_without_a_number_is_shared_as_a_name() {
    let index = Index::start();
    let dir = folder(&[(1, "text")]);
    fs::write(dir.path().join("rfc17a.txt"), "no number").unwrap();
    let mut sharer =
        Process::start(p2pci(["share", dir.path().to_str().unwrap(), "--server", &index.address()]));
    let line = sharer.wait_in_lines("the first line", |lines| lines.first().cloned());
    assert!(line.starts_with("Sharing 2 files (") && !line.contains("not shared"), "{line}");
    let registered =
        |lines: &[String]| lines.iter().any(|line| line.starts_with("Registered 2 files")).then_some(());
    sharer.wait_in_lines("the registration", registered);
    let all = sharer.lines().join("\n");
    assert!(!all.contains("Elsewhere"), "an index on loopback is not reached from there: {all}");
    let here = empty_folder();
    assert_eq!(get(here.path(), &index, &["rfc17a.txt"]).code, Some(0));
    assert_eq!(fs::read(here.path().join("rfc17a.txt")).unwrap(), b"no number");
    assert_eq!(get(here.path(), &index, &["17"]).code, Some(3), "it is not RFC 17");
    sharer.signal(Signal::TERM);
    assert_eq!(sharer.exit_code(PATIENCE), Some(0));
}

#[test]
fn output_goes_to_a_file_a_folder_or_standard_output() {
    let index = Index::start();
    let text = rfc(5, "Decode Encode Language");
    let dir = folder(&[(5, &text)]);
    let _sharer = Sharer::start(dir.path(), &index.address());
    let here = empty_folder();
    let read = |name: &str| fs::read_to_string(here.path().join(name)).unwrap();
    assert_eq!(get(here.path(), &index, &["5", "-o", "mine.txt"]).code, Some(0));
    assert_eq!(read("mine.txt"), text);
    for made in ["sub/", "sub/", "sub/deep/er/"] {
        assert_eq!(get(here.path(), &index, &["5", "-o", made]).code, Some(0));
        assert_eq!(read(&format!("{made}rfc5.txt")), text);
    }
    assert_eq!(get(here.path(), &index, &["6", "-o", "not/"]).code, Some(3), "nothing is made for nothing");
    let piped = get(here.path(), &index, &["5", "-o", "-"]);
    assert_eq!((piped.code, piped.text()), (Some(0), text));
    assert_eq!(names_in(here.path()), ["mine.txt", "sub"]);
    let missing = get(here.path(), &index, &["5", "-o", "missing/rfc5.txt"]);
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stderr.contains("missing/rfc5.txt") && missing.stderr.contains("final /"),
        "{}",
        missing.stderr
    );
}

#[test]
fn from_asks_a_peer_without_any_index() {
    let index = Index::start();
    let dir = folder(&[(1, "one")]);
    let sharer = Sharer::start(dir.path(), &index.address());
    let nobody = RefusingPort::new();
    let here = empty_folder();
    let args = |number| {
        ["get", number, "--from", &sharer.address(), "--server", &nobody.address()].map(str::to_owned)
    };
    let got = run_in(here.path(), args("1"));
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(fs::read(here.path().join("rfc1.txt")).unwrap(), b"one");
    let missing = run_in(here.path(), args("2"));
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
    let away = run_in(here.path(), ["get", "3", "--from", &nobody.address()]);
    assert_eq!(away.code, Some(1), "{}", away.stderr);
    assert_eq!(names_in(here.path()), ["rfc1.txt"]);
}

#[test]
fn the_same_content_is_already_here_and_another_is_kept_unless_forced() {
    let index = Index::start();
    let dir = folder(&[(1, "theirs")]);
    let _sharer = Sharer::start(dir.path(), &index.address());
    let here = folder(&[(1, "theirs")]);
    let file = here.path().join("rfc1.txt");
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    let same = get(here.path(), &index, &["1"]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(same.text().contains("already here"), "{}", same.text());
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before, "the file was not touched");
    fs::write(&file, "mine").unwrap();
    let other = get(here.path(), &index, &["1"]);
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("--force"), "{}", other.stderr);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    assert_eq!(get(here.path(), &index, &["1", "--force"]).code, Some(0));
    assert_eq!(fs::read(&file).unwrap(), b"theirs");
    assert_eq!(names_in(here.path()), ["rfc1.txt"]);
}

#[test]
fn each_failure_has_its_exit_code_and_one_line() {
    let index = Index::start();
    let nobody = RefusingPort::new();
    let here = empty_folder();
    for command in ["get", "lookup"] {
        let found = run_in(here.path(), [command, "1", "--server", &index.address()]);
        assert_eq!(found.code, Some(3), "{command}: {}", found.stderr);
        one_line(&found);
        let away = run_in(here.path(), [command, "1", "--server", &nobody.address()]);
        assert_eq!(away.code, Some(4), "{command}: {}", away.stderr);
        assert!(away.stderr.contains(&nobody.port().to_string()), "{}", away.stderr);
        one_line(&away);
    }
    for name in ["none", "\u{b2}", "some folder/none"] {
        let found = get(here.path(), &index, &[name]);
        assert_eq!(found.code, Some(3), "{name}: {}", found.stderr);
        one_line(&found);
    }
    let empty = run(["list", "--server", &index.address()]);
    assert_eq!(empty.code, Some(3));
    one_line(&empty);
    assert_eq!(run(["list", "--server", &nobody.address()]).code, Some(4));
    let wrong: &[&[&str]] = &[
        &["get"],
        &["get", "../none"],
        &["get", "0"],
        &["get", "-1"],
        &["get", "1", "--server", "localhost:99999"],
        &["get", "1", "--from", "127.0.0.1"],
        &["get", "1", "--unknown"],
        &["lookup"],
        &["list", "[", "--server", &index.address()],
        &["share"],
        &["frobnicate"],
    ];
    for args in wrong {
        assert_eq!(run_in(here.path(), *args).code, Some(2), "{args:?}");
    }
    assert_eq!(names_in(here.path()), [""; 0]);
}

/// A failure is one sentence that begins with the program's name.
fn one_line(finished: &Finished) {
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.starts_with("p2pci: "), "{}", finished.stderr);
    assert_eq!(finished.text(), "");
}

#[test]
fn an_interrupted_download_exits_130_and_leaves_no_part() {
    let slow = Scripted::start(|mut stream, _| {
        read_some(&mut stream);
        say(&mut stream, &crate::foreign::uploader::spec_head(1_000_000));
        say(&mut stream, &[b'x'; 5000]);
        hold(&mut stream);
    });
    for signal in [Signal::INT, Signal::TERM] {
        let here = empty_folder();
        let mut command = p2pci(["get", "1", "--from", &slow.address()]);
        command.current_dir(here.path());
        let mut getting = Process::start(command);
        wait_for(PATIENCE, "a part file", || {
            names_in(here.path()).into_iter().find(|name| name.ends_with(".p2pci-part"))
        });
        getting.signal(signal);
        assert_eq!(getting.exit_code(PATIENCE), Some(130));
        assert_eq!(names_in(here.path()), [""; 0]);
    }
}

#[test]
fn json_tells_what_came_from_where() {
    let index = Index::start();
    let dir = folder(&[(1, "12345")]);
    let sharer = Sharer::start(dir.path(), &index.address());
    let here = empty_folder();
    let name = format!("{}/rfc1.txt", leaf(dir.path()));
    let hash = hash_of("12345");
    let got = get(here.path(), &index, &["1", "--json"]).objects();
    let expected = json!([{
        "type": "fetched", "name": name, "number": 1, "hash": hash, "path": "rfc1.txt", "bytes": 5, "fetched": 5, "resumed": 0,
        "verified": true, "sources": [{"from": sharer.address(), "bytes": 5, "fault": null}],
    }]);
    assert_eq!(json!(got), expected);
    let again = get(here.path(), &index, &["1", "--json"]).objects();
    let already = json!([{
        "type": "already_here", "name": name, "number": 1, "hash": hash, "path": "rfc1.txt", "bytes": 5,
    }]);
    assert_eq!(json!(again), already);
    fs::remove_file(here.path().join("rfc1.txt")).unwrap();
    let direct = run_in(here.path(), ["get", "1", "--json", "--from", &sharer.address()]).objects();
    let unverified = json!([{
        "type": "fetched", "number": 1, "path": "rfc1.txt", "bytes": 5, "from": sharer.address(), "verified": false,
    }]);
    assert_eq!(json!(direct), unverified, "a number from a peer by its address is 1.0");
    let missing = get(here.path(), &index, &["2", "--json"]);
    assert_eq!(missing.code, Some(3));
    let errors = missing.objects();
    assert_eq!((errors.len(), &errors[0]["type"], &errors[0]["code"]), (1, &json!("error"), &json!(3)));
    assert!(errors[0]["message"].is_string());
}

/// Registers RFC 1 in 1.0 for a peer of each of these ports, in this order; gone with the connections.
fn add_in_v10(index: &Index, ports: &[u16]) -> Vec<Raw> {
    let add = |port: &u16| {
        let mut peer = index.raw();
        peer.send(spec::add(1, "Old", "127.0.0.1", port));
        peer.expect(spec::ok(&[&format!("RFC 1 Old 127.0.0.1 {port}")]));
        peer
    };
    ports.iter().map(add).collect()
}

#[test]
fn the_next_peer_is_asked_when_one_fails() {
    let (index, elsewhere) = (Index::start(), Index::start());
    let away = RefusingPort::new();
    let cut = Scripted::saying([crate::foreign::uploader::spec_head(100), b"short".to_vec()].concat());
    let dir = folder(&[(1, "whole")]);
    let sharer = Sharer::start(dir.path(), &elsewhere.address());
    // Records come in the order of joining, so the two that fail are asked first.
    let _peers = add_in_v10(&index, &[away.port(), cut.port(), sharer.port()]);
    let here = empty_folder();
    let got = get(here.path(), &index, &["1", "--json"]);
    assert_eq!(got.code, Some(0), "{}", got.text());
    let told: Vec<_> = got
        .objects()
        .into_iter()
        .map(|object| (object["type"].as_str().unwrap().to_owned(), object["from"].clone()))
        .collect();
    let failed = |port: u16| ("source_failed".to_owned(), json!(format!("127.0.0.1:{port}")));
    let fetched = ("fetched".to_owned(), json!(sharer.address()));
    assert_eq!(told, [failed(away.port()), failed(cut.port()), fetched]);
    assert_eq!(fs::read(here.path().join("rfc1.txt")).unwrap(), b"whole");
    drop(sharer);
    let none = empty_folder();
    let failed = get(none.path(), &index, &["1"]);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert_eq!(names_in(none.path()), [""; 0]);
}

#[test]
fn lookup_and_list_show_records_of_both_versions() {
    let index = Index::start();
    let dir = folder(&[(5, rfc(5, "Decode Encode Language")), (123, rfc(123, "A Proferred Official ICP"))]);
    let sharer = Sharer::start(dir.path(), &index.address());
    let _old = add_in_v10(&index, &[9]);
    let (server, port) = (index.address(), sharer.port());
    let ask = |args: &[&str]| {
        let finished = run([args, &["--server", &server]].concat());
        (finished.code, finished.text())
    };
    let folder = leaf(dir.path());
    let size = rfc(5, "Decode Encode Language").len();
    let five = format!("{folder}/rfc5.txt  {size} B  RFC 5 Decode Encode Language\n");
    let size = rfc(123, "A Proferred Official ICP").len();
    let icp = format!("{folder}/rfc123.txt  {size} B  RFC 123 A Proferred Official ICP\n");
    let old = "RFC 1 Old 127.0.0.1 9\n";
    let listed = ask(&["list"]);
    assert_eq!(listed.0, Some(0));
    let mut lines: Vec<&str> = listed.1.split_inclusive('\n').collect();
    lines.sort_unstable();
    let mut expected = [five.as_str(), &icp, old];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(ask(&["list", "*official*"]), (Some(0), icp.clone()));
    assert_eq!(ask(&["list", "rfc12*.txt"]), (Some(0), icp));
    assert_eq!(ask(&["list", "{rfc5.txt,nothing}"]), (Some(0), five));
    assert_eq!(ask(&["list", "rfc1.txt"]), (Some(0), old.to_owned()));
    assert_eq!(ask(&["list", "nothing*"]), (Some(3), String::new()));
    let looked_up = ask(&["lookup", "5"]);
    let source = format!("    127.0.0.1:{port}  published\n");
    assert!(
        looked_up.1.starts_with("RFC 5  Decode Encode Language  ") && looked_up.1.ends_with(&source),
        "{looked_up:?}"
    );
    let old_one = "RFC 1  Old  no hash (P2P-CI/1.0)\n    127.0.0.1:9\n".to_owned();
    assert_eq!(ask(&["lookup", "1"]), (Some(0), old_one));
    let text = rfc(5, "Decode Encode Language");
    let variant = wait_for(PATIENCE, "the file to be hashed", || {
        let mut objects = run(["lookup", "5", "--json", "--server", &server]).objects();
        assert_eq!(objects.len(), 1, "{objects:?}");
        objects.pop().filter(|variant| !variant["hash"].is_null())
    });
    let expected = json!({
        "type": "variant", "name": format!("{folder}/rfc5.txt"), "size": text.len(), "modified": variant["modified"],
        "hash": hash_of(&text), "sha256": null, "number": 5, "title": "Decode Encode Language", "published": true, "sources_in_all": 1,
        "sources": [{"host": "127.0.0.1", "port": port, "speaks": "1.1", "published": true}],
    });
    assert_eq!(variant, expected);
}

#[test]
fn every_flag_has_an_environment_variable() {
    let index = Index::start();
    let dir = folder(&[(1, "one")]);
    let _sharer = Sharer::start(dir.path(), &index.address());
    let here = empty_folder();
    let mut command = p2pci(["get", "1"]);
    command.current_dir(here.path());
    command.env("P2PCI_SERVER", index.address()).env("P2PCI_OUTPUT", "mine.txt").env("P2PCI_JSON", "true");
    let got = run_command(command);
    assert_eq!((got.code, &got.objects()[0]["path"]), (Some(0), &json!("mine.txt")), "{}", got.stderr);
}

#[test]
fn records_die_with_the_sharer() {
    let mut index = Index::start();
    let dir = folder(&[(1, "one")]);
    let mut sharer = Sharer::start(dir.path(), &index.address());
    sharer.process().signal(Signal::INT);
    assert_eq!(sharer.process().exit_code(PATIENCE), Some(0));
    assert_eq!(run(["lookup", "1", "--server", &index.address()]).code, Some(3));
    assert_eq!(index.raw().ask(spec::LIST), spec::NOT_FOUND);
    assert_eq!(index.stop(PATIENCE), Some(0));
}

#[test]
fn a_folder_is_fetched_whole_though_a_file_in_it_is_not_hashed_yet() {
    let (_outer, root) = tree("live", &[("settled", "settled"), ("its own/busy", "busy")]);
    let index = Index::start();
    let (written, done) = (root.join("its own/busy"), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // What changes all the time is not hashed.
        scope.spawn(|| {
            let began = Instant::now();
            while !done.load(Ordering::Relaxed) && began.elapsed() < PATIENCE {
                fs::write(&written, "busy").unwrap();
                std::thread::sleep(proto::limits::QUIET_FILE / 5);
            }
        });
        let _sharer = Sharer::start(&root, &index.address());
        wait_for(PATIENCE, "one of the two to be hashed", || {
            let files = index.files();
            let hashed = files.iter().filter(|file| file["hash"].is_string()).count();
            (files.len() == 2 && hashed == 1).then_some(())
        });
        let here = empty_folder();
        let mut get = p2pci(["get", "-r", "live", "--no-upload", "--server", &index.address()]);
        let mut getting = Process::start({
            get.current_dir(here.path());
            get
        });
        wait_for(PATIENCE, "the file that is hashed", || {
            (here.path().join("live/settled").exists() || getting.has_ended()).then_some(())
        });
        done.store(true, Ordering::Relaxed);
        assert_eq!(getting.exit_code(PATIENCE), Some(0), "{}", getting.stderr());
        assert_eq!(fs::read_to_string(here.path().join("live/its own/busy")).unwrap(), "busy");
    });
}

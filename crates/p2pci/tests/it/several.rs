//! Several indexes at once: `--server a,b`. Any of them may be gone, and nothing is there twice.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::places::{empty_folder, folder, hash_of, put, rfc, tree};
use crate::world::{BLOCK, Client, Index, PATIENCE, Process, Sharer, noise, p2pci, run, wait_for};

/// Two indexes, and how they are typed together.
fn two() -> (Index, Index, String) {
    let (one, other) = (Index::start(), Index::start());
    let both = format!("{},{}", one.address(), other.address());
    (one, other, both)
}

/// Names, and how many have each, as these indexes together list them.
fn listed(servers: &str) -> Vec<(String, usize)> {
    let list = run(["list", "--json", "--server", servers]);
    let sources = |file: &Value| file["sources"].as_array().map_or(0, Vec::len);
    list.objects().iter().map(|file| (file["name"].as_str().unwrap().to_owned(), sources(file))).collect()
}

/// Waits until an index by itself lists these names.
fn wait_names(index: &Index, names: &[&str]) {
    wait_for(PATIENCE, &format!("an index to list {names:?}"), || (index.names() == names).then_some(()));
}

fn wait_registered_with(sharer: &mut Sharer, index: &Index) {
    let server = index.address();
    sharer.process().wait_in_lines("the registration with the other index", |lines| {
        let is_it = |line: &String| line.contains("\"registered\"") && line.contains(&server);
        lines.iter().any(is_it).then_some(())
    });
}

#[test]
fn two_indexes_are_asked_as_one_and_tell_nothing_twice() {
    let (one, other, both) = two();
    let content = noise(1, 3000);
    let (_outer, everywhere) = tree("all", &[("same", &content)]);
    let (_outer, here) = tree("here", &[("copy", &content)]);
    let (_outer, there) = tree("there", &[("copy", &content), ("own", &noise(2, 10))]);
    let mut sharers = [
        Sharer::start(&everywhere, &both),
        Sharer::start(&here, &one.address()),
        Sharer::start(&there, &other.address()),
    ];
    for index in [&one, &other] {
        wait_registered_with(&mut sharers[0], index);
    }
    one.wait_hashed(2);
    other.wait_hashed(3);
    let names = ["all/same", "here/copy", "there/copy", "there/own"];
    assert_eq!(listed(&both), names.map(|name| (name.to_owned(), 1)));
    let found = run(["lookup", "all/same", "--json", "--server", &both]).objects();
    let mut ports: Vec<u64> =
        found[0]["sources"].as_array().unwrap().iter().map(|one| one["port"].as_u64().unwrap()).collect();
    ports.sort_unstable();
    let mut expected = sharers.each_ref().map(|sharer| u64::from(sharer.port()));
    expected.sort_unstable();
    assert_eq!((found.len(), ports), (1, expected.to_vec()), "{found:?}");
    let found = run(["search", "same", "--json", "--server", &both]).objects();
    assert_eq!(found.iter().filter(|line| line["type"] == "found").count(), 1, "{found:?}");
    let got = empty_folder();
    let target = got.path().to_str().unwrap().to_owned() + "/";
    let fetched = run(["get", "own", "copy", "-o", &target, "--server", &both]);
    assert!(fetched.code == Some(0) && got.path().join("own").exists(), "{}", fetched.stderr);
}

#[test]
fn one_index_under_two_addresses_is_told_everything_once() {
    let index = Index::start();
    let (_outer, root) = tree("once", &[("file", "x")]);
    let twice = format!("{},localhost:{}", index.address(), index.port());
    let _sharer = Sharer::start(&root, &twice);
    index.wait_hashed(1);
    assert_eq!((index.status().records, index.status().peers), (1, 1), "the second address stands by");
    let with_a_dead_one = format!("127.0.0.2:{},{twice}", index.port());
    assert_eq!(listed(&with_a_dead_one), [("once/file".to_owned(), 1)]);
}

#[test]
fn either_of_two_indexes_may_die_while_files_are_shared_and_fetched() {
    let (mut one, other, both) = two();
    let content = noise(3, (6 * BLOCK + 7) as usize);
    let (_outer, root) = tree("film", &[("reel", &content)]);
    let mut sharer = Sharer::with(&root, &both, &["--upload-limit", "2M"]);
    for index in [&one, &other] {
        wait_registered_with(&mut sharer, index);
        index.wait_hashed(1);
    }
    let here = empty_folder();
    let mut command = p2pci(["get", "reel", "--server", &both]);
    command.current_dir(here.path());
    let mut getting = Process::start(command);
    wait_for(PATIENCE, "a part of the file", || {
        let parts = fs::read_dir(here.path()).unwrap().count();
        (parts > 0).then_some(())
    });
    assert!(!getting.has_ended());
    let place = one.address();
    one.process().kill();
    // The other one goes on being told what changes, and being asked.
    put(&root.join("later"), "x");
    wait_for(PATIENCE, "the change", || {
        (listed(&both).iter().any(|(name, _)| name == "film/later")).then_some(())
    });
    assert_eq!(getting.exit_code(PATIENCE), Some(0), "{}", getting.stderr());
    assert_eq!(hash_of(fs::read(here.path().join("reel")).unwrap()), hash_of(&content));
    // One that comes back is told everything again.
    let back = Index::on(&place, &[]);
    wait_names(&back, &["film/later", "film/reel"]);
    back.wait_hashed(2);
    let missing = run(["lookup", "nothing", "--server", &both]);
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
}

#[test]
fn without_any_index_it_is_said_that_none_can_be_reached() {
    let (mut one, mut other, both) = two();
    one.process().kill();
    other.process().kill();
    for command in ["list", "watch"] {
        let ended = run([command, "--server", &both]);
        assert_eq!(ended.code, Some(4), "{command}: {}", ended.stderr);
    }
}

#[test]
fn what_two_indexes_see_change_is_shown_once() {
    let (mut one, other, both) = two();
    let mut watching = Process::start(p2pci(["watch", "--json", "--server", &both]));
    let count = |kind: &'static str| {
        move |lines: &[String]| {
            lines.iter().filter(|line| line.contains(&format!("\"type\":\"{kind}\""))).count()
        }
    };
    watching.wait_in_lines("both watches", |lines| (count("watching")(lines) == 2).then_some(()));
    let (_outer, root) = tree("live", &[("a", "a")]);
    let mut sharer = Sharer::start(&root, &both);
    wait_registered_with(&mut sharer, &other);
    one.wait_hashed(1);
    other.wait_hashed(1);
    one.process().kill();
    put(&root.join("b"), "b");
    watching
        .wait_in_lines("the second file", |lines| lines.iter().find(|line| line.contains("live/b")).cloned());
    sharer.process().kill();
    watching.wait_in_lines("both to go", |lines| (count("removed")(lines) == 2).then_some(()));
    let of_a = |kind: &str| {
        let lines = watching.lines();
        lines.iter().filter(|line| line.contains("live/a") && line.contains(kind)).count()
    };
    assert_eq!((of_a("\"added\""), of_a("\"removed\"")), (1, 1), "{:?}", watching.lines());
}

#[test]
fn the_menu_speaks_with_both() {
    let (mut one, other, both) = two();
    let (first, second) = (folder(&[(1, rfc(1, "One"))]), folder(&[(2, rfc(2, "Two"))]));
    let mut client = Client::start(first.path(), &both);
    client.until("Enter your request: ");
    let _else = Sharer::start(Path::new(second.path()), &other.address());
    wait_for(PATIENCE, "both to know the client's file", || {
        let knows = |index: &Index| run(["lookup", "1", "--server", &index.address()]).code == Some(0);
        (knows(&one) && knows(&other)).then_some(())
    });
    client.enter("3");
    let listed = client.answer("Enter your request: ", "2");
    assert_eq!(listed.matches("RFC 1 One").count(), 1, "{listed}");
    assert_eq!(listed.matches("RFC 2 ").count(), 1, "{listed}");
    client.answer("Enter the RFC number: ", "2");
    client.answer("(optional): ", "");
    let found = client.until("Enter your request: ");
    assert!(found.contains("RFC 2 "), "{found}");
    one.process().kill();
    client.enter("2");
    client.answer("Enter the RFC number: ", "1");
    client.answer("(optional): ", "");
    let found = client.until("Enter your request: ");
    assert!(found.contains("RFC 1 One"), "{found}");
    client.enter("5");
    assert_eq!(client.ends(PATIENCE).0, Some(0));
}

//! Several contents under one name, copies, and peers of both versions at one index.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::places::{empty_folder, folder, hash_of, names_in, rfc, tree};
use crate::world::spec;
use crate::world::v11::{add_files, hashed, with};
use crate::world::{Client, Finished, Index, PATIENCE, Raw, Sharer, run, run_in, wait_for};

fn get(into: &Path, index: &Index, args: &[&str]) -> Finished {
    run_in(into, [&["get"], args, &["--server", &index.address()]].concat())
}

/// A failure of this code that wrote nothing; its sentence.
fn refused(index: &Index, code: i32, args: &[&str]) -> String {
    let here = empty_folder();
    let got = get(here.path(), index, args);
    assert_eq!(got.code, Some(code), "{args:?}: {}", got.stderr);
    assert_eq!(names_in(here.path()), [""; 0]);
    got.stderr
}

#[test]
fn two_published_contents_are_for_the_user_to_choose() {
    let (_one, first) = tree("same", &[("name", "first")]);
    let (_two, second) = tree("same", &[("name", "second")]);
    let index = Index::start();
    let sharers = [Sharer::start(&first, &index.address()), Sharer::start(&second, &index.address())];
    index.wait_hashed(2);
    for target in ["same/name", "name", "nam*"] {
        let said = refused(&index, 5, &[target]);
        for part in [hash_of("first"), hash_of("second"), sharers[0].address(), sharers[1].address()] {
            assert!(said.contains(&part), "{target}: {part} is not in: {said}");
        }
    }
    refused(&index, 5, &["-r", "same"]);
    for content in ["first", "second"] {
        let here = empty_folder();
        let got = get(here.path(), &index, &["same/name", "--hash", &hash_of(content)]);
        assert_eq!(got.code, Some(0), "{}", got.stderr);
        assert_eq!(fs::read_to_string(here.path().join("name")).unwrap(), content);
    }
    refused(&index, 3, &["same/name", "--hash", &hash_of("third")]);
    assert_eq!(run(["lookup", "same/name", "--json", "--server", &index.address()]).objects().len(), 2);
}

#[test]
fn a_copy_decides_nothing_about_its_name() {
    let (_outer, root) = tree("same", &[("name", "published")]);
    let index = Index::start();
    let sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    // Somebody who fetched an earlier version has it still, and tells so.
    let mut copier = index.raw();
    let copy = with(hashed("same/name", 7, 'a'), json!({"copied": true}));
    assert_eq!(copier.ask_v11(add_files("127.0.0.1", 9, &[copy])).status, 200);
    let here = empty_folder();
    let got = get(here.path(), &index, &["same/name", "--json"]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(got.objects()[0]["sources"][0]["from"], sharer.address());
    assert_eq!(fs::read_to_string(here.path().join("name")).unwrap(), "published");
}

#[test]
fn peers_of_both_versions_exchange_files_through_one_index() {
    let (old_text, new_text) = (rfc(1, "From The Old"), rfc(2, "From The New"));
    let old_folder = folder(&[(1, &old_text)]);
    let (_outer, new_folder) = tree("new", &[("rfc2.txt", new_text.as_str()), ("rfc3.txt", "both have it")]);
    fs::write(old_folder.path().join("rfc3.txt"), "both have it").unwrap();
    let index = Index::start();
    let mut old = Client::start(old_folder.path(), &index.address());
    let _new = Sharer::start(&new_folder, &index.address());
    wait_for(PATIENCE, "both to be registered", || (index.files().len() == 4).then_some(()));
    let here = empty_folder();
    let got = get(here.path(), &index, &["1", "--json"]);
    assert_eq!((got.code, &got.objects()[0]["verified"]), (Some(0), &json!(false)), "{}", got.stderr);
    let told = get(empty_folder().path(), &index, &["1"]).text();
    assert!(told.contains("unverified"), "{told}");
    let got = get(here.path(), &index, &["3", "--json"]);
    assert_eq!((got.code, &got.objects()[0]["verified"]), (Some(0), &json!(true)), "{}", got.stderr);
    assert_eq!(fs::read_to_string(here.path().join("rfc1.txt")).unwrap(), old_text);
    old.answer("Enter your request: ", "4");
    old.answer("Enter the RFC number: ", "2");
    old.answer("Choose one peer to download: ", "1");
    old.until("Enter your request: ");
    assert_eq!(fs::read_to_string(old_folder.path().join("rfc2.txt")).unwrap(), new_text);
}

/// Registers a number in 1.0 for a sharer that is at another index.
fn old_record(index: &Index, sharer: &Sharer) -> Raw {
    let mut peer = index.raw();
    let port = sharer.port();
    peer.exchange(spec::add(1, "T", "127.0.0.1", port), spec::ok(&[&format!("RFC 1 T 127.0.0.1 {port}")]));
    peer
}

#[test]
fn two_peers_of_1_0_must_give_the_same() {
    let (index, elsewhere) = (Index::start(), Index::start());
    let texts = ["one", "other", "one"].map(|text| folder(&[(1, text)]));
    let sharers = [0, 1, 2].map(|at: usize| Sharer::start(texts[at].path(), &elsewhere.address()));
    let first = old_record(&index, &sharers[0]);
    let second = old_record(&index, &sharers[1]);
    let said = refused(&index, 5, &["1"]);
    assert!(said.contains(&sharers[0].address()) && said.contains(&sharers[1].address()), "{said}");
    drop(second);
    let _third = old_record(&index, &sharers[2]);
    let only_two = || {
        let found = run(["lookup", "1", "--json", "--server", &index.address()]).objects();
        (found[0]["sources"].as_array().unwrap().len() == 2).then_some(())
    };
    wait_for(PATIENCE, "the other one to be gone", only_two);
    let here = empty_folder();
    let got = get(here.path(), &index, &["1", "-o", "new/"]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(fs::read_to_string(here.path().join("new/rfc1.txt")).unwrap(), "one");
    drop(first);
}

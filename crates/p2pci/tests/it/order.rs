//! In which order the index names the sources of a file, and what programs of 1.0 that take the first one make of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::json;

use crate::foreign::Dialect;
use crate::foreign::uploader::ForeignUploader;
use crate::world::spec::{self, NOT_FOUND};
use crate::world::v11::{add_files, hash, hashed, lookup, with};
use crate::world::{Index, PATIENCE, Raw, wait_for};

/// Programs that fetch the file, beside the one that has it.
const FETCHING: usize = 40;
const TEXT: &[u8] = b"the text that everybody wants\n";

/// A program of 1.0: what it says to the index, and its upload server.
struct Naive {
    index: Raw,
    uploader: ForeignUploader,
}

impl Naive {
    fn join(index: &Index) -> Self {
        let files = BTreeMap::from([(7, TEXT.to_vec())]);
        Self { index: index.raw(), uploader: ForeignUploader::start(Dialect::Spec, files) }
    }

    fn first_source(&mut self) -> u16 {
        let found = self.index.ask_whole(&spec::lookup(7));
        let first = found.lines().nth(2).expect("a first record");
        first.rsplit_once(' ').expect("a port at its end").1.parse().unwrap()
    }

    fn fetch(source: u16) {
        let mut peer = Raw::connect(source);
        peer.send(spec::get(7));
        assert!(peer.read_to_end().ends_with(TEXT));
    }

    fn offer(&mut self) {
        let port = self.uploader.port();
        let record = format!("RFC 7 Seven localhost {port}");
        self.index.exchange(spec::add(7, "Seven", "localhost", port), spec::ok(&[&record]));
    }

    fn served(&self) -> usize {
        self.uploader.requests().len()
    }
}

/// Each wave asks at once, as many as have the file; then each of them fetches from the first source that it was told, and offers
/// the file itself. Says how often each peer served.
fn spread(index: &Index) -> Vec<usize> {
    let mut peers = vec![Naive::join(index)];
    peers[0].offer();
    while peers.len() <= FETCHING {
        let wave = peers.len().min(FETCHING + 1 - peers.len());
        let mut coming: Vec<Naive> = (0..wave).map(|_| Naive::join(index)).collect();
        let sources: Vec<u16> = coming.iter_mut().map(Naive::first_source).collect();
        sources.into_iter().for_each(Naive::fetch);
        coming.iter_mut().for_each(Naive::offer);
        peers.extend(coming);
    }
    peers.iter().map(Naive::served).collect()
}

#[test]
fn programs_that_take_the_first_source_form_a_balanced_tree() {
    let served = spread(&Index::start());
    assert_eq!(served.iter().sum::<usize>(), FETCHING);
    // With a perfect choice in each of six waves it is six for the first peer.
    assert!(served.iter().all(|times| *times <= 8), "{served:?}");
    let served = spread(&Index::with(&["--order", "added"]));
    assert_eq!(served[0], FETCHING, "in the order of joining the first one serves them all: {served:?}");
}

#[test]
fn equal_sources_keep_the_order_of_joining_and_the_requester_comes_last() {
    let index = Index::start();
    let mut peers: Vec<Raw> = (0..3).map(|_| index.raw()).collect();
    for (peer, name) in peers.iter_mut().zip(["ada", "ben", "cyd"]) {
        peer.exchange(spec::add(7, "Seven", name, 1), spec::ok(&[&format!("RFC 7 Seven {name} 1")]));
    }
    let line = |name: &str| format!("RFC 7 Seven {name} 1");
    let told = |names: [&str; 3]| spec::ok(&names.map(line).each_ref().map(String::as_str));
    index.raw().exchange(spec::lookup(7), told(["ada", "ben", "cyd"]));
    index.raw().exchange(spec::lookup(7), told(["ben", "cyd", "ada"]));
    peers[2].exchange(spec::lookup(7), told(["ada", "ben", "cyd"]));
    // A LIST is a list.
    let all = spec::ok(&["ada", "ben", "cyd"].map(line).each_ref().map(String::as_str));
    index.raw().exchange(spec::LIST, all);
    // Who leaves is named no more, and who is alone stays so.
    drop(peers.drain(..2));
    let mut asker = index.raw();
    wait_for(PATIENCE, "two to be gone", || {
        (asker.ask_whole(&spec::lookup(7)) == spec::ok(&[&line("cyd")])).then_some(())
    });
    index.raw().exchange(spec::lookup(8), NOT_FOUND);
}

#[test]
fn complete_sources_come_first_in_both_versions() {
    let index = Index::start();
    let (mut ada, mut ben) = (index.raw(), index.raw());
    let file = with(hashed("seven", 5, 'a'), json!({"rfc": 7, "title": "Seven"}));
    ada.ask_v11(add_files("ada", 1, &[with(file.clone(), json!({"partial": true, "copied": true}))]));
    ben.ask_v11(add_files("ben", 2, &[file]));
    for _ in 0..3 {
        index.raw().exchange(spec::lookup(7), spec::ok(&["RFC 7 Seven ben 2", "RFC 7 Seven ada 1"]));
        for target in ["RFC 7", "FILE seven", &format!("HASH {}", hash('a'))] {
            let told = index.raw().ask_v11(lookup(target)).object();
            assert_eq!(
                (&told["sources"][0]["host"], &told["sources"][1]["host"]),
                (&json!("ben"), &json!("ada"))
            );
        }
    }
}

#[test]
fn a_lookup_names_200_sources_and_a_list_all_of_them() {
    const HOLDERS: usize = 230;
    for (flags, named) in [(&[][..], 200), (&["--order", "added"], HOLDERS)] {
        let index = Index::with(flags);
        let title = "t".repeat(400);
        let _holders: Vec<Raw> = (0..HOLDERS)
            .map(|at| {
                let mut raw = index.raw_from(Ipv4Addr::new(127, 0, 1, u8::try_from(at / 2).unwrap()));
                let record = format!("RFC 7 {title} host{at} 1");
                raw.exchange(spec::add(7, &title, &format!("host{at}"), 1), spec::ok(&[&record]));
                raw
            })
            .collect();
        let lines = |answer: String| answer.lines().filter(|line| line.starts_with("RFC 7 ")).count();
        assert_eq!(lines(index.raw().ask(spec::lookup(7))), named);
        assert_eq!(lines(index.raw().ask(spec::LIST)), HOLDERS);
        let told = index.raw().ask_v11(lookup("RFC 7")).object();
        assert_eq!(
            (told["sources"].as_array().unwrap().len(), &told["sources_in_all"]),
            (200, &json!(HOLDERS))
        );
    }
}

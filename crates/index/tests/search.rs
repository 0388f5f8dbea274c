//! Searching a store: what is found is what is there at that moment, whoever adds and leaves meanwhile.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use index::store::{Matches, MemoryStore, Op, Peer, Quotas, Store};
use proto::directory::SessionId;
use proto::search::Query;
use proto::value::digest::Digest;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use proto::wire::v11::body::{File, FoundLine};

struct World {
    runtime: tokio::runtime::Runtime,
    store: Store,
    peer: Arc<Peer>,
}

impl World {
    fn new() -> Self {
        let claimed = PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(7).unwrap());
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
            store: Store::Memory(MemoryStore::searchable(Quotas::default()).unwrap()),
            peer: Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST))),
        }
    }

    fn apply(&self, session: SessionId, op: Op<'_>) {
        self.runtime.block_on(self.store.apply(session, op)).unwrap();
    }

    fn add(&self, session: SessionId, number: u32, title: &str) {
        let number = RfcNumber::new(number).unwrap();
        self.apply(session, Op::AddTitle { number, title, peer: Arc::clone(&self.peer) });
    }

    fn add_file(&self, session: SessionId, file: File) {
        self.apply(session, Op::AddFile { file: Arc::new(file), peer: Arc::clone(&self.peer) });
    }

    fn page(&self, typed: &str, from: usize, limit: usize) -> Matches {
        let query = Query::parse(typed).unwrap();
        self.runtime.block_on(self.store.search(&query, from, limit)).unwrap()
    }

    fn found(&self, typed: &str) -> Vec<FoundLine> {
        let found = self.page(typed, 0, 1000);
        assert!(!found.has_more && !found.is_incomplete);
        found.files
    }

    fn names(&self, typed: &str) -> Vec<String> {
        self.found(typed).into_iter().map(|line| line.name.unwrap()).collect()
    }
}

fn file(name: &str, size: u64, hash: Option<u8>) -> File {
    let hash = hash.map(|byte| Digest([byte; 32]));
    File {
        name: name.into(),
        size,
        modified: 5,
        hash,
        rfc: None,
        copied: false,
        partial: false,
        sha256: None,
    }
}

#[test]
fn what_was_added_is_found_and_what_has_gone_is_not() {
    let world = World::new();
    let (first, second) = (world.store.open(), world.store.open());
    world.add(first, 1, "Host Software");
    world.add(second, 1, "Host Software");
    let line = FoundLine {
        rfc: Some(1),
        title: Some("Host Software".to_owned()),
        published: true,
        sources_in_all: 2,
        complete: 2,
        ..FoundLine::default()
    };
    assert_eq!(world.found("sofware host"), [line]);
    world.add(second, 1, "Other Title");
    assert_eq!(world.found("other").len(), 1);
    world.store.close(first);
    assert_eq!(world.found("software"), [], "nobody calls it so any more");
    assert_eq!(world.found("other").len(), 1);
    world.store.close(second);
    assert_eq!(world.found("other"), []);
}

#[test]
fn a_file_is_a_line_for_each_content_with_all_who_have_it() {
    let world = World::new();
    let sessions = [world.store.open(), world.store.open(), world.store.open()];
    world.add_file(sessions[0], file("docs/Annual Report.pdf", 100, Some(1)));
    world.add_file(
        sessions[1],
        File { copied: true, partial: true, ..file("docs/Annual Report.pdf", 200, Some(2)) },
    );
    world.add_file(sessions[2], file("elsewhere.pdf", 200, Some(2)));
    let found = world.found("report annual");
    let told: Vec<_> = found
        .iter()
        .map(|line| (line.size.unwrap(), line.published, line.sources_in_all, line.complete))
        .collect();
    assert_eq!(told, [(100, true, 1, 1), (200, false, 2, 1)], "published first; sources under any name");
    assert_eq!(world.found("report size:>150").len(), 1);
    assert_eq!(world.found("docs kind:pdf is:complete").len(), 1, "no source under this name is complete");
    world.apply(sessions[0], Op::RemoveFile { name: "docs/Annual Report.pdf" });
    assert_eq!(world.found("report")[0].size, Some(200));
    assert_eq!(world.names("pdf kind:pdf"), ["elsewhere.pdf", "docs/Annual Report.pdf"], "fewer words first");
}

#[test]
fn a_number_of_a_file_is_found_once_by_its_title() {
    let world = World::new();
    let session = world.store.open();
    let rfc = Some((RfcNumber::new(7).unwrap(), "Host IMP Protocol".into()));
    world.add_file(session, File { rfc, ..file("rfc7.txt", 9, None) });
    let found = world.found("imp");
    assert_eq!((found.len(), found[0].rfc, found[0].name.as_deref()), (1, Some(7), Some("rfc7.txt")));
}

#[test]
fn pages_follow_each_other_in_one_order_more_sources_first() {
    let world = World::new();
    let (one, two) = (world.store.open(), world.store.open());
    for at in 0..50 {
        world.add_file(one, file(&format!("song {at:02}.ogg"), at, None));
    }
    world.add_file(two, file("song 33.ogg", 33, None));
    let all = world.names("ogg song");
    assert_eq!((all[0].as_str(), all[1].as_str(), all.len()), ("song 33.ogg", "song 00.ogg", 50));
    let mut paged = Vec::new();
    loop {
        let page = world.page("song ogg", paged.len(), 7);
        assert!(page.files.len() <= 7);
        paged.extend(page.files.into_iter().map(|line| line.name.unwrap()));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(paged, all);
}

#[test]
fn a_store_without_search_says_so() {
    let world = World::new();
    let store = Store::Memory(MemoryStore::default());
    let query = Query::parse("a").unwrap();
    assert_eq!(world.runtime.block_on(store.search(&query, 0, 1)), None);
}

#[test]
fn much_that_comes_at_once_is_found_by_itself() {
    let world = World::new();
    let session = world.store.open();
    for number in 1..=20_000 {
        world.add(session, number, &format!("title number {number}"));
    }
    let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while world.found("20000").is_empty() {
        assert!(std::time::Instant::now() < until, "it is never taken in");
        std::thread::yield_now();
    }
    let common = world.page("title", 0, 5);
    assert_eq!((common.files.len(), common.has_more, common.is_incomplete), (5, true, true), "the best 1000");
    world.store.close(session);
    assert_eq!(world.page("title", 0, 5).files, []);
}

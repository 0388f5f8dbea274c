//! What a store means for files of 1.1: each is found under each of its keys, for as long as somebody says so. A naive model
//! stands beside it.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use index::store::{Applied, Counts, MemoryStore, Op, Page, Peer, Range, Store};
use proptest::prelude::*;
use proto::directory::{Key, Said, SessionId};
use proto::value::digest::Digest;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use proto::wire::v11::body::File;

/// Few names with few last parts, so that they meet.
const NAMES: [&str; 6] = ["a", "b", "x/a", "y/a", "x/b", "x/y/a"];
const LEAVES: [&str; 3] = ["a", "b", "c"];

/// Runs a future that has nothing to wait for.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the store waits for something"),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add { session: usize, name: usize, hash: Option<u8>, copied: bool },
    Remove { session: usize, name: usize },
    Leave { session: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let add = (0..3usize, 0..NAMES.len(), proptest::option::weighted(0.8, 0..3u8), any::<bool>())
        .prop_map(|(session, name, hash, copied)| Step::Add { session, name, hash, copied });
    let remove = (0..3usize, 0..NAMES.len()).prop_map(|(session, name)| Step::Remove { session, name });
    let leave = (0..3usize).prop_map(|session| Step::Leave { session });
    proptest::collection::vec(prop_oneof![12 => add, 6 => remove, 1 => leave], 0..80)
}

fn file(name: &str, hash: Option<u8>, copied: bool) -> Arc<File> {
    let hash = hash.map(|byte| Digest([byte; 32]));
    Arc::new(File {
        name: name.into(),
        size: 1,
        modified: 0,
        hash,
        rfc: None,
        copied,
        partial: false,
        sha256: None,
    })
}

struct World {
    store: Store,
    sessions: Vec<SessionId>,
    peer: Arc<Peer>,
    model: BTreeMap<(String, SessionId), Arc<File>>,
}

impl World {
    fn new() -> Self {
        let store = Store::Memory(MemoryStore::default());
        let claimed = PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(7).unwrap());
        let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let sessions = (0..3).map(|_| store.open()).collect();
        Self { store, sessions, peer, model: BTreeMap::new() }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Add { session, name, hash, copied } => {
                let (session, file) = (self.sessions[*session], file(NAMES[*name], *hash, *copied));
                let replaced = self.model.insert((file.name.to_string(), session), Arc::clone(&file));
                let expected = if replaced.is_some() { Applied::Replaced } else { Applied::Added };
                let op = Op::AddFile { file, peer: Arc::clone(&self.peer) };
                assert_eq!(now(self.store.apply(session, op)), Ok(expected));
            }
            Step::Remove { session, name } => {
                let (session, name) = (self.sessions[*session], NAMES[*name]);
                let removed = self.model.remove(&(name.to_owned(), session));
                let expected = if removed.is_some() { Applied::Removed } else { Applied::Absent };
                assert_eq!(now(self.store.apply(session, Op::RemoveFile { name })), Ok(expected));
            }
            Step::Leave { session } => {
                let gone = std::mem::replace(&mut self.sessions[*session], self.store.open());
                let before = self.model.len();
                self.model.retain(|(_, session), _| *session != gone);
                assert_eq!(self.store.close(gone), before - self.model.len());
            }
        }
    }

    fn check(&self) {
        assert_eq!(self.store.counts(), Counts { sessions: 3, records: self.model.len() });
        let listed = now(self.store.list(&Range::Everything, None, 1000));
        assert_eq!(files(&listed), self.having(|_| true), "LIST");
        for name in NAMES {
            let found = now(self.store.lookup(&Key::Name(name.into()), None, 1000));
            assert_eq!(files(&found), self.having(|file| &*file.name == name), "name {name}");
        }
        for leaf in LEAVES {
            let end = format!("/{leaf}");
            let found = now(self.store.lookup(&Key::any_with_leaf(leaf), None, 1000));
            assert_eq!(files(&found), self.having(|file| file.name.ends_with(&end)), "last part {leaf}");
        }
        for byte in 0..3 {
            self.check_content(Some(Digest([byte; 32])));
        }
    }

    /// Whoever has a content is there once, with a file that really has it.
    fn check_content(&self, hash: Option<Digest>) {
        let found = now(self.store.lookup(&Key::Hash(hash.unwrap()), None, 1000));
        let told = files(&found);
        let real = self.having(|file| file.hash == hash);
        let sessions = |rows: &[(String, SessionId, bool)]| -> Vec<SessionId> {
            rows.iter().map(|(_, session, _)| *session).collect::<BTreeSet<_>>().into_iter().collect()
        };
        assert_eq!(told.iter().map(|row| row.1).collect::<Vec<_>>(), sessions(&real), "each once: {told:?}");
        assert!(told.iter().all(|row| real.contains(row)), "{told:?} of {real:?}");
    }

    fn having(&self, wanted: impl Fn(&File) -> bool) -> Vec<(String, SessionId, bool)> {
        let wanted = self.model.iter().filter(|(_, file)| wanted(file));
        wanted.map(|((name, session), file)| (name.clone(), *session, file.copied)).collect()
    }
}

fn files(page: &Page) -> Vec<(String, SessionId, bool)> {
    assert_eq!(page.next, None);
    let row = |entry: &index::store::Entry| match &entry.said {
        Said::File(file) => (file.name.to_string(), entry.session, file.copied),
        Said::Title(_) => panic!("{entry:?}"),
    };
    page.entries.iter().map(row).collect()
}

proptest! {
    #[test]
    fn files_are_found_under_each_of_their_keys(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.apply(step);
            world.check();
        }
        for session in std::mem::take(&mut world.sessions) {
            world.store.close(session);
        }
        prop_assert_eq!(world.store.counts(), Counts { sessions: 0, records: 0 });
        prop_assert!(now(world.store.list(&Range::Everything, None, 1)).entries.is_empty());
    }
}

#[test]
fn of_two_files_with_one_content_the_published_one_speaks() {
    for order in [[0, 1], [1, 0]] {
        let world = World::new();
        let session = world.sessions[0];
        let both = [file("x/a", Some(1), true), file("y/a", Some(1), false)];
        for at in order {
            let op = Op::AddFile { file: Arc::clone(&both[at]), peer: Arc::clone(&world.peer) };
            now(world.store.apply(session, op)).unwrap();
        }
        let found = now(world.store.lookup(&Key::Hash(Digest([1; 32])), None, 9));
        assert_eq!(files(&found), [("y/a".to_owned(), session, false)]);
    }
}

#[test]
fn of_two_files_with_one_number_the_other_one_stands_when_one_goes() {
    let World { store, sessions, peer, .. } = World::new();
    let session = sessions[0];
    let numbered = |name: &str| {
        let rfc = Some((RfcNumber::MIN, "t".into()));
        Arc::new(File { rfc, ..File::clone(&file(name, None, false)) })
    };
    let stands = || {
        let found = now(store.lookup(&Key::Rfc(RfcNumber::MIN), None, 9));
        files(&found).into_iter().map(|(name, ..)| name).collect::<Vec<_>>()
    };
    let add = |file| now(store.apply(session, Op::AddFile { file, peer: Arc::clone(&peer) })).unwrap();
    for name in ["a", "b", "x/a"] {
        assert_eq!(add(numbered(name)), Applied::Added);
        assert_eq!(stands(), [name]);
    }
    for (gone, left) in [("b", "x/a"), ("x/a", "a")] {
        now(store.apply(session, Op::RemoveFile { name: gone })).unwrap();
        assert_eq!(stands(), [left], "without {gone}");
    }
    // One that has no number any more stands under none.
    assert_eq!(add(numbered("b")), Applied::Added);
    assert_eq!(add(file("a", None, false)), Applied::Replaced);
    now(store.apply(session, Op::RemoveFile { name: "b" })).unwrap();
    assert_eq!(stands(), [""; 0]);
}

//! Who holds what: one shard of the index's directory, as a value.
//!
//! Invariant: a record is in `records` exactly if its key is in its session's list, so removing a session costs what the session
//! had and leaves nothing behind.
//!
//! Records are ordered by key and then by session, which is the order of joining. So a LOOKUP is a range, and a LIST can stop
//! anywhere and go on later from a [`Cursor`]: every record that was there all along is seen exactly once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::value::number::RfcNumber;

/// Who owns records: one connection. Numbers rise in the order of joining and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a record is about. Kinds to come: names and hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The number of an RFC.
    Rfc(RfcNumber),
}

/// What a session says about a key. `P` is what the index keeps of the peer, shared by all records of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding<P> {
    /// The title, shared between records where it is the same.
    pub title: Arc<str>,
    /// The peer.
    pub peer: Arc<P>,
}

/// A place in the order of records: after everything up to and including this record.
pub type Cursor = (Key, SessionId);

/// One shard of the directory.
#[derive(Debug)]
pub struct Directory<P> {
    records: BTreeMap<Cursor, Holding<P>>,
    sessions: HashMap<SessionId, Vec<Key>>,
}

impl<P> Default for Directory<P> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), sessions: HashMap::new() }
    }
}

impl<P> Directory<P> {
    /// Adds a record, or replaces what the same session said about the same key. Says whether it is new.
    pub fn add(&mut self, session: SessionId, key: Key, title: &str, peer: Arc<P>) -> bool {
        let title = self.shared_title(key, title);
        let replaced = self.records.insert((key, session), Holding { title, peer });
        if replaced.is_none() {
            self.sessions.entry(session).or_default().push(key);
        }
        replaced.is_none()
    }

    /// The same title as the key's first record has, if it is the same: most peers agree about a file's title.
    fn shared_title(&self, key: Key, title: &str) -> Arc<str> {
        let first = self.holders(key).next().map(|(_, holding)| &holding.title);
        first.filter(|known| ***known == *title).cloned().unwrap_or_else(|| title.into())
    }

    /// Removes everything that a session added. Says how many records that were.
    pub fn remove_session(&mut self, session: SessionId) -> usize {
        let keys = self.sessions.remove(&session).unwrap_or_default();
        for key in &keys {
            self.records.remove(&(*key, session));
        }
        keys.len()
    }

    /// Whether a session has a record for a key.
    pub fn contains(&self, session: SessionId, key: Key) -> bool {
        self.records.contains_key(&(key, session))
    }

    /// Who holds a key, in the order of joining.
    pub fn holders(&self, key: Key) -> impl Iterator<Item = (SessionId, &Holding<P>)> {
        let range = (key, SessionId(0))..=(key, SessionId(u64::MAX));
        self.records.range(range).map(|((_, session), holding)| (*session, holding))
    }

    /// Records in order, from the first or from after a cursor.
    pub fn records(&self, after: Option<Cursor>) -> impl Iterator<Item = (Cursor, &Holding<P>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.records.range((from, Bound::Unbounded)).map(|(cursor, holding)| (*cursor, holding))
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Add { session: u64, number: u32, title: u8 },
        Leave { session: u64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let add = (0..8u64, 1..12u32, 0..3u8).prop_map(|(session, number, title)| Step::Add {
            session,
            number,
            title,
        });
        let leave = (0..8u64).prop_map(|session| Step::Leave { session });
        proptest::collection::vec(prop_oneof![5 => add, 1 => leave], 0..200)
    }

    fn key(number: u32) -> Key {
        Key::Rfc(RfcNumber::new(number).unwrap())
    }

    /// Everything in a directory, read page by page.
    fn pages(directory: &Directory<u64>, size: usize) -> Vec<(u32, u64, String)> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page: Vec<_> = directory.records(cursor).take(size).collect();
            let Some((last, _)) = page.last() else { return all };
            cursor = Some(*last);
            all.extend(page.iter().map(|((Key::Rfc(number), session), holding)| {
                assert_eq!(*holding.peer, session.0);
                (number.get(), session.0, holding.title.to_string())
            }));
        }
    }

    proptest! {
        #[test]
        fn the_directory_equals_a_naive_model(steps in steps(), size in 1usize..5) {
            let mut directory = Directory::default();
            let mut model: BTreeMap<(u32, u64), String> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Add { session, number, title } => {
                        let title = format!("title {title}");
                        let new = directory.add(SessionId(session), key(number), &title, Arc::new(session));
                        prop_assert_eq!(new, model.insert((number, session), title).is_none());
                    }
                    Step::Leave { session } => {
                        let before = model.len();
                        model.retain(|(_, owner), _| *owner != session);
                        prop_assert_eq!(directory.remove_session(SessionId(session)), before - model.len());
                    }
                }
                let listed = pages(&directory, size);
                let expected: Vec<_> = model.iter().map(|((number, session), title)| (*number, *session, title.clone())).collect();
                prop_assert_eq!(listed, expected);
                prop_assert_eq!(directory.len(), model.len());
                for number in 1..12 {
                    let holders: Vec<u64> = directory.holders(key(number)).map(|(session, _)| session.0).collect();
                    let expected: Vec<u64> = model.keys().filter(|(held, _)| *held == number).map(|(_, session)| *session).collect();
                    prop_assert_eq!(holders, expected);
                }
                let owners: BTreeSet<u64> = model.keys().map(|(_, session)| *session).collect();
                prop_assert_eq!(directory.sessions.len(), owners.len(), "a session without records is forgotten");
            }
        }
    }

    #[test]
    fn equal_titles_are_kept_once() {
        let mut directory = Directory::default();
        for session in 0..3 {
            directory.add(SessionId(session), key(1), "same", Arc::new(session));
        }
        let titles: BTreeSet<*const u8> =
            directory.holders(key(1)).map(|(_, holding)| holding.title.as_ptr()).collect();
        assert_eq!(titles.len(), 1);
    }
}

//! Who holds what: one shard of the index's directory, as a value.
//!
//! Invariant: every record's key is in its session's list of keys. (The list may hold more: keys whose record was taken out again,
//! never more of them than records.) So removing a session costs what the session had, and leaves nothing behind.
//!
//! Records are ordered by key and then by session, which is the order of joining. So a LOOKUP is a range, and a LIST can stop
//! anywhere and go on later from a [`Cursor`]: every record that was there all along is seen exactly once.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::value::digest::Digest;
use crate::value::number::RfcNumber;
use crate::wire::v11::body::File;

/// Who owns records: one connection. Numbers rise in the order of joining and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a record is found by. The order of the kinds is the order of a LIST.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The number of an RFC.
    Rfc(RfcNumber),
    /// The name of a file.
    Name(Arc<str>),
    /// The last part of a name that has several.
    Leaf(Arc<str>),
    /// A content.
    Hash(Digest),
}

/// What a session says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A title, in 1.0; shared between records where it is the same.
    Title(Arc<str>),
    /// A file, in 1.1; shared between the records under all of its keys.
    File(Arc<File>),
}

impl Said {
    /// The keys under which it is found, the one that names the record first. A title is found by its number alone.
    pub fn keys(file: &File) -> impl Iterator<Item = Key> {
        let leaf = file.name.rsplit_once('/').map(|(_, leaf)| Key::Leaf(leaf.into()));
        let number = file.rfc.as_ref().map(|(number, _)| Key::Rfc(*number));
        [Some(Key::Name(Arc::clone(&file.name))), leaf, number, file.hash.map(Key::Hash)]
            .into_iter()
            .flatten()
    }
}

/// A record. `P` is what the index keeps of the peer, shared by all records of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding<P> {
    /// What was said.
    pub said: Said,
    /// By whom.
    pub peer: Arc<P>,
}

/// A place in the order of records: after everything up to and including this record.
pub type Cursor = (Key, SessionId);

/// One shard of the directory.
#[derive(Debug)]
pub struct Directory<P> {
    records: BTreeMap<Cursor, Holding<P>>,
    sessions: HashMap<SessionId, Keys>,
}

/// The keys of one session.
#[derive(Debug, Default)]
struct Keys {
    listed: Vec<Key>,
    live: usize,
}

impl<P> Default for Directory<P> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), sessions: HashMap::new() }
    }
}

impl<P> Directory<P> {
    /// Adds a record of 1.0. See [`Self::add`].
    pub fn add_title(
        &mut self,
        session: SessionId,
        key: Key,
        title: &str,
        peer: Arc<P>,
    ) -> Option<Holding<P>> {
        let said = Said::Title(self.shared_title(&key, title));
        self.add(session, key, Holding { said, peer })
    }

    /// Adds a record, or replaces what the same session said about the same key, which is given back.
    pub fn add(&mut self, session: SessionId, key: Key, holding: Holding<P>) -> Option<Holding<P>> {
        let replaced = self.records.insert((key.clone(), session), holding);
        if replaced.is_none() {
            let keys = self.sessions.entry(session).or_default();
            keys.listed.push(key);
            keys.live = keys.live.saturating_add(1);
            self.compact(session);
        }
        replaced
    }

    /// The same title as the key's first record has, if it is the same: most peers agree about a file's title.
    fn shared_title(&self, key: &Key, title: &str) -> Arc<str> {
        match self.holders(key).next().map(|(_, holding)| &holding.said) {
            Some(Said::Title(known)) if **known == *title => Arc::clone(known),
            _ => title.into(),
        }
    }

    /// Removes a session's record of a key.
    pub fn remove(&mut self, session: SessionId, key: &Key) -> Option<Holding<P>> {
        let removed = self.records.remove(&(key.clone(), session));
        if removed.is_some()
            && let Some(keys) = self.sessions.get_mut(&session)
        {
            keys.live = keys.live.saturating_sub(1);
            self.compact(session);
        }
        removed
    }

    /// Forgets listed keys without a record once they are the majority, so that each costs a constant on average.
    fn compact(&mut self, session: SessionId) {
        let Self { records, sessions } = self;
        let Some(keys) = sessions.get_mut(&session) else { return };
        if keys.live == 0 {
            sessions.remove(&session);
        } else if keys.listed.len() > keys.live.saturating_mul(2) {
            keys.listed.sort_unstable();
            keys.listed.dedup();
            keys.listed.retain(|key| records.contains_key(&(key.clone(), session)));
        }
    }

    /// Removes everything that a session added. Says how many records that were.
    pub fn remove_session(&mut self, session: SessionId) -> usize {
        let Some(keys) = self.sessions.remove(&session) else { return 0 };
        for key in keys.listed {
            self.records.remove(&(key, session));
        }
        keys.live
    }

    /// A session's record of a key.
    pub fn get(&self, session: SessionId, key: &Key) -> Option<&Holding<P>> {
        self.records.get(&(key.clone(), session))
    }

    /// Who holds a key, in the order of joining.
    pub fn holders(&self, key: &Key) -> impl Iterator<Item = (SessionId, &Holding<P>)> {
        let range = (key.clone(), SessionId(0))..=(key.clone(), SessionId(u64::MAX));
        self.records.range(range).map(|((_, session), holding)| (*session, holding))
    }

    /// Records in order, from the first or from after a cursor.
    pub fn records(&self, after: Option<&Cursor>) -> impl Iterator<Item = (&Cursor, &Holding<P>)> {
        self.records.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded))
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
        Remove { session: u64, number: u32 },
        Leave { session: u64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let add = (0..8u64, 1..12u32, 0..3u8).prop_map(|(session, number, title)| Step::Add {
            session,
            number,
            title,
        });
        let leave = (0..8u64).prop_map(|session| Step::Leave { session });
        let remove = (0..8u64, 1..12u32).prop_map(|(session, number)| Step::Remove { session, number });
        proptest::collection::vec(prop_oneof![5 => add, 2 => remove, 1 => leave], 0..200)
    }

    fn key(number: u32) -> Key {
        Key::Rfc(RfcNumber::new(number).unwrap())
    }

    /// Everything in a directory, read page by page.
    fn pages(directory: &Directory<u64>, size: usize) -> Vec<(u32, u64, String)> {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let page: Vec<_> = directory.records(cursor.as_ref()).take(size).collect();
            let Some((last, _)) = page.last() else { return all };
            cursor = Some((*last).clone());
            all.extend(page.iter().map(|((key, session), holding)| {
                assert_eq!(*holding.peer, session.0);
                let (Key::Rfc(number), Said::Title(title)) = (key, &holding.said) else { panic!("{key:?}") };
                (number.get(), session.0, title.to_string())
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
                        let replaced = directory.add_title(SessionId(session), key(number), &title, Arc::new(session));
                        prop_assert_eq!(replaced.is_some(), model.insert((number, session), title).is_some());
                    }
                    Step::Remove { session, number } => {
                        let removed = directory.remove(SessionId(session), &key(number));
                        prop_assert_eq!(removed.is_some(), model.remove(&(number, session)).is_some());
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
                    let holders: Vec<u64> = directory.holders(&key(number)).map(|(session, _)| session.0).collect();
                    let expected: Vec<u64> = model.keys().filter(|(held, _)| *held == number).map(|(_, session)| *session).collect();
                    prop_assert_eq!(holders, expected);
                }
                let owners: BTreeSet<u64> = model.keys().map(|(_, session)| *session).collect();
                prop_assert_eq!(directory.sessions.len(), owners.len(), "a session without records is forgotten");
            }
        }
    }

    #[test]
    fn keys_that_come_and_go_do_not_pile_up() {
        let mut directory = Directory::default();
        let session = SessionId(1);
        directory.add_title(session, key(1), "stays", Arc::new(1));
        for _ in 0..1000 {
            directory.add_title(session, key(2), "comes", Arc::new(1));
            assert!(directory.remove(session, &key(2)).is_some());
        }
        assert!(directory.sessions[&session].listed.len() <= 3);
        assert_eq!(directory.remove_session(session), 1);
        assert!(directory.is_empty() && directory.sessions.is_empty());
    }

    #[test]
    fn a_file_is_found_by_each_of_its_keys() {
        let hash = Some(Digest([7; 32]));
        let rfc = Some((RfcNumber::MIN, "t".into()));
        let file =
            File { name: "a/b".into(), size: 1, modified: 0, hash, rfc, copied: false, partial: false };
        let keys: Vec<Key> = Said::keys(&file).collect();
        assert_eq!(
            keys,
            [Key::Name("a/b".into()), Key::Leaf("b".into()), key(1), Key::Hash(Digest([7; 32]))]
        );
        let bare = File { name: "b".into(), hash: None, rfc: None, ..file };
        assert_eq!(Said::keys(&bare).collect::<Vec<_>>(), [Key::Name("b".into())]);
    }

    #[test]
    fn equal_titles_are_kept_once() {
        let mut directory = Directory::default();
        for session in 0..3 {
            directory.add_title(SessionId(session), key(1), "same", Arc::new(session));
        }
        let titles: BTreeSet<*const u8> = directory
            .holders(&key(1))
            .map(|(_, holding)| match &holding.said {
                Said::Title(title) => title.as_ptr(),
                Said::File(_) => panic!("a title was added"),
            })
            .collect();
        assert_eq!(titles.len(), 1);
    }
}

//! Records by the other keys of a file: its name, the last part of its name, its content.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::{Cursor, Found, Key, KeyRef, SaidRef, SessionId};
use crate::value::digest::Digest;
use crate::wire::v11::body::File;

/// All of them, in order within each kind.
#[derive(Debug, Default)]
pub(super) struct Files {
    names: Map<Arc<str>>,
    leaves: Map<Leaf>,
    hashes: Map<Digest>,
}

/// The last part of a name, and the name.
type Leaf = (Arc<str>, Arc<str>);

type Map<K> = BTreeMap<(K, SessionId), Filed>;

/// A file, and the place of the peer that has it.
#[derive(Debug)]
struct Filed {
    file: Arc<File>,
    peer: u32,
}

impl Files {
    /// Adds or replaces; gives the place of the peer of what was replaced. A number is no key here.
    pub(super) fn add(&mut self, key: &Key, session: SessionId, file: Arc<File>, peer: u32) -> Option<u32> {
        let filed = Filed { file, peer };
        match key {
            Key::Rfc(_) => None,
            Key::Name(name) => self.names.insert((Arc::clone(name), session), filed),
            Key::Leaf { leaf, name } => {
                self.leaves.insert(((Arc::clone(leaf), Arc::clone(name)), session), filed)
            }
            Key::Hash(hash) => self.hashes.insert((*hash, session), filed),
        }
        .map(|replaced| replaced.peer)
    }

    pub(super) fn remove(&mut self, key: &Key, session: SessionId) -> Option<u32> {
        match key {
            Key::Rfc(_) => None,
            Key::Name(name) => self.names.remove(&(Arc::clone(name), session)),
            Key::Leaf { leaf, name } => self.leaves.remove(&((Arc::clone(leaf), Arc::clone(name)), session)),
            Key::Hash(hash) => self.hashes.remove(&(*hash, session)),
        }
        .map(|removed| removed.peer)
    }

    fn filed(&self, key: &Key, session: SessionId) -> Option<&Filed> {
        match key {
            Key::Rfc(_) => None,
            Key::Name(name) => self.names.get(&(Arc::clone(name), session)),
            Key::Leaf { leaf, name } => self.leaves.get(&((Arc::clone(leaf), Arc::clone(name)), session)),
            Key::Hash(hash) => self.hashes.get(&(*hash, session)),
        }
    }

    pub(super) fn get(&self, key: &Key, session: SessionId) -> Option<&Arc<File>> {
        self.filed(key, session).map(|filed| &filed.file)
    }

    pub(super) fn holds(&self, key: &Key, session: SessionId) -> bool {
        self.filed(key, session).is_some()
    }

    /// Who holds a key, from the first or from after a cursor.
    pub(super) fn holders<'a>(
        &'a self,
        key: &'a Key,
        after: Option<&Cursor>,
    ) -> impl Iterator<Item = Found<'a>> + use<'a> {
        // Numbers begin at 1, so this is before every record of the key.
        let cursor = after.cloned().unwrap_or_else(|| (key.clone(), SessionId(0)));
        let names = matches!(key, Key::Name(_)).then(|| names(&self.names, Some(&cursor)));
        let leaves = matches!(key, Key::Leaf { .. }).then(|| leaves(&self.leaves, Some(&cursor)));
        let hashes = matches!(key, Key::Hash(_)).then(|| hashes(&self.hashes, Some(&cursor)));
        let all = names.into_iter().flatten().chain(leaves.into_iter().flatten());
        all.chain(hashes.into_iter().flatten()).take_while(move |found| found.key.is_found_by(key))
    }

    /// Records in order, numbers left out.
    pub(super) fn after(&self, after: Option<&Cursor>) -> impl Iterator<Item = Found<'_>> {
        names(&self.names, after).chain(leaves(&self.leaves, after)).chain(hashes(&self.hashes, after))
    }

    pub(super) fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len().saturating_add(self.leaves.len()).saturating_add(self.hashes.len())
    }
}

impl KeyRef<'_> {
    /// Whether who looks for this key finds what stands here.
    pub fn is_found_by(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::Rfc(own), Key::Rfc(other)) => own == other,
            (Self::Name(own), Key::Name(other)) => *own == other,
            (Self::Leaf { leaf: own, name: _ }, Key::Leaf { leaf: other, name }) if name.is_empty() => {
                *own == other
            }
            (Self::Leaf { leaf, name: own }, Key::Leaf { leaf: looked_for, name: other }) => {
                *leaf == looked_for && *own == other
            }
            (Self::Hash(own), Key::Hash(other)) => *own == other,
            _ => false,
        }
    }
}

fn names<'a>(map: &'a Map<Arc<str>>, after: Option<&Cursor>) -> impl Iterator<Item = Found<'a>> + use<'a> {
    let first = match after {
        None | Some((Key::Rfc(_), _)) => Some(Bound::Unbounded),
        Some((Key::Name(name), session)) => Some(Bound::Excluded((Arc::clone(name), *session))),
        Some((Key::Leaf { .. } | Key::Hash(_), _)) => None,
    };
    found(map, first, KeyRef::Name)
}

fn leaves<'a>(map: &'a Map<Leaf>, after: Option<&Cursor>) -> impl Iterator<Item = Found<'a>> + use<'a> {
    let first = match after {
        None | Some((Key::Rfc(_) | Key::Name(_), _)) => Some(Bound::Unbounded),
        Some((Key::Leaf { leaf, name }, session)) => {
            Some(Bound::Excluded(((Arc::clone(leaf), Arc::clone(name)), *session)))
        }
        Some((Key::Hash(_), _)) => None,
    };
    found(map, first, |(leaf, name)| KeyRef::Leaf { leaf, name })
}

fn hashes<'a>(map: &'a Map<Digest>, after: Option<&Cursor>) -> impl Iterator<Item = Found<'a>> + use<'a> {
    let first = match after {
        Some((Key::Hash(hash), session)) => Bound::Excluded((*hash, *session)),
        _ => Bound::Unbounded,
    };
    found(map, Some(first), KeyRef::Hash)
}

/// Everything of one kind from a bound on; without one, nothing.
fn found<'a, K: Ord>(
    map: &'a Map<K>,
    first: Option<Bound<(K, SessionId)>>,
    key: impl Fn(&'a K) -> KeyRef<'a>,
) -> impl Iterator<Item = Found<'a>> {
    let records = first.map(|first| map.range((first, Bound::Unbounded)));
    records.into_iter().flatten().map(move |((name, session), filed)| Found {
        key: key(name),
        session: *session,
        said: SaidRef::File(&filed.file),
        place: filed.peer,
    })
}

//! Names of one session that share a content with another name of it.
//!
//! Only files that are there twice cost memory here, which are few in nearly every folder.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use proto::value::digest::Digest;

/// Names by content. Invariant: no set is empty, and there is a map only where there is a set. Every session has this, so it is
/// one pointer.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "nearly every session has none: this is a pointer, a map is six")]
pub(super) struct Twins(Option<Box<HashMap<Digest, BTreeSet<Arc<str>>>>>);

impl Twins {
    pub(super) fn add(&mut self, hash: Digest, name: &Arc<str>) {
        self.0.get_or_insert_default().entry(hash).or_default().insert(Arc::clone(name));
    }

    /// Says whether the name was there.
    pub(super) fn remove(&mut self, hash: Digest, name: &str) -> bool {
        self.change(hash, |names| names.remove(name)).unwrap_or(false)
    }

    /// Takes the first name of a content.
    pub(super) fn take_one(&mut self, hash: Digest) -> Option<Arc<str>> {
        self.change(hash, BTreeSet::pop_first).flatten()
    }

    fn change<T>(&mut self, hash: Digest, change: impl FnOnce(&mut BTreeSet<Arc<str>>) -> T) -> Option<T> {
        let all = self.0.as_mut()?;
        let names = all.get_mut(&hash)?;
        let changed = change(names);
        if names.is_empty() {
            all.remove(&hash);
        }
        if all.is_empty() {
            self.0 = None;
        }
        Some(changed)
    }
}

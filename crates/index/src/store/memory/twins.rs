//! Names of one session that share a content, or a number, with another name of it.
//!
//! Only files that are there twice cost memory here, which are few in nearly every folder.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use proto::value::digest::Digest;
use proto::value::number::RfcNumber;

/// What they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum By {
    Content(Digest),
    Number(RfcNumber),
}

/// Names by what they share. Invariant: no set is empty, and there is a map only where there is a set. Every session has this, so it is
/// one pointer.
#[derive(Debug, Default)]
#[expect(clippy::box_collection, reason = "nearly every session has none: this is a pointer, a map is six")]
pub(super) struct Twins(Option<Box<HashMap<By, BTreeSet<Arc<str>>>>>);

impl Twins {
    pub(super) fn add(&mut self, by: By, name: &Arc<str>) {
        self.0.get_or_insert_default().entry(by).or_default().insert(Arc::clone(name));
    }

    /// Says whether the name was there.
    pub(super) fn remove(&mut self, by: By, name: &str) -> bool {
        self.change(by, |names| names.remove(name)).unwrap_or(false)
    }

    /// Takes the first name of those.
    pub(super) fn take_one(&mut self, by: By) -> Option<Arc<str>> {
        self.change(by, BTreeSet::pop_first).flatten()
    }

    fn change<T>(&mut self, by: By, change: impl FnOnce(&mut BTreeSet<Arc<str>>) -> T) -> Option<T> {
        let all = self.0.as_mut()?;
        let names = all.get_mut(&by)?;
        let changed = change(names);
        if names.is_empty() {
            all.remove(&by);
        }
        if all.is_empty() {
            self.0 = None;
        }
        Some(changed)
    }
}

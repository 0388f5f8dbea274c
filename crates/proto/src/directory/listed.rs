//! What each session has, so that it can leave at the cost of that.

use std::collections::HashMap;

use super::{SessionHash, SessionId};

/// A list of keys for each session.
#[derive(Debug)]
pub(super) struct Lists<K>(HashMap<SessionId, List<K>, SessionHash>);

#[derive(Debug)]
struct List<K> {
    keys: Vec<K>,
    live: u32,
    /// The place of the peer of the record that was added last.
    last_peer: u32,
}

impl<K> Default for Lists<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Ord> Lists<K> {
    /// A key was added, of a peer at this place; `is_live` tells of any whether it still has a record.
    pub(super) fn added(&mut self, session: SessionId, key: K, peer: u32, is_live: impl Fn(&K) -> bool) {
        let new = || List { keys: Vec::new(), live: 0, last_peer: peer };
        let list = self.0.entry(session).or_insert_with(new);
        list.last_peer = peer;
        if list.keys.len() == list.keys.capacity() {
            // By a quarter, not by the double: there are tens of millions of them.
            list.keys.reserve_exact((list.keys.len() / 4).saturating_add(4));
        }
        list.keys.push(key);
        list.live = list.live.saturating_add(1);
        list.compact(is_live);
    }

    /// The record of one of the keys is gone.
    pub(super) fn removed(&mut self, session: SessionId, is_live: impl Fn(&K) -> bool) {
        let Some(list) = self.0.get_mut(&session) else { return };
        list.live = list.live.saturating_sub(1);
        if list.live == 0 {
            self.0.remove(&session);
        } else {
            list.compact(is_live);
        }
    }

    /// The keys of a session, which is forgotten.
    pub(super) fn take(&mut self, session: SessionId) -> Vec<K> {
        self.0.remove(&session).map(|list| list.keys).unwrap_or_default()
    }

    /// The keys of a session; some may have no record any more.
    pub(super) fn keys(&self, session: SessionId) -> &[K] {
        self.0.get(&session).map_or(&[], |list| &list.keys)
    }

    /// Where the peer of the record that was added last was kept; it may be another's place by now.
    pub(super) fn last_peer(&self, session: SessionId) -> Option<u32> {
        self.0.get(&session).map(|list| list.last_peer)
    }

    /// The keys of a session; some may have no record any more.
    pub(super) fn keys_of(&self, session: SessionId) -> impl Iterator<Item = &K> {
        self.0.get(&session).into_iter().flat_map(|list| &list.keys)
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.0.len()
    }
}

impl<K: Ord> List<K> {
    /// Forgets keys without a record once they are the majority, so that each costs a constant on average.
    fn compact(&mut self, is_live: impl Fn(&K) -> bool) {
        if self.keys.len() / 2 > self.live as usize {
            self.keys.sort_unstable();
            self.keys.dedup();
            self.keys.retain(is_live);
        }
    }
}

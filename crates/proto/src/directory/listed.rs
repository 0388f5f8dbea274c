//! What each session has, so that it can leave at the cost of that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{SessionHash, SessionId};

/// A list of keys for each session.
#[derive(Debug)]
pub(super) struct Lists<K>(HashMap<SessionId, List<K>, SessionHash>);

#[derive(Debug)]
struct List<K> {
    keys: Keys<K>,
    live: u32,
    /// The place of the peer of the record that was added last.
    last_peer: u32,
}

/// Many thousands of silent sessions have one key and no more, so that one needs no room of its own.
#[derive(Debug)]
enum Keys<K> {
    One(K),
    #[expect(
        clippy::box_collection,
        reason = "a pointer, where a row would be three times as much for those who have one key"
    )]
    Several(Box<Vec<K>>),
}

impl<K> Keys<K> {
    fn all(&self) -> &[K] {
        match self {
            Self::One(key) => std::slice::from_ref(key),
            Self::Several(keys) => keys,
        }
    }

    fn push(&mut self, key: K) {
        match self {
            Self::One(_) => {
                let Self::One(first) = std::mem::replace(self, Self::Several(Box::default())) else { return };
                self.push(first);
                self.push(key);
            }
            Self::Several(keys) => {
                if keys.len() == keys.capacity() {
                    // By a quarter, not by the double: there are tens of millions of them.
                    keys.reserve_exact((keys.len() / 4).saturating_add(4));
                }
                keys.push(key);
            }
        }
    }

    fn into_all(self) -> Vec<K> {
        match self {
            Self::One(key) => vec![key],
            Self::Several(keys) => *keys,
        }
    }
}

impl<K> Default for Lists<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<K: Ord> Lists<K> {
    /// A key was added, of a peer at this place; `is_live` tells of any whether it still has a record.
    pub(super) fn added(&mut self, session: SessionId, key: K, peer: u32, is_live: impl Fn(&K) -> bool) {
        match self.0.entry(session) {
            Entry::Vacant(place) => {
                place.insert(List { keys: Keys::One(key), live: 1, last_peer: peer });
            }
            Entry::Occupied(mut list) => {
                let list = list.get_mut();
                list.last_peer = peer;
                list.keys.push(key);
                list.live = list.live.saturating_add(1);
                list.compact(is_live);
            }
        }
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
        self.0.remove(&session).map(|list| list.keys.into_all()).unwrap_or_default()
    }

    /// The keys of a session; some may have no record any more.
    pub(super) fn keys(&self, session: SessionId) -> &[K] {
        self.0.get(&session).map_or(&[], |list| list.keys.all())
    }

    /// Where the peer of the record that was added last was kept; it may be another's place by now.
    pub(super) fn last_peer(&self, session: SessionId) -> Option<u32> {
        self.0.get(&session).map(|list| list.last_peer)
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.0.len()
    }
}

impl<K: Ord> List<K> {
    /// Forgets keys without a record once they are the majority, so that each costs a constant on average.
    fn compact(&mut self, is_live: impl Fn(&K) -> bool) {
        if let Keys::Several(keys) = &mut self.keys
            && keys.len() / 2 > self.live as usize
        {
            keys.sort_unstable();
            keys.dedup();
            keys.retain(is_live);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_grow_by_a_quarter() {
        let (mut keys, mut room, mut moves) = (Keys::One(0), 0, 0);
        for count in 2..=10_000 {
            keys.push(count);
            let Keys::Several(several) = &keys else { panic!("{count} keys") };
            assert!(several.capacity() <= count + count / 4 + 4, "room for {count} keys");
            moves += usize::from(several.capacity() != room);
            room = several.capacity();
        }
        assert!(moves < 50, "{moves} moves of 10,000 keys");
    }
}

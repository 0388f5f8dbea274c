//! Rows of files: each a file under one of its keys, with who has it.

use std::sync::Arc;

use super::{Key, KeyRef, SessionId};
use crate::wire::v11::body::File;

/// Which of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Name,
    Leaf,
    Hash,
}

impl Kind {
    pub(super) fn of(key: &Key) -> Option<Self> {
        Self::of_ref(key.as_ref())
    }

    /// `None` for a number.
    pub(super) fn of_ref(key: KeyRef<'_>) -> Option<Self> {
        match key {
            KeyRef::Rfc(_) => None,
            KeyRef::Name(_) => Some(Self::Name),
            KeyRef::Leaf { .. } => Some(Self::Leaf),
            KeyRef::Hash(_) => Some(Self::Hash),
        }
    }
}

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Filed {
    pub(super) file: Arc<File>,
    pub(super) session: SessionId,
    /// The place of the peer.
    pub(super) peer: u32,
    pub(super) kind: Kind,
}

impl Filed {
    /// The key under which it stands. (A file that lacks it stands under its name, but none is put in so.)
    pub(super) fn key(&self) -> KeyRef<'_> {
        let name = &self.file.name;
        match (self.kind, &self.file.hash) {
            (Kind::Leaf, _) => {
                let leaf = name.rsplit_once('/').map_or(&**name, |(_, leaf)| leaf);
                KeyRef::Leaf { leaf, name }
            }
            (Kind::Hash, Some(hash)) => KeyRef::Hash(hash),
            (Kind::Name | Kind::Hash, _) => KeyRef::Name(name),
        }
    }
}

/// Rows by number; a number is given anew once nobody uses it.
#[derive(Debug, Default)]
pub(super) struct FiledRows {
    rows: Vec<Option<Filed>>,
    free: Vec<u32>,
}

impl FiledRows {
    pub(super) fn insert(&mut self, filed: Filed) -> u32 {
        if let Some(row) = self.free.pop()
            && let Some(place) = self.rows.get_mut(row as usize)
        {
            *place = Some(filed);
            return row;
        }
        let row = u32::try_from(self.rows.len());
        if self.rows.len() == self.rows.capacity() {
            // By an eighth, not by the double: there are millions of them.
            self.rows.reserve_exact((self.rows.len() / 8).saturating_add(4));
        }
        self.rows.push(Some(filed));
        row.expect("an index has fewer records than 32 bits count")
    }

    pub(super) fn get(&self, row: u32) -> Option<&Filed> {
        self.rows.get(row as usize)?.as_ref()
    }

    pub(super) fn replace(&mut self, row: u32, filed: Filed) -> Option<Filed> {
        self.rows.get_mut(row as usize)?.replace(filed)
    }

    pub(super) fn remove(&mut self, row: u32) -> Option<Filed> {
        let removed = self.rows.get_mut(row as usize)?.take()?;
        self.free.push(row);
        if self.free.len() == self.rows.len() {
            *self = Self::default();
        }
        Some(removed)
    }

    pub(super) fn belongs_to(&self, row: u32, session: SessionId) -> bool {
        self.get(row).is_some_and(|filed| filed.session == session)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len().saturating_sub(self.free.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_24_bytes() {
        assert_eq!(size_of::<Option<Filed>>(), 24);
    }

    #[test]
    fn rows_grow_by_an_eighth() {
        let file = Arc::new(File {
            name: "a".into(),
            size: 1,
            modified: 0,
            hash: None,
            rfc: None,
            copied: false,
            partial: false,
            sha256: None,
        });
        let (mut filed, mut moves) = (FiledRows::default(), 0);
        for count in 1..=10_000 {
            let before = filed.rows.capacity();
            filed.insert(Filed { file: Arc::clone(&file), session: SessionId(1), peer: 0, kind: Kind::Name });
            assert!(filed.rows.capacity() <= count + count / 8 + 4, "room for {count} rows");
            moves += usize::from(filed.rows.capacity() != before);
        }
        assert!(moves < 100, "{moves} moves of 10,000 rows");
    }
}

//! Records by the other keys of a file: its name, the last part of its name, its content.
//!
//! A record is a row that points to its file and says under which of the file's keys it stands. What is ordered, and what a session's
//! list holds, are numbers of rows; keys are read from the files. So a key costs four bytes in an order, four in a list, and
//! nothing for itself. See `docs/decisions/0016-files-by-number-of-row.md`.

use std::cmp::Ordering;
use std::sync::Arc;

use super::filed::{Filed, FiledRows, Kind};
use super::listed::Lists;
use super::order::{Order, Spot};
use super::{Cursor, Found, Key, KeyRef, SaidRef, SessionId};
use crate::wire::v11::body::File;

/// All of them, in order within each kind.
#[derive(Debug)]
pub(super) struct Files {
    rows: FiledRows,
    names: Order,
    leaves: Order,
    hashes: Order,
    rows_of: Lists<u32>,
}

impl Default for Files {
    fn default() -> Self {
        let (names, leaves, hashes) = (Order::default(), Order::default(), Order::default());
        Self { rows: FiledRows::default(), names, leaves, hashes, rows_of: Lists::default() }
    }
}

/// Where a record of a file is or would be. Good until something changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct FiledPlace {
    kind: Kind,
    spot: Spot,
    there: Option<u32>,
}

/// How a row stands to a place.
fn compare(rows: &FiledRows, row: u32, place: (KeyRef<'_>, SessionId)) -> Ordering {
    // Every row in an order is there.
    rows.get(row).map_or(Ordering::Less, |filed| (filed.key(), filed.session).cmp(&place))
}

impl Files {
    fn order(&self, kind: Kind) -> &Order {
        match kind {
            Kind::Name => &self.names,
            Kind::Leaf => &self.leaves,
            Kind::Hash => &self.hashes,
        }
    }

    fn order_mut(&mut self, kind: Kind) -> &mut Order {
        match kind {
            Kind::Name => &mut self.names,
            Kind::Leaf => &mut self.leaves,
            Kind::Hash => &mut self.hashes,
        }
    }

    /// Where a session's record of a key is, or would be put in. `None` for a number, which is no key here.
    pub(super) fn place(&self, key: &Key, session: SessionId) -> Option<FiledPlace> {
        let kind = Kind::of(key)?;
        let (rows, place) = (&self.rows, (key.as_ref(), session));
        let compare = |row| compare(rows, row, place);
        let (spot, there) = match kind {
            // A folder's names come in their order.
            Kind::Name | Kind::Leaf => self.order(kind).find_behind_last(session.0, compare),
            Kind::Hash => self.order(kind).find(compare),
        };
        Some(FiledPlace { kind, spot, there })
    }

    /// What is at a place.
    pub(super) fn at(&self, place: FiledPlace) -> Option<&Filed> {
        self.rows.get(place.there?)
    }

    /// Adds or replaces at a place that was found just now; gives the place of the peer of what was replaced. The key must be one of
    /// the file's.
    pub(super) fn put(
        &mut self,
        FiledPlace { kind, spot, there }: FiledPlace,
        session: SessionId,
        file: Arc<File>,
        peer: u32,
    ) -> Option<u32> {
        let filed = Filed { file, session, peer, kind };
        if let Some(row) = there {
            return self.rows.replace(row, filed).map(|old| old.peer);
        }
        let row = self.rows.insert(filed);
        self.order_mut(kind).insert(session.0, spot, row);
        let rows = &self.rows;
        self.rows_of.added(session, row, peer, |row| rows.belongs_to(*row, session));
        None
    }

    /// Gives the place of the peer of what was removed.
    pub(super) fn remove(&mut self, key: &Key, session: SessionId) -> Option<u32> {
        let removed = self.take_out((key.as_ref(), session))?;
        let rows = &self.rows;
        self.rows_of.removed(session, |row| rows.belongs_to(*row, session));
        Some(removed.peer)
    }

    fn take_out(&mut self, place: (KeyRef<'_>, SessionId)) -> Option<Filed> {
        let (kind, rows) = (Kind::of_ref(place.0)?, &self.rows);
        let (spot, there) = self.order(kind).find(|row| compare(rows, row, place));
        let row = there?;
        self.order_mut(kind).remove(spot);
        self.rows.remove(row)
    }

    /// Removes all rows of a session, and shows each.
    pub(super) fn remove_session(&mut self, session: SessionId, mut removed: impl FnMut(&Filed)) {
        let mut rows = self.rows_of.take(session);
        // One that was taken out and used again by the same session is there twice.
        rows.sort_unstable();
        rows.dedup();
        for row in rows {
            let Some(filed) = self.rows.get(row).filter(|filed| filed.session == session).cloned() else {
                continue;
            };
            if self.take_out((filed.key(), session)).is_some() {
                removed(&filed);
            }
        }
    }

    /// A session's record of a key.
    pub(super) fn filed(&self, key: &Key, session: SessionId) -> Option<&Filed> {
        let place = (key.as_ref(), session);
        let (_, there) = self.order(Kind::of(key)?).find(|row| compare(&self.rows, row, place));
        self.rows.get(there?)
    }

    pub(super) fn get(&self, key: &Key, session: SessionId) -> Option<&Arc<File>> {
        self.filed(key, session).map(|filed| &filed.file)
    }

    /// Who holds a key, from the first or from after a cursor.
    pub(super) fn holders<'a>(
        &'a self,
        key: &'a Key,
        after: Option<&Cursor>,
    ) -> impl Iterator<Item = Found<'a>> + use<'a> {
        // Numbers begin at 1, so this is before every record of the key.
        let place = after.map_or((key.as_ref(), SessionId(0)), |(key, session)| (key.as_ref(), *session));
        let kind = Kind::of(key);
        let found = kind.map(|kind| self.found(kind, Some(place)));
        found.into_iter().flatten().take_while(move |found| found.key.is_found_by(key))
    }

    /// Records in order, numbers left out.
    pub(super) fn after(&self, after: Option<&Cursor>) -> impl Iterator<Item = Found<'_>> + use<'_> {
        let place = after.map(|(key, session)| (key.as_ref(), *session));
        let [names, leaves, hashes] =
            [Kind::Name, Kind::Leaf, Kind::Hash].map(|kind| self.found(kind, place));
        names.chain(leaves).chain(hashes)
    }

    /// Everything of one kind behind a place. A place of another kind is before all or behind all.
    fn found<'a>(
        &'a self,
        kind: Kind,
        place: Option<(KeyRef<'_>, SessionId)>,
    ) -> impl Iterator<Item = Found<'a>> + use<'a> {
        let order = self.order(kind);
        let (spot, _) = order.find(|row| match place {
            // What stands at the place itself is not behind it.
            Some(place) => compare(&self.rows, row, place).then(Ordering::Less),
            None => Ordering::Greater,
        });
        order.from(spot).filter_map(|row| {
            let filed = self.rows.get(row)?;
            let Filed { file, session, peer, .. } = filed;
            Some(Found { key: filed.key(), session: *session, said: SaidRef::File(file), place: *peer })
        })
    }

    /// Where the peer of the session's last record was kept; it may be another's place by now.
    pub(super) fn last_peer(&self, session: SessionId) -> Option<u32> {
        self.rows_of.last_peer(session)
    }

    /// A session's records of a kind.
    pub(super) fn of_session(&self, session: SessionId) -> impl Iterator<Item = &Filed> {
        let rows = self.rows_of.keys(session).iter().filter_map(|row| self.rows.get(*row));
        rows.filter(move |filed| filed.session == session)
    }

    pub(super) fn has_names(&self) -> bool {
        self.names.len() > 0
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Places in the list of a session's files, also of those that are gone.
    #[cfg(test)]
    pub(super) fn rows_of(&self, session: SessionId) -> usize {
        self.rows_of.keys(session).len()
    }

    #[cfg(test)]
    pub(super) fn sessions(&self) -> usize {
        self.rows_of.sessions()
    }
}

impl KeyRef<'_> {
    /// Whether who looks for this key finds what stands here.
    pub fn is_found_by(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::Rfc(own), Key::Rfc(other)) => own == other,
            (Self::Name(own), Key::Name(other)) => *own == other,
            (Self::Leaf { leaf: own, name: _ }, Key::Leaf { leaf: other, name }) if name.is_empty() => {
                **own == **other
            }
            (Self::Leaf { leaf, name: own }, Key::Leaf { leaf: looked_for, name: other }) => {
                **leaf == **looked_for && *own == other
            }
            (Self::Hash(own), Key::Hash(other)) => *own == other,
            _ => false,
        }
    }
}

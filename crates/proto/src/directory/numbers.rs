//! Records by number, 20 bytes each.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::slab::Slab;
use super::{Cursor, Found, Key, KeyRef, SaidRef, SessionId, Was};
use crate::value::number::RfcNumber;
use crate::wire::v11::body::File;

/// All records by number, in order.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    records: BTreeMap<At, Entry>,
    titles: Slab<Box<str>>,
    files: Slab<Arc<File>>,
}

/// A number and a session. The session in two halves: a number of 64 bits would be aligned, and the place four bytes larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct At {
    number: RfcNumber,
    session: [u32; 2],
}

impl Ord for At {
    // In two steps, where deriving it would take three: to compare is most of what a look-up does.
    fn cmp(&self, other: &Self) -> Ordering {
        let parts = |at: &Self| (u64::from(at.number.get()) << 32 | u64::from(at.session[0]), at.session[1]);
        parts(self).cmp(&parts(other))
    }
}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl At {
    fn new(number: RfcNumber, SessionId(session): SessionId) -> Self {
        // The two halves of 64 bits, each truncated to its own.
        Self { number, session: [(session >> 32) as u32, session as u32] }
    }

    fn session(self) -> SessionId {
        let [high, low] = self.session;
        SessionId(u64::from(high) << 32 | u64::from(low))
    }
}

/// What is kept of a record: the place of what was said, and of who said it.
#[derive(Debug, Clone, Copy)]
struct Entry {
    said: Place,
    peer: u32,
}

/// A place among the titles, or among the files when the highest bit is set.
#[derive(Debug, Clone, Copy)]
struct Place(u32);

const FILE: u32 = 1 << 31;

impl Place {
    fn was(self) -> Was {
        if self.0 & FILE == 0 { Was::Title } else { Was::File }
    }
}

impl Numbers {
    /// Adds or replaces; gives what was replaced, with the place of its peer.
    pub(super) fn add_title(
        &mut self,
        number: RfcNumber,
        session: SessionId,
        title: &str,
        peer: u32,
    ) -> Option<(Was, u32)> {
        let said = match self.same_title(number, title) {
            Some(place) => {
                self.titles.share(place);
                place
            }
            None => self.titles.insert(title.into()),
        };
        self.add(number, session, Entry { said: Place(said), peer })
    }

    /// The same for a file.
    pub(super) fn add_file(
        &mut self,
        number: RfcNumber,
        session: SessionId,
        file: &Arc<File>,
        peer: u32,
    ) -> Option<(Was, u32)> {
        let said = Place(self.files.insert(Arc::clone(file)) | FILE);
        self.add(number, session, Entry { said, peer })
    }

    fn add(&mut self, number: RfcNumber, session: SessionId, entry: Entry) -> Option<(Was, u32)> {
        let replaced = self.records.insert(At::new(number, session), entry)?;
        Some(self.forget(replaced))
    }

    pub(super) fn remove(&mut self, number: RfcNumber, session: SessionId) -> Option<(Was, u32)> {
        let removed = self.records.remove(&At::new(number, session))?;
        Some(self.forget(removed))
    }

    fn forget(&mut self, Entry { said, peer }: Entry) -> (Was, u32) {
        match said.was() {
            Was::Title => self.titles.release(said.0),
            Was::File => self.files.release(said.0 & !FILE),
        }
        (said.was(), peer)
    }

    /// Where the number's first record has its title, if it is the same: most peers agree about a file's title.
    fn same_title(&self, number: RfcNumber, title: &str) -> Option<u32> {
        let (at, entry) = self.records.range(At::new(number, SessionId(0))..).next()?;
        let said = entry.said;
        let known =
            if at.number == number && said.was() == Was::Title { self.titles.get(said.0) } else { None };
        known.filter(|known| ***known == *title).map(|_| said.0)
    }

    pub(super) fn holds(&self, number: RfcNumber, session: SessionId) -> bool {
        self.records.contains_key(&At::new(number, session))
    }

    pub(super) fn get(&self, number: RfcNumber, session: SessionId) -> Option<SaidRef<'_>> {
        self.said(self.records.get(&At::new(number, session))?.said)
    }

    fn said(&self, place: Place) -> Option<SaidRef<'_>> {
        match place.was() {
            Was::Title => self.titles.get(place.0).map(|title| SaidRef::Title(title)),
            Was::File => self.files.get(place.0 & !FILE).map(SaidRef::File),
        }
    }

    /// Who holds a number and joined after this session.
    pub(super) fn holders(&self, number: RfcNumber, session: SessionId) -> impl Iterator<Item = Found<'_>> {
        // Without an upper bound, which would have to be searched for as well.
        let range = (Bound::Excluded(At::new(number, session)), Bound::Unbounded);
        let records = self.records.range(range).take_while(move |(at, _)| at.number == number);
        records.filter_map(|(at, entry)| self.found(at, entry))
    }

    /// Records in order.
    pub(super) fn after(&self, after: Option<&Cursor>) -> impl Iterator<Item = Found<'_>> {
        let first = match after {
            None => Some(Bound::Unbounded),
            Some((Key::Rfc(number), session)) => Some(Bound::Excluded(At::new(*number, *session))),
            // All other keys come later.
            Some(_) => None,
        };
        let records = first.map(|first| self.records.range((first, Bound::Unbounded)));
        records.into_iter().flatten().filter_map(|(at, entry)| self.found(at, entry))
    }

    fn found(&self, at: &At, entry: &Entry) -> Option<Found<'_>> {
        let said = self.said(entry.said)?;
        Some(Found { key: KeyRef::Rfc(at.number), session: at.session(), said, place: entry.peer })
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    #[cfg(test)]
    pub(super) fn titles(&self) -> usize {
        self.titles.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_takes_20_bytes() {
        assert_eq!(size_of::<At>() + size_of::<Entry>(), 20);
    }

    #[test]
    fn a_session_keeps_its_order_beyond_32_bits() {
        let number = RfcNumber::MIN;
        let sessions = [0, 1, u64::from(u32::MAX), 1 << 32, u64::MAX].map(SessionId);
        let places = sessions.map(|session| At::new(number, session));
        assert!(places.is_sorted());
        assert_eq!(places.map(At::session), sessions);
    }
}

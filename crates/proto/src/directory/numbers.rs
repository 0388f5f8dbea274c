//! Records by number: 20 bytes each, and their titles.

use std::sync::Arc;

use super::rows::{At, Rows};
use super::slab::Slab;
use super::texts::Texts;
use super::{Cursor, Found, Key, KeyRef, SaidRef, SessionId, Was};
use crate::value::number::RfcNumber;
use crate::wire::v11::body::File;

/// All records by number, in order.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    rows: Rows,
    titles: Texts,
    files: Slab<Arc<File>>,
    /// Numbers with a title that came or went, for whoever asked for this.
    news: Option<Vec<RfcNumber>>,
}

/// What is kept of a record: the place of what was said, and of who said it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub(super) said: Place,
    pub(super) peer: u32,
}

/// A place among the titles, or among the files when the highest bit is set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place(u32);

const FILE: u32 = 1 << 31;

impl Place {
    fn was(self) -> Was {
        if self.0 & FILE == 0 { Was::Title } else { Was::File }
    }
}

impl Numbers {
    /// Begins to note whose titles change.
    pub(super) fn watch(&mut self) {
        self.news = Some(Vec::new());
    }

    /// Numbers whose titles may be others since the last time; some may be there more than once.
    pub(super) fn take_news(&mut self) -> Vec<RfcNumber> {
        self.news.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn news(&self) -> usize {
        self.news.as_ref().map_or(0, Vec::len)
    }

    fn note(&mut self, number: RfcNumber) {
        if let Some(news) = &mut self.news {
            news.push(number);
        }
    }

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
            None => {
                self.note(number);
                self.titles.insert(title)
            }
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
        let replaced = self.rows.insert(At::new(number, session), entry)?;
        Some(self.forget(number, replaced))
    }

    pub(super) fn remove(&mut self, number: RfcNumber, session: SessionId) -> Option<(Was, u32)> {
        let removed = self.rows.remove(At::new(number, session))?;
        Some(self.forget(number, removed))
    }

    fn forget(&mut self, number: RfcNumber, Entry { said, peer }: Entry) -> (Was, u32) {
        match said.was() {
            Was::Title => {
                if self.titles.release(said.0) {
                    self.note(number);
                }
                if self.titles.is_wasteful() {
                    self.move_titles_together();
                }
            }
            Was::File => self.files.release(said.0 & !FILE),
        }
        (said.was(), peer)
    }

    /// Costs what there is, and is worth it only when as much was taken out: so a constant on average.
    fn move_titles_together(&mut self) {
        let mut together = Texts::default();
        for Entry { said, .. } in self.rows.entries_mut() {
            if said.was() == Was::Title {
                *said = Place(self.titles.moved(said.0, &mut together));
            }
        }
        self.titles = together;
    }

    /// Where the number's first record has its title, if it is the same: most peers agree about a file's title.
    fn same_title(&self, number: RfcNumber, title: &str) -> Option<u32> {
        let (at, entry) = self.rows.from(At::new(number, SessionId(0))).next()?;
        let said = entry.said;
        let is_there = at.number == number.get() && said.was() == Was::Title;
        (is_there && self.titles.get(said.0) == Some(title)).then_some(said.0)
    }

    pub(super) fn holds(&self, number: RfcNumber, session: SessionId) -> bool {
        self.rows.get(At::new(number, session)).is_some()
    }

    pub(super) fn get(&self, number: RfcNumber, session: SessionId) -> Option<SaidRef<'_>> {
        self.said(self.rows.get(At::new(number, session))?.said)
    }

    fn said(&self, place: Place) -> Option<SaidRef<'_>> {
        match place.was() {
            Was::Title => self.titles.get(place.0).map(SaidRef::Title),
            Was::File => self.files.get(place.0 & !FILE).map(SaidRef::File),
        }
    }

    /// Who holds a number and joined after this session.
    pub(super) fn holders(&self, number: RfcNumber, session: SessionId) -> impl Iterator<Item = Found<'_>> {
        let rows = self.rows.from(At::new(number, next(session)));
        rows.take_while(move |(at, _)| at.number == number.get()).filter_map(|row| self.found(row))
    }

    /// Records in order.
    pub(super) fn after(&self, after: Option<&Cursor>) -> impl Iterator<Item = Found<'_>> {
        let rows = match after {
            None => Some(self.rows.all()),
            Some((Key::Rfc(number), session)) => Some(self.rows.from(At::new(*number, next(*session)))),
            // All other keys come later.
            Some(_) => None,
        };
        rows.into_iter().flatten().filter_map(|row| self.found(row))
    }

    #[inline]
    fn found(&self, (at, entry): (At, Entry)) -> Option<Found<'_>> {
        let key = KeyRef::Rfc(RfcNumber::new(at.number)?);
        Some(Found { key, session: at.session, said: self.said(entry.said)?, place: entry.peer })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    #[cfg(test)]
    pub(super) fn titles(&self) -> usize {
        self.titles.len()
    }
}

/// The session after this one. (There is none after the last one, which is never given out.)
fn next(SessionId(session): SessionId) -> SessionId {
    SessionId(session.saturating_add(1))
}

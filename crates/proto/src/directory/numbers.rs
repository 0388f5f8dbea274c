//! Records by number: 20 bytes each, and their titles.

use std::sync::Arc;

use super::rows::{At, Rows, Run, Spot};
use super::slab::Slab;
use super::texts::{Text, Texts};
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
        let (at, title) = (At::new(number, session), Text::from(title));
        let (spot, there) = self.rows.find(at);
        if let Some(old) = there
            && self.is_titled(old, title)
        {
            // Said again, and nothing new but who says it.
            if old.peer != peer {
                self.rows.replace(spot, Entry { peer, ..old });
            }
            return Some((Was::Title, old.peer));
        }
        // Most peers agree about a file's title, so its neighbour has the same one.
        let beside = self.rows.beside(spot, at.number).filter(|entry| self.is_titled(*entry, title));
        let said = match beside {
            Some(Entry { said: Place(place), .. }) => {
                self.titles.share(place);
                place
            }
            None => {
                self.note(number);
                self.titles.insert(title)
            }
        };
        self.put(number, (spot, at), there, Entry { said: Place(said), peer })
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
        let at = At::new(number, session);
        let (spot, there) = self.rows.find(at);
        self.put(number, (spot, at), there, Entry { said, peer })
    }

    /// Puts an entry where it was looked for.
    fn put(
        &mut self,
        number: RfcNumber,
        (spot, at): (Spot, At),
        there: Option<Entry>,
        entry: Entry,
    ) -> Option<(Was, u32)> {
        match there {
            Some(old) => {
                self.rows.replace(spot, entry);
                Some(self.forget(number, old))
            }
            None => {
                self.rows.insert(spot, at, entry);
                None
            }
        }
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

    fn is_titled(&self, entry: Entry, title: Text<'_>) -> bool {
        entry.said.was() == Was::Title && self.titles.get(entry.said.0) == Some(title)
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
            None => Some(self.rows_after((None, SessionId(0)))),
            Some((Key::Rfc(number), session)) => Some(self.rows_after((Some(*number), *session))),
            // All other keys come later.
            Some(_) => None,
        };
        rows.into_iter().flatten().filter_map(|row| self.found(row))
    }

    /// Rows from after a place on; from the first with no number.
    pub(super) fn rows_after(&self, (number, session): (Option<RfcNumber>, SessionId)) -> Run<'_> {
        number.map_or_else(|| self.rows.all(), |number| self.rows.from(At::new(number, next(session))))
    }

    /// 0 for the place of a file.
    #[inline]
    pub(super) fn title_length(&self, place: Place) -> usize {
        match place.was() {
            Was::Title => self.titles.get(place.0).map_or(0, |title| title.as_bytes().len()),
            Was::File => 0,
        }
    }

    #[inline]
    pub(super) fn found(&self, (at, entry): (At, Entry)) -> Option<Found<'_>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_that_come_and_go_do_not_pile_up() {
        let [stays, changes] = [1, 2].map(|number| RfcNumber::new(number).unwrap());
        let (mut numbers, session) = (Numbers::default(), SessionId(1));
        numbers.add_title(stays, session, "stays", 0);
        for round in 0..20_000 {
            numbers.add_title(changes, session, &format!("title {round}"), 0);
            assert!(!numbers.titles.is_wasteful(), "in round {round}");
        }
        for (number, expected) in [(stays, "stays"), (changes, "title 19999")] {
            let Some(SaidRef::Title(title)) = numbers.get(number, session) else { panic!("no {expected}") };
            assert_eq!(title.as_str(), expected);
        }
        assert_eq!(numbers.titles(), 2);
    }
}

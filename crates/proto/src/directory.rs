//! Who holds what: one shard of the index's directory, as a value.
//!
//! Invariant: every record's key is in its session's list of keys. (The list may hold more: keys whose record was taken out again,
//! never more of them than records.) So removing a session costs what the session had, and leaves nothing behind.
//!
//! Records are ordered by key and then by session, which is the order of joining. So a LOOKUP is a range, and a LIST can stop
//! anywhere and go on later from a [`Cursor`]: every record that was there all along is seen exactly once.
//!
//! Records by number are what an index of 1.0 consists of, tens of millions of them, so they have a map of their own in which one
//! takes 20 bytes; see `docs/decisions/0008-pieces-and-the-usual-shape.md`.

mod filed;
mod files;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod listed;
mod numbers;
mod order;
mod rows;
mod session_hash;
mod slab;
#[cfg(test)]
mod tests;
mod texts;

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use self::filed::Filed;
use self::files::Files;
use self::listed::Lists;
use self::numbers::{Numbers, Place};
use self::rows::Run;
pub use self::session_hash::SessionHash;
use self::slab::Slab;
pub use self::texts::Text;
use crate::value::digest::Digest;
use crate::value::number::RfcNumber;
use crate::wire::v11::body::File;

/// Who owns records: one connection. Numbers begin at 1, rise in the order of joining and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What a record is found by. The order of the kinds is the order of a LIST.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The number of an RFC.
    Rfc(RfcNumber),
    /// The name of a file.
    Name(Arc<str>),
    /// The last part of a name that has several, and that name: one session may have many files called the same.
    Leaf {
        /// The last part.
        leaf: Arc<str>,
        /// The whole name; empty in the key that finds them all, which stands before each of them.
        name: Arc<str>,
    },
    /// A content.
    Hash(Digest),
}

impl Key {
    /// What finds every name with this last part.
    pub fn any_with_leaf(leaf: &str) -> Self {
        Self::Leaf { leaf: leaf.into(), name: Arc::default() }
    }

    fn as_ref(&self) -> KeyRef<'_> {
        match self {
            Self::Rfc(number) => KeyRef::Rfc(*number),
            Self::Name(name) => KeyRef::Name(name),
            Self::Leaf { leaf, name } => KeyRef::Leaf { leaf, name },
            Self::Hash(hash) => KeyRef::Hash(hash),
        }
    }
}

/// The same, lent by the directory; in the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyRef<'a> {
    /// See [`Key::Rfc`].
    Rfc(RfcNumber),
    /// See [`Key::Name`].
    Name(&'a Arc<str>),
    /// See [`Key::Leaf`].
    Leaf {
        /// The last part.
        leaf: &'a str,
        /// The whole name.
        name: &'a Arc<str>,
    },
    /// See [`Key::Hash`].
    Hash(&'a Digest),
}

impl KeyRef<'_> {
    /// A key of one's own.
    pub fn to_key(self) -> Key {
        match self {
            Self::Rfc(number) => Key::Rfc(number),
            Self::Name(name) => Key::Name(Arc::clone(name)),
            Self::Leaf { leaf, name } => Key::Leaf { leaf: leaf.into(), name: Arc::clone(name) },
            Self::Hash(hash) => Key::Hash(*hash),
        }
    }
}

/// What a session says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A title, in 1.0.
    Title(Arc<str>),
    /// A file, in 1.1; shared between the records under all of its keys.
    File(Arc<File>),
}

impl Said {
    /// The keys under which it is found, the one that names the record first. A title is found by its number alone.
    pub fn keys(file: &File) -> impl Iterator<Item = Key> {
        let leaf = file.name.rsplit_once('/').map(|(_, leaf)| leaf.into());
        let leaf = leaf.map(|leaf| Key::Leaf { leaf, name: Arc::clone(&file.name) });
        let number = file.rfc.as_ref().map(|(number, _)| Key::Rfc(*number));
        [Some(Key::Name(Arc::clone(&file.name))), leaf, number, file.hash.map(Key::Hash)]
            .into_iter()
            .flatten()
    }
}

/// The same, lent by the directory. A title is kept once for all records of a number that have the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidRef<'a> {
    /// See [`Said::Title`].
    Title(Text<'a>),
    /// See [`Said::File`].
    File(&'a Arc<File>),
}

impl SaidRef<'_> {
    /// One of one's own.
    pub fn to_said(self) -> Said {
        match self {
            Self::Title(title) => Said::Title(title.as_str().into()),
            Self::File(file) => Said::File(Arc::clone(file)),
        }
    }
}

/// A record, lent by the directory. `P` is what the index keeps of the peer, shared by all records of it.
#[derive(Debug)]
pub struct Record<'a, P> {
    /// What it is found by.
    pub key: KeyRef<'a>,
    /// Who added it.
    pub session: SessionId,
    /// What was said.
    pub said: SaidRef<'a>,
    /// Who has it.
    pub peer: &'a Arc<P>,
}

impl<P> Record<'_, P> {
    /// Where a list goes on after this record.
    pub fn cursor(&self) -> Cursor {
        (self.key.to_key(), self.session)
    }
}

/// What was there and is not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Was {
    /// A title.
    Title,
    /// A file, perhaps another one.
    File,
}

/// Keys under which texts have come, gone or changed; some may be there more than once, and some for nothing.
#[derive(Debug, Default)]
pub struct News {
    /// Numbers, for their titles of 1.0.
    pub numbers: Vec<RfcNumber>,
    /// Names of files.
    pub names: Vec<Arc<str>>,
}

/// A place in the order of records: after everything up to and including this record.
pub type Cursor = (Key, SessionId);

/// One shard of the directory.
#[derive(Debug)]
pub struct Directory<P> {
    numbers: Numbers,
    files: Files,
    /// The peers of all records; records have their places.
    peers: Slab<Arc<P>>,
    numbers_of: Lists<RfcNumber>,
    /// Names with a record that came, went or changed, for whoever asked for this.
    new_names: Option<Vec<Arc<str>>>,
}

impl<P> Default for Directory<P> {
    fn default() -> Self {
        Self {
            numbers: Numbers::default(),
            files: Files::default(),
            peers: Slab::default(),
            numbers_of: Lists::default(),
            new_names: None,
        }
    }
}

impl<P> Directory<P> {
    /// One that notes under which keys texts change.
    pub fn watched() -> Self {
        let mut directory = Self { new_names: Some(Vec::new()), ..Self::default() };
        directory.numbers.watch();
        directory
    }

    /// What has changed since the last time.
    pub fn take_news(&mut self) -> News {
        let names = self.new_names.as_mut().map(std::mem::take).unwrap_or_default();
        News { numbers: self.numbers.take_news(), names }
    }

    /// How much that is.
    pub fn news(&self) -> usize {
        self.numbers.news().saturating_add(self.new_names.as_ref().map_or(0, Vec::len))
    }

    fn note(&mut self, key: &Key) {
        if let (Some(names), Key::Name(name)) = (&mut self.new_names, key) {
            names.push(Arc::clone(name));
        }
    }

    /// Adds a record of 1.0, or replaces what the same session said about the same number.
    pub fn add_title(
        &mut self,
        session: SessionId,
        number: RfcNumber,
        title: &str,
        peer: &Arc<P>,
    ) -> Option<Was> {
        let (place, is_new) = self.place_of(session, peer);
        let replaced = self.numbers.add_title(number, session, title, place);
        self.settle_number(session, number, (place, is_new), replaced)
    }

    /// Adds a file under one of its keys, or replaces what the same session said about the same key.
    pub fn add_file(
        &mut self,
        session: SessionId,
        key: &Key,
        file: &Arc<File>,
        peer: &Arc<P>,
    ) -> Option<Was> {
        let Ok(was) = self.add_file_if(session, key, file, peer, |_| Ok::<(), Infallible>(()));
        was
    }

    /// The same, if whoever adds it agrees to it when shown what the session has there: a file and its peer; of a number nothing is shown.
    /// The key is looked for once.
    ///
    /// # Errors
    /// What `may` says; nothing has changed then.
    pub fn add_file_if<E>(
        &mut self,
        session: SessionId,
        key: &Key,
        file: &Arc<File>,
        peer: &Arc<P>,
        may: impl FnOnce(Option<(&Arc<File>, &Arc<P>)>) -> Result<(), E>,
    ) -> Result<Option<Was>, E> {
        let Some(place) = self.files.place(key, session) else {
            may(None)?;
            return Ok(self.add_numbered_file(session, key, file, peer));
        };
        may(self.files.at(place).and_then(|filed| Some((&filed.file, self.peers.get(filed.peer)?))))?;
        let (peer, is_new) = self.place_of(session, peer);
        self.note(key);
        let replaced = self.files.put(place, session, Arc::clone(file), peer);
        self.use_peer((peer, is_new), replaced);
        Ok(replaced.map(|_| Was::File))
    }

    fn add_numbered_file(
        &mut self,
        session: SessionId,
        key: &Key,
        file: &Arc<File>,
        peer: &Arc<P>,
    ) -> Option<Was> {
        let Key::Rfc(number) = key else { return None };
        let (place, is_new) = self.place_of(session, peer);
        let replaced = self.numbers.add_file(*number, session, file, place);
        self.settle_number(session, *number, (place, is_new), replaced)
    }

    /// After a record by number was put in: the peer of the old one, or the list of the session.
    fn settle_number(
        &mut self,
        session: SessionId,
        number: RfcNumber,
        (place, is_new): (u32, bool),
        replaced: Option<(Was, u32)>,
    ) -> Option<Was> {
        self.use_peer((place, is_new), replaced.map(|(_, old)| old));
        if replaced.is_none() {
            let numbers = &self.numbers;
            self.numbers_of.added(session, number, place, |number| numbers.holds(*number, session));
        }
        replaced.map(|(was, _)| was)
    }

    /// Where the peer is kept, and whether it was put there just now: nearly always it is where the session's last record has it. What
    /// was remembered may be long gone, but whatever place holds this very peer is right.
    fn place_of(&mut self, session: SessionId, peer: &Arc<P>) -> (u32, bool) {
        let is_there = |place: &u32| self.peers.get(*place).is_some_and(|known| Arc::ptr_eq(known, peer));
        let numbered = self.numbers_of.last_peer(session).filter(is_there);
        match numbered.or_else(|| self.files.last_peer(session).filter(is_there)) {
            Some(place) => (place, false),
            None => (self.peers.insert(Arc::clone(peer)), true),
        }
    }

    /// A record has its peer at a place, and had another one before: counts the users of both.
    fn use_peer(&mut self, (place, is_new): (u32, bool), before: Option<u32>) {
        if before == Some(place) {
            return;
        }
        if !is_new {
            self.peers.share(place);
        }
        if let Some(before) = before {
            self.peers.release(before);
        }
    }

    /// Removes a session's record of a key.
    pub fn remove(&mut self, session: SessionId, key: &Key) -> Option<Was> {
        let (was, place) = self.take_out(session, key)?;
        self.peers.release(place);
        if let Key::Rfc(_) = key {
            let Self { numbers, numbers_of, .. } = self;
            numbers_of.removed(session, |number| numbers.holds(*number, session));
        }
        Some(was)
    }

    fn take_out(&mut self, session: SessionId, key: &Key) -> Option<(Was, u32)> {
        match key {
            Key::Rfc(number) => self.numbers.remove(*number, session),
            key => {
                self.note(key);
                self.files.remove(key, session).map(|place| (Was::File, place))
            }
        }
    }

    /// Removes everything that a session added. Says how many records that were.
    pub fn remove_session(&mut self, session: SessionId) -> usize {
        let before = self.len();
        for number in self.numbers_of.take(session) {
            if let Some((_, place)) = self.numbers.remove(number, session) {
                self.peers.release(place);
            }
        }
        let Self { files, peers, new_names, .. } = self;
        files.remove_session(session, |filed| {
            if let (Some(names), KeyRef::Name(name)) = (&mut *new_names, filed.key()) {
                names.push(Arc::clone(name));
            }
            peers.release(filed.peer);
        });
        before.saturating_sub(self.len())
    }

    /// What a session said about a key.
    pub fn get(&self, session: SessionId, key: &Key) -> Option<SaidRef<'_>> {
        match key {
            Key::Rfc(number) => self.numbers.get(*number, session),
            key => self.files.get(key, session).map(SaidRef::File),
        }
    }

    /// A session's record of a key.
    pub fn record<'a>(&'a self, session: SessionId, key: &'a Key) -> Option<Record<'a, P>> {
        if let Key::Rfc(number) = key {
            // The one just before this session's may be anybody's.
            let before = SessionId(session.0.saturating_sub(1));
            return self.numbered(*number, before).next().filter(|record| record.session == session);
        }
        let Filed { file, session, peer, .. } = self.files.filed(key, session)?;
        self.lend(Found { key: key.as_ref(), session: *session, said: SaidRef::File(file), place: *peer })
    }

    /// What names each record of a session: numbers of titles and names of files. Some may have no record any more.
    pub fn named(&self, session: SessionId) -> impl Iterator<Item = Key> {
        let keys = self.files.of_session(session).map(|filed| filed.key().to_key());
        let names = keys.filter(|key| matches!(key, Key::Name(_)));
        self.numbers_of.keys(session).iter().map(|number| Key::Rfc(*number)).chain(names)
    }

    /// Who holds a key, in the order of joining; of a last part, by name first.
    pub fn holders<'a>(&'a self, key: &'a Key) -> impl Iterator<Item = Record<'a, P>> {
        self.holders_after(key, None)
    }

    /// The same from the first or from after a cursor.
    pub fn holders_after<'a>(
        &'a self,
        key: &'a Key,
        after: Option<&Cursor>,
    ) -> impl Iterator<Item = Record<'a, P>> + use<'a, P> {
        let session = after.map_or(SessionId(0), |(_, session)| *session);
        let number = match key {
            Key::Rfc(number) => Some(*number),
            _ => None,
        };
        let by_number = number.into_iter().flat_map(move |number| self.numbered(number, session));
        // What is looked for by number is nowhere else.
        let others = number.is_none().then(|| self.files.holders(key, after));
        by_number.chain(others.into_iter().flatten().filter_map(|found| self.lend(found)))
    }

    /// Who holds a number, in the order of joining, without those up to and including this session. The same as
    /// [`Self::holders_after`], for what is asked most.
    pub fn numbered(&self, number: RfcNumber, after: SessionId) -> impl Iterator<Item = Record<'_, P>> {
        self.numbers.holders(number, after).filter_map(|found| self.lend(found))
    }

    /// Records in order, from the first or from after a cursor.
    pub fn records<'a>(&'a self, after: Option<&'a Cursor>) -> impl Iterator<Item = Record<'a, P>> {
        self.numbers.after(after).chain(self.files.after(after)).filter_map(|found| self.lend(found))
    }

    /// What has a number, in order and from after a place on; from the first with no number.
    pub fn number_run(&self, after: (Option<RfcNumber>, SessionId)) -> NumberRun<'_, P> {
        NumberRun { directory: self, rows: self.numbers.rows_after(after) }
    }

    /// Who holds a number, without those up to and including this session, and all that comes behind: found and not looked at yet.
    #[inline]
    pub fn run_from(&self, number: RfcNumber, after: SessionId) -> NumberRun<'_, P> {
        NumberRun { directory: self, rows: self.numbers.rows_after((Some(number), after)) }
    }

    /// Whether any record has a name.
    pub fn has_names(&self) -> bool {
        self.files.has_names()
    }

    /// The peer of one of a session's records.
    pub fn peer_of(&self, session: SessionId) -> Option<&Arc<P>> {
        let before = SessionId(session.0.saturating_sub(1));
        let numbers = self.numbers_of.keys(session).iter();
        let numbered = numbers.filter_map(|number| self.numbered(*number, before).next());
        let numbered = numbered.filter(|record| record.session == session).map(|record| record.peer);
        numbered.chain(self.files.of_session(session).filter_map(|filed| self.peers.get(filed.peer))).next()
    }

    #[inline]
    fn lend<'a>(&'a self, Found { key, session, said, place }: Found<'a>) -> Option<Record<'a, P>> {
        // A record's peer is there as long as the record is.
        self.peers.get(place).map(|peer| Record { key, session, said, peer })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.numbers.len().saturating_add(self.files.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where the title of a row is kept, as long as nothing changes.
#[derive(Debug, Clone, Copy)]
pub struct TitlePlace(Place);

/// Records by number, one after the other.
#[derive(Debug)]
pub struct NumberRun<'a, P> {
    directory: &'a Directory<P>,
    rows: Run<'a>,
}

impl<P> NumberRun<'_, P> {
    /// The number of the next one.
    pub fn number(&self) -> Option<RfcNumber> {
        RfcNumber::new(self.rows.peek()?.0.number)
    }

    /// Looks at the next row: gives where its title is kept.
    #[inline]
    pub fn look(&self) -> Option<TitlePlace> {
        self.rows.peek().map(|(_, entry)| TitlePlace(entry.said))
    }

    /// Looks at the beginning of a title that [`Self::look`] gave: its length.
    #[inline]
    pub fn look_at_title(&self, place: Option<TitlePlace>) -> usize {
        place.map_or(0, |TitlePlace(said)| self.directory.numbers.title_length(said))
    }

    /// Shows records up to this number, or until the visitor has enough: with the place of the last one then. Most of a LIST's time is
    /// spent here, in one loop that the compiler can see as a whole.
    pub fn show(
        &mut self,
        last: u32,
        visitor: &mut impl FnMut(&Record<'_, P>) -> ControlFlow<()>,
    ) -> ControlFlow<Cursor> {
        let Self { directory, rows } = self;
        while let Some(row) = rows.peek()
            && row.0.number <= last
        {
            rows.pass();
            let record = directory.numbers.found(row).and_then(|found| directory.lend(found));
            if let Some(record) = record
                && visitor(&record).is_break()
            {
                return ControlFlow::Break(record.cursor());
            }
        }
        ControlFlow::Continue(())
    }
}

/// A record with the place of its peer.
#[derive(Debug)]
struct Found<'a> {
    key: KeyRef<'a>,
    session: SessionId,
    said: SaidRef<'a>,
    place: u32,
}

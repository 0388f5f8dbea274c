//! The store in memory: shards of the directory, each behind a lock of its own.
//!
//! Invariant: a session's `records` is the number of its records in all shards, and `shards` has the bit of every shard
//! in which it has any; `records` of the store is their sum.
//!
//! Order of locks: a session's, then one shard's, for writing; all shards' in their order for reading, with no session's. Nobody who
//! holds a shard for writing waits for another one, so nobody waits in a circle. Nothing panics while a lock is held, so a
//! poisoned lock still holds what is true.

mod ranges;
mod shards;
mod together;
mod twins;

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::directory::{Cursor, Key, KeyRef, Record, Said, SaidRef, SessionHash, SessionId, Was};
use proto::limits::{RECORDS_MAX, RECORDS_PER_SESSION_MAX};
use proto::value::digest::Digest;
use proto::value::number::RfcNumber;
use proto::wire::v11::body::File;
use proto::wire::v11::watch::Scope;

use self::shards::{SHARDS, spread};
pub(super) use self::shards::{Shard, Shards, read, write};
pub use self::together::{Holders, NUMBERS_AT_ONCE};
use self::twins::{By, Twins};
use super::search::{Finder, Keeper};
use super::watches::Watches;
use super::{Applied, Asked, Counts, Entry, Op, Peer, StoreError, TooManyWatches, Watch};

/// How many records there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Of one session.
    pub per_session: usize,
    /// In all.
    pub total: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { per_session: RECORDS_PER_SESSION_MAX, total: RECORDS_MAX }
    }
}

/// The store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    quotas: Quotas,
    shards: Arc<Shards>,
    keeper: Option<Keeper>,
    sessions: [Mutex<HashMap<SessionId, Held, SessionHash>>; SHARDS],
    last_session: AtomicU64,
    open_sessions: AtomicUsize,
    records: AtomicUsize,
    watches: Watches,
}

/// A file that was said, and who has it.
pub(super) type Offer = (Arc<File>, Arc<Peer>);

/// What a session has.
#[derive(Debug, Default)]
struct Held {
    /// 32 bits, as every silent session has this.
    records: u32,
    shards: u16,
    /// A content has one record, under one of the session's names; these are the other ones. A folder may have many copies of a
    /// file, and a peer with many copies is one source.
    twins: Twins,
}

const _: () = assert!(SHARDS <= u16::BITS as usize);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Quotas::default())
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(quotas: Quotas) -> Self {
        Self::over(quotas, Shards::default(), None)
    }

    /// An empty store whose texts can be searched for: a thread of its own takes changes in.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn searchable(quotas: Quotas) -> io::Result<Self> {
        let shards = Arc::new(Shards::watched());
        let keeper = Keeper::start(Arc::clone(&shards))?;
        Ok(Self::over(quotas, shards, Some(keeper)))
    }

    fn over(quotas: Quotas, shards: impl Into<Arc<Shards>>, keeper: Option<Keeper>) -> Self {
        Self {
            quotas,
            shards: shards.into(),
            keeper,
            sessions: Default::default(),
            last_session: AtomicU64::new(0),
            open_sessions: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
            watches: Watches::default(),
        }
    }

    pub(super) fn open(&self) -> SessionId {
        // 64 bits: a million sessions a second last for half a million years.
        let id = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        self.sessions_with(id).insert(id, Held::default());
        self.open_sessions.fetch_add(1, Ordering::Relaxed);
        id
    }

    /// See [`super::Store::apply`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn apply(&self, session: SessionId, op: Op<'_>) -> Result<Applied, StoreError> {
        match op {
            Op::AddTitle { number, title, peer } => self.add_title(session, number, title, &peer),
            Op::AddFile { file, peer } => {
                self.within(session, |held| self.add_file(session, held, &file, &peer))
            }
            Op::RemoveFile { name } => self.within(session, |held| Ok(self.remove_file(session, held, name))),
            Op::RemoveTitle { number } => {
                self.within(session, |held| Ok(self.remove_title(session, held, number)))
            }
        }
    }

    /// The same as [`Op::AddTitle`], for what is said most.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn add_title(
        &self,
        session: SessionId,
        number: RfcNumber,
        title: &str,
        peer: &Arc<Peer>,
    ) -> Result<Applied, StoreError> {
        self.within(session, |held| self.put_title(session, held, number, title, peer))
    }

    /// Changes what an open session has.
    fn within<T>(
        &self,
        session: SessionId,
        change: impl FnOnce(&mut Held) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        change(self.sessions_with(session).get_mut(&session).ok_or(StoreError::Closed)?)
    }

    fn put_title(
        &self,
        session: SessionId,
        held: &mut Held,
        number: RfcNumber,
        title: &str,
        peer: &Arc<Peer>,
    ) -> Result<Applied, StoreError> {
        let key = Key::Rfc(number);
        let (at, mut shard) = self.shard_to_write(&key);
        let admitted = self.admit(held);
        if let Err(error) = admitted
            && !matches!(shard.get(session, &key), Some(SaidRef::Title(_)))
        {
            return Err(error);
        }
        held.shards |= 1 << at;
        let before = self.watched_title(&shard, session, &key);
        let was = shard.add_title(session, number, title, peer);
        if let Some(before) = before {
            let after = Entry { key, session, said: Said::Title(title.into()), peer: Arc::clone(peer) };
            self.watches.tell(before, Some(after));
        }
        self.tell_keeper(&shard);
        if was != Some(Was::Title) {
            return Ok(Applied::Added);
        }
        if admitted.is_ok() {
            self.release(held);
        }
        Ok(Applied::Replaced)
    }

    /// Puts a file under each of its keys, and takes it away from those that it no longer has.
    fn add_file(
        &self,
        session: SessionId,
        held: &mut Held,
        file: &Arc<File>,
        peer: &Arc<Peer>,
    ) -> Result<Applied, StoreError> {
        let keys: Vec<Key> = Said::keys(file).collect();
        let old = self.put_name(session, held, file, peer)?;
        if let Some((old, _)) = &old {
            self.take_away(session, held, old, &keys);
        }
        for key in keys {
            match key {
                Key::Name(_) => {}
                Key::Hash(hash) => self.add_content(session, held, hash, file, peer),
                key => self.add_key(session, held, &key, file, peer),
            }
        }
        let applied = if old.is_some() { Applied::Replaced } else { Applied::Added };
        if self.watches.are_there() {
            let before = old.map(|old| file_entry(session, old));
            self.watches.tell(before, Some(file_entry(session, (Arc::clone(file), Arc::clone(peer)))));
        }
        Ok(applied)
    }

    /// Puts a file under its name, where there is room for it or it takes another one's; gives what it took it from.
    fn put_name(
        &self,
        session: SessionId,
        held: &mut Held,
        file: &Arc<File>,
        peer: &Arc<Peer>,
    ) -> Result<Option<Offer>, StoreError> {
        let key = Key::Name(Arc::clone(&file.name));
        let (at, mut shard) = self.shard_to_write(&key);
        let mut old = None;
        shard.add_file_if(session, &key, file, peer, |there| match there {
            Some((file, peer)) => {
                old = Some((Arc::clone(file), Arc::clone(peer)));
                Ok(())
            }
            None => self.admit(held),
        })?;
        held.shards |= 1 << at;
        self.tell_keeper(&shard);
        Ok(old)
    }

    /// Puts a file under its number, or the last part of its name.
    fn add_key(&self, session: SessionId, held: &mut Held, key: &Key, file: &Arc<File>, peer: &Arc<Peer>) {
        let (at, mut shard) = self.shard_to_write(key);
        held.shards |= 1 << at;
        let title = self.watched_title(&shard, session, key).flatten();
        if let Key::Rfc(number) = key {
            note_twin(&shard, session, held, *number, file);
        }
        // A title counts by itself, a file once under its name.
        if shard.add_file(session, key, file, peer) == Some(Was::Title) {
            self.release(held);
        }
        self.tell_keeper(&shard);
        self.watches.tell(title, None);
    }

    /// Puts a file under its content, unless another one of the session with that content says more.
    fn add_content(
        &self,
        session: SessionId,
        held: &mut Held,
        hash: Digest,
        file: &Arc<File>,
        peer: &Arc<Peer>,
    ) {
        let key = Key::Hash(hash);
        let (at, mut shard) = self.shard_to_write(&key);
        held.shards |= 1 << at;
        let mut twin = None;
        let put = shard.add_file_if(session, &key, file, peer, |there| match there {
            Some((other, _)) if other.name != file.name && worth(other) >= worth(file) => Err(()),
            there => {
                let other = there.filter(|(other, _)| other.name != file.name);
                twin = other.map(|(other, _)| Arc::clone(&other.name));
                Ok(())
            }
        });
        if put.is_err() {
            held.twins.add(By::Content(hash), &file.name);
            return;
        }
        if let Some(twin) = twin {
            held.twins.add(By::Content(hash), &twin);
        }
        held.twins.remove(By::Content(hash), &file.name);
    }

    /// Takes a file away from its content; another one of the session with that content takes its place.
    fn take_content_away(&self, session: SessionId, held: &mut Held, hash: Digest, file: &File) {
        if held.twins.remove(By::Content(hash), &file.name) {
            return;
        }
        let next = held.twins.take_one(By::Content(hash)).and_then(|name| self.record_of(session, &name));
        let key = Key::Hash(hash);
        let (_, mut shard) = self.shard_to_write(&key);
        match next {
            Some((file, peer)) => shard.add_file(session, &key, &file, &peer),
            None => shard.remove(session, &key),
        };
    }

    fn remove_file(&self, session: SessionId, held: &mut Held, name: &str) -> Applied {
        let Some(old) = self.record_of(session, name) else { return Applied::Absent };
        self.take_away(session, held, &old.0, &[]);
        self.release(held);
        if self.watches.are_there() {
            self.watches.tell(Some(file_entry(session, old)), None);
        }
        Applied::Removed
    }

    fn remove_title(&self, session: SessionId, held: &mut Held, number: RfcNumber) -> Applied {
        let key = Key::Rfc(number);
        let (_, mut shard) = self.shard_to_write(&key);
        if !matches!(shard.get(session, &key), Some(SaidRef::Title(_))) {
            return Applied::Absent;
        }
        let title = self.watched_title(&shard, session, &key).flatten();
        shard.remove(session, &key);
        self.tell_keeper(&shard);
        self.watches.tell(title, None);
        self.release(held);
        Applied::Removed
    }

    /// Another file of the session that has this number takes the place of what had it.
    fn put_next(&self, session: SessionId, held: &mut Held, number: RfcNumber) {
        let next = held.twins.take_one(By::Number(number)).and_then(|name| self.record_of(session, &name));
        let Some((file, peer)) = next else { return };
        let key = Key::Rfc(number);
        let (_, mut shard) = self.shard_to_write(&key);
        shard.add_file(session, &key, &file, &peer);
        self.tell_keeper(&shard);
    }

    /// Takes a file away from its keys, except for those that are kept.
    fn take_away(&self, session: SessionId, held: &mut Held, file: &File, kept: &[Key]) {
        for key in Said::keys(file).filter(|key| !kept.contains(key)) {
            if let Key::Hash(hash) = key {
                self.take_content_away(session, held, hash, file);
                continue;
            }
            if let Key::Rfc(number) = key
                && held.twins.remove(By::Number(number), &file.name)
            {
                continue;
            }
            let (at, mut shard) = self.shard_to_write(&key);
            held.shards |= 1 << at;
            // Another file of the session may have taken the number over since.
            let same = |said| matches!(said, SaidRef::File(held) if held.name == file.name);
            if shard.get(session, &key).is_some_and(same) {
                shard.remove(session, &key);
                self.tell_keeper(&shard);
                drop(shard);
                if let Key::Rfc(number) = key {
                    self.put_next(session, held, number);
                }
            }
        }
    }

    /// What names the records of a session; some may have gone.
    pub(super) fn named(&self, session: SessionId) -> Vec<Key> {
        self.shards.iter().flat_map(|shard| read(shard).named(session).collect::<Vec<_>>()).collect()
    }

    /// What a session says about a key, and who has it.
    pub(super) fn record(&self, session: SessionId, key: &Key) -> Option<(Said, Arc<Peer>)> {
        let shard = self.shards.to_read(key);
        let record = shard.record(session, key)?;
        Some((record.said.to_said(), Arc::clone(record.peer)))
    }

    /// What a session says about a name, and the peer that it named.
    fn record_of(&self, session: SessionId, name: &str) -> Option<Offer> {
        let key = Key::Name(name.into());
        let shard = self.shards.to_read(&key);
        let record = shard.record(session, &key)?;
        match record.said {
            SaidRef::File(file) => Some((Arc::clone(file), Arc::clone(record.peer))),
            SaidRef::Title(_) => None,
        }
    }

    /// The title that a session has under a number, for those who watch; `None` when nobody does.
    fn watched_title(&self, shard: &Shard, session: SessionId, key: &Key) -> Option<Option<Entry>> {
        self.watches.are_there().then(|| {
            let record = matches!(key, Key::Rfc(_)).then(|| shard.record(session, key)).flatten();
            record.filter(|record| matches!(record.said, SaidRef::Title(_))).as_ref().map(Entry::from)
        })
    }

    /// See [`super::Store::watch`].
    pub(super) fn watch(&self, scope: &Scope) -> Result<Watch<'_>, TooManyWatches> {
        self.watches.add(scope)
    }

    fn release(&self, held: &mut Held) {
        held.records -= 1;
        self.records.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one record more, if there may be one more.
    fn admit(&self, held: &mut Held) -> Result<(), StoreError> {
        let Quotas { per_session, total } = self.quotas;
        if held.records as usize >= per_session || held.records == u32::MAX {
            return Err(StoreError::SessionFull { max: per_session });
        }
        let one_more = |records| (records < total).then_some(records + 1);
        self.records
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .map_err(|_| StoreError::Full { max: total })?;
        held.records += 1;
        Ok(())
    }

    pub(super) fn close(&self, session: SessionId) -> usize {
        let Some(held) = self.sessions_with(session).remove(&session) else { return 0 };
        let mut gone = Vec::new();
        for (at, shard) in self.shards.iter().enumerate() {
            if held.shards & (1 << at) != 0 {
                let mut shard = write(shard);
                if self.watches.are_there() {
                    gone.extend(named_records(&shard, session));
                }
                shard.remove_session(session);
                self.tell_keeper(&shard);
            }
        }
        gone.into_iter().for_each(|entry| self.watches.tell(Some(entry), None));
        let records = held.records as usize;
        self.records.fetch_sub(records, Ordering::Relaxed);
        self.open_sessions.fetch_sub(1, Ordering::Relaxed);
        records
    }

    /// See [`super::Store::visit`].
    pub fn visit<V>(&self, asked: Asked<'_>, after: Option<&Cursor>, visitor: &mut V) -> Option<Cursor>
    where
        V: FnMut(&Record<'_, Peer>) -> ControlFlow<()> + ?Sized,
    {
        match asked {
            Asked::Holders(key) => self.shards.visit_holders(key, after, visitor),
            Asked::Range(range) => ranges::visit(&self.shards, range, after, visitor),
        }
    }

    /// Shows for each of some numbers who holds it, until the visitor wants no more: [`Self::visit`] for what is asked most. At most
    /// [`NUMBERS_AT_ONCE`].
    pub fn visit_numbers(
        &self,
        numbers: &[RfcNumber],
        visitor: impl FnMut(usize, &mut Holders<'_>) -> ControlFlow<()>,
    ) {
        together::visit(&self.shards, numbers, visitor);
    }

    pub(super) fn sessions(&self, after: SessionId, limit: usize) -> Vec<(SessionId, usize, Arc<Peer>)> {
        let mut first: Vec<(SessionId, usize, u16)> = Vec::new();
        for sessions in &self.sessions {
            let sessions = sessions.lock().unwrap_or_else(PoisonError::into_inner);
            let later = sessions.iter().filter(|(id, held)| **id > after && held.records > 0);
            first.extend(later.map(|(id, held)| (*id, held.records as usize, held.shards)));
            first.sort_unstable();
            first.truncate(limit);
        }
        let with_peer = |(id, records, shards): (SessionId, usize, u16)| {
            let mut holding = self.shards.iter().enumerate().filter(|(at, _)| shards & (1 << at) != 0);
            // A session that leaves meanwhile has none.
            let peer = holding.find_map(|(_, shard)| read(shard).peer_of(id).map(Arc::clone))?;
            Some((id, records, peer))
        };
        first.into_iter().filter_map(with_peer).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            sessions: self.open_sessions.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
        }
    }

    fn shard_to_write(&self, key: &Key) -> (usize, std::sync::RwLockWriteGuard<'_, Shard>) {
        self.shards.to_write(key)
    }

    /// Who searches, if anybody can.
    pub(super) fn finder(&self) -> Option<&Arc<Finder>> {
        self.keeper.as_ref().map(Keeper::finder)
    }

    /// After a change to a shard, while it is held: the search must know.
    fn tell_keeper(&self, shard: &Shard) {
        if let Some(keeper) = &self.keeper
            && shard.news() > 0
        {
            keeper.tell();
        }
    }

    fn sessions_with(&self, session: SessionId) -> MutexGuard<'_, HashMap<SessionId, Held, SessionHash>> {
        self.sessions[spread(session.0)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of two files with one content, the one that is worth more speaks for the peer.
fn worth(file: &File) -> (bool, bool) {
    (!file.partial, !file.copied)
}

/// A file under its name.
/// Remembers what another file of a session is about to replace under a number.
fn note_twin(shard: &Shard, session: SessionId, held: &mut Held, number: RfcNumber, file: &File) {
    if let Some(SaidRef::File(there)) = shard.get(session, &Key::Rfc(number))
        && there.name != file.name
    {
        held.twins.add(By::Number(number), &there.name);
    }
    held.twins.remove(By::Number(number), &file.name);
}

fn file_entry(session: SessionId, (file, peer): Offer) -> Entry {
    Entry { key: Key::Name(Arc::clone(&file.name)), session, said: Said::File(file), peer }
}

/// Every record of a session in a shard, each under what names it.
fn named_records(shard: &Shard, session: SessionId) -> Vec<Entry> {
    let entry = |key: Key| {
        let record = shard.record(session, &key)?;
        // A file with a number is named by its name.
        let names = !matches!((record.key, record.said), (KeyRef::Rfc(_), SaidRef::File(_)));
        names.then(|| Entry::from(&record))
    };
    shard.named(session).filter_map(entry).collect()
}

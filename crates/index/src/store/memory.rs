//! The store in memory: shards of the directory, each behind a lock of its own.
//!
//! Invariant: a session's `records` is the number of its records in all shards, and `shards` has the bit of every shard
//! in which it has any; `records` of the store is their sum.
//!
//! Order of locks: a session's, then one shard's, for writing; all shards' in their order for reading, with no session's. Nobody who
//! holds a shard for writing waits for another one, so nobody waits in a circle. Nothing panics while a lock is held, so a
//! poisoned lock still holds what is true.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use proto::directory::{Cursor, Directory, Holding, Key, Said, SessionId};
use proto::limits::{RECORDS_MAX, RECORDS_PER_SESSION_MAX};

use proto::wire::v11::body::File;

use super::{Applied, Counts, Entry, Op, Page, Peer, Range, StoreError};

/// Enough that two cores seldom meet at a lock, and few enough that a LIST can hold them all for a page.
const SHARDS: usize = 16;

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
    // Seeded, so that nobody can choose numbers that all meet in one shard.
    hasher: RandomState,
    shards: [RwLock<Directory<Peer>>; SHARDS],
    sessions: [Mutex<HashMap<SessionId, Held>>; SHARDS],
    last_session: AtomicU64,
    open_sessions: AtomicUsize,
    records: AtomicUsize,
}

/// What a session has.
#[derive(Debug, Default)]
struct Held {
    records: usize,
    shards: u16,
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
        Self {
            quotas,
            hasher: RandomState::new(),
            shards: Default::default(),
            sessions: Default::default(),
            last_session: AtomicU64::new(0),
            open_sessions: AtomicUsize::new(0),
            records: AtomicUsize::new(0),
        }
    }

    pub(super) fn open(&self) -> SessionId {
        // 64 bits: a million sessions a second last for half a million years.
        let id = SessionId(self.last_session.fetch_add(1, Ordering::Relaxed) + 1);
        self.sessions_with(id).insert(id, Held::default());
        self.open_sessions.fetch_add(1, Ordering::Relaxed);
        id
    }

    pub(super) fn apply(&self, session: SessionId, op: Op<'_>) -> Result<Applied, StoreError> {
        let mut sessions = self.sessions_with(session);
        let held = sessions.get_mut(&session).ok_or(StoreError::Closed)?;
        match op {
            Op::AddTitle { number, title, peer } => {
                let key = Key::Rfc(number);
                let (at, mut shard) = self.shard_to_write(&key);
                let old = shard.get(session, &key).map(|holding| holding.said.clone());
                let counted = old.as_ref().is_some_and(|said| is_counted(&key, said));
                if !counted {
                    self.admit(held)?;
                }
                held.shards |= 1 << at;
                shard.add_title(session, key, title, peer);
                Ok(if counted { Applied::Replaced } else { Applied::Added })
            }
            Op::AddFile { file, peer } => self.add_file(session, held, &file, &peer),
            Op::RemoveFile { name } => Ok(self.remove_file(session, held, name)),
        }
    }

    /// Puts a file under each of its keys, and takes it away from those that it no longer has.
    fn add_file(
        &self,
        session: SessionId,
        held: &mut Held,
        file: &Arc<File>,
        peer: &Arc<Peer>,
    ) -> Result<Applied, StoreError> {
        let old = self.file_of(session, &file.name);
        if old.is_none() {
            self.admit(held)?;
        }
        let keys: Vec<Key> = Said::keys(file).collect();
        if let Some(old) = &old {
            self.take_away(session, held, old, &keys);
        }
        for key in keys {
            let (at, mut shard) = self.shard_to_write(&key);
            held.shards |= 1 << at;
            let holding = Holding { said: Said::File(Arc::clone(file)), peer: Arc::clone(peer) };
            let replaced = shard.add(session, key.clone(), holding);
            if replaced.is_some_and(|replaced| matches!(key, Key::Rfc(_)) && is_counted(&key, &replaced.said))
            {
                self.release(held, 1);
            }
        }
        Ok(if old.is_some() { Applied::Replaced } else { Applied::Added })
    }

    fn remove_file(&self, session: SessionId, held: &mut Held, name: &str) -> Applied {
        let Some(old) = self.file_of(session, name) else { return Applied::Absent };
        self.take_away(session, held, &old, &[]);
        self.release(held, 1);
        Applied::Removed
    }

    /// Takes a file away from its keys, except for those that are kept.
    fn take_away(&self, session: SessionId, held: &mut Held, file: &File, kept: &[Key]) {
        for key in Said::keys(file).filter(|key| !kept.contains(key)) {
            let (at, mut shard) = self.shard_to_write(&key);
            // Another file of the session may have taken the number over since.
            let same =
                |holding: &Holding<Peer>| matches!(&holding.said, Said::File(held) if held.name == file.name);
            if shard.get(session, &key).is_some_and(same) {
                shard.remove(session, &key);
            }
            held.shards |= 1 << at;
        }
    }

    /// What a session says about a name.
    fn file_of(&self, session: SessionId, name: &str) -> Option<Arc<File>> {
        let key = Key::Name(name.into());
        match &read(&self.shards[self.shard_of(&key)]).get(session, &key)?.said {
            Said::File(file) => Some(Arc::clone(file)),
            Said::Title(_) => None,
        }
    }

    fn release(&self, held: &mut Held, records: usize) {
        held.records -= records;
        self.records.fetch_sub(records, Ordering::Relaxed);
    }

    /// Counts one record more, if there may be one more.
    fn admit(&self, held: &mut Held) -> Result<(), StoreError> {
        let Quotas { per_session, total } = self.quotas;
        if held.records >= per_session {
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
        for (at, shard) in self.shards.iter().enumerate() {
            if held.shards & (1 << at) != 0 {
                write(shard).remove_session(session);
            }
        }
        self.records.fetch_sub(held.records, Ordering::Relaxed);
        self.open_sessions.fetch_sub(1, Ordering::Relaxed);
        held.records
    }

    pub(super) fn lookup(&self, key: &Key, after: Option<Cursor>, limit: usize) -> Page {
        let shard = read(&self.shards[self.shard_of(key)]);
        // Ids begin at 1, so this is before every record of the key.
        let after = after.unwrap_or_else(|| (key.clone(), SessionId(0)));
        let mut records = shard.records(Some(&after)).take_while(|((held, _), _)| held == key);
        let entries: Vec<Entry> = records.by_ref().take(limit.max(1)).map(entry).collect();
        page(entries, records.next().is_some())
    }

    pub(super) fn list(&self, range: &Range, after: Option<Cursor>, limit: usize) -> Page {
        let after = after.max(range.start());
        let shards: Vec<_> = self.shards.iter().map(read).collect();
        let mut runs: Vec<_> = shards
            .iter()
            .map(|shard| {
                shard
                    .records(after.as_ref())
                    .take_while(|((key, _), _)| range.holds(key))
                    .filter(|((key, _), holding)| range.tells(key, &holding.said))
            })
            .collect();
        let mut heads: Vec<_> = runs.iter_mut().map(Iterator::next).collect();
        let mut entries = Vec::new();
        while entries.len() < limit.max(1) {
            let Some(at) = first_of(&heads) else { break };
            let next = runs[at].next();
            entries.extend(std::mem::replace(&mut heads[at], next).map(entry));
        }
        page(entries, heads.iter().any(Option::is_some))
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            sessions: self.open_sessions.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
        }
    }

    fn shard_of(&self, key: &Key) -> usize {
        spread(self.hasher.hash_one(key))
    }

    fn shard_to_write(&self, key: &Key) -> (usize, RwLockWriteGuard<'_, Directory<Peer>>) {
        let at = self.shard_of(key);
        (at, write(&self.shards[at]))
    }

    fn sessions_with(&self, session: SessionId) -> MutexGuard<'_, HashMap<SessionId, Held>> {
        self.sessions[spread(session.0)].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number as the index of one of [`SHARDS`].
fn spread(number: u64) -> usize {
    // Below 16, so it fits.
    (number % SHARDS as u64) as usize
}

/// Whether a record counts: a file counts once, under its name.
fn is_counted(key: &Key, said: &Said) -> bool {
    matches!((key, said), (Key::Name(_), _) | (Key::Rfc(_), Said::Title(_)))
}

type Record<'a> = (&'a Cursor, &'a Holding<Peer>);

/// Which run goes on with the smallest record.
fn first_of(heads: &[Option<Record<'_>>]) -> Option<usize> {
    let cursors = heads.iter().enumerate().filter_map(|(at, head)| head.map(|(cursor, _)| (cursor, at)));
    cursors.min().map(|(_, at)| at)
}

fn entry(((key, session), holding): Record<'_>) -> Entry {
    Entry { key: key.clone(), session: *session, said: holding.said.clone(), peer: Arc::clone(&holding.peer) }
}

fn page(entries: Vec<Entry>, more: bool) -> Page {
    let next = entries.last().filter(|_| more).map(|last| (last.key.clone(), last.session));
    Page { entries, next }
}

fn read(shard: &RwLock<Directory<Peer>>) -> RwLockReadGuard<'_, Directory<Peer>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Directory<Peer>>) -> RwLockWriteGuard<'_, Directory<Peer>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

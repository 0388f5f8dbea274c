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

use proto::directory::{Cursor, Directory, Holding, Key, SessionId};
use proto::limits::{RECORDS_MAX, RECORDS_PER_SESSION_MAX};

use super::{Applied, Counts, Entry, Op, Page, Peer, StoreError};

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
        match op {
            Op::Add { key, title, peer } => self.add(session, key, title, peer),
        }
    }

    fn add(&self, session: SessionId, key: Key, title: &str, peer: Arc<Peer>) -> Result<Applied, StoreError> {
        let mut sessions = self.sessions_with(session);
        let held = sessions.get_mut(&session).ok_or(StoreError::Closed)?;
        let at = self.shard_of(key);
        let mut shard = write(&self.shards[at]);
        let new = !shard.contains(session, key);
        if new {
            self.admit(held)?;
            held.shards |= 1 << at;
        }
        shard.add(session, key, title, peer);
        Ok(if new { Applied::Added } else { Applied::Replaced })
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

    pub(super) fn lookup(&self, key: Key, after: Option<Cursor>, limit: usize) -> Page {
        let shard = read(&self.shards[self.shard_of(key)]);
        // Ids begin at 1, so this is before every record of the key.
        let after = after.unwrap_or((key, SessionId(0)));
        let mut records = shard.records(Some(after)).take_while(|((held, _), _)| *held == key);
        let entries: Vec<Entry> = records.by_ref().take(limit.max(1)).map(entry).collect();
        page(entries, records.next().is_some())
    }

    pub(super) fn list(&self, after: Option<Cursor>, limit: usize) -> Page {
        let shards: Vec<_> = self.shards.iter().map(read).collect();
        let mut runs: Vec<_> = shards.iter().map(|shard| shard.records(after)).collect();
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

    fn shard_of(&self, key: Key) -> usize {
        spread(self.hasher.hash_one(key))
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

type Record<'a> = (Cursor, &'a Holding<Peer>);

/// Which run goes on with the smallest record.
fn first_of(heads: &[Option<Record<'_>>]) -> Option<usize> {
    let cursors = heads.iter().enumerate().filter_map(|(at, head)| head.map(|(cursor, _)| (cursor, at)));
    cursors.min().map(|(_, at)| at)
}

fn entry(((key, session), holding): Record<'_>) -> Entry {
    Entry { key, session, title: Arc::clone(&holding.title), peer: Arc::clone(&holding.peer) }
}

fn page(entries: Vec<Entry>, more: bool) -> Page {
    let next = entries.last().filter(|_| more).map(|last| (last.key, last.session));
    Page { entries, next }
}

fn read(shard: &RwLock<Directory<Peer>>) -> RwLockReadGuard<'_, Directory<Peer>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Directory<Peer>>) -> RwLockWriteGuard<'_, Directory<Peer>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

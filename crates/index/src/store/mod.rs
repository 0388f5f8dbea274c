//! Where the records are: the store as its users see it, whatever keeps it.
//!
//! An enum and not a trait: the engines are known, and a closed set is called without a table. What a store means is the
//! contract suite in `tests/store.rs`; a new engine is a variant here and a line there.
//!
//! Closing a session is synchronous, because it must work in a destructor: records go even when a task panics or is aborted.

mod memory;

pub use memory::{MemoryStore, Quotas};

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::directory::{Cursor, Key, SessionId};
use proto::value::host::PeerAddr;
use proto::visibility::{Claim, Provenance};
use proto::wire::refusal::Reason;

/// What the index keeps of a peer: one for each host and port that a session claims, shared by its records.
#[derive(Debug)]
pub struct Peer {
    claimed: PeerAddr,
    source: IpAddr,
    proven: AtomicBool,
}

impl Peer {
    /// A peer whose claim nobody has looked at. `source` is where its connection comes from.
    #[must_use]
    pub fn new(claimed: PeerAddr, source: IpAddr) -> Self {
        Self { claimed, source, proven: AtomicBool::new(false) }
    }

    /// Where it says that its uploads are.
    #[must_use]
    pub fn claimed(&self) -> &PeerAddr {
        &self.claimed
    }

    /// Where its connection really comes from, and whether its claim is true.
    #[must_use]
    pub fn provenance(&self) -> Provenance {
        // The flag stands for itself, no other memory hangs on it.
        let claim = if self.proven.load(Ordering::Relaxed) { Claim::True } else { Claim::Unproven };
        Provenance { source: self.source, claim }
    }

    pub(crate) fn set_proven(&self) {
        self.proven.store(true, Ordering::Relaxed);
    }
}

/// A change that a session makes.
#[derive(Debug, Clone)]
pub enum Op<'a> {
    /// Adds a record, or replaces what the same session said about the same key.
    Add {
        /// What the record is about.
        key: Key,
        /// Its title.
        title: &'a str,
        /// Who has it.
        peer: Arc<Peer>,
    },
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// There is one record more.
    Added,
    /// A record of this session was there and says something new.
    Replaced,
}

/// Why a change was not made. Everything that was there before stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The session has as many records as one may have.
    #[error("the session has {max} records, more are not allowed")]
    SessionFull {
        /// The limit.
        max: usize,
    },
    /// The index has as many records as it may have.
    #[error("the index has {max} records, more are not allowed")]
    Full {
        /// The limit.
        max: usize,
    },
    /// The session was never opened, or is closed.
    #[error("the session is closed")]
    Closed,
}

impl StoreError {
    /// The refusal that tells a peer.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::SessionFull { max } | Self::Full { max } => Reason::TooManyRecords(max),
            Self::Closed => Reason::NotServedHere("the session is closed"),
        }
    }
}

/// A record, taken out of the store.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is about.
    pub key: Key,
    /// Who added it.
    pub session: SessionId,
    /// Its title.
    pub title: Arc<str>,
    /// Who has it.
    pub peer: Arc<Peer>,
}

/// Some records in order.
#[derive(Debug)]
pub struct Page {
    /// At most as many as were asked for.
    pub entries: Vec<Entry>,
    /// Where to go on; `None` when these were the last ones.
    pub next: Option<Cursor>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Open sessions.
    pub sessions: usize,
    /// Records.
    pub records: usize,
}

/// A store of records. Records are ordered by key, and among equal keys in the order of joining.
#[derive(Debug)]
pub enum Store {
    /// In the memory of this process.
    Memory(MemoryStore),
}

impl Store {
    /// Opens a session. Ids rise and are never used again.
    #[must_use]
    pub fn open(&self) -> SessionId {
        match self {
            Self::Memory(store) => store.open(),
        }
    }

    /// Makes one change.
    ///
    /// # Errors
    /// [`StoreError`]; a record can be replaced even where no further one is allowed.
    pub async fn apply(&self, session: SessionId, op: Op<'_>) -> Result<Applied, StoreError> {
        match self {
            Self::Memory(store) => store.apply(session, op),
        }
    }

    /// Who holds a key: at most `limit` (at least 1) records, from the first or from after a cursor.
    pub async fn lookup(&self, key: Key, after: Option<Cursor>, limit: usize) -> Page {
        match self {
            Self::Memory(store) => store.lookup(key, after, limit),
        }
    }

    /// All records, page by page: at most `limit` (at least 1), from the first or from after a cursor. A record that is there
    /// from the first page to the last is seen exactly once.
    pub async fn list(&self, after: Option<Cursor>, limit: usize) -> Page {
        match self {
            Self::Memory(store) => store.list(after, limit),
        }
    }

    /// Closes a session. When this returns its records are gone; says how many there were. Closing again does nothing.
    pub fn close(&self, session: SessionId) -> usize {
        match self {
            Self::Memory(store) => store.close(session),
        }
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            Self::Memory(store) => store.counts(),
        }
    }
}

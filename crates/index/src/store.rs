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

use proto::directory::{Cursor, Key, Said, SessionId};
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::visibility::{Claim, Provenance};
use proto::wire::refusal::Reason;
use proto::wire::v11::body::File;

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
    /// Adds a record of 1.0, or replaces what the same session said about the same number.
    AddTitle {
        /// The RFC.
        number: RfcNumber,
        /// Its title.
        title: &'a str,
        /// Who has it.
        peer: Arc<Peer>,
    },
    /// Adds a file, or replaces what the same session said about the same name.
    AddFile {
        /// The file.
        file: Arc<File>,
        /// Who has it.
        peer: Arc<Peer>,
    },
    /// Forgets a file of the session.
    RemoveFile {
        /// Its name.
        name: &'a str,
    },
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// There is one record more.
    Added,
    /// A record of this session was there and says something new.
    Replaced,
    /// There is one record less.
    Removed,
    /// There was nothing to remove.
    Absent,
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
    /// The key under which it was found.
    pub key: Key,
    /// Who added it.
    pub session: SessionId,
    /// What was said.
    pub said: Said,
    /// Who has it.
    pub peer: Arc<Peer>,
}

/// What a LIST covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// Everything that has a number, by number: a LIST of 1.0.
    Numbers,
    /// Every record once: those of 1.0 by number, then files by name.
    Everything,
    /// Files whose names begin so, by name.
    Prefix(Arc<str>),
}

impl Range {
    /// Where it begins: after this.
    fn start(&self) -> Option<Cursor> {
        match self {
            Self::Numbers | Self::Everything => None,
            // Ids begin at 1, so this is before every record of the name.
            Self::Prefix(prefix) => Some((Key::Name(Arc::clone(prefix)), SessionId(0))),
        }
    }

    /// Whether a key lies within; behind the first that does not, none does.
    fn holds(&self, key: &Key) -> bool {
        match (self, key) {
            (Self::Numbers | Self::Everything, Key::Rfc(_)) | (Self::Everything, Key::Name(_)) => true,
            (Self::Prefix(prefix), Key::Name(name)) => name.starts_with(&**prefix),
            _ => false,
        }
    }

    /// Whether a record that lies within is told: a file with a number has a place of its own among the names.
    fn tells(&self, key: &Key, said: &Said) -> bool {
        !matches!((self, key, said), (Self::Everything, Key::Rfc(_), Said::File(_)))
    }
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
    pub async fn lookup(&self, key: &Key, after: Option<Cursor>, limit: usize) -> Page {
        match self {
            Self::Memory(store) => store.lookup(key, after, limit),
        }
    }

    /// The records of a range, page by page: at most `limit` (at least 1), from the first or from after a cursor. A record that is there
    /// from the first page to the last is seen exactly once.
    pub async fn list(&self, range: &Range, after: Option<Cursor>, limit: usize) -> Page {
        match self {
            Self::Memory(store) => store.list(range, after, limit),
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

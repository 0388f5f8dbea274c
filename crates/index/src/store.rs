//! Where the records are: the store as its users see it, whatever keeps it.
//!
//! An enum and not a trait: the engines are known, and a closed set is called without a table. What a store means is the
//! contract suite in `tests/store.rs`; a new engine is a variant here and a line there.
//!
//! Closing a session is synchronous, because it must work in a destructor: records go even when a task panics or is aborted.

mod cluster;
mod memory;
mod search;
mod watches;

pub use cluster::{ClusterSettings, ClusterStatus, ClusterStore, EngineAddr, Fitness, check};
pub use memory::{Holders, MemoryStore, NUMBERS_AT_ONCE, Quotas};
pub use search::Matches;
pub use watches::{News, TooManyWatches, Watch};

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proto::directory::{Cursor, Key, KeyRef, Record, Said, SaidRef, SessionId};
use proto::schedule::{Load, Tick};
use proto::search::Query;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::visibility::{Claim, Provenance};
use proto::wire::refusal::Reason;
use proto::wire::v11::body::File;
use proto::wire::v11::watch::Scope;

/// For so long what a peer says of its sending is shown: a few times as long as a peer lets pass between two words of it.
const SENDING_HOLDS: Tick = 150;

/// What the index keeps of a peer: one for each host and port that a session claims, shared by its records.
#[derive(Debug)]
pub struct Peer {
    claimed: PeerAddr,
    source: IpAddr,
    proven: AtomicBool,
    /// A [`Load`].
    load: AtomicU64,
    /// What it said that it sends, in KiB a second, and when: 32 bits each.
    sending: AtomicU64,
}

impl Peer {
    /// A peer whose claim nobody has looked at. `source` is where its connection comes from.
    #[must_use]
    pub fn new(claimed: PeerAddr, source: IpAddr) -> Self {
        Self {
            claimed,
            source,
            proven: AtomicBool::new(false),
            load: AtomicU64::new(0),
            sending: AtomicU64::new(0),
        }
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

    /// How often requesters were sent to it lately.
    #[must_use]
    pub fn load(&self) -> Load {
        Load::from_bits(self.load.load(Ordering::Relaxed))
    }

    /// Bytes a second that it says it sends to others, as long as that is news.
    #[must_use]
    pub fn sending(&self, now: Tick) -> u64 {
        let bits = self.sending.load(Ordering::Relaxed);
        let (rate, said) = (bits >> 32, bits & u64::from(u32::MAX));
        if u64::from(now).saturating_sub(said) <= u64::from(SENDING_HOLDS) { rate * 1024 } else { 0 }
    }

    pub(crate) fn set_sending(&self, rate: u64, now: Tick) {
        let rate = rate.div_ceil(1024).min(u64::from(u32::MAX));
        self.sending.store((rate << 32) | u64::from(now), Ordering::Relaxed);
    }

    /// A requester is sent to it.
    pub(crate) fn set_named(&self, now: Tick) {
        let named = |bits| Some(Load::from_bits(bits).named(now).to_bits());
        // It always gives a new value, so it cannot fail.
        let _ = self.load.fetch_update(Ordering::Relaxed, Ordering::Relaxed, named);
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
    /// Forgets a record of 1.0 of the session.
    RemoveTitle {
        /// Its number.
        number: RfcNumber,
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

impl From<&Record<'_, Peer>> for Entry {
    fn from(record: &Record<'_, Peer>) -> Self {
        let Record { key, session, said, peer } = *record;
        Self { key: key.to_key(), session, said: said.to_said(), peer: Arc::clone(peer) }
    }
}

/// Which records are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// Whoever holds this.
    Holders(&'a Key),
    /// All of these.
    Range(&'a Range),
}

/// Takes records one by one, and says when it has enough: the one at which it breaks off is taken too.
pub type Visitor<'a> = dyn FnMut(&Record<'_, Peer>) -> ControlFlow<()> + Send + 'a;

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
    fn holds(&self, key: KeyRef<'_>) -> bool {
        match (self, key) {
            (Self::Numbers | Self::Everything, KeyRef::Rfc(_)) | (Self::Everything, KeyRef::Name(_)) => true,
            (Self::Prefix(prefix), KeyRef::Name(name)) => name.starts_with(&**prefix),
            _ => false,
        }
    }

    /// Whether a record that lies within is told: a file with a number has a place of its own among the names.
    fn tells(&self, key: KeyRef<'_>, said: SaidRef<'_>) -> bool {
        !matches!((self, key, said), (Self::Everything, KeyRef::Rfc(_), SaidRef::File(_)))
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
#[expect(clippy::large_enum_variant, reason = "there is one, and a box would cost every request a step")]
pub enum Store {
    /// In the memory of this process.
    Memory(MemoryStore),
    /// The same, shared with other nodes through an engine.
    Cluster(ClusterStore),
}

impl Store {
    /// Opens a session. Ids rise and are never used again.
    #[must_use]
    pub fn open(&self) -> SessionId {
        match self {
            Self::Memory(store) => store.open(),
            Self::Cluster(store) => store.open(),
        }
    }

    /// Makes one change.
    ///
    /// # Errors
    /// [`StoreError`]; a record can be replaced even where no further one is allowed.
    pub async fn apply(&self, session: SessionId, op: Op<'_>) -> Result<Applied, StoreError> {
        self.apply_at_once(session, op)
    }

    /// The same without waiting, as every store can: what others have to be told is told behind.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn apply_at_once(&self, session: SessionId, op: Op<'_>) -> Result<Applied, StoreError> {
        match self {
            Self::Memory(store) => store.apply(session, op),
            Self::Cluster(store) => store.apply(session, op),
        }
    }

    /// The same as [`Op::AddTitle`], for what is said most.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn add_title_at_once(
        &self,
        session: SessionId,
        number: RfcNumber,
        title: &str,
        peer: &Arc<Peer>,
    ) -> Result<Applied, StoreError> {
        match self {
            Self::Memory(store) => store.add_title(session, number, title, peer),
            Self::Cluster(store) => {
                store.apply(session, Op::AddTitle { number, title, peer: Arc::clone(peer) })
            }
        }
    }

    /// Shows records in order, from the first or from after a cursor, until the visitor has enough or there are no more; gives the
    /// place to go on in the first case. A record that is there from the first call to the last is seen exactly once. The visitor
    /// must be quick, as the records do not change meanwhile.
    pub async fn visit(
        &self,
        asked: Asked<'_>,
        after: Option<&Cursor>,
        visitor: &mut Visitor<'_>,
    ) -> Option<Cursor> {
        self.memory().visit(asked, after, visitor)
    }

    /// The engine, if it is one that answers without waiting.
    #[must_use]
    pub fn at_once(&self) -> Option<&MemoryStore> {
        Some(self.memory())
    }

    /// Where every question is answered from.
    fn memory(&self) -> &MemoryStore {
        match self {
            Self::Memory(store) => store,
            Self::Cluster(store) => store.memory(),
        }
    }

    /// Whether other nodes may have something that is not here, or have lost something that is.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Cluster(store) => store.is_stale(),
        }
    }

    /// Who holds a key: at most `limit` (at least 1) records, from the first or from after a cursor.
    pub async fn lookup(&self, key: &Key, after: Option<Cursor>, limit: usize) -> Page {
        self.page(Asked::Holders(key), after, limit).await
    }

    /// The records of a range, page by page: at most `limit` (at least 1), from the first or from after a cursor. See [`Self::visit`].
    pub async fn list(&self, range: &Range, after: Option<Cursor>, limit: usize) -> Page {
        self.page(Asked::Range(range), after, limit).await
    }

    async fn page(&self, asked: Asked<'_>, after: Option<Cursor>, limit: usize) -> Page {
        let mut entries = Vec::new();
        let mut visitor = |record: &Record<'_, Peer>| {
            entries.push(Entry::from(record));
            if entries.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let next = self.visit(asked, after.as_ref(), &mut visitor).await;
        Page { entries, next }
    }

    /// From now on each change of what `scope` covers is told to whoever holds the watch: what is not seen by a look after this call
    /// is told.
    ///
    /// # Errors
    /// [`TooManyWatches`]
    pub fn watch(&self, scope: &Scope) -> Result<Watch<'_>, TooManyWatches> {
        self.memory().watch(scope)
    }

    /// Files and titles that a query finds, the best first: at most `limit`, without the first `from`. `None` if this store has no
    /// search. A record that was added is found within [`proto::limits::SEARCH_GATHER`] and the time that taking changes in needs; one
    /// that is gone is not found any more. Must be called within a tokio runtime.
    pub async fn search(&self, query: &Query, from: usize, limit: usize) -> Option<Matches> {
        Some(search::search(self.memory().finder()?, query, from, limit).await)
    }

    /// Closes a session. When this returns its records are gone; says how many there were. Closing again does nothing.
    pub fn close(&self, session: SessionId) -> usize {
        match self {
            Self::Memory(store) => store.close(session),
            Self::Cluster(store) => store.close(session),
        }
    }

    /// Sessions that have records, by id and after one of them: each with how many records it has, and with its peer of the first
    /// one. At most `limit`.
    #[must_use]
    pub fn sessions(&self, after: SessionId, limit: usize) -> Vec<(SessionId, usize, Arc<Peer>)> {
        self.memory().sessions(after, limit)
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.memory().counts()
    }
}

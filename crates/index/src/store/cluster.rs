//! The store of a node of a cluster: everything in the memory of this process, and shared with other nodes through an engine.
//!
//! The node that holds a peer's connection owns the truth about it. What our own peers say is in memory at once, as without a
//! cluster, and waits in the outbox for the engine; what the other nodes' peers say is taken into the same memory as the engine tells
//! it. So every question is answered from memory, also while the engine is away. See `docs/decisions/0015-cluster.md`.
//!
//! Order of locks: the catalogue, then those of the memory, then the sets of buckets. Nobody waits for the engine while a lock is held.

mod address;
mod buckets;
mod catalogue;
mod check;
mod engine;
mod follower;
mod health;
mod lease;
mod load;
mod outbox;
mod record;
#[cfg(test)]
mod sim;
mod writer;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use net::stop::StopSignal;
use net::tls::Connector;
use proto::directory::{Key, Said, SessionId};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use self::address::EngineAddr;
use self::buckets::{BUCKETS, Bucket, bucket_of, hash_of, slot_of};
use self::catalogue::{Catalogue, Node};
pub use self::check::{Fitness, check};
use self::engine::{Engine, Push};
pub use self::health::ClusterStatus;
use self::health::Health;
use self::outbox::Outbox;
use super::{Applied, MemoryStore, Op, Peer, StoreError};

/// How long the last words to the engine may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a node takes part.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Where the engine is.
    pub engine: EngineAddr,
    /// Whom we believe to be it, where it is spoken to in TLS.
    pub secure: Option<Connector>,
    /// Where peers on this machine are reached from elsewhere.
    pub advertised: Option<IpAddr>,
    /// This machine, as a number that no other one has.
    pub machine: u64,
}

/// See the module. A clone is the same store.
#[derive(Clone)]
pub struct ClusterStore(Arc<Inner>);

struct Inner {
    memory: MemoryStore,
    outbox: Outbox,
    catalogue: Mutex<Catalogue>,
    engine: Engine,
    /// What the engine tells; taken by whoever follows it.
    pushes: Mutex<Option<mpsc::Receiver<Push>>>,
    settings: ClusterSettings,
    /// How many buckets are in use: all of them, fewer in simulations.
    parts: usize,
    /// This run of this node, while it may write: the engine is ours, and knows that we are there.
    writing: watch::Sender<Option<Node>>,
    /// Records of ours that the engine has taken, by bucket: the session, and a hash of the key.
    told: Vec<Mutex<HashSet<(u64, u64)>>>,
    /// Sessions that are open here, and those that each of them named.
    ours: Mutex<HashMap<SessionId, Vec<Arc<Peer>>>>,
    health: Health,
    /// Somebody unknown has written something: the nodes are to be asked for at once.
    look: Notify,
    /// Buckets that are to be read anew.
    reread: Mutex<HashSet<Bucket>>,
    /// Buckets that have records of a node that nobody knows yet.
    waiting: Mutex<HashSet<Bucket>>,
}

impl fmt::Debug for ClusterStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterStore").field("engine", &self.0.settings.engine).finish_non_exhaustive()
    }
}

impl ClusterStore {
    /// Takes part in a cluster as soon as [`Self::run`] runs; before, and without the engine, it is as good as one in memory.
    #[must_use]
    pub fn new(memory: MemoryStore, settings: ClusterSettings) -> Self {
        let (engine, pushes) = Engine::new(settings.engine.clone(), settings.secure.clone());
        Self::on(engine, pushes, BUCKETS, memory, settings)
    }

    fn on(
        engine: Engine,
        pushes: mpsc::Receiver<Push>,
        parts: usize,
        memory: MemoryStore,
        settings: ClusterSettings,
    ) -> Self {
        Self(Arc::new(Inner {
            memory,
            outbox: Outbox::default(),
            catalogue: Mutex::new(Catalogue::new(settings.machine)),
            engine,
            pushes: Mutex::new(Some(pushes)),
            settings,
            parts,
            writing: watch::Sender::new(None),
            told: (0..BUCKETS).map(|_| Mutex::default()).collect(),
            ours: Mutex::default(),
            health: Health::default(),
            look: Notify::new(),
            reread: Mutex::default(),
            waiting: Mutex::default(),
        }))
    }

    /// What answers questions.
    #[must_use]
    pub fn memory(&self) -> &MemoryStore {
        &self.0.memory
    }

    pub(super) fn open(&self) -> SessionId {
        let session = self.0.memory.open();
        self.0.ours().insert(session, Vec::new());
        session
    }

    /// See [`super::Store::apply`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn apply(&self, session: SessionId, op: Op<'_>) -> Result<Applied, StoreError> {
        let inner = &*self.0;
        let (key, peer, offer) = match &op {
            Op::AddTitle { number, peer, .. } => (Key::Rfc(*number), Some(Arc::clone(peer)), None),
            Op::AddFile { file, peer } => {
                let offer = (Arc::clone(file), Arc::clone(peer));
                (Key::Name(Arc::clone(&file.name)), Some(Arc::clone(peer)), Some(offer))
            }
            Op::RemoveFile { name } => (Key::Name((*name).into()), None, None),
            Op::RemoveTitle { number } => (Key::Rfc(*number), None, None),
        };
        let applied = inner.memory.apply(session, op)?;
        if let Some(peer) = &peer {
            inner.note_peer(session, peer, &key);
        }
        let bucket = bucket_of(&key);
        if peer.is_none() && inner.catalogue().unhide(bucket) {
            inner.reread().insert(bucket);
        }
        match offer {
            Some(offer) => {
                // Whoever has a file of a number has no title of it any more.
                let number = offer.0.rfc.as_ref().map(|(number, _)| *number);
                inner.outbox.note_file(session, key, offer);
                number.into_iter().for_each(|number| inner.outbox.note(session, Key::Rfc(number)));
            }
            None => inner.outbox.note(session, key),
        }
        Ok(applied)
    }

    pub(super) fn close(&self, session: SessionId) -> usize {
        let inner = &*self.0;
        let keys = inner.memory.named(session);
        let gone = inner.memory.close(session);
        let peers = inner.ours().remove(&session).unwrap_or_default();
        if !peers.is_empty() {
            let mut catalogue = inner.catalogue();
            catalogue.ours_left(session, &peers);
            inner.reread().extend(catalogue.take_hidden());
        }
        keys.into_iter().for_each(|key| inner.outbox.note(session, key));
        gone
    }

    /// How it stands with the cluster.
    #[must_use]
    pub fn status(&self) -> ClusterStatus {
        let nodes = self.0.catalogue().nodes();
        self.0.health.status(nodes, self.0.outbox.len())
    }

    /// Whether records of other nodes may be missing, or be there although they are gone.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.0.health.is_stale()
    }

    /// Takes part until `stop`. `on_news` is called whenever another node has added something. Must run once, within a tokio runtime.
    pub async fn run(&self, on_news: Arc<dyn Fn() + Send + Sync>, stop: StopSignal) {
        let pushes = self.0.pushes.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(pushes) = pushes else { return };
        let mut tasks = JoinSet::new();
        tasks.spawn(lease::keep(Arc::clone(&self.0)));
        tasks.spawn(follower::follow(Arc::clone(&self.0), pushes, on_news));
        for bucket in self.0.buckets() {
            tasks.spawn(writer::write(Arc::clone(&self.0), bucket));
        }
        stop.stopped().await;
        tasks.shutdown().await;
        // Who cannot say goodbye is buried by the others.
        let _ = timeout(FAREWELL, lease::leave(&self.0)).await;
    }
}

impl Inner {
    fn note_peer(&self, session: SessionId, peer: &Arc<Peer>, key: &Key) {
        let mut ours = self.ours();
        if let Some(known) = ours.get_mut(&session)
            && !known.iter().any(|other| Arc::ptr_eq(other, peer))
        {
            known.push(Arc::clone(peer));
        }
        drop(ours);
        self.catalogue().ours_said(&self.memory, session, peer, key);
    }

    /// Every record of ours in these buckets is told again.
    fn tell_again(&self, is_meant: impl Fn(Bucket) -> bool) {
        let sessions: Vec<SessionId> = self.ours().keys().copied().collect();
        for session in sessions {
            for key in self.memory.named(session) {
                if is_meant(bucket_of(&key)) {
                    self.outbox.note(session, key);
                }
            }
        }
    }

    /// What a session of ours says under what names a record. A file's number names no record of its own.
    fn record(&self, session: SessionId, key: &Key) -> Option<(Said, Arc<Peer>)> {
        let (said, peer) = self.memory.record(session, key)?;
        let names = !matches!((key, &said), (Key::Rfc(_), Said::File(_)));
        (names && self.ours().contains_key(&session)).then_some((said, peer))
    }

    fn buckets(&self) -> impl Iterator<Item = Bucket> + use<> {
        (0..=Bucket::MAX).take(self.parts)
    }

    fn node(&self) -> Option<Node> {
        self.writing.borrow().clone()
    }

    fn catalogue(&self) -> MutexGuard<'_, Catalogue> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ours(&self) -> MutexGuard<'_, HashMap<SessionId, Vec<Arc<Peer>>>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, bucket: Bucket) -> MutexGuard<'_, HashSet<(u64, u64)>> {
        self.told[usize::from(bucket)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<Bucket>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reread(&self) -> MutexGuard<'_, HashSet<Bucket>> {
        self.reread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot of a bucket.
fn slot(bucket: Bucket) -> u16 {
    slot_of(&buckets::sequence(bucket))
}

/// A record's place in [`Inner::told`].
fn place(session: SessionId, key: &Key) -> (u64, u64) {
    (session.0, hash_of(key))
}

//! The index as its caller sees it: made once, then given one connection after the other.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use net::accept::Incoming;
use net::limits::PRESENCE;
use net::stop::StopSignal;
use proto::limits::{LISTS_ABREAST, LISTS_MAX, WARM_UP, WRITE_STALL};
use proto::schedule::{Order, Tick};
use proto::value::digest::Digest;
use proto::visibility::RecordHost;
use proto::wire::decoder::Reading;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};

use crate::admission::Admission;
use crate::checksums::{self, Checksums};
use crate::claims::Claims;
use crate::guard::Guard;
use crate::meter::{Meter, Totals};
use crate::notice::Observer;
use crate::pieces::PieceShelf;
use crate::session;
use crate::status::Status;
use crate::store::{ClusterStatus, Store};
use crate::wants::Wants;

/// How the index behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How strictly requests are read.
    pub reading: Reading,
    /// Which host a record shows.
    pub record_host: RecordHost,
    /// In which order the sources of a file are named.
    pub order: Order,
    /// A reader that takes no byte for this long is cut off.
    pub write_stall: Duration,
    /// After which time at most a peer is known to be gone that went without a word.
    pub presence: Duration,
    /// LISTs that are answered at once.
    pub lists_max: usize,
    /// How long after its start the index says that it may not know everything yet.
    pub warm_up: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            reading: Reading::default(),
            record_host: RecordHost::default(),
            order: Order::default(),
            write_stall: WRITE_STALL,
            presence: PRESENCE,
            lists_max: LISTS_MAX,
            warm_up: WARM_UP,
        }
    }
}

/// An index server. Clones are the same server.
#[derive(Debug, Clone)]
pub struct Server(Arc<Shared>);

/// What all sessions share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) guard: Option<Arc<Guard>>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) wants: Arc<Wants>,
    pub(crate) pieces: PieceShelf,
    pub(crate) meter: Meter,
    /// What is refused while too much is asked at once.
    pub(crate) admission: Admission,
    /// Turns for pieces of a LIST.
    pub(crate) lists: Semaphore,
    /// Which cluster this index belongs to: a peer that knows several addresses registers once for each.
    cluster: String,
    news: Notify,
    waiting: AtomicUsize,
    since: Instant,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Shared {
    /// For how much longer a miss may only mean that a peer has not come back yet.
    pub(crate) fn warming(&self, now: Instant) -> Option<Duration> {
        self.settings
            .warm_up
            .checked_sub(now.saturating_duration_since(self.since))
            .filter(|left| !left.is_zero())
    }

    /// Which cluster this index belongs to. A node of one that has not heard from it yet stands alone.
    pub(crate) fn cluster(&self) -> String {
        let known = match &self.store {
            Store::Cluster(store) => store.status().cluster,
            Store::Memory(_) => None,
        };
        known.unwrap_or_else(|| self.cluster.clone())
    }

    /// How late it is for the order of sources.
    pub(crate) fn tick(&self, now: Instant) -> Tick {
        let tenths = now.saturating_duration_since(self.since).as_millis() / 100;
        Tick::try_from(tenths).unwrap_or(Tick::MAX)
    }

    /// Tells whoever waits for a file that something was added. Nearly always nobody does.
    pub(crate) fn tell_news(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.news.notify_waiters();
        }
    }

    /// Joins those who wait for news, until it is dropped.
    pub(crate) fn waiting(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting(self)
    }
}

/// Somebody who waits for a file to appear.
pub(crate) struct Waiting<'a>(&'a Shared);

impl Waiting<'_> {
    /// Resolves when something was added after it was enabled.
    pub(crate) fn news(&self) -> Notified<'_> {
        self.0.news.notified()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    /// A server over a store. `since` is the moment of its start, which [`Self::status`] gives back.
    #[must_use]
    pub fn new(settings: Settings, store: Store, observer: Arc<dyn Observer>, since: Instant) -> Self {
        Self::guarded(settings, store, observer, since, None)
    }

    /// The same, where not everybody may do everything.
    #[must_use]
    pub fn guarded(
        settings: Settings,
        store: Store,
        observer: Arc<dyn Observer>,
        since: Instant,
        guard: Option<Arc<Guard>>,
    ) -> Self {
        let claims = Arc::new(Claims::default());
        Self(Arc::new(Shared {
            settings,
            store,
            observer,
            guard,
            claims,
            wants: Arc::default(),
            pieces: PieceShelf::default(),
            meter: Meter::default(),
            admission: Admission::new(settings.lists_max),
            lists: Semaphore::new(LISTS_ABREAST),
            // Alone it is a cluster of its own, under a name that nobody else draws.
            cluster: format!("{:016x}", fastrand::u64(..)),
            news: Notify::new(),
            waiting: AtomicUsize::new(0),
            since,
        }))
    }

    /// Serves one connection that speaks P2P-CI until it ends, or until `stop`. When this returns, and also when it is dropped or
    /// unwinds, the connection's records are gone. Must be called within a tokio runtime.
    pub fn serve_connection(
        &self,
        incoming: Incoming,
        stop: StopSignal,
    ) -> impl Future<Output = ()> + Send + use<> {
        session::run(Arc::clone(&self.0), incoming, stop)
    }

    /// Takes part in the cluster that the store is of, until `stop`; without one it does nothing.
    pub async fn take_part(&self, stop: StopSignal) {
        if let Store::Cluster(store) = &self.0.store {
            let shared = Arc::clone(&self.0);
            store.run(Arc::new(move || shared.tell_news()), stop).await;
        }
    }

    /// Looks whether the index keeps up, until `stop`; without it nothing is refused for that.
    pub async fn feel_pulse(&self, stop: StopSignal) {
        self.0.admission.feel_pulse(stop).await;
    }

    /// How it stands with the cluster, if the store is of one.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterStatus> {
        match &self.0.store {
            Store::Cluster(store) => Some(store.status()),
            Store::Memory(_) => None,
        }
    }

    /// What SHA-256 says of a content, by its BLAKE3 hash. Where nobody has told it yet a peer that has the content is asked, and
    /// waited for so long at most.
    pub async fn checksums(&self, hash: Digest, patience: Duration) -> Checksums {
        checksums::of(&self.0, hash, patience).await
    }

    /// Who decides what may be done here; without one everybody may do everything.
    #[must_use]
    pub fn guard(&self) -> Option<&Guard> {
        self.0.guard.as_deref()
    }

    /// What there is at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let counts = self.0.store.counts();
        let requests = self.0.meter.totals().all();
        Status { peers: counts.sessions, records: counts.records, requests, since: self.0.since }
    }

    /// What was counted since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.0.meter.totals()
    }

    /// For how much longer a miss may only mean that a peer has not come back yet.
    #[must_use]
    pub fn warming(&self, now: Instant) -> Option<Duration> {
        self.0.warming(now)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn tick(&self) -> Tick {
        self.0.tick(Instant::now())
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }
}

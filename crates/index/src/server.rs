//! The index as its caller sees it: made once, then given one connection after the other.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use net::accept::Incoming;
use net::stop::StopSignal;
use proto::limits::WRITE_STALL;
use proto::visibility::RecordHost;
use proto::wire::decoder::Reading;

use crate::claims::Claims;
use crate::notice::Observer;
use crate::session;
use crate::status::Status;
use crate::store::Store;

/// How the index behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How strictly requests are read.
    pub reading: Reading,
    /// Which host a record shows.
    pub record_host: RecordHost,
    /// A reader that takes no byte for this long is cut off.
    pub write_stall: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { reading: Reading::default(), record_host: RecordHost::default(), write_stall: WRITE_STALL }
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
    pub(crate) claims: Arc<Claims>,
    pub(crate) requests: AtomicU64,
    since: Instant,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Server {
    /// A server over a store. `since` is the moment of its start, which [`Self::status`] gives back.
    #[must_use]
    pub fn new(settings: Settings, store: Store, observer: Arc<dyn Observer>, since: Instant) -> Self {
        let claims = Arc::new(Claims::default());
        Self(Arc::new(Shared { settings, store, observer, claims, requests: AtomicU64::new(0), since }))
    }

    /// Serves one connection that speaks P2P-CI until it ends, or until `stop`. When this returns, and also when it is dropped or
    /// unwinds, the connection's records are gone. Must be called within a tokio runtime.
    pub async fn serve_connection(&self, incoming: Incoming, stop: StopSignal) {
        session::run(Arc::clone(&self.0), incoming, stop).await;
    }

    /// What there is at this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let counts = self.0.store.counts();
        let requests = self.0.requests.load(Ordering::Relaxed);
        Status { peers: counts.sessions, records: counts.records, requests, since: self.0.since }
    }
}

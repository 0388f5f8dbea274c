//! The page of a peer, for whoever runs it: what it shares, and who takes how much.
//!
//! It is the page of an index, fed by the peer itself: the same files, plots and events, with those who take in the place of those
//! who share. Who they are is nobody else's business, so it has a port of its own, on loopback unless somebody says otherwise,
//! and not the upload port, which serves strangers.

mod files;
mod status;
mod takers;

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use axum::routing::get;
use axum::{Json, Router};
use peer::notice::{HttpAnswer, LinkNotice, Notice, UploadOutcome};
use peer::shares::ShareTable;
use peer::traffic::Traffic;
use proto::value::digest::Digest;
use proto::value::number::Port;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::api::{events, missing, recent};
use crate::feed::{Feed, Happened, Look, Source};

/// What the page shows of a peer. It must [hear](Self::hear) of everything that happens there.
pub struct Own {
    pub(crate) feed: Arc<Feed>,
    shares: Arc<ShareTable>,
    traffic: Arc<Traffic>,
    /// Requests that the upload port answered.
    answered: AtomicU64,
    links: Mutex<Vec<Link>>,
    uploads: OnceLock<UploadPort>,
    since: Instant,
}

/// Where a peer serves what it shares.
#[derive(Debug, Clone)]
pub struct UploadPort {
    /// `None`, or an unspecified one: on every address of this machine.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: Port,
    /// That of its public key, if it speaks TLS there.
    pub fingerprint: Option<Digest>,
}

/// An index, and how it stands with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Link {
    /// Where it is, as a command takes it.
    server: String,
    /// Files that it took at the last registration; absent while there is no connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    registered: Option<usize>,
}

impl Own {
    /// For what is shared, and counted there.
    #[must_use]
    pub fn new(shares: Arc<ShareTable>, traffic: Arc<Traffic>) -> Self {
        Self {
            feed: Arc::default(),
            shares,
            traffic,
            answered: AtomicU64::new(0),
            links: Mutex::default(),
            uploads: OnceLock::new(),
            since: Instant::now(),
        }
    }

    /// Uploads are served there; files are without a link to them before.
    pub fn set_uploads(&self, uploads: UploadPort) {
        // It is said once.
        let _ = self.uploads.set(uploads);
    }

    /// An index at which it registers.
    pub fn add_index(&self, server: String) {
        let mut links = self.links();
        if links.iter().all(|link| link.server != server) {
            links.push(Link { server, registered: None });
        }
    }

    fn set_registered(&self, server: &str, files: Option<usize>) {
        self.links().iter_mut().filter(|link| link.server == server).for_each(|link| link.registered = files);
    }

    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        // Nothing panics while it is held.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_down(&self, source: SocketAddr, request: &str, status: &str) {
        self.feed.write_down(&Happened::Request { source, raw: request.as_bytes(), status, records: 0 });
    }

    fn http(&self, source: SocketAddr, answer: &HttpAnswer, is_cut: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if self.feed.has_room() {
            let request = format!("{} {}, {} bytes", answer.method.as_str(), answer.target, answer.length);
            let status = match is_cut {
                true => "cut".to_owned(),
                false => format!("{} {}", answer.status.code(), answer.status.phrase()),
            };
            self.write_down(source, &request, &status);
        }
    }
}

impl Own {
    /// Something happened on the link to this index.
    pub fn hear_of(&self, server: &str, notice: &LinkNotice) {
        match notice {
            LinkNotice::Registered { files, .. } => self.set_registered(server, Some(*files)),
            LinkNotice::Lost { .. } => self.set_registered(server, None),
            _ => {}
        }
    }

    /// Something happened at the peer.
    pub fn hear(&self, notice: &Notice) {
        match notice {
            Notice::Http { source, answer, cut } => self.http(*source, answer, cut.is_some()),
            Notice::Upload { source, number, length, outcome } => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                let status = match outcome {
                    UploadOutcome::Done => "200 OK",
                    UploadOutcome::NotFound => "404 Not Found",
                    UploadOutcome::Cut(_) => "cut",
                };
                self.write_down(*source, &format!("GET RFC {number}, {length} bytes"), status);
            }
            _ => {}
        }
    }
}

impl Source for Own {
    fn look(&self) -> Look {
        Look {
            peers: self.traffic.connected(),
            records: self.shares.len(),
            requests: self.answered.load(Ordering::Relaxed),
            changes: self.shares.revision(),
            turns: None,
            sent: Some(self.traffic.sent()),
        }
    }
}

/// The API as it describes itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "P2P-CI peer",
        description = "What this peer shares, and who takes it. Everything here only reads."
    ),
    paths(
        status::status,
        recent::recent,
        files::files,
        files::file,
        files::search,
        takers::takers,
        events::events
    )
)]
struct Description;

/// The routes that only a peer has.
pub(crate) fn routes(own: &Arc<Own>) -> Router {
    let api = Router::new()
        .route("/status", get(status::status))
        .route("/files", get(files::files))
        .route("/file", get(files::file))
        .route("/search", get(files::search))
        .route("/takers", get(takers::takers))
        .route("/openapi.json", get(|| async { Json(Description::openapi()) }))
        .fallback(missing);
    Router::new().nest("/api/v1", api).route("/healthz", get(|| async { "ok\n" })).with_state(Arc::clone(own))
}

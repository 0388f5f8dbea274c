//! How much is shared, and how it stands with the index.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Link, Own};
use crate::feed::Sample;

/// The peer at this moment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PeerStatus)]
pub(super) struct Status {
    /// `peer`; the page of an index says `index`.
    kind: &'static str,
    /// The version of the program.
    version: &'static str,
    /// Where it registers.
    indexes: Vec<Link>,
    /// Where files are served; absent while it is starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_port: Option<u16>,
    /// Files that are shared.
    files: usize,
    /// Hosts that are connected to the upload port.
    peers: usize,
    /// Requests that it answered since the start.
    requests: u64,
    /// Bytes that were sent since the start.
    sent: u64,
    /// Seconds since the start.
    uptime_s: u64,
    /// The last second.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Sample>,
}

/// How much is shared, and how it stands with the index.
#[utoipa::path(get, path = "/api/v1/status", operation_id = "status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(own): State<Arc<Own>>) -> Json<Status> {
    Json(Status {
        kind: "peer",
        version: env!("CARGO_PKG_VERSION"),
        indexes: own.links().clone(),
        upload_port: own.uploads.get().map(|uploads| uploads.port.get()),
        files: own.shares.len(),
        peers: own.traffic.connected(),
        requests: own.answered.load(Ordering::Relaxed),
        sent: own.traffic.sent(),
        uptime_s: own.since.elapsed().as_secs(),
        last: own.feed.samples().last().copied(),
    })
}

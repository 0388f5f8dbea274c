//! How much there is, and how busy the index is.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::feed::Sample;
use crate::site::Shared;

/// The index at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// `index`; the page of a peer says `peer`.
    kind: &'static str,
    /// The version of the program.
    version: &'static str,
    /// Connections that have joined.
    peers: usize,
    /// Records.
    records: usize,
    /// Requests since the start.
    requests: u64,
    /// Seconds since the start.
    uptime_s: u64,
    /// For so many seconds more a peer may only not be back yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    warming_s: Option<u64>,
    /// The last second.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Sample>,
}

/// How much there is, and how busy the index is.
#[utoipa::path(get, path = "/api/v1/status", operation_id = "status", responses((status = 200, body = Status)))]
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    let (now, status) = (Instant::now(), shared.server.status());
    Json(Status {
        kind: "index",
        version: env!("CARGO_PKG_VERSION"),
        peers: status.peers,
        records: status.records,
        requests: status.requests,
        uptime_s: now.saturating_duration_since(status.since).as_secs(),
        warming_s: shared.server.warming(now).map(|left| left.as_secs() + 1),
        last: shared.feed.samples().last().copied(),
    })
}

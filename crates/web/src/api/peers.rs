//! Who shares.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use proto::directory::SessionId;
use proto::limits::API_PAGE_MAX;
use proto::visibility::Requester;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Refusal, Refused};
use super::page::page_size;
use crate::site::Shared;

/// Which page.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The `next` of the page before.
    #[serde(default)]
    #[param(minimum = 0)]
    after: Option<i64>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// Some peers, in the order in which they joined.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Peers {
    peers: Vec<Peer>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A connection that has records.
#[derive(Debug, Serialize, ToSchema)]
struct Peer {
    /// Its number; a peer that comes back gets another one.
    id: u64,
    /// Its host, as you can reach it.
    host: String,
    /// Its upload port.
    port: u16,
    /// How many records it has.
    records: usize,
    /// Bytes a second that it sends to others, as it says itself; 0 also of a peer that says nothing.
    sending: u64,
}

/// Who shares something, in the order of joining.
#[utoipa::path(
    get,
    path = "/api/v1/peers",
    operation_id = "peers",
    params(Asked),
    responses((status = 200, body = Peers), (status = 400, body = Refusal))
)]
pub(super) async fn peers(
    State(shared): State<Arc<Shared>>,
    Extension(requester): Extension<Requester>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Peers>, Refused> {
    let Query(Asked { after, limit }) = asked?;
    let limit = page_size(limit)?;
    let after =
        u64::try_from(after.unwrap_or(0)).map_err(|_| Refused::bad_request("after is not negative"))?;
    let after = SessionId(after);
    let mut rows = shared.server.peers(after, (limit + 1).min(API_PAGE_MAX + 1), requester);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.session.0);
    let peers = rows.into_iter().map(|row| {
        let index::snapshot::PeerRow { session, host, port, records, sending } = row;
        Peer { id: session.0, host, port, records, sending }
    });
    Ok(Json(Peers { peers: peers.collect(), next }))
}

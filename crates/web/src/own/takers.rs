//! Who takes what, and how fast.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use peer::traffic::Taker as Taking;
use proto::http::target::Target;
use serde::Serialize;
use utoipa::ToSchema;

use super::Own;

/// Who took something lately, who takes most first; 256 at most, more where so many are connected.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Takers {
    takers: Vec<Taker>,
}

/// One host.
#[derive(Debug, Serialize, ToSchema)]
struct Taker {
    /// Its address.
    host: String,
    /// Connections that it has now.
    connections: usize,
    /// Bytes a second, an average over some seconds.
    rate: u64,
    /// Bytes since the start.
    sent: u64,
    /// What it asked for last: the name of a file, or the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// Who takes what, and how fast.
#[utoipa::path(get, path = "/api/v1/takers", operation_id = "takers", responses((status = 200, body = Takers)))]
pub(super) async fn takers(State(own): State<Arc<Own>>) -> Json<Takers> {
    let takers = own.traffic.takers().into_iter().map(|taking| taker(&own, taking)).collect();
    Json(Takers { takers })
}

fn taker(own: &Own, taking: Taking) -> Taker {
    let Taking { address, connections, sent, rate, target } = taking;
    let name = |target: Target| match &target {
        Target::File(name) => name.to_string(),
        Target::Hash(hash) => {
            own.shares.name_of(hash).map_or_else(|| target.to_string(), |name| name.to_string())
        }
        _ => target.to_string(),
    };
    Taker { host: address.to_string(), connections, rate: rate.round() as u64, sent, file: target.map(name) }
}

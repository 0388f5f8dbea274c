//! The JSON API under `/api/v1`: what the dashboard shows, for programs. It only reads.
//!
//! The description at `/api/v1/openapi.json` is made from the handlers, so it cannot say something else than they do. Lists are
//! paged: `after` takes the `next` of the page before, which is where that page ended and stays right whatever changes meanwhile.

pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod page;
mod peers;
pub(crate) mod recent;
pub(crate) mod search;
mod status;

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;

use self::error::Refused;
use crate::feed::Feed;
use crate::site::Shared;

/// The API as it describes itself.
#[derive(OpenApi)]
#[openapi(
    info(title = "P2P-CI index", description = "Who shares what, right now. Everything here only reads."),
    paths(
        status::status,
        recent::recent,
        files::files,
        files::file,
        search::search,
        peers::peers,
        events::events
    )
)]
struct Description;

/// The routes of an index.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    let api = Router::new()
        .route("/status", get(status::status))
        .route("/files", get(files::files))
        .route("/file", get(files::file))
        .route("/search", get(search::search))
        .route("/peers", get(peers::peers))
        .route("/openapi.json", get(description))
        .fallback(missing);
    Router::new().nest("/api/v1", api)
}

/// The routes that only need a feed, and are the same for an index and for a peer.
pub(crate) fn live(feed: &Arc<Feed>) -> Router {
    let live = Router::new()
        .route("/api/v1/recent", get(recent::recent))
        .route("/api/v1/events", get(events::events));
    live.with_state(Arc::clone(feed))
}

async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

pub(crate) async fn missing() -> Refused {
    Refused::not_found("the API has no such path; /api/v1/openapi.json describes it")
}

//! The JSON API under `/api/v1`: what the dashboard shows, for programs. It only reads.
//!
//! The description at `/api/v1/openapi.json` is made from the handlers, so it cannot say something else than they do. Lists are
//! paged: `after` takes the `next` of the page before, which is where that page ended and stays right whatever changes meanwhile.

mod error;
mod events;
mod files;
mod peers;
mod search;
mod status;

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;

use self::error::Refused;
use crate::site::Shared;

/// The API as it describes itself.
#[derive(OpenApi)]
#[openapi(
    info(title = "P2P-CI index", description = "Who shares what, right now. Everything here only reads."),
    paths(
        status::status,
        status::recent,
        files::files,
        files::file,
        search::search,
        peers::peers,
        events::events
    )
)]
struct Description;

/// The routes.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    let api = Router::new()
        .route("/status", get(status::status))
        .route("/recent", get(status::recent))
        .route("/files", get(files::files))
        .route("/file", get(files::file))
        .route("/search", get(search::search))
        .route("/peers", get(peers::peers))
        .route("/events", get(events::events))
        .route("/openapi.json", get(description))
        .fallback(missing);
    Router::new().nest("/api/v1", api)
}

async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

async fn missing() -> Refused {
    Refused::not_found("the API has no such path; /api/v1/openapi.json describes it")
}

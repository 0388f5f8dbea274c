//! What happened last.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::feed::{Feed, Line, Sample};

/// The last ten minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Recent {
    /// One a second, the oldest first.
    samples: Vec<Sample>,
    /// What happened last, the oldest first; in busy times a part of it.
    lines: Vec<Line>,
}

/// The plots of the last ten minutes, and the last requests.
#[utoipa::path(get, path = "/api/v1/recent", operation_id = "recent", responses((status = 200, body = Recent)))]
pub(crate) async fn recent(State(feed): State<Arc<Feed>>) -> Json<Recent> {
    Json(Recent { samples: feed.samples(), lines: feed.lines() })
}

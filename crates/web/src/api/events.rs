//! The stream of events.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;

use super::error::{Refusal, Refused};
use crate::feed::{Feed, Frame, Viewer};

/// Seconds after which a viewer who found no place may try again.
const RETRY_AFTER: u64 = 10;
/// A browser whose stream broke waits this long.
const OPENING: &str = "retry: 2000\n\n";

/// What changes, as server-sent events: a frame at once, then at most four a second; two while there are many viewers.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "events",
    responses(
        (status = 200, description = "Frames, each an event without a name", content_type = "text/event-stream", body = Frame),
        (status = 503, description = "Too many look on already", body = Refusal),
    )
)]
pub(crate) async fn events(State(feed): State<Arc<Feed>>) -> Result<Response, Refused> {
    let Some(viewer) = feed.join() else {
        return Err(Refused::unavailable("too many look on already", Some(RETRY_AFTER)));
    };
    let first = [OPENING.as_bytes(), &viewer.first].concat();
    let frames = unfold((Some(Bytes::from(first)), viewer), next_frame);
    let headers = [(header::CONTENT_TYPE, "text/event-stream")];
    Ok((headers, Body::from_stream(frames)).into_response())
}

type Step = (Option<Bytes>, Viewer);

async fn next_frame((first, mut viewer): Step) -> Option<(Result<Bytes, std::convert::Infallible>, Step)> {
    let frame = match first {
        Some(first) => first,
        None => viewer.next().await?,
    };
    Some((Ok(frame), (None, viewer)))
}

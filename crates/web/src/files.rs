//! Downloads by way of the index: it holds no file, and sends whoever asks to a peer that has it.
//!
//! The place for `GET /rfc/N`, `/file/NAME` and `/hash/HEX`, and for what describes a file to programs that fetch from many. A
//! handler finds [`Shared::server`](crate::site::Shared) in its state, whose `variants` tells who has a file as this requester
//! can reach it, and in the request's extensions the [`Requester`](proto::visibility::Requester) and, in an `Arc`, the
//! [`Request`](proto::http::request::Request) with its target read. Until there is one, these paths answer 404.

use std::sync::Arc;

use axum::Router;

use crate::site::Shared;

/// The routes.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
}

//! The part of HTTP/1.1 (RFC 9110 and 9112) that a peer serves: GET and HEAD of shared files, ranges, and nothing else.
//!
//! Strict on purpose: where two programs could read a request differently, it is refused and the connection closes. Only the
//! shape is judged here; which file a target means is the business of whoever serves it.

pub mod answer;
pub mod condition;
pub mod decoder;
mod fields;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod host;
pub mod listing;
pub mod range;
pub mod refusal;
pub mod request;
pub mod status;
pub mod target;

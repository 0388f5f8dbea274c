//! The peer against scripted servers and raw clients, over loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod download;
mod http;
mod link;
mod scripted;
mod upload;

//! Verified downloads from scripted sources in HTTP, over loopback.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod killed;
mod many;
mod resume;
mod servers;
mod sources;

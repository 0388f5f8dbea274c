//! Shared trees as those see them who ask: names, hashes, what is left out, what changes, what survives.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cache;
mod changes;
mod measure;
mod opening;
mod trees;
mod world;

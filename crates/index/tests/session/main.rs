//! Sessions of the index over real loopback sockets.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod answers;
mod endings;
mod refusals;
mod wants;
mod world;

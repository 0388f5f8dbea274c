//! The index server: who is there, and who holds what.
//!
//! [`server::Server::serve_connection`] is the door: one call serves one connection from its first bytes to its end. Accepting
//! and telling tongues apart is the caller's. A session reads, asks the [`store`], and answers in the framing that the request
//! came in; when it ends, for whatever reason, one guard removes its records.
//!
//! Absent on purpose: the other languages of the port, printing (what happens goes to a [`notice::Observer`]), files, and
//! anything that a downloading or sharing peer does.

mod admission;
pub mod checksums;
mod claims;
mod desk;
pub mod guard;
pub mod meter;
pub mod notice;
mod outlet;
mod pieces;
pub mod server;
mod session;
pub mod snapshot;
pub mod status;
pub mod store;
mod variants;
mod view;
mod wants;

//! What P2P-CI decides without a socket, a file or a clock.
//!
//! Bytes and time come in as arguments; values, bytes and the next moment to look again go out. So every rule of the
//! protocol can be stepped, replayed and fuzzed, and what is left to the other crates is one short loop around it.
//! Absent on purpose: an async runtime, sockets, files, clocks, logging. `Cargo.toml` keeps it so.
//!
//! * [`tongue`]: which language a new connection speaks, from its first bytes.
//! * [`wire`]: the messages of P2P-CI/1.0: requests, answers, records, and the dialects that programs really speak.
//! * [`http`]: the part of HTTP/1.1 that a peer serves: requests, ranges, heads of answers.
//! * [`value`]: parsed values; a value that exists is valid.
//! * [`transfer`]: verified transfers: blocks, the resume journal, the plan of one download.
//! * [`directory`]: who holds what, one shard of it as a value.
//! * [`search`]: texts found by their words.
//! * [`schedule`]: in which order the sources of a file are named.
//! * [`visibility`]: which host of a record a requester is shown; [`reach`]: which of these hosts it connects to.
//! * [`rfc_text`]: a title from the text of an RFC, a number from a file's name.
//! * [`escape`]: text from the network made safe for a terminal or a log.
//! * [`limits`]: every limit, and how the limits relate.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

pub mod access;
pub mod directory;
pub mod escape;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod http;
pub mod limits;
pub mod penalty;
pub mod reach;
pub mod rfc_text;
pub mod schedule;
pub mod search;
pub mod tongue;
pub mod transfer;
pub mod value;
pub mod visibility;
pub mod wire;

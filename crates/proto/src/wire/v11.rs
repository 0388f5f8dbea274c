//! P2P-CI/1.1: what peers and index of this system say to each other; older programs never see it.
//!
//! A request is a line, headers and an empty line as in 1.0, always in CRLF, and a body only with `Content-Length`. Bodies
//! are JSON Lines. Requests may be sent without waiting; answers come in order. `docs/protocol.md`, "P2P-CI/1.1", is the
//! specification.
//!
//! * [`request`]: what is asked, read and written.
//! * [`body`]: the lines of bodies: files, variants of a file, records.
//! * [`watch`]: changes that the index tells by itself.
//! * [`answer`]: answers, written by the index and read by a peer.

pub mod answer;
pub mod body;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod request;
pub mod watch;

//! What the index can say about itself at any moment.

use std::time::Instant;

/// A snapshot; the numbers are each true, but not of exactly the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Connections that have joined and not left.
    pub peers: usize,
    /// Records in the directory.
    pub records: usize,
    /// Requests since the start, refused ones included.
    pub requests: u64,
    /// When the server was started, as its caller said.
    pub since: Instant,
}

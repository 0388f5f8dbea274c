//! The faults of the original's client, each a test: `fault_cN_` and what would be wrong if it came back.
//!
//! C9, C15 and C21 are open: `docs/security.md`.

mod download;
mod link;
mod upload;

//! Crate peer.

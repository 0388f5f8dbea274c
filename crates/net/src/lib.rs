//! Crate net.

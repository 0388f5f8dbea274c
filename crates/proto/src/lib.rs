//! Crate proto.

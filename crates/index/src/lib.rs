//! Crate index.

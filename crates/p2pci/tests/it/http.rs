//! HTTP as programs outside of the project speak it, on the upload port of the real binary.

mod browse;
mod traversal;

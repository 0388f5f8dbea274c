//! HTTP as programs outside of the project speak it, on both ports of the real binary.

mod browse;
mod browser;
mod proxied;
mod sent_on;
mod smuggling;
mod tools;
mod traversal;
mod traversal_index;

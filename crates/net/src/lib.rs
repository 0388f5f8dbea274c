//! The sockets of P2P-CI, shared by the index and the peers.
//!
//! This room listens, accepts, connects, and moves bytes with a bound on every wait. It knows neither a protocol's messages nor
//! what a peer or an index is: the first bytes of a connection are only looked at to tell which tongue the other side speaks,
//! and whoever called [`accept::serve`] decides what to do with it. Nothing here logs or prints; what happened goes to an
//! [`accept::AcceptObserver`] or comes back as a typed error.

pub mod accept;
mod backoff;
pub mod blocking;
pub mod body;
pub mod connect;
pub mod deadline;
pub mod descriptors;
pub mod duplex;
mod first;
pub mod hear;
pub mod interfaces;
pub mod limits;
pub mod listen;
pub mod lists;
pub mod machine;
mod patience;
pub mod permits;
pub mod portable;
pub mod protect;
#[cfg(target_os = "linux")]
mod sendfile;
pub mod stop;
#[cfg_attr(not(target_os = "linux"), path = "straight_portable.rs")]
pub mod straight;
pub mod stream;
pub mod tls;
mod unproven;

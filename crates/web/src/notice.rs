//! What happens in HTTP, told to whoever wants to show it.

use std::net::SocketAddr;

use proto::http::refusal::Refusal;
use proto::http::request::Method;

/// Something that happened. Paths are visible ASCII.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A request was answered.
    Answered {
        /// Where it came from.
        source: SocketAddr,
        /// Its method.
        method: Method,
        /// Its path and query.
        path: &'a str,
        /// The status of the answer.
        status: u16,
    },
    /// A request was refused, and the connection closed.
    Refused {
        /// Where it came from.
        source: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// A connection is over.
    Left {
        /// Where it came from.
        source: SocketAddr,
    },
}

/// Hears what happens. Called from the connections themselves, so it must not wait for anything.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn notice(&self, notice: &Notice<'_>);
}

/// Nobody who listens.
#[derive(Debug, Clone, Copy)]
pub struct Unheard;

impl Observer for Unheard {
    fn notice(&self, _: &Notice<'_>) {}
}

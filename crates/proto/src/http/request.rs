//! A request in HTTP that can be answered.

use std::time::{Duration, SystemTime};

use crate::access::credential::Credential;

use super::condition::{self, EntityTag};
use super::range::RangeSet;
use super::target::Target;

/// What to do with the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Head and body.
    Get,
    /// The head that GET would have.
    Head,
}

impl Method {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
        }
    }
}

/// On whose behalf a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// Nothing says otherwise: a page of this host, somebody who typed the address, or a program that is no browser.
    Own,
    /// A browser says that a page from elsewhere asks (`Origin`, `Sec-Fetch-Site`).
    Foreign,
}

/// A request whose shape is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// What it asks for.
    pub target: Target,
    /// Path and query as they were sent, visible ASCII that begins with `/`: for whoever serves more than shared files.
    pub path: Box<str>,
    /// Who asks, as far as a browser says: a page of another site, or one that this host served.
    pub asker: Asker,
    /// The host that it was sent to, port and all, as the other side calls it: letters, digits and `-._~%:[]`. `None` only in
    /// HTTP/1.0. Whether we go by that name is not judged here.
    pub host: Option<Box<str>>,
    /// What it shows to be let in (`Authorization`).
    pub credential: Option<Box<Credential>>,
    /// The connection stays open for another request.
    pub keep_alive: bool,
    /// How long the other side will wait for its turn, told its place meanwhile; `None` where it did not say so.
    pub waits: Option<Duration>,
    /// Which bytes; `None` for all.
    pub range: Option<RangeSet>,
    /// On what the answer depends.
    pub(super) conditions: Conditions,
}

/// The conditions of a request (RFC 9110, section 13), as they were sent. A date that is none is left out, as the RFC has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) if_range: Option<Box<[u8]>>,
    /// Several lines joined.
    pub(super) if_match: Option<Box<[u8]>>,
    /// Several lines joined.
    pub(super) if_none_match: Option<Box<[u8]>>,
    pub(super) if_modified_since: Option<SystemTime>,
    pub(super) if_unmodified_since: Option<SystemTime>,
}

impl Request {
    /// Whether the other side says that it has what goes by this tag already (`If-None-Match`).
    pub fn has_already(&self, tag: EntityTag) -> bool {
        condition::judge(&self.conditions, Some(tag), None) == condition::Outcome::Unchanged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_written_as_it_is_read() {
        for method in [Method::Get, Method::Head] {
            let mut decoder = crate::http::decoder::RequestDecoder::new();
            let now = std::time::Instant::now();
            decoder.push(format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", method.as_str()).as_bytes(), now);
            match decoder.poll(now) {
                crate::http::decoder::Decoded::Request(request) => assert_eq!(request.method, method),
                other => panic!("{other:?}"),
            }
        }
    }
}

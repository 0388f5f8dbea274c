//! A request in HTTP that can be answered.

use std::time::SystemTime;

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

/// A request whose shape is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// What it asks for.
    pub target: Target,
    /// The host that it was sent to, port and all, as the other side calls it: letters, digits and `-._~%:[]`. `None` only in
    /// HTTP/1.0. Whether we go by that name is not judged here.
    pub host: Option<Box<str>>,
    /// The connection stays open for another request.
    pub keep_alive: bool,
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

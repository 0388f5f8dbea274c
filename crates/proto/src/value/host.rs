//! Host names as peers claim them, and the address of a peer.

use std::fmt;
use std::sync::Arc;

use super::number::Port;
use super::{ValueError, all_between, plain_text};
use crate::limits::HOST_BYTES_MAX;

/// A host as a peer names it: one word of UTF-8 without spaces or control characters, 1 to 255 bytes.
///
/// Deliberately wider than a DNS name: existing programs send whatever their system calls itself. Whether it resolves
/// is somebody else's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host<'a>(&'a str);

impl<'a> Host<'a> {
    /// Checks bytes from the wire.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ValueError> {
        let text = plain_text(bytes, HOST_BYTES_MAX)?;
        match text {
            "" => Err(ValueError::Empty),
            _ if all_between(bytes, b'!', b'~') => Ok(Self(text)),
            _ if text.chars().any(char::is_whitespace) => Err(ValueError::Space),
            _ => Ok(Self(text)),
        }
    }

    /// From bytes that are known to be a host's, all of them visible characters of ASCII.
    pub(crate) fn of_visible(bytes: &'a [u8]) -> Self {
        Self(str::from_utf8(bytes).unwrap_or_default())
    }

    /// The name.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Where a peer says that its uploads are to be had: a valid [`Host`] and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerAddr {
    host: Arc<str>,
    port: Port,
}

impl PeerAddr {
    /// From checked parts.
    pub fn new(host: Host<'_>, port: Port) -> Self {
        Self { host: host.0.into(), port }
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The upload port.
    pub fn port(&self) -> Port {
        self.port
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_one_visible_word() {
        let long = [b'a'; 256];
        for good in [&b"julian"[..], b"10.0.0.1", b"::1", b"my_host.example", &long[..255]] {
            assert!(Host::parse(good).is_ok(), "{good:?}");
        }
        for bad in
            [&b""[..], b"two words", b"a\tb", b"a\x1b[2J", b"a\0", "a\u{a0}b".as_bytes(), b"\xff", &long]
        {
            assert!(Host::parse(bad).is_err(), "{bad:?}");
        }
    }
}

//! Host names as peers claim them, and the address of a peer.

use std::cmp::Ordering;
use std::fmt;

use super::digest::Digest;
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

/// Where a peer says that its uploads are to be had: a valid [`Host`] and a port, and the
/// key that it has there if it speaks TLS. Kept as a record shows it, since an index writes it
/// far more often than it reads it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PeerAddr {
    /// `host port`
    text: Box<str>,
    /// Of the host: at most 255.
    host_bytes: u8,
    port: Port,
    /// Boxed, as few have one.
    tls: Option<Box<Digest>>,
}

const _: () = assert!(HOST_BYTES_MAX <= u8::MAX as usize);

impl PeerAddr {
    /// From checked parts.
    pub fn new(host: Host<'_>, port: Port) -> Self {
        let host_bytes = u8::try_from(host.0.len()).unwrap_or_default();
        Self { text: format!("{host} {port}").into(), host_bytes, port, tls: None }
    }

    /// The same, where it speaks TLS and has the key of this fingerprint.
    #[must_use]
    pub fn with_tls(self, fingerprint: Option<Digest>) -> Self {
        Self { tls: fingerprint.map(Box::new), ..self }
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        self.text.get(..usize::from(self.host_bytes)).unwrap_or_default()
    }

    /// Host and port as two words, as the end of a record shows them.
    pub fn words(&self) -> &str {
        &self.text
    }

    /// The upload port.
    pub fn port(&self) -> Port {
        self.port
    }

    /// The fingerprint of its key, if it speaks TLS.
    pub fn tls(&self) -> Option<Digest> {
        self.tls.as_deref().copied()
    }
}

impl PartialOrd for PeerAddr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By host, then by port as a number.
impl Ord for PeerAddr {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.host(), self.port, &self.tls).cmp(&(other.host(), other.port, &other.tls))
    }
}

impl fmt::Debug for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerAddr")
            .field("host", &self.host())
            .field("port", &self.port)
            .field("tls", &self.tls)
            .finish()
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.host(), self.port);
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_ordered_by_host_and_by_port_as_a_number() {
        let peer = |host: &'static str, port| {
            PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(port).unwrap())
        };
        let mut peers = [peer("b", 9), peer("b", 80), peer("b!", 1), peer("::1", 7), peer("b", 100)];
        peers.sort();
        let words: Vec<&str> = peers.iter().map(PeerAddr::words).collect();
        assert_eq!(words, ["::1 7", "b 9", "b 80", "b 100", "b! 1"]);
        assert_eq!((peers[0].host(), peers[0].to_string()), ("::1", "[::1]:7".to_owned()));
        let longest = "h".repeat(HOST_BYTES_MAX);
        assert_eq!(
            PeerAddr::new(Host::parse(longest.as_bytes()).unwrap(), Port::new(1).unwrap()).host(),
            longest
        );
    }

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

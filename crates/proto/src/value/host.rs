//! Host names as peers claim them, and the address of a peer.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::digest::Digest;
use super::number::Port;
use super::{ValueError, all_between, plain_text};
use crate::access::groups::Groups;
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

/// How a peer serves what it has, where that is not in plain text and to everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// It speaks TLS, and its key has this fingerprint.
    pub tls: Option<Digest>,
    /// It serves members of these groups.
    pub private: Option<Groups>,
    /// The ticket that opens it, for one content.
    pub ticket: Option<Arc<str>>,
}

/// Where a peer says that its uploads are to be had: a valid [`Host`] and a port, and on which terms. Kept as a record shows it, since
/// an index writes it far more often than it reads it.
#[derive(Clone)]
pub struct PeerAddr {
    /// `host port`
    text: Box<str>,
    /// Of the host: at most 255.
    host_bytes: u8,
    port: Port,
    /// Boxed, as few have any.
    terms: Option<Box<Terms>>,
}

const _: () = assert!(HOST_BYTES_MAX <= u8::MAX as usize);

impl PeerAddr {
    /// From checked parts.
    pub fn new(host: Host<'_>, port: Port) -> Self {
        let host_bytes = u8::try_from(host.0.len()).unwrap_or_default();
        Self { text: format!("{host} {port}").into(), host_bytes, port, terms: None }
    }

    /// The same, on these terms.
    #[must_use]
    pub fn on(self, terms: Terms) -> Self {
        Self { terms: (terms != Terms::default()).then(|| Box::new(terms)), ..self }
    }

    /// Whether these are its terms.
    pub fn is_on(&self, terms: &Terms) -> bool {
        self.terms.as_deref().map_or_else(|| *terms == Terms::default(), |own| own == terms)
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
        self.terms.as_deref()?.tls
    }

    /// The groups whose members it serves, if not everybody.
    pub fn private(&self) -> Option<&Groups> {
        self.terms.as_deref()?.private.as_ref()
    }

    /// The ticket that opens it.
    pub fn ticket(&self) -> Option<&str> {
        self.terms.as_deref()?.ticket.as_deref()
    }
}

/// Whoever has the same address and the same terms is the same peer, whichever ticket opens it.
impl PartialEq for PeerAddr {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.tls(), self.private()) == (&other.text, other.tls(), other.private())
    }
}

impl Eq for PeerAddr {}

impl Hash for PeerAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
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
        let own = |peer: &Self| (peer.tls(), peer.private().map(ToString::to_string));
        (self.host(), self.port).cmp(&(other.host(), other.port)).then_with(|| own(self).cmp(&own(other)))
    }
}

impl fmt::Debug for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerAddr")
            .field("host", &self.host())
            .field("port", &self.port)
            .field("tls", &self.tls())
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
    fn a_peer_on_other_terms_is_another_one_and_one_with_another_ticket_is_not() {
        let bare = || PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(9).unwrap());
        let (tls, private) = (Some(Digest([7; 32])), Groups::parse("a,b"));
        let terms = Terms { tls, private: private.clone(), ticket: Some("opens".into()) };
        let peer = bare().on(terms.clone());
        assert!(peer.is_on(&terms) && !peer.is_on(&Terms::default()) && bare().is_on(&Terms::default()));
        assert_eq!((peer.tls(), peer.private(), peer.ticket()), (tls, private.as_ref(), Some("opens")));
        assert_eq!((bare().tls(), bare().private(), bare().ticket()), (None, None, None));
        assert_ne!(peer, bare());
        assert_eq!(peer, bare().on(Terms { ticket: None, ..terms.clone() }));
        assert_ne!(peer, bare().on(Terms { tls: None, ..terms }));
        assert!(bare() < peer && bare().cmp(&bare()).is_eq());
        let all = std::collections::HashSet::from([bare(), peer.clone(), bare(), peer.clone()]);
        assert_eq!(all.len(), 2);
        assert_eq!((peer.port().get(), peer.to_string()), (9, "h:9".to_owned()));
        let shown = format!("{peer:?}");
        assert!(shown.contains("\"h\"") && !shown.contains("opens"), "a ticket is not for a log: {shown}");
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

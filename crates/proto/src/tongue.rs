//! Which language a new connection speaks, told from its first bytes. A connection keeps the tongue that it began with.

/// The languages that one port can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tongue {
    /// `ADD RFC 1 P2P-CI/1.0`, and everything that is neither of the others.
    P2pCi,
    /// `GET /path HTTP/1.1`: a word, a space, and then a path, `*` or a whole URL.
    Http,
    /// A TLS handshake record (RFC 8446, section 5.1: content type 22).
    Tls,
}

/// Longest first word that can still be a method of HTTP (RFC 9110 defines none longer than `OPTIONS`; extensions reach 17).
const METHOD_BYTES_MAX: usize = 20;

/// Tells the tongue from the first bytes of a connection, or `None` when more bytes are needed.
///
/// The answer for a prefix never changes when more bytes come. Whatever cannot be HTTP or TLS is P2P-CI, whose
/// decoder refuses what it does not understand.
pub fn tell(first: &[u8]) -> Option<Tongue> {
    const PADDING: &[u8] = b"\r\n ~";
    if first.first() == Some(&0x16) {
        return Some(Tongue::Tls);
    }
    let word_at = first.iter().position(|byte| !PADDING.contains(byte))?;
    let (_, from_word) = first.split_at(word_at);
    let word = from_word.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let (method, rest) = from_word.split_at(word);
    match rest {
        _ if method.len() > METHOD_BYTES_MAX => Some(Tongue::P2pCi),
        [] => None,
        [b' '] => None,
        [b' ', b'/' | b'*', ..] if !method.is_empty() => Some(Tongue::Http),
        [b' ', b'h', ..] if !method.is_empty() => Some(Tongue::Http),
        _ => Some(Tongue::P2pCi),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_the_tongue() {
        for (bytes, tongue) in [
            (&b"ADD RFC 1 P2P-CI/1.0"[..], Tongue::P2pCi),
            (b"LIST ALL P2P-CI/1.0", Tongue::P2pCi),
            (b"GET RFC 1 P2P-CI/1.0", Tongue::P2pCi),
            (b"~~~\r\n GET RFC", Tongue::P2pCi),
            (b"QUIT\n", Tongue::P2pCi),
            (b"get /x HTTP/1.1", Tongue::P2pCi),
            (b"\x80\x04\x95", Tongue::P2pCi),
            (b"AAAAAAAAAAAAAAAAAAAAAAAAA", Tongue::P2pCi),
            (b"GET /rfc/1 HTTP/1.1", Tongue::Http),
            (b"\r\nHEAD / HTTP/1.1", Tongue::Http),
            (b"OPTIONS * HTTP/1.1", Tongue::Http),
            (b"GET http://index/ HTTP/1.1", Tongue::Http),
            (b"\x16\x03\x01", Tongue::Tls),
        ] {
            assert_eq!(tell(bytes), Some(tongue), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_prefix_never_tells_otherwise_than_the_whole() {
        for bytes in
            [&b"GET /rfc/1 HTTP/1.1"[..], b"GET RFC 1 P2P-CI/1.0", b"~~\nLIST ALL P2P-CI/1.0", b"\x16\x03"]
        {
            let whole = tell(bytes);
            for cut in 0..bytes.len() {
                let prefix = tell(&bytes[..cut]);
                assert!(prefix.is_none() || prefix == whole, "cut at {cut}");
            }
        }
    }
}

//! What somebody shows: the value of an `Authorization` header, in 1.1 and in HTTP (RFC 9110, section 11).

use super::tokens::Secret;
use crate::limits::LINE_BYTES_MAX;

/// What was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `Bearer TOKEN`, or `Basic`, which browsers ask people for: the password is the token, whatever the name.
    Token(Secret),
    /// `Ticket …`
    Ticket(Box<str>),
    /// Something that is none of these.
    Unreadable,
}

impl Credential {
    /// Reads the value of the header.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        Self::read(value).unwrap_or(Self::Unreadable)
    }

    fn read(value: &[u8]) -> Option<Self> {
        let text = str::from_utf8(value).ok().filter(|text| text.len() <= LINE_BYTES_MAX)?;
        let (scheme, rest) = text.trim().split_once(' ')?;
        let rest = rest.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => rest.parse().ok().map(Self::Token),
            "basic" => {
                let pair = String::from_utf8(base64_decode(rest)?).ok()?;
                let (_, password) = pair.split_once(':')?;
                password.parse().ok().map(Self::Token)
            }
            "ticket" => Some(Self::Ticket(rest.into())),
            _ => None,
        }
    }
}

/// The standard alphabet (RFC 4648, section 4), with or without its padding.
fn base64_decode(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for at in 0..4 {
            let place = |letter| ALPHABET.iter().position(|known| known == letter);
            let value = four.get(at).map_or(Some(0), place)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        let [_, first, second, third] = bits.to_be_bytes();
        bytes.extend([first, second, third].into_iter().take(four.len().checked_sub(1)?));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_as_bearers_and_as_passwords() {
        let token = Secret::new([0x5a; 32]);
        let text = token.written_out();
        assert_eq!(Credential::parse(format!("Bearer {text}").as_bytes()), Credential::Token(token.clone()));
        assert_eq!(Credential::parse(format!("bearer  {text} ").as_bytes()), Credential::Token(token));
        assert_eq!(base64_decode("YTpi").as_deref(), Some(&b"a:b"[..]));
        assert_eq!(base64_decode("YTpiYw==").as_deref(), Some(&b"a:bc"[..]));
        assert_eq!(Credential::parse(b"Ticket 12ab"), Credential::Ticket("12ab".into()));
        for bad in [&b""[..], b"Bearer", b"Bearer x", b"Basic !", b"Basic YTpi", b"Digest a=b", b"\xff \xff"]
        {
            assert_eq!(Credential::parse(bad), Credential::Unreadable, "{bad:?}");
        }
    }
}

//! Digests of 32 bytes: BLAKE3, which is what a content is called, and SHA-256, by which others check it.

use std::fmt;
use std::str::FromStr;

/// 32 bytes: the BLAKE3 root hash of a file where nothing else is said.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Its length in hexadecimal digits.
    pub const HEX_LEN: usize = 64;

    /// From 64 hexadecimal digits in any case.
    pub fn parse(hex: &[u8]) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != Self::HEX_LEN {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = (nibble(*high)? << 4) | nibble(*low)?;
        }
        Some(Self(bytes))
    }

    /// In Base64 with padding (RFC 4648, section 4), as in header fields.
    pub fn base64(&self) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::with_capacity(44);
        for three in self.0.chunks(3) {
            let bits = three.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
            // The last chunk has two bytes: three digits, of which the last is filled up with zeros.
            let (bits, digits) = if three.len() == 3 { (bits, 4) } else { (bits << 8, 3) };
            for shift in [18, 12, 6, 0].into_iter().take(digits) {
                let index = usize::try_from((bits >> shift) & 63).unwrap_or_default();
                out.push(DIGITS.get(index).copied().map_or('=', char::from));
            }
        }
        out.push('=');
        out
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut hex = [0; Self::HEX_LEN];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&hex).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        Self::parse(text.as_bytes()).ok_or(NotADigest)
    }
}

/// Not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 hexadecimal digits")]
pub struct NotADigest;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_44_characters() {
        assert_eq!(Digest([0; 32]).base64(), format!("{}=", "A".repeat(43)));
        assert_eq!(Digest([0xff; 32]).base64(), format!("{}8=", "/".repeat(42)));
        let known =
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse::<Digest>().unwrap();
        assert_eq!(known.base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "of nothing");
    }

    #[test]
    fn digests_are_64_hexadecimal_digits() {
        let hex = "00ff".repeat(16);
        assert_eq!(hex.parse::<Digest>().unwrap().to_string(), hex);
        assert_eq!(Digest::parse(hex.to_uppercase().as_bytes()), Digest::parse(hex.as_bytes()));
        for bad in ["", "00", &"0g".repeat(32), &"00".repeat(33), &"é0".repeat(21)] {
            assert_eq!(bad.parse::<Digest>(), Err(NotADigest), "{bad}");
        }
    }
}

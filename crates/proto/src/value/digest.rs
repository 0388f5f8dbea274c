//! BLAKE3 digests: what a content is called.

use std::fmt;
use std::str::FromStr;

/// The BLAKE3 root hash of a file, 32 bytes.
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
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
    fn digests_are_64_hexadecimal_digits() {
        let hex = "00ff".repeat(16);
        assert_eq!(hex.parse::<Digest>().unwrap().to_string(), hex);
        assert_eq!(Digest::parse(hex.to_uppercase().as_bytes()), Digest::parse(hex.as_bytes()));
        for bad in ["", "00", &"0g".repeat(32), &"00".repeat(33), &"é0".repeat(21)] {
            assert_eq!(bad.parse::<Digest>(), Err(NotADigest), "{bad}");
        }
    }
}

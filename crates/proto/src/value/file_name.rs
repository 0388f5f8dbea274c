//! The name of a shared file: its path under the share's root, as everybody else sees it.
//!
//! A name is never a path on a disk. It is looked up in a table by whoever serves it, and checked again, component by
//! component, by whoever makes a file of it.

use std::fmt;

use super::{ValueError, plain_text};
use crate::limits::{NAME_BYTES_MAX, NAME_PART_BYTES_MAX};

/// Components of UTF-8 joined by `/`: 1 to 1024 bytes, each component 1 to 255 bytes, none of them `.` or `..`, no control
/// characters. A component can hold anything else, `\` and `:` included: what a local file system cannot hold is the business of
/// whoever writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName<'a>(&'a str);

impl<'a> FileName<'a> {
    /// Checks a name.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ValueError> {
        let text = plain_text(bytes, NAME_BYTES_MAX)?;
        for part in text.split('/') {
            match part {
                "" => return Err(ValueError::Empty),
                "." | ".." => return Err(ValueError::Dots),
                part if part.len() > NAME_PART_BYTES_MAX => {
                    return Err(ValueError::TooLong { max: NAME_PART_BYTES_MAX });
                }
                _ => {}
            }
        }
        Ok(Self(text))
    }

    /// The whole name.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Its last component.
    pub fn leaf(self) -> &'a str {
        self.0.rsplit('/').next().unwrap_or(self.0)
    }

    /// Its components.
    pub fn parts(self) -> impl Iterator<Item = &'a str> {
        self.0.split('/')
    }
}

impl fmt::Display for FileName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Writes a name so that it is one word of a request line or a path of a URL: everything but letters, digits and `-._~/` as
/// `%XX` (RFC 3986, section 2).
pub fn percent_encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Reads `%XX`, once: what comes out is not decoded again. `None` where `%` is not followed by two hexadecimal digits.
pub fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(*digit).to_digit(16));
                let value = digit()?.checked_mul(16)?.checked_add(digit()?)?;
                out.push(u8::try_from(value).ok()?);
            }
            byte => out.push(*byte),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_cannot_leave_their_share() {
        for good in ["a", "models/llama 3.gguf", "ü/ß.txt", "...", "C:\\x", "a/.hidden", &"x".repeat(255)] {
            assert!(FileName::parse(good.as_bytes()).is_ok(), "{good}");
        }
        let long =
            ["x".repeat(255), "y".repeat(255), "z".repeat(255), "w".repeat(255), "v".repeat(255)].join("/");
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a\0b",
            "a\nb",
            "a\x1bb",
            &"x".repeat(256),
            &long,
        ] {
            assert!(FileName::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(FileName::parse(b"\xff").is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(name in "\\PC{0,40}") {
            let encoded = percent_encode(&name);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(percent_decode(encoded.as_bytes()).unwrap(), name.as_bytes());
        }
    }

    #[test]
    fn decoding_happens_once_and_refuses_halves() {
        assert_eq!(percent_decode(b"%252e").as_deref(), Some(&b"%2e"[..]));
        for bad in [&b"%"[..], b"%4", b"%zz", b"%%41"] {
            assert_eq!(percent_decode(bad), None);
        }
    }
}

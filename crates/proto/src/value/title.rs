//! Titles.

use std::fmt;

use super::{ValueError, plain_text};
use crate::limits::TITLE_BYTES_MAX;

/// A title: UTF-8 without control characters, 1 to 512 bytes, no white space at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Title<'a>(&'a str);

impl<'a> Title<'a> {
    /// Checks bytes from the wire, white space at both ends trimmed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ValueError> {
        match plain_text(bytes.trim_ascii(), TITLE_BYTES_MAX)?.trim() {
            "" => Err(ValueError::Empty),
            text => Ok(Self(text)),
        }
    }

    /// From bytes that are known to be a title's, all of them printable characters of ASCII.
    pub(crate) fn of_printable(bytes: &'a [u8]) -> Self {
        Self(str::from_utf8(bytes).unwrap_or_default())
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// Makes a title of any text: what a title may not hold becomes a space, runs of white space become one, what is too
    /// long is cut at a character. `None` when nothing is left.
    pub fn tamed(text: &str) -> Option<String> {
        let spaced: String =
            text.chars().map(|c| if crate::escape::is_unsafe(c) { ' ' } else { c }).collect();
        let mut title = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
        title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX));
        title.truncate(title.trim_end().len());
        (!title.is_empty()).then_some(title)
    }
}

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_and_the_rest_is_kept() {
        assert_eq!(
            Title::parse("  Über  IP \u{2028}x ".as_bytes()).map(Title::as_str),
            Ok("Über  IP \u{2028}x")
        );
        for bad in [
            &b""[..],
            b"  ",
            b"a\0b",
            b"a\x1b[31m",
            b"a\x7f",
            "a\u{9b}b".as_bytes(),
            b"a\rb",
            b"\xed\xa0\x80",
            b"\xc0\xaf",
        ] {
            assert!(Title::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Title::parse(&[b'a'; 512]).is_ok());
        assert_eq!(Title::parse(&[b'a'; 513]), Err(ValueError::TooLong { max: 512 }));
    }

    #[test]
    fn any_text_can_be_tamed_into_a_title() {
        assert_eq!(Title::tamed(" a\r\n\x1b b\u{202e}c ").as_deref(), Some("a b c"));
        assert_eq!(Title::tamed("\r\n \0"), None);
        let long = Title::tamed(&"ü".repeat(400)).unwrap();
        assert!(long.len() <= 512 && Title::parse(long.as_bytes()).is_ok());
    }
}

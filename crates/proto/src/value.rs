//! Parsed values. One that exists is valid: nobody checks it again.

pub mod digest;
pub mod file_name;
pub mod host;
pub mod number;
pub mod title;

use std::num::ParseIntError;

/// Why bytes are not the value that was expected. The texts are for logs and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not a number of ASCII digits within the type's range.
    #[error("not a number from 1 to {max}")]
    Number {
        /// The largest number allowed.
        max: u32,
    },
    /// No bytes at all.
    #[error("empty")]
    Empty,
    /// Longer than the limit.
    #[error("longer than {max} bytes")]
    TooLong {
        /// The limit in bytes.
        max: usize,
    },
    /// Not UTF-8 (RFC 3629).
    #[error("not UTF-8")]
    NotUtf8,
    /// A control character, or one that reorders the text around it.
    #[error("not plain text: it holds a control character")]
    Control,
    /// A component of a name that is `.` or `..`.
    #[error("'.' or '..' as a component")]
    Dots,
    /// A space within what must be one word.
    #[error("not one word: it holds a space")]
    Space,
}

/// Digits of the longest number that fits 32 bits: more are refused, leading zeros included.
const DIGITS_MAX: usize = 10;

/// Reads ASCII digits only: no sign, no `_`, no digits of other scripts, which the standard library's parser shares with us.
fn digits(bytes: &[u8], max: u32) -> Result<u32, ValueError> {
    let refused = ValueError::Number { max };
    if bytes.is_empty() || bytes.len() > DIGITS_MAX || !bytes.iter().all(u8::is_ascii_digit) {
        return Err(refused);
    }
    let text = str::from_utf8(bytes).map_err(|_| refused)?;
    match text.parse().map_err(|_: ParseIntError| refused)? {
        0 => Err(refused),
        number if number > max => Err(refused),
        number => Ok(number),
    }
}

/// UTF-8 without control characters, at most `max` bytes.
fn plain_text(bytes: &[u8], max: usize) -> Result<&str, ValueError> {
    if bytes.len() > max {
        return Err(ValueError::TooLong { max });
    }
    let text = str::from_utf8(bytes).map_err(|_| ValueError::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(ValueError::Control);
    }
    Ok(text)
}

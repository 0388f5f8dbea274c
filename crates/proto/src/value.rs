//! Parsed values. One that exists is valid: nobody checks it again.

pub mod digest;
pub mod file_name;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod host;
pub mod number;
pub mod pieces;
pub mod title;

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
    if bytes.len() > DIGITS_MAX {
        return Err(refused);
    }
    let mut number: u64 = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(refused);
        }
        // Ten digits at most: it cannot wrap.
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
    }
    match u32::try_from(number) {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => Err(refused),
    }
}

/// UTF-8 without control characters, at most `max` bytes.
fn plain_text(bytes: &[u8], max: usize) -> Result<&str, ValueError> {
    if bytes.len() > max {
        return Err(ValueError::TooLong { max });
    }
    let text = str::from_utf8(bytes).map_err(|_| ValueError::NotUtf8)?;
    // Nearly all text is ASCII, and then there is no need to look at it character by character.
    if !all_between(bytes, b' ', b'~') && text.chars().any(char::is_control) {
        return Err(ValueError::Control);
    }
    Ok(text)
}

/// Whether every byte is one of these. Without an early end, so that many are compared at once.
fn all_between(bytes: &[u8], first: u8, last: u8) -> bool {
    bytes.iter().fold(true, |all, byte| all & (first..=last).contains(byte))
}

//! Text from the network made safe for a terminal or a log.
//!
//! Whatever a peer sends may hold escape sequences that move the cursor, clear the screen or fake a log line
//! (nginx CVE-2009-4487). One wrapper makes them visible instead, everywhere.

use std::fmt::{self, Write};

/// Shows text on one line: control characters and characters that reorder text become `\u{1b}`, line ends `\r` and `\n`.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a>(pub &'a [u8]);

/// Shows text with its line ends kept, every other control character escaped as in [`Line`].
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.0, f, |_| false)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(self.0, f, |c| c == '\n' || c == '\r' || c == '\t')
    }
}

/// Whether a character would do something to a terminal or to the order of the text around it.
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || is_invisible_order(c)
}

/// Line and paragraph separators and the marks of the bidirectional algorithm (UAX #9).
fn is_invisible_order(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn write_escaped(bytes: &[u8], f: &mut fmt::Formatter<'_>, kept: fn(char) -> bool) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                _ if kept(c) => f.write_char(c)?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if is_unsafe(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        let shown = Line(b"a\x1b[2J\r\nb\xff\xc2\x9bc\xe2\x80\xaed").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\r\\nb\\xff\\u{9b}c\\u{202e}d");
    }

    #[test]
    fn text_keeps_its_line_ends_and_nothing_else() {
        assert_eq!(Text(b"a\r\n\x07b\n").to_string(), "a\r\n\\u{7}b\n");
    }
}

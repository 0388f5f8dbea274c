//! What a file says about itself: a number from its name, a title from the first lines of its text.
//!
//! The layout of an RFC's first page (RFC 7322, section 4): a block of header lines with a left and a right part, empty
//! lines, then the title, centred. Texts of the 1970s keep it loosely, so this is a guess with a fall-back.

use crate::value::number::RfcNumber;
use crate::value::title::Title;

/// How much of a text is looked at, in bytes.
pub const HEADING_BYTES: usize = 8 * 1024;

/// Lines of a title that are joined.
const TITLE_LINES_MAX: usize = 3;
/// A centred line begins at least this far to the right.
const CENTRED_INDENT: usize = 6;

/// The number in a name of the form `rfcN.txt`, written as the system writes it: no leading zero, any case.
pub fn number_of(file_name: &str) -> Option<RfcNumber> {
    let lower = file_name.to_ascii_lowercase();
    let digits = lower.strip_prefix("rfc")?.strip_suffix(".txt")?;
    let number = RfcNumber::parse(digits.as_bytes()).ok()?;
    (number.to_string() == digits).then_some(number)
}

/// The file name under which an RFC is kept.
pub fn file_name_of(number: RfcNumber) -> String {
    format!("rfc{number}.txt")
}

/// A title for an RFC: from its text's own heading, else from its file name.
pub fn title_of(text: &[u8], number: RfcNumber) -> String {
    let head = text.get(..text.len().min(HEADING_BYTES)).unwrap_or_default();
    heading(&String::from_utf8_lossy(head)).unwrap_or_else(|| format!("RFC {number}"))
}

/// The first centred paragraph after the header block, or a line that says `Title:`.
fn heading(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim_end).skip_while(|line| line.is_empty());
    let block: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    if !block.into_iter().any(is_header_line) {
        return None;
    }
    let paragraph: Vec<&str> = lines
        .skip_while(|line| line.is_empty())
        .take_while(|line| indent(line) >= CENTRED_INDENT)
        .take(TITLE_LINES_MAX)
        .collect();
    let named = paragraph.iter().find_map(|line| line.trim().strip_prefix("Title:"));
    named.map_or_else(|| Title::tamed(&paragraph.join(" ")), Title::tamed)
}

/// Whether a line belongs to the block at the head of a first page.
fn is_header_line(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    ["network working group", "request for comments", "internet engineering task force"]
        .iter()
        .any(|known| lower.contains(known))
}

fn indent(line: &str) -> usize {
    line.bytes().take_while(|byte| *byte == b' ').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_have_a_number() {
        let number = |name| number_of(name).map(RfcNumber::get);
        assert_eq!(number("rfc123.txt"), Some(123));
        assert_eq!(number("RFC9.TXT"), Some(9));
        for none in [
            "rfc17a.txt",
            "rfc.txt",
            "rfc0.txt",
            "rfc01.txt",
            "rfc-1.txt",
            "rfc1.txt.bak",
            "rfc1.md",
            "xrfc1.txt",
            "rfc².txt",
        ] {
            assert_eq!(number(none), None, "{none}");
        }
    }

    #[test]
    fn the_heading_is_the_title() {
        let number = RfcNumber::new(123).unwrap();
        let text = "\r\n\r\nNetwork Working Group      S. Crocker\r\nRequest for Comments: 123      UCLA\r\n\r\n\r\n\
                    \x20                       A Proferred Official ICP\r\n\r\nBy Initial Connection";
        assert_eq!(title_of(text.as_bytes(), number), "A Proferred Official ICP");
        let named =
            "Network Working Group\n\n\n          Title:   Host Software\n         Author:   Steve Crocker\n";
        assert_eq!(title_of(named.as_bytes(), number), "Host Software");
        let long = "Network Working Group\n\n          A Title of\n           Two Lines\n\nText";
        assert_eq!(title_of(long.as_bytes(), number), "A Title of Two Lines");
    }

    #[test]
    fn a_text_without_heading_gets_its_name() {
        let number = RfcNumber::new(7).unwrap();
        for text in [&b""[..], b"hello", b"\xff\xfe\0\0", b"Network Working Group\n\nAbstract\n", b"\n\n\n"] {
            assert_eq!(title_of(text, number), "RFC 7");
        }
    }
}

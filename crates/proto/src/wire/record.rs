//! A record line: `RFC 123 A Proferred Official ICP thishost.csc.ncsu.edu 5678`.
//!
//! The title contains spaces, so the host and the port are the last two words.

use super::framing::{AnswerFraming, LineEnd};
use crate::value::host::{Host, PeerAddr};
use crate::value::number::{Port, RfcNumber};

/// Appends one record line.
pub fn write(
    number: RfcNumber,
    title: &str,
    host: &str,
    port: Port,
    framing: AnswerFraming,
    out: &mut Vec<u8>,
) {
    const KIND: &[u8] = b"RFC ";
    // The short parts are put together first: to append is dearer than to write into an array.
    let mut front = [b' '; KIND.len() + 11];
    let digits = put_decimal(number.get(), front.len().saturating_sub(1), &mut front);
    let start = digits.saturating_sub(KIND.len());
    if let Some(kind) = front.get_mut(start..digits) {
        kind.copy_from_slice(KIND);
    }
    let mut back = [b' '; 6];
    let port = put_decimal(u32::from(port.get()), back.len(), &mut back).saturating_sub(1);
    out.extend_from_slice(front.get(start..).unwrap_or_default());
    out.extend_from_slice(title.as_bytes());
    out.push(b' ');
    out.extend_from_slice(host.as_bytes());
    out.extend_from_slice(back.get(port..).unwrap_or_default());
    match framing.line_end {
        LineEnd::Lf => out.push(b'\n'),
        LineEnd::CrLf => out.extend_from_slice(b"\r\n"),
    }
}

/// Writes decimal digits that end before `end`; says where they begin. Without the formatting machinery, which would be the
/// dearest part of an answer.
fn put_decimal(mut number: u32, end: usize, out: &mut [u8]) -> usize {
    let mut at = end;
    for digit in out.get_mut(..end).unwrap_or_default().iter_mut().rev() {
        // The remainder of a division by ten fits a byte.
        *digit = b'0'.saturating_add(u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        at = at.saturating_sub(1);
        if number == 0 {
            break;
        }
    }
    at
}

/// A record as another program sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The RFC.
    pub number: RfcNumber,
    /// Its title: any bytes, perhaps none.
    pub title: &'a [u8],
    /// Who has it.
    pub host: Host<'a>,
    /// Its upload port.
    pub port: Port,
}

impl<'a> Record<'a> {
    /// Reads a record line; `None` for a line that is none. The word `RFC` may be missing, runs of spaces are accepted.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let (rest, port) = split_last(line)?;
        let (rest, host) = split_last(rest)?;
        let rest = match rest.split_at_checked(3) {
            Some((word, rest)) if word.eq_ignore_ascii_case(b"RFC") => rest.trim_ascii_start(),
            _ => rest,
        };
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (number, title) = rest.split_at_checked(end)?;
        Some(Self {
            number: RfcNumber::parse(number).ok()?,
            title: title.trim_ascii(),
            host: Host::parse(host).ok()?,
            port: Port::parse(port).ok()?,
        })
    }

    /// Who has it, kept.
    pub fn peer(&self) -> PeerAddr {
        PeerAddr::new(self.host, self.port)
    }
}

/// The last word of a line, and what stands before it.
fn split_last(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = line.iter().rposition(u8::is_ascii_whitespace)?;
    let (rest, word) = line.split_at_checked(space)?;
    Some((rest.trim_ascii_end(), word.get(1..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::title::Title;
    use crate::wire::framing::Framing;

    #[test]
    fn records_of_existing_programs_are_understood() {
        let read = |line: &'static str| {
            let record = Record::parse(line.as_bytes())?;
            Some((record.number.get(), record.title, record.host.as_str(), record.port.get()))
        };
        assert_eq!(
            read("RFC 123 A Proferred Official ICP h.edu 5678"),
            Some((123, &b"A Proferred Official ICP"[..], "h.edu", 5678))
        );
        assert_eq!(read("RFC  7  a  b   h  9 "), Some((7, &b"a  b"[..], "h", 9)));
        assert_eq!(read("123 title h 5678"), Some((123, &b"title"[..], "h", 5678)));
        assert_eq!(read("RFC 1 h 2"), Some((1, &b""[..], "h", 2)));
        for none in ["", "RFC", "RFC 1", "RFC x t h 1", "RFC 1 t h 99999", "P2P-CI/1.0 200 OK", "h 1"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn a_written_record_reads_back_the_same(number in 1u32.., port in 1u16.., title in "\\PC{1,40}", host in "[!-~]{1,30}") {
            let Ok(title) = Title::parse(title.as_bytes()) else { return Ok(()) };
            let (number, port) = (RfcNumber::new(number).unwrap(), Port::new(port).unwrap());
            let mut line = Vec::new();
            write(number, title.as_str(), &host, port, Framing::SPEC.answer(), &mut line);
            let record = Record::parse(&line).unwrap();
            prop_assert_eq!(record.number, number);
            prop_assert_eq!(record.title, title.as_str().as_bytes());
            prop_assert_eq!(record.host.as_str(), host);
            prop_assert_eq!(record.port, port);
        }
    }
}

//! A record line: `RFC 123 A Proferred Official ICP thishost.csc.ncsu.edu 5678`.
//!
//! The title contains spaces, so the host and the port are the last two words.

use super::framing::{AnswerFraming, LineEnd};
use crate::value::host::{Host, PeerAddr};
use crate::value::number::{Port, RfcNumber};

/// Appends one record line. `peer` are the words at its end, a host and a port: see [`PeerAddr::words`].
#[inline]
pub fn write(number: RfcNumber, title: &[u8], peer: &str, framing: AnswerFraming, out: &mut Vec<u8>) {
    let mut front = [b' '; FRONT];
    let start = put_front(number.get(), &mut front);
    // Room is looked for once, and not for each part.
    out.reserve(FRONT.saturating_add(title.len()).saturating_add(peer.len()).saturating_add(3));
    out.extend_from_slice(front.get(start..).unwrap_or_default());
    out.extend_from_slice(title);
    out.push(b' ');
    out.extend_from_slice(peer.as_bytes());
    match framing.line_end {
        LineEnd::Lf => out.push(b'\n'),
        LineEnd::CrLf => out.extend_from_slice(b"\r\n"),
    }
}

const KIND: &[u8] = b"RFC ";
/// What stands before a title at most: the word, ten digits, a space.
const FRONT: usize = KIND.len() + 10 + 1;

/// Puts what stands before a title at the end of an array, before its last space; says where it begins. Without the formatting
/// machinery, which would be the dearest part of an answer.
#[inline]
fn put_front(mut number: u32, front: &mut [u8; FRONT]) -> usize {
    let mut at = FRONT.saturating_sub(1);
    let mut put = |byte: u8| {
        at = at.saturating_sub(1);
        if let Some(there) = front.get_mut(at) {
            *there = byte;
        }
    };
    // Two digits for each division.
    while number >= 10 {
        let two = number % 100;
        number /= 100;
        put(digit(two % 10));
        put(digit(two / 10));
    }
    if number > 0 {
        put(digit(number));
    }
    KIND.iter().rev().for_each(|byte| put(*byte));
    at
}

/// Of a number below ten.
fn digit(number: u32) -> u8 {
    b'0'.wrapping_add(number as u8)
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

    #[test]
    fn every_number_of_digits_is_written() {
        let powers = (0..10).map(|power| 10_u32.pow(power));
        for number in
            powers.flat_map(|power| [power, power + 1, power * 2 - 1, (power - 1).max(1)]).chain([u32::MAX])
        {
            let mut line = Vec::new();
            write(RfcNumber::new(number).unwrap(), b"t", "h 1", Framing::SPEC.answer(), &mut line);
            assert_eq!(line, format!("RFC {number} t h 1\r\n").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn a_written_record_reads_back_the_same(number in 1u32.., port in 1u16.., title in "\\PC{1,40}", host in "[!-~]{1,30}") {
            let Ok(title) = Title::parse(title.as_bytes()) else { return Ok(()) };
            let (number, port) = (RfcNumber::new(number).unwrap(), Port::new(port).unwrap());
            let mut line = Vec::new();
            write(number, title.as_str().as_bytes(), &format!("{host} {port}"), Framing::SPEC.answer(), &mut line);
            let record = Record::parse(&line).unwrap();
            prop_assert_eq!(record.number, number);
            prop_assert_eq!(record.title, title.as_str().as_bytes());
            prop_assert_eq!(record.host.as_str(), host);
            prop_assert_eq!(record.port, port);
        }
    }
}

//! ADD and LOOKUP in the shape in which nearly all of them come, read in one go from the bytes as they lie there.
//!
//! Lines that all end in the same way, the three headers spelt and ordered as in the specification, a space after each colon,
//! values in ASCII, an empty line at the end. Whatever differs, if only by a space, is left to [`super::decoder`], which reads it
//! at ten times the cost. So this can only be faster and never different; `tests/decoder.rs` holds both to each other.

use super::add::Add;
use super::decoder::Reading;
use super::departure::{Departure, Departures};
use super::framing::{Ending, Framing, LineEnd};
use super::lookup::Lookup;
use super::request::{Request, Verb};
use super::version::Version;
use crate::limits::{HOST_BYTES_MAX, TITLE_BYTES_MAX};
use crate::value::host::Host;
use crate::value::number::{Port, RfcNumber};
use crate::value::title::Title;

/// Which of the two verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// See [`Add`].
    Add,
    /// See [`Lookup`].
    Lookup,
}

/// A request in this shape: what it holds, and where in the bytes. What a number is found by is there at once; texts are made of
/// the bytes only for whoever needs them, which an answer to LOOKUP does not.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Which of the two verbs.
    pub method: Method,
    /// The RFC.
    pub number: RfcNumber,
    /// How many bytes the request has: those of [`Request::raw`].
    pub length: usize,
    line_end: LineEnd,
    port: Port,
    /// Where the host begins, and its length: visible characters, as many as a host may have.
    host: (usize, usize),
    /// Where the title begins, and its length: spaces and visible characters, none of them to be trimmed.
    title: (usize, usize),
}

impl Shape {
    /// The shape of the request with which `bytes` begin, if all of it is there and it has one.
    #[inline]
    pub fn of(bytes: &[u8], reading: Reading) -> Option<Self> {
        let (method, rest) = match bytes.first()? {
            b'L' => (Method::Lookup, bytes.strip_prefix(b"LOOKUP RFC ")?),
            _ => (Method::Add, bytes.strip_prefix(b"ADD RFC ")?),
        };
        let (number, rest) = decimal(rest)?;
        let number = RfcNumber::new(number)?;
        let (line_end, rest) = match rest.strip_prefix(b" P2P-CI/1.0")? {
            [b'\n', rest @ ..] if reading == Reading::Lenient => (LineEnd::Lf, rest),
            [b'\r', b'\n', rest @ ..] => (LineEnd::CrLf, rest),
            _ => return None,
        };
        let at = |rest: &[u8]| bytes.len().saturating_sub(rest.len());
        let rest = rest.strip_prefix(b"Host: ")?;
        let (host, after_host) = text(rest, b'!');
        let host = (at(rest), host.len());
        let (port, rest) = decimal(after(after_host, line_end)?.strip_prefix(b"Port: ")?)?;
        let port = Port::new(u16::try_from(port).ok()?)?;
        let rest = after(rest, line_end)?.strip_prefix(b"Title: ")?;
        let (title, after_title) = text(rest, b' ');
        let is_trimmed = *title.first()? != b' ' && *title.last()? != b' ';
        let title = (at(rest), title.len());
        let rest = after(after(after_title, line_end)?, line_end)?;
        let is_fit = is_trimmed && title.1 <= TITLE_BYTES_MAX && (1..=HOST_BYTES_MAX).contains(&host.1);
        is_fit.then(|| Self { method, number, length: at(rest), line_end, port, host, title })
    }

    /// How the request is framed.
    #[inline]
    pub fn framing(&self) -> Framing {
        Framing { line_end: self.line_end, ending: Ending::EmptyLine, tight: false }
    }

    /// What an ADD says, out of the bytes that have this shape.
    #[inline]
    pub fn add<'a>(&self, bytes: &'a [u8]) -> Add<'a> {
        let Self { number, port, host, title, .. } = *self;
        let (host, title) = (Host::of_visible(part(bytes, host)), Title::of_printable(part(bytes, title)));
        Add { number, host, port, title }
    }

    /// The request, out of the bytes that have this shape.
    #[inline]
    pub fn request<'a>(&self, bytes: &'a [u8]) -> Request<'a> {
        let mut departures = Departures::default();
        departures.note_if(self.line_end == LineEnd::Lf, Departure::LfLineEnds);
        let add = self.add(bytes);
        let verb = match self.method {
            Method::Add => Verb::Add(add),
            Method::Lookup => {
                let Add { number, host, port, title } = add;
                Verb::Lookup(Lookup { number, host: Some(host), port: Some(port), title: Some(title) })
            }
        };
        let raw = part(bytes, (0, self.length));
        Request { version: Version::V1_0, verb, framing: self.framing(), departures, raw }
    }
}

#[inline]
fn part(bytes: &[u8], (at, length): (usize, usize)) -> &[u8] {
    bytes.get(at..at.saturating_add(length)).unwrap_or_default()
}

/// What follows a line end.
#[inline]
fn after(bytes: &[u8], line_end: LineEnd) -> Option<&[u8]> {
    match (line_end, bytes) {
        (LineEnd::Lf, [b'\n', rest @ ..]) | (LineEnd::CrLf, [b'\r', b'\n', rest @ ..]) => Some(rest),
        _ => None,
    }
}

/// The number with which `bytes` begin, and the rest. One of more than ten digits is left to the decoder.
#[inline]
fn decimal(bytes: &[u8]) -> Option<(u32, &[u8])> {
    const DIGITS: usize = 10;
    let (mut number, mut digits) = (0_u64, 0_usize);
    for byte in bytes.iter().take(DIGITS.saturating_add(1)) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        // Eleven digits at most, so it fits.
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        digits = digits.wrapping_add(1);
    }
    let is_fit = (1..=DIGITS).contains(&digits);
    is_fit.then_some((u32::try_from(number).ok()?, bytes.get(digits..)?))
}

/// Up to the first byte that is not between `first` and `~`, and the rest. Eight bytes at a time: most of a request is this.
#[inline]
fn text(bytes: &[u8], first: u8) -> (&[u8], &[u8]) {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let least = ONES.wrapping_mul(u64::from(first));
    let mut at = 0_usize;
    let (eights, _) = bytes.as_chunks::<8>();
    for eight in eights {
        let eight = u64::from_le_bytes(*eight);
        // The high bit of a byte is set where it is below the least, above `~`, or not ASCII. What a borrow or a carry sets
        // wrongly stands after a byte that is rightly set, and only the first one counts.
        let others = (eight.wrapping_sub(least) | eight.wrapping_add(ONES) | eight) & HIGH;
        if others != 0 {
            // At most 7.
            let within = (others.trailing_zeros() / 8) as usize;
            return bytes.split_at_checked(at.saturating_add(within)).unwrap_or((bytes, &[]));
        }
        at = at.saturating_add(8);
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let within = rest.iter().take_while(|byte| (first..=b'~').contains(*byte)).count();
    bytes.split_at_checked(at.saturating_add(within)).unwrap_or((bytes, &[]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], reading: Reading) -> Option<Request<'_>> {
        Shape::of(bytes, reading).map(|shape| shape.request(bytes))
    }

    const LOOKUP: &str =
        "LOOKUP RFC 17 P2P-CI/1.0\r\nHost: h.example\r\nPort: 50000\r\nTitle: A title\r\n\r\n";

    #[test]
    fn a_request_in_the_usual_shape_is_read_up_to_its_end() {
        for text in [LOOKUP.to_owned(), LOOKUP.replace('\r', ""), LOOKUP.replace("LOOKUP", "ADD")] {
            let two = text.repeat(2);
            let request = read(two.as_bytes(), Reading::Lenient).unwrap();
            assert_eq!(request.raw, text.as_bytes());
            assert_eq!(request.departures.is_empty(), text.contains('\r'));
        }
    }

    #[test]
    fn everything_else_is_left_to_the_decoder() {
        let lf = LOOKUP.replace('\r', "");
        assert!(read(lf.as_bytes(), Reading::Strict).is_none(), "line feeds depart from the specification");
        for (from, to) in [
            ("RFC 17", "RFC 0"),
            ("RFC 17", "RFC 12345678901"),
            ("1.0", "1.1"),
            ("Host", "host"),
            ("h.example", ""),
            ("h.example", "h example"),
            ("h.example", "h\u{e9}"),
            ("Port", "Post"),
            ("50000", "70000"),
            ("A title", "A title "),
            ("A title", " A title"),
            ("A title", "A\ttitle"),
            ("A title", "Stra\u{df}e"),
            ("A title", "A\u{7f}title"),
            ("example\r\n", "example\n"),
            ("LOOKUP", "lookup"),
            ("LOOKUP RFC", "LIST ALL"),
        ] {
            assert!(read(LOOKUP.replace(from, to).as_bytes(), Reading::Lenient).is_none(), "{from} as {to}");
        }
        for cut in 0..LOOKUP.len() {
            assert!(read(&LOOKUP.as_bytes()[..cut], Reading::Lenient).is_none(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn text_ends_where_a_look_at_each_byte_finds_its_end(
            bytes in proptest::collection::vec(prop_oneof![9 => b' '..=b'~', 1 => any::<u8>()], 0..40),
            first in proptest::sample::select(b" !".to_vec()),
        ) {
            let naive = bytes.iter().take_while(|byte| (first..=b'~').contains(*byte)).count();
            prop_assert_eq!(text(&bytes, first).0.len(), naive);
        }
    }
}

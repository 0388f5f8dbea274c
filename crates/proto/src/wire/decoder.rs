//! The request decoder: bytes and time go in, requests come out.
//!
//! Its result depends on the bytes and on silence alone, never on how the bytes were cut into segments: while time stands
//! still, every cut of a stream gives the same requests. Many existing programs send no empty line, so for them silence is
//! the end of a request; whoever drives the decoder asks [`RequestDecoder::poll`] again at the moment that it names.

use std::time::{Duration, Instant};

use super::add::Add;
use super::canonical::Shape;
use super::departure::{Departure, Departures};
use super::framing::{Ending, Framing, LineEnd};
use super::get::Get;
use super::head::{Head, is_request_line};
use super::list::List;
use super::lookup::Lookup;
use super::refusal::{Reason, Refusal};
use super::request::{Request, Verb};
use super::v11;
use super::v11::request::{Ask, Extent};
use super::version::Version;
use crate::limits::{BODY_DEADLINE, HEAD_BYTES_MAX, LINE_BYTES_MAX, QUIET_CRLF, QUIET_LF, REQUEST_DEADLINE};

/// What an emptied buffer may keep: idle connections are many.
const BUFFER_KEPT: usize = 4096;
/// Most bytes of a request that a refusal carries for the log.
const RAW_SHOWN_MAX: usize = 1024;

/// What the decoder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole request.
    Request(Request<'a>),
    /// A request to be answered with its refusal's status. Where [`Reason::closes`] says so, nothing follows it.
    Refused(Refusal<'a>),
    /// Nothing before more bytes come, or before this moment.
    Pending(Option<Instant>),
    /// The connection has ended, or nothing after a refusal that closes can be understood.
    Ended,
}

/// How strictly requests are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// As existing programs need it.
    #[default]
    Lenient,
    /// As the specification says; silence ends nothing, every departure is refused.
    Strict,
}

/// Reads the requests of one connection.
#[derive(Debug)]
pub struct RequestDecoder {
    reading: Reading,
    buffer: Vec<u8>,
    /// Where the current request begins in the buffer.
    start: usize,
    /// Bytes of the request that the last call handed out.
    handed_out: usize,
    /// Where the current line begins, from `start`.
    line: usize,
    /// Up to where the current line was searched for its end, from `start`: 0 until somebody has begun to look at the request, and
    /// so wherever the head has not begun to be read either.
    searched: usize,
    head: Head,
    /// A request of 1.1 whose head is whole.
    extent: Option<Extent>,
    first_byte_at: Option<Instant>,
    last_byte_at: Option<Instant>,
    end_of_file: bool,
    closed: bool,
}

/// What one look at the buffer found: how the request ended, and its length.
type Whole = (Ending, usize);

impl RequestDecoder {
    /// A decoder for a new connection.
    pub fn new(reading: Reading) -> Self {
        Self {
            reading,
            buffer: Vec::new(),
            start: 0,
            handed_out: 0,
            line: 0,
            searched: 0,
            head: Head::default(),
            extent: None,
            first_byte_at: None,
            last_byte_at: None,
            end_of_file: false,
            closed: false,
        }
    }

    /// A decoder for a connection that was listened to until its tongue was known: `first` is all that came, its first byte at
    /// `first_byte_at`. When the others came nobody knows, so they count from `now`: telling the tongue may have taken longer
    /// than the silence that ends a request.
    pub fn opened(reading: Reading, first: &[u8], first_byte_at: Instant, now: Instant) -> Self {
        let mut decoder = Self::new(reading);
        let (byte, rest) = first.split_at_checked(1).unwrap_or((first, &[]));
        decoder.push(byte, first_byte_at);
        decoder.push(rest, now);
        decoder
    }

    /// Takes bytes that came at `now`. Call [`Self::poll`] until it is pending before more are taken, so that the buffer stays
    /// bounded by one head and one read.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        if bytes.is_empty() || self.closed {
            return;
        }
        self.forget_handed_out();
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
        self.first_byte_at.get_or_insert(now);
        self.last_byte_at = Some(now);
    }

    /// No more bytes will come.
    pub fn push_end_of_file(&mut self) {
        self.end_of_file = true;
    }

    /// Whether it holds nothing: a new one in its place would go on just the same.
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && !self.end_of_file && !self.closed
    }

    /// The next request, or when to ask again.
    pub fn poll(&mut self, now: Instant) -> Decoded<'_> {
        self.forget_handed_out();
        if self.closed {
            return Decoded::Ended;
        }
        self.skip_padding(now);
        if self.rest().is_empty() {
            return if self.end_of_file { Decoded::Ended } else { Decoded::Pending(None) };
        }
        if let Some(extent) = self.extent {
            return self.await_body(extent, now);
        }
        if let Some(shape) = self.canonical() {
            self.handed_out = shape.length;
            return Decoded::Request(shape.request(self.rest()));
        }
        match self.scan() {
            Err(reason) => self.refuse_and_close(reason),
            Ok(Some((ending, length))) if self.head.is_v11() => self.begin_body(ending, length, now),
            Ok(Some(whole)) => self.hand_out(whole),
            Ok(None) => self.after_silence(now),
        }
    }

    /// The head of a request of 1.1 is whole: how long is its body?
    fn begin_body(&mut self, ending: Ending, length: usize, now: Instant) -> Decoded<'_> {
        let head = self.rest().get(..length).unwrap_or_default();
        let extent =
            if ending == Ending::EmptyLine { v11::request::extent(head) } else { Err(Reason::Framing) };
        match extent {
            Err(reason) => self.refuse_and_close(reason),
            Ok(extent) => {
                self.extent = Some(extent);
                self.await_body(extent, now)
            }
        }
    }

    fn await_body(&mut self, extent: Extent, now: Instant) -> Decoded<'_> {
        if self.rest().len() >= extent.head.saturating_add(extent.body) {
            return self.hand_out_v11(extent);
        }
        let deadline = self.first_byte_at.and_then(|at| at.checked_add(BODY_DEADLINE));
        match deadline {
            _ if self.end_of_file => self.refuse_and_close(Reason::EndOfFile),
            Some(deadline) if now >= deadline => self.refuse_and_close(Reason::BodyIncomplete),
            deadline => Decoded::Pending(deadline),
        }
    }

    fn hand_out_v11(&mut self, extent: Extent) -> Decoded<'_> {
        self.handed_out = extent.head.saturating_add(extent.body);
        let (head, rest) = self.rest().split_at_checked(extent.head).unwrap_or_default();
        let body = rest.get(..extent.body).unwrap_or_default();
        match Ask::parse(head, body) {
            Ok(ask) => Decoded::Request(Request {
                version: Version::V1_1,
                verb: Verb::V11(ask),
                framing: Framing::SPEC,
                departures: Departures::default(),
                raw: head,
            }),
            Err(reason) => Decoded::Refused(Refusal {
                reason,
                version: Version::V1_1,
                framing: Framing::SPEC,
                raw: head,
            }),
        }
    }

    /// The usual shape, which can only be told of a request that nobody has begun to look at.
    fn canonical(&self) -> Option<Shape> {
        if self.searched == 0 { Shape::of(self.rest(), self.reading) } else { None }
    }

    /// The bytes from the current request's first on.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn forget_handed_out(&mut self) {
        if self.handed_out == 0 {
            return;
        }
        self.start = self.start.saturating_add(self.handed_out);
        self.handed_out = 0;
        if self.head.has_begun() {
            self.head = Head::default();
        }
        self.extent = None;
        self.line = 0;
        self.searched = 0;
        self.first_byte_at = None;
        if self.start >= self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
            self.buffer.shrink_to(BUFFER_KEPT);
        }
    }

    /// Before a request: line ends, spaces and `~` mean nothing. (A late empty line, and what fills up a padded request.)
    fn skip_padding(&mut self, now: Instant) {
        if self.searched > 0 {
            return;
        }
        let padding = self.rest().iter().take_while(|byte| b"\r\n ~".contains(byte)).count();
        self.start = self.start.saturating_add(padding);
        match self.rest() {
            [] => {
                self.buffer.clear();
                self.start = 0;
                self.first_byte_at = None;
            }
            _ => {
                self.first_byte_at.get_or_insert(now);
            }
        }
    }

    /// Takes every whole line; says when the request is complete, or why it never can be.
    fn scan(&mut self) -> Result<Option<Whole>, Reason> {
        let Self { buffer, start, line, searched, head, reading, .. } = self;
        let rest = buffer.get(*start..).unwrap_or_default();
        if !head.has_begun() && !rest.first().is_some_and(u8::is_ascii_alphabetic) {
            return Err(Reason::NotText);
        }
        loop {
            let open = rest.get(*line..).unwrap_or_default();
            if head.has_begun()
                && !head.is_v11()
                && open.first() == Some(&b'~')
                && *reading == Reading::Lenient
            {
                return Ok(Some((Ending::Padding, *line)));
            }
            let found = memchr::memchr(b'\n', rest.get(*searched..).unwrap_or_default());
            let Some(newline) = found.map(|at| at.saturating_add(*searched)) else {
                *searched = rest.len();
                // One byte more may be the CR of a line end.
                return match () {
                    () if open.len() > LINE_BYTES_MAX.saturating_add(1) => Err(Reason::LineTooLong),
                    () if rest.len() > HEAD_BYTES_MAX => Err(Reason::HeadTooLong),
                    () => Ok(None),
                };
            };
            let (content, end) = without_cr(rest.get(*line..newline).unwrap_or_default());
            let next = newline.saturating_add(1);
            if content.len() > LINE_BYTES_MAX {
                return Err(Reason::LineTooLong);
            }
            if next > HEAD_BYTES_MAX {
                return Err(Reason::HeadTooLong);
            }
            if head.has_begun() && !head.is_v11() && is_request_line(content) {
                return Ok(Some((Ending::LastLine, *line)));
            }
            head.note_line_end(end);
            if content.is_empty() {
                return Ok(Some((Ending::EmptyLine, next)));
            }
            head.take_line(content, rest);
            if let Some(reason) = head.fatal_fault() {
                return Err(reason);
            }
            *line = next;
            *searched = next;
        }
    }

    /// What an incomplete request means after the silence since its last byte, or at the end of the connection.
    fn after_silence(&mut self, now: Instant) -> Decoded<'_> {
        let silence = self.last_byte_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let deadline = self.first_byte_at.and_then(|at| at.checked_add(REQUEST_DEADLINE));
        let mut wake = deadline;
        if self.reading == Reading::Lenient
            && let Some((ending, length, patience)) = self.complete_by_silence()
        {
            if silence >= patience || self.end_of_file {
                return self.hand_out((ending, length));
            }
            let quiet_at = self.last_byte_at.and_then(|at| at.checked_add(patience));
            wake = [quiet_at, deadline].into_iter().flatten().min();
        }
        if self.end_of_file {
            return self.refuse_and_close(Reason::EndOfFile);
        }
        if deadline.is_some_and(|deadline| now >= deadline) {
            return self.refuse_and_close(Reason::Incomplete);
        }
        Decoded::Pending(wake)
    }

    /// Whether silence would complete the request, as which kind, with what length and after how long.
    fn complete_by_silence(&mut self) -> Option<(Ending, usize, Duration)> {
        let open = self.rest().get(self.line..).unwrap_or_default();
        if !open.contains(&b':') {
            // An open line without a colon is no header: it begins the next request.
            let patience = match (open.is_empty(), self.head.any_crlf) {
                (true, false) => QUIET_LF,
                _ => QUIET_CRLF,
            };
            return self.head.needs_met().then_some((Ending::LastLine, self.line, patience));
        }
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let mut with_open_line = self.head.clone();
        with_open_line.take_line(open, rest);
        let complete = self.head.has_begun() && with_open_line.needs_met();
        complete.then_some((Ending::Unterminated, rest.len(), QUIET_CRLF))
    }

    fn hand_out(&mut self, (ending, length): Whole) -> Decoded<'_> {
        self.handed_out = length;
        let whole = self.buffer.get(self.start..self.start.saturating_add(length)).unwrap_or_default();
        if ending == Ending::Unterminated {
            let open = whole.get(self.line..).unwrap_or_default();
            self.head.take_line(open, whole);
        }
        let framing = self.head.framing(ending);
        match parse(&mut self.head, whole, ending, self.reading) {
            Ok(verb) => {
                let departures = self.head.departures(ending);
                Decoded::Request(Request { version: Version::V1_0, verb, framing, departures, raw: whole })
            }
            Err(reason) => Decoded::Refused(Refusal { reason, version: Version::V1_0, framing, raw: whole }),
        }
    }

    fn refuse_and_close(&mut self, reason: Reason) -> Decoded<'_> {
        self.closed = true;
        let framing = Framing { tight: false, ..self.head.framing(Ending::EmptyLine) };
        let rest = self.rest();
        let raw = rest.get(..rest.len().min(RAW_SHOWN_MAX)).unwrap_or_default();
        Decoded::Refused(Refusal { reason, version: self.head.version(), framing, raw })
    }
}

fn parse<'a>(head: &mut Head, whole: &'a [u8], ending: Ending, reading: Reading) -> Result<Verb<'a>, Reason> {
    let (words, fields) = head.read(whole)?;
    if words.extra_spaces {
        head.note(Departure::SpacesInRequestLine);
    }
    let verb = match words.method {
        b"ADD" => Verb::Add(Add::parse(&words, &fields)?),
        b"LOOKUP" => Verb::Lookup(Lookup::parse(&words, &fields)?),
        b"LIST" => Verb::List(List::parse(&words, &fields)?),
        b"GET" => Verb::Get(Get::parse(&words, &fields)?),
        _ => return Err(Reason::UnknownMethod),
    };
    let departures = head.departures(ending);
    let tolerated = |departure: &Departure| *departure == Departure::UnknownHeader;
    match departures.iter().find(|departure| !tolerated(departure)) {
        Some(departure) if reading == Reading::Strict => Err(Reason::Strict(departure)),
        _ => Ok(verb),
    }
}

fn without_cr(line: &[u8]) -> (&[u8], LineEnd) {
    match line {
        [content @ .., b'\r'] => (content, LineEnd::CrLf),
        content => (content, LineEnd::Lf),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the next request is read in one go: nothing of it was noted line by line.
    fn is_read_at_once(pieces: &[&str]) -> bool {
        let now = Instant::now();
        let mut decoder = RequestDecoder::new(Reading::Lenient);
        for piece in pieces {
            decoder.push(piece.as_bytes(), now);
            if matches!(decoder.poll(now), Decoded::Request(_)) {
                return !decoder.head.has_begun() && decoder.searched == 0;
            }
        }
        panic!("no request in {pieces:?}");
    }

    #[test]
    fn a_request_of_the_usual_shape_takes_the_short_way_unless_its_lines_were_begun() {
        let fields = "Host: h\r\nPort: 1\r\nTitle: t\r\n\r\n";
        for verb in ["ADD", "LOOKUP"] {
            let whole = format!("{verb} RFC 1 P2P-CI/1.0\r\n{fields}");
            assert!(is_read_at_once(&[&whole]), "{whole}");
            assert!(is_read_at_once(&[&format!("\r\n{whole}")]), "after padding: {whole}");
            for cut in 1..whole.len() {
                assert!(!is_read_at_once(&[&whole[..cut], &whole[cut..]]), "cut at {cut}: {whole}");
            }
        }
    }

    /// Why what was pushed is refused, if it is.
    fn refused(bytes: &[u8]) -> Option<Reason> {
        let now = Instant::now();
        let mut decoder = RequestDecoder::new(Reading::Lenient);
        decoder.push(bytes, now);
        match decoder.poll(now) {
            Decoded::Refused(refusal) => Some(refusal.reason),
            _ => None,
        }
    }

    #[test]
    fn what_fills_up_begins_no_request_and_has_no_deadline() {
        let now = Instant::now();
        let mut decoder = RequestDecoder::new(Reading::Lenient);
        for padding in ["\r\n", "~~~ ", "\n"] {
            decoder.push(padding.as_bytes(), now);
            assert!(matches!(decoder.poll(now), Decoded::Pending(None)), "{padding:?}");
        }
        let later = now + Duration::from_secs(9);
        decoder.push(b"L", later);
        let Decoded::Pending(Some(deadline)) = decoder.poll(later) else { panic!("it has begun") };
        assert_eq!(deadline, later + REQUEST_DEADLINE, "from its own first byte on");
    }

    #[test]
    fn a_line_that_does_not_end_is_refused_one_byte_behind_its_limit() {
        let begun = b"LOOKUP RFC 1 P2P-CI/1.0\r\n";
        let open = |length| [begun.as_slice(), &vec![b'x'; length]].concat();
        // The last byte may be the CR of the line's end.
        assert_eq!(refused(&open(LINE_BYTES_MAX + 1)), None);
        for beyond in [2, 3] {
            assert_eq!(refused(&open(LINE_BYTES_MAX + beyond)), Some(Reason::LineTooLong));
        }
    }

    #[test]
    fn a_head_that_does_not_end_is_refused_one_byte_behind_its_limit() {
        let begun = format!(
            "LOOKUP RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: t\r\nX: {}\r\n",
            "x".repeat(8180)
        );
        let open = |length: usize, end: &str| {
            let name = "Y: ";
            let rest = length - begun.len() - name.len() - end.len();
            format!("{begun}{name}{}{end}", "y".repeat(rest)).into_bytes()
        };
        assert!(HEAD_BYTES_MAX - begun.len() < LINE_BYTES_MAX, "the last line is not what is too long");
        assert_eq!(refused(&open(HEAD_BYTES_MAX, "")), None);
        for beyond in [1, 2] {
            assert_eq!(refused(&open(HEAD_BYTES_MAX + beyond, "")), Some(Reason::HeadTooLong));
        }
        assert_eq!(refused(&open(HEAD_BYTES_MAX, "\r\n\r\n")), None, "it ends with its last byte");
        assert_eq!(refused(&open(HEAD_BYTES_MAX + 1, "\r\n\r\n")), Some(Reason::HeadTooLong));
    }
}

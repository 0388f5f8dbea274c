//! Requests out of a stream of bytes, however it is cut.
//!
//! Lines are judged as they come, what is in them when the head is whole. So a request is refused at the same byte with the same
//! words whatever the segments, and one that was refused is the last that is read.

use std::time::Instant;

use super::fields;
use super::refusal::Refusal;
use super::request::Request;
use crate::limits::{HEAD_BYTES_MAX, LINE_BYTES_MAX, REQUEST_DEADLINE};

/// What the bytes so far come down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The next request, in order.
    Request(Request),
    /// To be told, and the connection closed. Nothing is decoded any more.
    Refused(Refusal),
    /// More bytes are needed; at the given time, if there is one, it is to be asked again.
    Pending(Option<Instant>),
    /// Nothing more will come.
    Ended,
}

/// Takes the bytes of one connection, gives its requests. Bytes should be added only while it is [`Decoded::Pending`]: then it
/// holds at most one head and what was added last.
#[derive(Debug, Default)]
pub struct RequestDecoder {
    bytes: Vec<u8>,
    /// Where the current head begins; what is before it is done with.
    start: usize,
    /// Where its current line begins.
    line: usize,
    /// From here on nothing has been looked at.
    scanned: usize,
    /// When the current head began.
    began: Option<Instant>,
    end_of_file: bool,
    over: bool,
}

impl RequestDecoder {
    /// Before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes that came at `now`.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        if self.over || bytes.is_empty() {
            return;
        }
        self.forget_done();
        self.bytes.extend_from_slice(bytes);
        self.began.get_or_insert(now);
    }

    /// The other side will send no more.
    pub fn push_end_of_file(&mut self) {
        self.end_of_file = true;
    }

    /// The next request. The time that one head may take begins with its first byte, or, where that came while an earlier
    /// request was being answered, with the first call after that.
    pub fn poll(&mut self, now: Instant) -> Decoded {
        if self.over {
            return Decoded::Ended;
        }
        match self.scan() {
            Ok(Some(end)) => self.take_request(end),
            Ok(None) => self.wait(now),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn take_request(&mut self, end: usize) -> Decoded {
        let parsed = fields::request(self.bytes.get(self.start..end).unwrap_or_default());
        (self.start, self.line, self.scanned) = (end, end, end);
        self.began = None;
        match parsed {
            Ok(request) => Decoded::Request(request),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn wait(&mut self, now: Instant) -> Decoded {
        self.forget_done();
        if self.end_of_file {
            self.over = true;
            return Decoded::Ended;
        }
        if self.bytes.is_empty() {
            self.began = None;
            return Decoded::Pending(None);
        }
        let began = *self.began.get_or_insert(now);
        // A clock so near its end that nothing can be added never reaches that point.
        match began.checked_add(REQUEST_DEADLINE) {
            Some(latest) if latest <= now => self.refuse(Refusal::Late),
            latest => Decoded::Pending(latest),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Decoded {
        self.over = true;
        (self.bytes, self.start) = (Vec::new(), 0);
        Decoded::Refused(refusal)
    }

    /// Goes through the lines; gives the end of the head when its empty line is there.
    fn scan(&mut self) -> Result<Option<usize>, Refusal> {
        loop {
            let rest = self.bytes.get(self.scanned..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'\r', b'\n', rest) else {
                self.scanned = self.bytes.len();
                self.check_length(self.scanned)?;
                return Ok(None);
            };
            let at = self.scanned.saturating_add(found);
            self.scanned = at;
            self.check_length(at)?;
            let after = match (self.bytes.get(at), self.bytes.get(at.saturating_add(1))) {
                (Some(b'\n'), _) => return Err(Refusal::LineFeedAlone),
                (_, None) => return Ok(None),
                (_, Some(b'\n')) => at.saturating_add(2),
                (_, Some(_)) => return Err(Refusal::CarriageReturnAlone),
            };
            let (empty, first) = (at == self.line, self.line == self.start);
            (self.line, self.scanned) = (after, after);
            match (empty, first) {
                // Empty lines before a request are skipped (RFC 9112, section 2.2).
                (true, true) => self.start = after,
                (true, false) => return Ok(Some(after)),
                (false, _) => {}
            }
        }
    }

    /// `at`: how far the current line goes, as far as is known. Of two limits the one that was passed first counts, so that
    /// the segments do not.
    fn check_length(&self, at: usize) -> Result<(), Refusal> {
        const END: usize = b"\r\n".len();
        let line_at = self.line.saturating_sub(self.start);
        let line_first = line_at.saturating_add(LINE_BYTES_MAX + END) <= HEAD_BYTES_MAX;
        if line_first && at.saturating_sub(self.line) > LINE_BYTES_MAX {
            let request_line = self.line == self.start;
            return Err(if request_line { Refusal::TargetTooLong } else { Refusal::HeaderTooLong });
        }
        match at.saturating_sub(self.start).saturating_add(END) > HEAD_BYTES_MAX {
            true => Err(Refusal::HeadTooLong),
            false => Ok(()),
        }
    }

    fn forget_done(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start.min(self.bytes.len()));
            self.line = self.line.saturating_sub(self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        if self.bytes.is_empty() {
            // A connection that waits for its next request holds no buffer.
            self.bytes = Vec::new();
        }
    }
}

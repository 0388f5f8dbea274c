//! Reads the index's answers, ours or another program's.
//!
//! In most dialects the end of an answer is not marked, so it is recognised by what was asked, by an empty line, by
//! silence or by the end of the connection. Every line is handed out as it came, so that it can be shown unchanged.

use std::time::{Duration, Instant};

use super::record::Record;
use super::status::StatusCode;
use crate::limits::{ANSWER_QUIET, ANSWER_STALL, LINE_BYTES_MAX};

/// Silence after which an answer is complete although its status line was followed by an empty line, which promises another
/// one at the end.
const MARKED_QUIET: Duration = Duration::from_secs(2);
/// Longest line of an answer in bytes, its end included: a longer one ends the connection.
const ANSWER_LINE_MAX: usize = LINE_BYTES_MAX * 2;

/// What was asked, as far as it tells where the answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// ADD: one record, its echo.
    OneRecord,
    /// LOOKUP, LIST: any number of records.
    Records,
}

/// What a line of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// The status line.
    Status(StatusCode),
    /// A record.
    Record(Record<'a>),
    /// An empty line, or one that is neither status nor record: to be shown, and nothing else.
    Other,
}

/// What the decoder found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A line with its line end, as it came.
    Line(Line<'a>, &'a [u8]),
    /// The answer is complete.
    End,
    /// The answer cannot be complete any more, and the connection is of no use.
    Failed(AnswerError),
    /// Nothing before more bytes come, or before this moment.
    Pending(Instant),
}

/// Why there is no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The index took the request and said nothing.
    #[error("the index does not answer")]
    Silent,
    /// The connection ended before the status line.
    #[error("the index closed the connection without an answer")]
    EndOfFile,
    /// See [`LINE_BYTES_MAX`].
    #[error("the index sent a line that is too long")]
    LineTooLong,
    /// More bytes than the caller is willing to take.
    #[error("the index's answer is longer than {0} bytes")]
    TooLong(u64),
}

/// Reads the answer to one request.
#[derive(Debug)]
pub struct AnswerDecoder {
    expected: Expected,
    bytes_left: u64,
    bytes_max: u64,
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    status: Option<StatusCode>,
    empty_after_status: bool,
    records: u64,
    ended: bool,
    last_byte_at: Instant,
    end_of_file: bool,
}

impl AnswerDecoder {
    /// For a request that was sent at `now`, whose answer may have `bytes_max` bytes.
    pub fn new(expected: Expected, bytes_max: u64, now: Instant) -> Self {
        Self {
            expected,
            bytes_left: bytes_max,
            bytes_max,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            status: None,
            empty_after_status: false,
            records: 0,
            ended: false,
            last_byte_at: now,
            end_of_file: false,
        }
    }

    /// Takes bytes that came at `now`.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.searched = self.searched.saturating_sub(self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
        self.last_byte_at = now;
    }

    /// No more bytes will come.
    pub fn push_end_of_file(&mut self) {
        self.end_of_file = true;
    }

    /// The status, once its line was handed out.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The next line, or when to ask again.
    pub fn poll(&mut self, now: Instant) -> Decoded<'_> {
        let open = self.buffer.len().saturating_sub(self.start);
        let newline = memchr::memchr(b'\n', self.buffer.get(self.searched..).unwrap_or_default());
        match newline.map(|at| at.saturating_add(self.searched).saturating_add(1)) {
            Some(next) if self.ended && !self.is_empty_line(next) => Decoded::End,
            Some(next) => self.hand_out(next),
            None if self.ended => Decoded::End,
            None if open > ANSWER_LINE_MAX => Decoded::Failed(AnswerError::LineTooLong),
            None => self.after_silence(now),
        }
    }

    fn is_empty_line(&self, next: usize) -> bool {
        self.buffer.get(self.start..next).is_some_and(|line| line.trim_ascii().is_empty())
    }

    /// What silence, or the end of the connection, means while no whole line is there.
    fn after_silence(&mut self, now: Instant) -> Decoded<'_> {
        self.searched = self.buffer.len();
        let patience = match self.status {
            None => ANSWER_STALL,
            Some(_) if self.empty_after_status => MARKED_QUIET,
            Some(_) => ANSWER_QUIET,
        };
        let silence = now.saturating_duration_since(self.last_byte_at);
        let over = self.end_of_file || silence >= patience;
        let open = self.buffer.len() > self.start;
        match (over, self.status) {
            (false, _) => Decoded::Pending(self.last_byte_at.checked_add(patience).unwrap_or(now)),
            // The last line may lack its end.
            (true, _) if open => self.hand_out(self.buffer.len()),
            (true, Some(_)) => {
                self.ended = true;
                Decoded::End
            }
            (true, None) if self.end_of_file => Decoded::Failed(AnswerError::EndOfFile),
            (true, None) => Decoded::Failed(AnswerError::Silent),
        }
    }

    /// Hands out the line that ends before `next`, and notes whether it ends the answer.
    fn hand_out(&mut self, next: usize) -> Decoded<'_> {
        let raw = self.buffer.get(self.start..next).unwrap_or_default();
        self.start = next;
        self.searched = next;
        let length = u64::try_from(raw.len()).unwrap_or(u64::MAX);
        match self.bytes_left.checked_sub(length) {
            None => return Decoded::Failed(AnswerError::TooLong(self.bytes_max)),
            Some(left) => self.bytes_left = left,
        }
        let content = raw.trim_ascii();
        let line = match (self.status, content) {
            (None, _) => match StatusCode::parse(content) {
                Some(code) => {
                    self.status = Some(code);
                    self.ended = code.is_error();
                    Line::Status(code)
                }
                // What an earlier answer left behind.
                None => Line::Other,
            },
            (Some(_), []) => {
                self.empty_after_status |= self.records == 0;
                self.ended |= self.records > 0;
                Line::Other
            }
            (Some(_), content) => match Record::parse(content) {
                Some(record) => {
                    self.records = self.records.saturating_add(1);
                    self.ended |= self.expected == Expected::OneRecord;
                    Line::Record(record)
                }
                None => Line::Other,
            },
        };
        Decoded::Line(line, raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ANSWER_BYTES_MAX;

    /// Feeds an answer in pieces, lets silence pass, and tells what was read.
    fn read(
        expected: Expected,
        pieces: &[&[u8]],
        end_of_file: bool,
    ) -> (Option<u16>, Vec<u32>, Result<String, AnswerError>) {
        let start = Instant::now();
        let mut decoder = AnswerDecoder::new(expected, ANSWER_BYTES_MAX, start);
        let (mut now, mut records, mut shown) = (start, Vec::new(), Vec::new());
        let mut pieces = pieces.iter();
        loop {
            match decoder.poll(now) {
                Decoded::Line(line, raw) => {
                    shown.extend_from_slice(raw);
                    if let Line::Record(record) = line {
                        records.push(record.number.get());
                    }
                }
                Decoded::End => break,
                Decoded::Failed(error) => {
                    return (decoder.status().map(StatusCode::get), records, Err(error));
                }
                Decoded::Pending(wake) => match pieces.next() {
                    Some(piece) => decoder.push(piece, now),
                    None if end_of_file => decoder.push_end_of_file(),
                    None => now = wake,
                },
            }
        }
        (decoder.status().map(StatusCode::get), records, Ok(String::from_utf8(shown).unwrap()))
    }

    #[test]
    fn every_dialects_answer_is_read_to_its_end() {
        for answer in [
            "P2P-CI/1.0 200 OK\r\n\r\nRFC 1 a h 1\r\nRFC 2 b c h 2\r\n\r\n",
            "P2P-CI/1.0 200 OK\nRFC 1 a h 1\nRFC 2 b c h 2\n\n",
            "P2P-CI/1.0 200 OK\nRFC 1 a h 1\nRFC 2 b c h 2\n",
            "P2P-CI/1.0 200 OK\r\nRFC 1 a h 1\r\nRFC 2 b c h 2",
            "200\n\n1 a h 1\nsomething else\n2 b h 2\n\n",
        ] {
            let whole = read(Expected::Records, &[answer.as_bytes()], false);
            assert_eq!(whole, (Some(200), vec![1, 2], Ok(answer.to_owned())));
            let bytes: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
            assert_eq!(read(Expected::Records, &bytes, false), whole);
            assert_eq!(read(Expected::Records, &bytes, true), whole);
        }
    }

    #[test]
    fn an_add_ends_with_its_echo_and_an_error_with_its_status() {
        let start = Instant::now();
        for (expected, answer) in [
            (Expected::OneRecord, &b"P2P-CI/1.0 200 OK\nRFC 1 a h 1\n"[..]),
            (Expected::Records, b"P2P-CI/1.0  400 Bad Request\n"),
            (Expected::Records, b"P2P-CI/1.0 404 Not Found\r\n\r\n"),
        ] {
            let mut decoder = AnswerDecoder::new(expected, ANSWER_BYTES_MAX, start);
            decoder.push(answer, start);
            let mut shown = Vec::new();
            while let Decoded::Line(_, raw) = decoder.poll(start) {
                shown.extend_from_slice(raw);
            }
            assert_eq!(shown, answer);
            assert_eq!(decoder.poll(start), Decoded::End, "without waiting");
        }
    }

    #[test]
    fn what_an_earlier_answer_left_behind_is_skipped() {
        let answer = b"\r\n\r\nRFC 9 late h 1\r\nP2P-CI/1.0 404 Not Found\r\n\r\n";
        let (status, records, _) = read(Expected::Records, &[answer], false);
        assert_eq!((status, records), (Some(404), vec![]));
    }

    #[test]
    fn silence_and_endless_answers_are_errors() {
        assert_eq!(read(Expected::Records, &[], false).2, Err(AnswerError::Silent));
        assert_eq!(read(Expected::Records, &[], true).2, Err(AnswerError::EndOfFile));
        let long = vec![b'a'; ANSWER_LINE_MAX + 2];
        assert_eq!(read(Expected::Records, &[&long], false).2, Err(AnswerError::LineTooLong));
        let now = Instant::now();
        let mut decoder = AnswerDecoder::new(Expected::Records, 40, now);
        decoder.push(b"P2P-CI/1.0 200 OK\nRFC 1 a h 1\nRFC 2 a h 1\n", now);
        let last = loop {
            match decoder.poll(now) {
                Decoded::Line(..) => {}
                last => break last,
            }
        };
        assert_eq!(last, Decoded::Failed(AnswerError::TooLong(40)));
    }
}

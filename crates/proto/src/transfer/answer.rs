//! The head of an HTTP answer, and what it promises about a body.
//!
//! Strict where a body's length is concerned: a length that is stated twice, a coding that changes bytes, or a range that is
//! not the one that was asked for would put bytes where they do not belong.

use std::ops::Range;

use crate::limits::{HEAD_BYTES_MAX, HTTP_HEADERS_MAX};

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerHead {
    /// Its status.
    pub status: u16,
    /// Bytes of its body, where the head says so. For an answer to HEAD: those that a GET would bring.
    pub length: Option<u64>,
    /// Which bytes of how many the body holds.
    pub range: Option<ContentRange>,
    /// The connection is closed after this answer.
    pub close: bool,
    /// Of an interim answer: the place in the queue, from 1.
    pub place: Option<u32>,
}

/// Which bytes of how many a body holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes; never empty.
    pub bytes: Range<u64>,
    /// Bytes of the whole file.
    pub size: u64,
}

/// Why a head is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is longer than [`HEAD_BYTES_MAX`] or has too many headers.
    #[error("the head of its answer is too long")]
    TooLong,
    /// It is no HTTP/1.
    #[error("its answer is no HTTP")]
    NotHttp,
    /// The length is no number, or there are two.
    #[error("its answer states no valid length")]
    Length,
    /// The body would come in a coding, whose length nobody knows.
    #[error("its answer comes in a coding that was not asked for")]
    Coded,
    /// `Content-Range` is no range of bytes of a known whole.
    #[error("its answer states no valid range")]
    Range,
}

impl AnswerHead {
    /// Reads the head at the beginning of these bytes: the head and its length in bytes, or `None` when more have to come.
    ///
    /// # Errors
    /// [`HeadError`]; the connection is of no further use then.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let mut headers = [httparse::EMPTY_HEADER; HTTP_HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
            Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLong),
            Err(_) => return Err(HeadError::NotHttp),
        };
        let (Some(status), Some(version)) = (answer.code, answer.version) else {
            return Err(HeadError::NotHttp);
        };
        let mut head = Self { status, length: None, range: None, close: version == 0, place: None };
        for header in answer.headers.iter() {
            head.take(header.name, header.value.trim_ascii())?;
        }
        Ok(Some((head, length)))
    }

    fn take(&mut self, name: &str, value: &[u8]) -> Result<(), HeadError> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is("Content-Length") {
            let length = decimal(value).filter(|_| self.length.is_none()).ok_or(HeadError::Length)?;
            self.length = Some(length);
        } else if is("Content-Range") {
            // A 416 states `*/SIZE`, which is no range; its status says enough.
            if self.status == 206 {
                let range = content_range(value).filter(|_| self.range.is_none()).ok_or(HeadError::Range)?;
                self.range = Some(range);
            }
        } else if is("Transfer-Encoding")
            || (is("Content-Encoding") && !value.eq_ignore_ascii_case(b"identity"))
        {
            return Err(HeadError::Coded);
        } else if is("Queue-Place") {
            self.place = decimal(value).and_then(|place| u32::try_from(place).ok());
        } else if is("Connection") {
            let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            self.close |= options.any(|option| option.eq_ignore_ascii_case(b"close"));
        }
        Ok(())
    }
}

/// `bytes FIRST-LAST/SIZE`.
fn content_range(value: &[u8]) -> Option<ContentRange> {
    let (unit, rest) = value.split_at_checked(6)?;
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    let dash = rest.iter().position(|byte| *byte == b'-')?;
    let first = decimal(rest.get(..dash)?)?;
    let last = decimal(rest.get(dash.checked_add(1)?..slash)?)?;
    let size = decimal(rest.get(slash.checked_add(1)?..)?)?;
    let fits = unit.eq_ignore_ascii_case(b"bytes ") && first <= last && last < size;
    fits.then_some(ContentRange { bytes: first..last.checked_add(1)?, size })
}

/// Digits and nothing else: no sign, no space.
fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(head: &str) -> Result<Option<AnswerHead>, HeadError> {
        let bytes = format!("{head}\r\n\r\n").replace('|', "\r\n");
        Ok(AnswerHead::parse(bytes.as_bytes())?.map(|(head, length)| {
            assert_eq!(length, bytes.len());
            head
        }))
    }

    fn range(bytes: Range<u64>, size: u64) -> Option<ContentRange> {
        Some(ContentRange { bytes, size })
    }

    #[test]
    fn a_partial_answer_says_which_bytes_it_brings() {
        let head = parse("HTTP/1.1 206 Partial Content|content-length: 10|Content-Range: bytes 5-14/100")
            .unwrap()
            .unwrap();
        assert_eq!(
            head,
            AnswerHead { status: 206, length: Some(10), range: range(5..15, 100), close: false, place: None }
        );
        let head = parse("HTTP/1.0 200 OK|Content-Length: 0").unwrap().unwrap();
        assert_eq!((head.close, head.length, head.range), (true, Some(0), None));
        assert!(parse("HTTP/1.1 200 OK|Connection: Keep-Alive, Close").unwrap().unwrap().close);
        let head =
            parse("HTTP/1.1 416 Range Not Satisfiable|Content-Range: bytes */7|Content-Length: 0").unwrap();
        assert_eq!(head.unwrap().range, None);
    }

    #[test]
    fn what_could_put_bytes_in_the_wrong_place_is_refused() {
        let cases = [
            ("Content-Length: 1|Content-Length: 1", HeadError::Length),
            ("Content-Length: +1", HeadError::Length),
            ("Content-Length: -1", HeadError::Length),
            ("Content-Length: 1, 1", HeadError::Length),
            ("Content-Length: 99999999999999999999", HeadError::Length),
            ("Content-Length:", HeadError::Length),
            ("Transfer-Encoding: chunked", HeadError::Coded),
            ("Content-Encoding: gzip", HeadError::Coded),
            ("Content-Range: bytes 5-4/100", HeadError::Range),
            ("Content-Range: bytes 5-100/100", HeadError::Range),
            ("Content-Range: bytes 5-9/*", HeadError::Range),
            ("Content-Range: lines 5-9/100", HeadError::Range),
            ("Content-Range: bytes 0-18446744073709551615/18446744073709551615", HeadError::Range),
            ("Content-Range: bytes 1-2/9|Content-Range: bytes 1-2/9", HeadError::Range),
            ("Content-Range: bytes", HeadError::Range),
            ("Content-Range: bytes /-", HeadError::Range),
        ];
        for (headers, error) in cases {
            assert_eq!(parse(&format!("HTTP/1.1 206 x|{headers}")), Err(error), "{headers}");
        }
        assert_eq!(parse("P2P-CI/1.0 200 OK"), Err(HeadError::NotHttp));
    }

    #[test]
    fn an_endless_head_is_refused() {
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(length));
        assert_eq!(AnswerHead::parse(head(HEAD_BYTES_MAX - 100).as_bytes()), Ok(None));
        assert_eq!(AnswerHead::parse(head(HEAD_BYTES_MAX).as_bytes()), Err(HeadError::TooLong));
        let many = "a: b|".repeat(HTTP_HEADERS_MAX + 1);
        assert_eq!(parse(&format!("HTTP/1.1 200 OK|{many}")), Err(HeadError::TooLong));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), value in ".{0,40}") {
            let _ = AnswerHead::parse(&bytes);
            let _ = parse(&format!("HTTP/1.1 206 x|Content-Range: bytes {value}"));
        }

        #[test]
        fn every_cut_asks_for_more(cut in 0_usize..78) {
            let whole = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\nContent-Range: bytes 0-0/9\r\n\r\n";
            prop_assert_eq!(AnswerHead::parse(&whole[..cut]), Ok(None));
        }
    }
}

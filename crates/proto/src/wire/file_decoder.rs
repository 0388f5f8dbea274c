//! Reads the answer to a GET, ours or another program's: headers by name, then exactly the bytes of the file.
//!
//! Whether an empty line ends the headers differs between programs, and many texts begin with empty lines. So an empty
//! line after the headers is taken for their end, unless the connection ends with exactly as many bytes as the file has when
//! that line belongs to it.

use super::status::StatusCode;
use crate::limits::{FILE_BYTES_MAX, HEAD_BYTES_MAX};

/// Longest name of a header that a GET answer can have, with its colon: what is longer is the body.
const NAME_BYTES_MAX: usize = 16;

/// What the answer's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileAnswer {
    /// The file's length in bytes.
    pub length: u64,
}

/// What the decoder found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The head is complete; the body follows.
    Head(FileAnswer),
    /// Bytes of the file.
    Body(&'a [u8]),
    /// The file is complete. `before` belongs before everything that was handed out: a first empty line that looked like the
    /// end of the head.
    Done {
        /// Usually empty.
        before: &'a [u8],
    },
    /// More bytes are needed.
    Pending,
    /// There is no whole file to be had.
    Failed(FileError),
}

/// Why a GET brought no whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The peer refuses, or does not have the file.
    #[error("the peer answered {}", .0.get())]
    Status(StatusCode),
    /// The peer closed without a byte.
    #[error("the peer closed the connection without an answer")]
    NoAnswer,
    /// The first line is no status.
    #[error("the peer's answer is not P2P-CI")]
    NotP2pCi,
    /// The connection ended within the head.
    #[error("the peer closed the connection within the head of its answer")]
    CutHead,
    /// The head is longer than [`HEAD_BYTES_MAX`].
    #[error("the head of the peer's answer is too long")]
    HeadTooLong,
    /// No length, two lengths, or one that is no number.
    #[error("the peer does not say how long the file is")]
    NoLength,
    /// Longer than [`FILE_BYTES_MAX`].
    #[error("the peer says that the file has {0} bytes, more than can be taken")]
    TooLong(u64),
    /// The connection ended within the file.
    #[error("the peer sent {received} of {length} bytes")]
    Short {
        /// Bytes of the file that came.
        received: u64,
        /// Bytes that were announced.
        length: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Status,
    Headers,
    Body,
    Done,
    Failed(FileError),
}

/// Reads one answer to a GET.
#[derive(Debug)]
pub struct FileDecoder {
    state: State,
    buffer: Vec<u8>,
    start: usize,
    head_bytes: usize,
    seen: [bool; 5],
    length: Option<u64>,
    separator: Vec<u8>,
    received: u64,
    end_of_file: bool,
}

impl Default for FileDecoder {
    fn default() -> Self {
        Self::new()
    }
}

impl FileDecoder {
    /// For one answer.
    pub fn new() -> Self {
        Self {
            state: State::Status,
            buffer: Vec::new(),
            start: 0,
            head_bytes: 0,
            seen: [false; 5],
            length: None,
            separator: Vec::new(),
            received: 0,
            end_of_file: false,
        }
    }

    /// Takes bytes. Call [`Self::poll`] until it is pending before more are taken.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start.min(self.buffer.len()));
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// No more bytes will come: the connection ended, or its other side has been silent for too long.
    pub fn push_end_of_file(&mut self) {
        self.end_of_file = true;
    }

    /// The next part of the answer.
    pub fn poll(&mut self) -> Decoded<'_> {
        loop {
            let step = match self.state {
                State::Status => self.status(),
                State::Headers => self.header(),
                State::Body => return self.body(),
                State::Done => return Decoded::Done { before: &[] },
                State::Failed(error) => return Decoded::Failed(error),
            };
            match step {
                Ok(Some(answer)) => return Decoded::Head(answer),
                Ok(None) => {}
                Err(NeedMore) if self.end_of_file => self.state = State::Failed(self.cut_head()),
                Err(NeedMore) if self.head_bytes.saturating_add(self.rest().len()) > HEAD_BYTES_MAX => {
                    self.state = State::Failed(FileError::HeadTooLong);
                }
                Err(NeedMore) => return Decoded::Pending,
            }
        }
    }

    fn cut_head(&self) -> FileError {
        match self.head_bytes == 0 && self.rest().is_empty() {
            true => FileError::NoAnswer,
            false => FileError::CutHead,
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The next line with its end; at the end of the connection the last one may lack it.
    fn line(&self) -> Result<&[u8], NeedMore> {
        let rest = self.rest();
        match memchr::memchr(b'\n', rest) {
            Some(newline) => Ok(rest.get(..=newline).unwrap_or_default()),
            None if self.end_of_file && !rest.is_empty() => Ok(rest),
            None => Err(NeedMore),
        }
    }

    fn take(&mut self, length: usize) {
        self.start = self.start.saturating_add(length);
        self.head_bytes = self.head_bytes.saturating_add(length);
    }

    fn status(&mut self) -> Result<Option<FileAnswer>, NeedMore> {
        let line = self.line()?;
        let (content, length) = (line.trim_ascii(), line.len());
        self.state = match (content, StatusCode::parse(content)) {
            ([], _) => State::Status,
            (_, None) => State::Failed(FileError::NotP2pCi),
            (_, Some(StatusCode::OK)) => State::Headers,
            (_, Some(code)) => State::Failed(FileError::Status(code)),
        };
        self.take(length);
        Ok(None)
    }

    fn header(&mut self) -> Result<Option<FileAnswer>, NeedMore> {
        let rest = self.rest();
        if self.seen.iter().all(|seen| *seen) {
            return self.end_of_head();
        }
        let named = rest.get(..rest.len().min(NAME_BYTES_MAX)).unwrap_or_default();
        let no_name = named.len() == NAME_BYTES_MAX && !named.contains(&b':');
        if no_name && !named.contains(&b'\n') {
            return Ok(self.begin_body());
        }
        let line = self.line()?;
        let Some((known, value)) = known_header(line).filter(|(known, _)| !self.is_seen(*known)) else {
            return self.end_of_head();
        };
        let announced = (known == KnownHeader::ContentLength).then(|| decimal(value)).flatten();
        let length = line.len();
        self.length = self.length.or(announced);
        if let Some(seen) = self.seen.get_mut(known as usize) {
            *seen = true;
        }
        self.take(length);
        Ok(None)
    }

    fn is_seen(&self, known: KnownHeader) -> bool {
        self.seen.get(known as usize).copied().unwrap_or(true)
    }

    /// The headers are over: an empty line here separates them from the body.
    fn end_of_head(&mut self) -> Result<Option<FileAnswer>, NeedMore> {
        let separator: &[u8] = match (self.rest(), self.length) {
            ([], Some(0)) => &[],
            ([] | [b'\r'], _) if !self.end_of_file => return Err(NeedMore),
            ([b'\r', b'\n', ..], _) => b"\r\n",
            ([b'\n', ..], _) => b"\n",
            _ => &[],
        };
        self.separator = separator.to_vec();
        self.take(separator.len());
        Ok(self.begin_body())
    }

    fn begin_body(&mut self) -> Option<FileAnswer> {
        let (state, answer) = match self.length {
            None => (State::Failed(FileError::NoLength), None),
            Some(length) if length > FILE_BYTES_MAX => (State::Failed(FileError::TooLong(length)), None),
            Some(length) => (State::Body, Some(FileAnswer { length })),
        };
        self.state = state;
        answer
    }

    fn body(&mut self) -> Decoded<'_> {
        let length = self.length.unwrap_or_default();
        let left = length.saturating_sub(self.received);
        let Self { buffer, start, received, separator, state, end_of_file, .. } = self;
        let rest = buffer.get(*start..).unwrap_or_default();
        if left == 0 {
            *state = State::Done;
            return Decoded::Done { before: &[] };
        }
        let taken =
            rest.get(..rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))).unwrap_or_default();
        if !taken.is_empty() {
            *start = start.saturating_add(taken.len());
            *received = received.saturating_add(u64::try_from(taken.len()).unwrap_or(u64::MAX));
            return Decoded::Body(taken);
        }
        match *end_of_file {
            false => Decoded::Pending,
            true if u64::try_from(separator.len()).unwrap_or(u64::MAX) == left && !separator.is_empty() => {
                *state = State::Done;
                Decoded::Done { before: separator }
            }
            true => {
                let error = FileError::Short { received: *received, length };
                *state = State::Failed(error);
                Decoded::Failed(error)
            }
        }
    }
}

/// More bytes are needed before anything can be said.
struct NeedMore;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownHeader {
    Date,
    Os,
    LastModified,
    ContentLength,
    ContentType,
}

/// A length: ASCII digits only.
fn decimal(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// One of the five headers of a GET answer, by any spelling that programs use for it, and its value.
fn known_header(line: &[u8]) -> Option<(KnownHeader, &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii();
    let named = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let known = match () {
        () if named("Date") || named("Data") => KnownHeader::Date,
        () if named("OS") => KnownHeader::Os,
        () if named("Last-Modified") || named("Last Modified") => KnownHeader::LastModified,
        () if named("Content-Length") || named("Content Length") => KnownHeader::ContentLength,
        () if named("Content-Type") || named("Content Type") => KnownHeader::ContentType,
        () => return None,
    };
    Some((known, value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: &str = "Date: a\nOS: b\nLast-Modified: c\nContent-Length: LEN\nContent-Type: text/plain\n";

    fn fetch(answer: &[u8], cut: usize, end_of_file: bool) -> Result<Vec<u8>, FileError> {
        let mut decoder = FileDecoder::new();
        let (first, second) = answer.split_at(cut.min(answer.len()));
        let mut pieces = [first, second].into_iter();
        let mut file = Vec::new();
        loop {
            match decoder.poll() {
                Decoded::Head(_) => {}
                Decoded::Body(bytes) => file.extend_from_slice(bytes),
                Decoded::Done { before } => return Ok([before, &file].concat()),
                Decoded::Failed(error) => return Err(error),
                Decoded::Pending => match pieces.next() {
                    Some(piece) => decoder.push(piece),
                    None if end_of_file => decoder.push_end_of_file(),
                    None => panic!("the decoder still waits"),
                },
            }
        }
    }

    /// An answer with or without an empty line after its headers.
    fn answer(file: &[u8], separator: &str, end: &str) -> Vec<u8> {
        let headers = HEADERS.replace("LEN", &file.len().to_string());
        let head = format!("P2P-CI/1.0 200 OK\n{headers}{separator}").replace('\n', end);
        [head.as_bytes(), file].concat()
    }

    #[test]
    fn any_file_arrives_with_or_without_an_empty_line_at_every_cut() {
        let texts: [&[u8]; 9] = [
            b"",
            b"x",
            b"\n",
            b"\r\n",
            b"\n\n\n\nNetwork Working Group\n",
            b"\r\n\r\n\r\nabc",
            b"Title: x\n",
            b"Date: again\nrest",
            b"\x00\xff\r",
        ];
        for file in texts {
            for (separator, end) in [("", "\n"), ("\n", "\n"), ("", "\r\n"), ("\n", "\r\n")] {
                let bytes = answer(file, separator, end);
                for cut in 0..=bytes.len() {
                    let shown = String::from_utf8_lossy(file);
                    assert_eq!(
                        fetch(&bytes, cut, true).as_deref(),
                        Ok(file),
                        "{shown:?} {separator:?} {end:?} cut at {cut}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_connection_that_stays_open_is_not_waited_for() {
        assert_eq!(fetch(&answer(b"\nabc", "\n", "\r\n"), 9, false).as_deref(), Ok(&b"\nabc"[..]));
        assert_eq!(
            fetch(&[&answer(b"abc", "", "\n")[..], b"surplus"].concat(), 9, false).as_deref(),
            Ok(&b"abc"[..])
        );
    }

    #[test]
    fn names_of_existing_programs_are_understood() {
        let bytes =
            b"P2P-CI/1.0 200 OK\nData: a\nOS: b\nLast Modified: c\ncontent-length: 2\nContent-Type: None\nhi";
        assert_eq!(fetch(bytes, 30, false).as_deref(), Ok(&b"hi"[..]));
        let few = b"200 OK\nContent-Length: 20\n\n12345678901234567890";
        assert_eq!(fetch(few, 5, false).as_deref(), Ok(&b"12345678901234567890"[..]));
    }

    #[test]
    fn lies_and_cuts_are_errors() {
        let status = |code| FileError::Status(StatusCode::parse(code).unwrap());
        let lengths = |value: &str| format!("P2P-CI/1.0 200 OK\nContent-Length: {value}\n\nabc").into_bytes();
        for (bytes, error) in [
            (b"".to_vec(), FileError::NoAnswer),
            (b"P2P-CI/1.0 404 Not Found\n".to_vec(), status(b"404")),
            (b"P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n".to_vec(), status(b"505")),
            (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), FileError::NotP2pCi),
            (b"P2P-CI/1.0 200 OK\nDate: x".to_vec(), FileError::CutHead),
            (b"P2P-CI/1.0 200 OK\nDate: x\n\nabc".to_vec(), FileError::NoLength),
            (lengths("5"), FileError::Short { received: 3, length: 5 }),
            (lengths("-5"), FileError::NoLength),
            (lengths("+3"), FileError::NoLength),
            (lengths("99999999999999999999"), FileError::NoLength),
            (lengths("9223372036854775807"), FileError::TooLong(i64::MAX as u64)),
            (b"x".repeat(HEAD_BYTES_MAX + 1), FileError::HeadTooLong),
        ] {
            assert_eq!(
                fetch(&bytes, bytes.len(), true),
                Err(error),
                "{:?}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(60)])
            );
        }
    }
}

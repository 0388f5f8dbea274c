//! Answers of 1.1: a status line, headers, an empty line, and a body of `Content-Length` bytes.

use std::time::Duration;

use super::request::VERSION;
use crate::limits::{ANSWER_BYTES_MAX, CLUSTER_BYTES_MAX, HEAD_BYTES_MAX};
use crate::value::file_name::{percent_decode, percent_encode};
use crate::wire::status::StatusCode;

/// The status codes of 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 103: answers nothing, and may stand before any answer on a connection that asked for it by WANTS.
    Wanted,
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 401: it takes a token, or another one.
    Unauthorized,
    /// 403: the token has not this right.
    Forbidden,
    /// 404
    NotFound,
    /// 429: too many wrong tokens.
    TooManyRequests,
    /// 501: known, but not to this index.
    NotImplemented,
    /// 503: too much is asked at once; later it will be answered.
    Unavailable,
}

impl Status {
    /// The code and the phrase.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "103 Wanted",
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::TooManyRequests => "429 Too Many Requests",
            Self::NotImplemented => "501 Not Implemented",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// How it went.
    pub status: Status,
    /// Where the next page begins.
    pub cursor: Option<&'a str>,
    /// The index has just started and may not know everything yet: for how much longer, at least.
    pub warming: Option<Duration>,
    /// There may be more that was not looked for: the search became too much.
    pub incomplete: bool,
    /// Which cluster the index belongs to, to whoever asked: one that stands alone is a cluster of its own.
    pub cluster: Option<&'a str>,
    /// The index is cut off from the other nodes of its cluster: what they have may be missing, or be here and gone.
    pub stale: bool,
    /// JSON Lines.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// One with nothing but a status and a body.
    pub const fn plain(status: Status, body: &'a [u8]) -> Self {
        Self { status, cursor: None, warming: None, incomplete: false, cluster: None, stale: false, body }
    }

    /// Appends the answer.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut lines = vec![format!("{VERSION} {}", self.status.as_str())];
        lines.extend(self.cursor.map(|cursor| format!("Cursor: {}", percent_encode(cursor))));
        // A started second counts: whoever waits that long has waited enough.
        lines.extend(self.warming.map(|left| format!("Warming: {}", left.as_secs().saturating_add(1))));
        lines.extend(self.incomplete.then(|| "Incomplete: true".to_owned()));
        lines.extend(self.stale.then(|| "Stale: true".to_owned()));
        lines.extend(self.cluster.map(|cluster| format!("Cluster: {cluster}")));
        lines.extend([
            "Content-Type: application/x-ndjson".to_owned(),
            format!("Content-Length: {}", self.body.len()),
        ]);
        lines.push(String::new());
        crate::wire::framing::LineEnd::CrLf.write_lines(&lines, out);
        out.extend_from_slice(self.body);
    }
}

/// An answer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadAnswer<'a> {
    /// How it went.
    pub status: StatusCode,
    /// Where the next page begins.
    pub cursor: Option<String>,
    /// See [`Answer::warming`].
    pub warming: Option<Duration>,
    /// See [`Answer::incomplete`].
    pub incomplete: bool,
    /// See [`Answer::cluster`].
    pub cluster: Option<String>,
    /// See [`Answer::stale`].
    pub stale: bool,
    /// JSON Lines.
    pub body: &'a [u8],
}

/// What the decoder found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole answer.
    Answer(ReadAnswer<'a>),
    /// More bytes are needed.
    Pending,
    /// This is no 1.1: speak 1.0 on a new connection.
    NotV11,
    /// The answer cannot be understood, and the connection is of no use.
    Broken,
}

/// Reads the answers of one connection, in the order of the requests.
#[derive(Debug, Default)]
pub struct AnswerDecoder {
    buffer: Vec<u8>,
    handed_out: usize,
}

impl AnswerDecoder {
    /// Takes bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.handed_out.min(self.buffer.len()));
        self.handed_out = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next answer.
    pub fn poll(&mut self) -> Decoded<'_> {
        self.buffer.drain(..self.handed_out.min(self.buffer.len()));
        self.handed_out = 0;
        let known = self.buffer.len().min(VERSION.len());
        if self.buffer.get(..known) != VERSION.as_bytes().get(..known) {
            return Decoded::NotV11;
        }
        let Some(head) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") else {
            return if self.buffer.len() > HEAD_BYTES_MAX { Decoded::Broken } else { Decoded::Pending };
        };
        let body_at = head.saturating_add(4);
        let Some(read) = self.buffer.get(..head).and_then(AnswerHead::parse) else { return Decoded::Broken };
        let end = body_at.saturating_add(read.length);
        match self.buffer.get(body_at..end) {
            None => Decoded::Pending,
            Some(body) => {
                self.handed_out = end;
                let AnswerHead { status, cursor, warming, incomplete, cluster, stale, .. } = read;
                Decoded::Answer(ReadAnswer { status, cursor, warming, incomplete, cluster, stale, body })
            }
        }
    }
}

struct AnswerHead {
    status: StatusCode,
    cursor: Option<String>,
    warming: Option<Duration>,
    incomplete: bool,
    cluster: Option<String>,
    stale: bool,
    length: usize,
}

impl AnswerHead {
    fn parse(head: &[u8]) -> Option<Self> {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = StatusCode::parse(lines.next()?)?;
        let mut read = Self {
            status,
            cursor: None,
            warming: None,
            incomplete: false,
            cluster: None,
            stale: false,
            length: 0,
        };
        for line in lines {
            let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
            let value = value.get(1..)?.trim_ascii();
            let number = || str::from_utf8(value).ok()?.parse::<u64>().ok();
            match () {
                () if name.eq_ignore_ascii_case(b"Content-Length") => {
                    let length = number().filter(|length| *length <= ANSWER_BYTES_MAX)?;
                    read.length = usize::try_from(length).ok()?;
                }
                () if name.eq_ignore_ascii_case(b"Cursor") => {
                    read.cursor = String::from_utf8(percent_decode(value)?).ok();
                }
                () if name.eq_ignore_ascii_case(b"Warming") => {
                    read.warming = Some(Duration::from_secs(number()?));
                }
                () if name.eq_ignore_ascii_case(b"Incomplete") => read.incomplete = value == b"true",
                () if name.eq_ignore_ascii_case(b"Stale") => read.stale = value == b"true",
                () if name.eq_ignore_ascii_case(b"Cluster") => read.cluster = cluster(value),
                () => {}
            }
        }
        Some(read)
    }
}

/// The name of a cluster; what cannot be one says nothing.
fn cluster(value: &[u8]) -> Option<String> {
    let is_name = (1..=CLUSTER_BYTES_MAX).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    is_name.then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_read_back_at_every_cut() {
        let mut bytes = Vec::new();
        let first = Answer {
            status: Status::Ok,
            cursor: Some("a b\u{fc}"),
            warming: None,
            incomplete: true,
            cluster: Some("c1"),
            stale: true,
            body: b"{}\n{}\n",
        };
        let second = Answer {
            status: Status::NotFound,
            cursor: None,
            warming: Some(Duration::from_secs(3)),
            incomplete: false,
            cluster: None,
            stale: false,
            body: b"",
        };
        first.write(&mut bytes);
        second.write(&mut bytes);
        for cut in 0..=bytes.len() {
            let mut decoder = AnswerDecoder::default();
            let mut read = Vec::new();
            for piece in [&bytes[..cut], &bytes[cut..]] {
                decoder.push(piece);
                loop {
                    match decoder.poll() {
                        Decoded::Answer(answer) => {
                            read.push((
                                answer.status.get(),
                                answer.cursor,
                                answer.warming,
                                (answer.incomplete, answer.stale, answer.cluster),
                                answer.body.to_vec(),
                            ));
                        }
                        Decoded::Pending => break,
                        other => panic!("{other:?}"),
                    }
                }
            }
            let expected = [
                (
                    200,
                    Some("a b\u{fc}".to_owned()),
                    None,
                    (true, true, Some("c1".to_owned())),
                    b"{}\n{}\n".to_vec(),
                ),
                (404, None, Some(Duration::from_secs(4)), (false, false, None), Vec::new()),
            ];
            assert_eq!(read, expected, "cut at {cut}");
        }
    }

    #[test]
    fn an_older_index_is_recognised() {
        for answer in [
            &b"P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n"[..],
            b"P2P-CI/1.0  400 Bad Request\n",
            b"x",
        ] {
            let mut decoder = AnswerDecoder::default();
            decoder.push(answer);
            assert_eq!(decoder.poll(), Decoded::NotV11);
        }
        let mut decoder = AnswerDecoder::default();
        decoder.push(b"P2P-CI/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
        assert_eq!(decoder.poll(), Decoded::Broken);
    }

    #[test]
    fn each_status_is_read_back_by_its_number() {
        for (status, number) in [
            (Status::Ok, 200),
            (Status::BadRequest, 400),
            (Status::Unauthorized, 401),
            (Status::Forbidden, 403),
            (Status::NotFound, 404),
            (Status::TooManyRequests, 429),
            (Status::NotImplemented, 501),
            (Status::Unavailable, 503),
        ] {
            let (mut bytes, mut decoder) = (Vec::new(), AnswerDecoder::default());
            Answer::plain(status, b"{}\n").write(&mut bytes);
            decoder.push(&bytes);
            match decoder.poll() {
                Decoded::Answer(answer) => {
                    assert_eq!((answer.status.get(), answer.body), (number, &b"{}\n"[..]));
                }
                other => panic!("{status:?}: {other:?}"),
            }
        }
    }
}

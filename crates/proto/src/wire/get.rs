//! `GET RFC n`: a file's bytes, from one peer to another; and the head of the answer.

use std::time::{Duration, SystemTime};

use super::framing::{Dialect, Framing, LineEnd};
use super::head::{Fields, Words};
use super::refusal::{Field, Reason};
use super::status::Status;
use super::version::Version;
use crate::escape;
use crate::value::number::RfcNumber;

/// The `OS` of our own requests: whoever says this reads an answer as a stream, however it is cut.
pub const OUR_OS: &str = "Linux (p2pci)";
/// The `OS` of our answers: no version, no kernel.
const ANSWER_OS: &str = "Linux";

/// A file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Get<'a> {
    /// The RFC.
    pub number: RfcNumber,
    /// The peer that is asked, as the sender calls it.
    pub host: Option<&'a [u8]>,
    /// What the sender runs on.
    pub os: Option<&'a [u8]>,
}

impl<'a> Get<'a> {
    pub(super) fn parse(words: &Words<'a>, fields: &Fields<'a>) -> Result<Self, Reason> {
        Ok(Self { number: words.rfc_number()?, host: fields.raw(Field::Host), os: fields.raw(Field::Os) })
    }
}

/// Appends a GET request of ours with its empty line. `host` is the peer that is asked.
pub fn write_request(number: RfcNumber, host: &str, end: LineEnd, out: &mut Vec<u8>) {
    let lines = [
        format!("GET RFC {number} {}", Version::V1_0.as_str()),
        format!("Host: {}", escape::Line(host.as_bytes())),
        format!("OS: {OUR_OS}"),
        String::new(),
    ];
    end.write_lines(&lines, out);
}

/// How a file is handed to the program that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The end of the head's lines.
    pub line_end: LineEnd,
    /// An empty line ends the head.
    pub empty_line: bool,
    /// The head travels in a segment of its own, ahead of the body: see [`crate::limits::GET_HEAD_ALONE`].
    pub head_alone: bool,
}

impl Delivery {
    /// For a request framed so, whose sender says that it runs on `os`.
    pub fn of(framing: Framing, os: Option<&[u8]>) -> Self {
        let plain = framing.dialect() == Dialect::CrlfPlain;
        let ours = os == Some(OUR_OS.as_bytes());
        Self { line_end: framing.line_end, empty_line: !plain, head_alone: !plain && !ours }
    }
}

/// The head of a file's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// When the answer is sent.
    pub date: SystemTime,
    /// When the file was last modified.
    pub last_modified: SystemTime,
    /// The file's length in bytes.
    pub length: u64,
}

impl FileHead {
    /// Appends the head: exactly five headers in the order that programs count on.
    pub fn write(&self, delivery: Delivery, out: &mut Vec<u8>) {
        Status::Ok.write(out);
        out.extend_from_slice(delivery.line_end.as_bytes());
        let lines = [
            format!("Date: {}", date(self.date)),
            format!("OS: {ANSWER_OS}"),
            format!("Last-Modified: {}", date(self.last_modified)),
            format!("Content-Length: {}", self.length),
            "Content-Type: text/plain".to_owned(),
        ];
        delivery.line_end.write_lines(&lines, out);
        if delivery.empty_line {
            out.extend_from_slice(delivery.line_end.as_bytes());
        }
    }
}

/// The nearest time that can be written as a date: a file system and a wall clock can hold times before 1970 and after 9999.
#[must_use]
pub fn writable(time: SystemTime) -> SystemTime {
    /// The last second of the year 9999.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let last = SystemTime::UNIX_EPOCH.checked_add(LAST).unwrap_or(SystemTime::UNIX_EPOCH);
    time.clamp(SystemTime::UNIX_EPOCH, last)
}

/// A date as in RFC 9110, section 5.6.7, of the nearest time that can be written.
pub(crate) fn date(time: SystemTime) -> httpdate::HttpDate {
    httpdate::HttpDate::from(writable(time))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::GET_HEAD_BYTES_MAX;
    use crate::wire::framing::Ending;

    fn head(delivery: Delivery) -> String {
        let day = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_451_525);
        let mut out = Vec::new();
        FileHead { date: day, last_modified: day, length: u64::MAX }.write(delivery, &mut out);
        assert!(out.len() < GET_HEAD_BYTES_MAX);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn five_headers_in_order() {
        let text = head(Delivery::of(Framing::SPEC, None));
        assert_eq!(
            text,
            "P2P-CI/1.0 200 OK\r\nDate: Thu, 12 Feb 2009 15:12:05 GMT\r\nOS: Linux\r\n\
             Last-Modified: Thu, 12 Feb 2009 15:12:05 GMT\r\nContent-Length: 18446744073709551615\r\n\
             Content-Type: text/plain\r\n\r\n"
        );
    }

    #[test]
    fn only_foreign_programs_wait_for_the_body() {
        let plain = Framing { ending: Ending::LastLine, ..Framing::SPEC };
        assert!(Delivery::of(Framing::SPEC, Some(b"Mac OS 10.4.1")).head_alone);
        assert!(!Delivery::of(Framing::SPEC, Some(OUR_OS.as_bytes())).head_alone);
        assert_eq!(
            Delivery::of(plain, Some(b"x")),
            Delivery { line_end: LineEnd::CrLf, empty_line: false, head_alone: false }
        );
    }

    #[test]
    fn dates_that_cannot_be_written_do_not_panic() {
        for time in [
            SystemTime::UNIX_EPOCH - Duration::from_secs(9),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40),
        ] {
            assert!(!date(time).to_string().is_empty());
        }
    }

    #[test]
    fn our_request_has_three_lines_and_an_empty_one() {
        let mut out = Vec::new();
        write_request(RfcNumber::new(7).unwrap(), "h\r\nX: y", LineEnd::CrLf, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("GET RFC 7 P2P-CI/1.0\r\nHost: h"), "{text}");
        assert!(text.ends_with("\r\nOS: Linux (p2pci)\r\n\r\n"), "{text}");
        assert_eq!(text.matches("\r\n").count(), 4, "a host is one line whatever is in it: {text}");
    }
}

//! What a request gets: which status, which bytes of the file, and the head before them.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::condition::{self, EntityTag};
use super::range::Selected;
use super::refusal::Refusal;
use super::request::{Method, Request};
use super::status::Status;
use crate::value::file_name::percent_encode;
use crate::wire::get::date;

/// What a file is said to be. Nothing that a browser would run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// Any bytes.
    Bytes,
    /// The text of an RFC.
    Text,
}

/// A file, or a block list, as a head describes it.
#[derive(Debug, Clone, Copy)]
pub struct Entity<'a> {
    /// Its length in bytes.
    pub size: u64,
    /// Its content's name; `None` while the content is not known.
    pub tag: Option<EntityTag>,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// What it is said to be.
    pub media: Media,
    /// What to keep it as, where that is known: any characters.
    pub leaf: Option<&'a str>,
}

/// What every head of ours says.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// When the answer is sent.
    pub date: SystemTime,
    /// Another request may follow.
    pub keep_alive: bool,
}

/// How a request for an existing file is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    status: Status,
    method: Method,
    /// What the status is about.
    bytes: Range<u64>,
}

/// Why a sound request is not answered with a file; displayed as one line for the other side to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not shared, or not any more.
    #[error("there is no such file here")]
    NotFound,
    /// The file could not be read as it was announced.
    #[error("the file cannot be read, or is changing")]
    Unreadable,
    /// Too many uploads already.
    #[error("too many files are being sent; try again later")]
    Busy {
        /// After this time, in whole seconds.
        retry_after: Duration,
    },
}

impl Plan {
    /// Decides. A range is for GET only, and counts only while its `If-Range` names this very content.
    pub fn of(request: &Request, entity: &Entity<'_>) -> Self {
        let plan = |status, bytes| Self { status, method: request.method, bytes };
        let known = request.if_none_match.as_deref();
        if known.is_some_and(|known| condition::has_already(known, entity.tag)) {
            return plan(Status::NotModified, 0..0);
        }
        let joins = request.if_range.as_deref().is_none_or(|value| condition::if_range(value, entity.tag));
        let range = request.range.as_ref().filter(|_| joins && request.method == Method::Get);
        match range.map_or(Selected::Whole, |range| range.select(entity.size)) {
            Selected::Whole => plan(Status::Ok, 0..entity.size),
            Selected::Part(bytes) => plan(Status::PartialContent, bytes),
            Selected::Unsatisfiable => plan(Status::RangeNotSatisfiable, 0..0),
        }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The bytes of the file that follow the head; none where the head is all.
    pub fn body(&self) -> Range<u64> {
        match (self.method, self.status) {
            (Method::Get, Status::Ok | Status::PartialContent) => self.bytes.clone(),
            _ => 0..0,
        }
    }

    /// Appends the head, and where the body is a text of ours, that as well.
    pub fn write(&self, entity: &Entity<'_>, frame: Frame, out: &mut Vec<u8>) {
        if self.status == Status::RangeNotSatisfiable {
            let range = format!("Content-Range: bytes */{}\r\n", entity.size);
            let text = format!("the range begins beyond the file, which has {} bytes", entity.size);
            return write_text(self.status, &text, self.method, &range, frame, out);
        }
        begin(self.status, frame, out);
        if let Some(tag) = entity.tag {
            line(out, "ETag", &tag.to_string());
        }
        if let Some(modified) = entity.modified {
            // Never later than now (RFC 9110, section 8.8.2.1).
            line(out, "Last-Modified", &date(modified.min(frame.date)).to_string());
        }
        if self.status != Status::NotModified {
            self.describe(entity, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn describe(&self, entity: &Entity<'_>, out: &mut Vec<u8>) {
        let Range { start, end } = self.bytes;
        line(out, "Content-Length", &end.saturating_sub(start).to_string());
        if self.status == Status::PartialContent {
            line(out, "Content-Range", &format!("bytes {start}-{}/{}", end.saturating_sub(1), entity.size));
        }
        line(out, "Accept-Ranges", "bytes");
        line(
            out,
            "Content-Type",
            match entity.media {
                Media::Bytes => "application/octet-stream",
                Media::Text => "text/plain",
            },
        );
        line(out, "Content-Disposition", &disposition(entity.leaf));
        harmless(out);
    }
}

/// Appends a refusal, whole. The connection closes after it.
pub fn write_refusal(refusal: Refusal, date: SystemTime, out: &mut Vec<u8>) {
    let allow = if refusal == Refusal::Method { "Allow: GET, HEAD\r\n" } else { "" };
    let frame = Frame { date, keep_alive: false };
    // Whatever the method was: nobody counts on this connection any more.
    write_text(refusal.status(), &refusal.to_string(), Method::Get, allow, frame, out);
}

/// Appends a failure, whole.
pub fn write_failure(failure: Failure, method: Method, frame: Frame, out: &mut Vec<u8>) {
    let retry = match failure {
        Failure::Busy { retry_after } => format!("Retry-After: {}\r\n", retry_after.as_secs()),
        Failure::NotFound | Failure::Unreadable => String::new(),
    };
    write_text(failure.status(), &failure.to_string(), method, &retry, frame, out);
}

impl Failure {
    /// The status that it is told with.
    pub fn status(self) -> Status {
        match self {
            Self::NotFound => Status::NotFound,
            Self::Unreadable => Status::InternalServerError,
            Self::Busy { .. } => Status::ServiceUnavailable,
        }
    }
}

/// `more`: further header lines with their ends.
fn write_text(status: Status, text: &str, method: Method, more: &str, frame: Frame, out: &mut Vec<u8>) {
    begin(status, frame, out);
    line(out, "Content-Length", &text.len().saturating_add(1).to_string());
    line(out, "Content-Type", "text/plain; charset=utf-8");
    out.extend_from_slice(more.as_bytes());
    harmless(out);
    out.extend_from_slice(b"\r\n");
    if method == Method::Get {
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }
}

fn begin(status: Status, frame: Frame, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", status.code(), status.phrase()).as_bytes());
    line(out, "Date", &date(frame.date).to_string());
    if !frame.keep_alive {
        line(out, "Connection", "close");
    }
}

/// What keeps a browser from running what somebody shared.
fn harmless(out: &mut Vec<u8>) {
    line(out, "X-Content-Type-Options", "nosniff");
    line(out, "Content-Security-Policy", "sandbox; default-src 'none'");
}

fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// To be kept, never shown, under a name that cannot break out of the header (RFC 6266, appendix D): plain ASCII for all, and
/// the very name, encoded, where that differs.
fn disposition(leaf: Option<&str>) -> String {
    let Some(leaf) = leaf else { return "attachment".to_owned() };
    let plain = |letter: char| {
        letter == ' ' || (letter.is_ascii_graphic() && !matches!(letter, '"' | '\\' | '%' | '/'))
    };
    let ascii: String = leaf.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect();
    match ascii == leaf {
        true => format!("attachment; filename=\"{ascii}\""),
        false => {
            let encoded = percent_encode(leaf).replace('/', "%2F");
            format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::decoder::{Decoded, RequestDecoder};
    use crate::value::digest::Digest;

    const FRAME: Frame = Frame { date: SystemTime::UNIX_EPOCH, keep_alive: true };

    fn request(lines: &str) -> Request {
        let mut decoder = RequestDecoder::new();
        let now = std::time::Instant::now();
        decoder.push(format!("{lines}\r\nHost: h\r\n\r\n").as_bytes(), now);
        match decoder.poll(now) {
            Decoded::Request(request) => request,
            other => panic!("{lines}: {other:?}"),
        }
    }

    fn entity(size: u64) -> Entity<'static> {
        let tag = Some(EntityTag::File(Digest([1; 32])));
        Entity { size, tag, modified: Some(SystemTime::UNIX_EPOCH), media: Media::Bytes, leaf: Some("a.bin") }
    }

    fn head(lines: &str, entity: &Entity<'_>) -> (String, Range<u64>) {
        let plan = Plan::of(&request(lines), entity);
        let mut out = Vec::new();
        plan.write(entity, FRAME, &mut out);
        (String::from_utf8(out).unwrap(), plan.body())
    }

    #[test]
    fn a_whole_file_and_its_head_say_the_same() {
        let get = head("GET /rfc/1 HTTP/1.1", &entity(10));
        let tag = "01".repeat(32);
        let expected = format!(
            "HTTP/1.1 200 OK\nDate: Thu, 01 Jan 1970 00:00:00 GMT\nETag: \"{tag}\"\n\
             Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\nContent-Length: 10\nAccept-Ranges: bytes\n\
             Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"a.bin\"\n\
             X-Content-Type-Options: nosniff\nContent-Security-Policy: sandbox; default-src 'none'\n\n"
        );
        assert_eq!(get, (expected.replace('\n', "\r\n"), 0..10));
        let (same, nothing) = head("HEAD /rfc/1 HTTP/1.1\r\nRange: bytes=1-2", &entity(10));
        assert_eq!((same, nothing), (get.0, 0..0));
    }

    #[test]
    fn ranges_and_conditions_choose_the_status() {
        let tag = format!("\"{}\"", "01".repeat(32));
        for (headers, status, body) in [
            ("Range: bytes=2-3".to_owned(), 206, 2..4),
            (format!("Range: bytes=2-3\r\nIf-Range: {tag}"), 206, 2..4),
            (format!("Range: bytes=2-3\r\nIf-Range: W/{tag}"), 200, 0..10),
            ("Range: bytes=2-3\r\nIf-Range: \"other\"".to_owned(), 200, 0..10),
            ("Range: bytes=10-".to_owned(), 416, 0..0),
            ("Range: bytes=10-\r\nIf-Range: \"other\"".to_owned(), 200, 0..10),
            ("Range: bytes=1-2\r\nRange: bytes=3-4".to_owned(), 200, 0..10),
            (format!("If-None-Match: {tag}"), 304, 0..0),
            (format!("If-None-Match: \"x\"\r\nIf-None-Match: W/{tag}"), 304, 0..0),
            ("If-None-Match: \"x\"".to_owned(), 200, 0..10),
            (format!("If-None-Match: {tag}\r\nRange: bytes=10-"), 304, 0..0),
        ] {
            let plan = Plan::of(&request(&format!("GET /rfc/1 HTTP/1.1\r\n{headers}")), &entity(10));
            assert_eq!((plan.status().code(), plan.body()), (status, body), "{headers}");
        }
        let (partial, _) = head("GET /rfc/1 HTTP/1.1\r\nRange: bytes=-4", &entity(10));
        assert!(partial.contains("Content-Length: 4\r\nContent-Range: bytes 6-9/10\r\n"), "{partial}");
        let (unsatisfiable, _) = head("GET /rfc/1 HTTP/1.1\r\nRange: bytes=10-", &entity(10));
        assert!(unsatisfiable.contains("Content-Range: bytes */10\r\n"), "{unsatisfiable}");
        let (unchanged, _) = head("GET /rfc/1 HTTP/1.1\r\nIf-None-Match: *", &entity(10));
        assert!(unchanged.contains("ETag: ") && !unchanged.contains("Content-Length"), "{unchanged}");
    }

    #[test]
    fn no_name_breaks_out_of_its_header() {
        assert_eq!(disposition(Some("rfc 1.txt")), "attachment; filename=\"rfc 1.txt\"");
        assert_eq!(disposition(None), "attachment");
        assert_eq!(
            disposition(Some("ü\"\\\r\n/%41.txt")),
            "attachment; filename=\"_______41.txt\"; filename*=UTF-8''%C3%BC%22%5C%0D%0A%2F%2541.txt"
        );
        for leaf in ["\r\nX: y", "\u{202e}gpj.exe", "a\";filename=b", "\0\u{7f}\u{9b}"] {
            let shown = disposition(Some(leaf));
            assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{shown}");
            assert_eq!(shown.matches('"').count(), 2, "{shown}");
        }
    }

    #[test]
    fn errors_say_what_was_wrong_in_one_line_and_nothing_else() {
        let mut out = Vec::new();
        write_refusal(Refusal::Method, SystemTime::UNIX_EPOCH, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n")
                && text.contains("\r\nAllow: GET, HEAD\r\n")
        );
        assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nonly GET and HEAD are served\n"), "{text}");
        let busy = Failure::Busy { retry_after: Duration::from_secs(3) };
        let mut out = Vec::new();
        write_failure(busy, Method::Head, FRAME, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 503 ") && text.contains("\r\nRetry-After: 3\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n") && !text.contains("Server"), "{text}");
    }
}

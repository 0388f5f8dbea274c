//! What a request gets: which status, which bytes of the file, and the head before them.

pub mod disposition;
pub mod media;
mod multipart;

pub use multipart::Multipart;

use crate::access::ticket::Invalid;

use std::fmt::{self, Display};
use std::io::Write as _;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use super::condition::{self, EntityTag, Outcome};
use super::range::Selected;
use super::refusal::Refusal;
use super::request::{Method, Request};
use super::status::Status;
use crate::value::digest::Digest;
use crate::wire::get::date;

/// A file, or a block list, as a head describes it.
#[derive(Debug, Clone, Copy)]
pub struct Entity<'a> {
    /// Its length in bytes.
    pub size: u64,
    /// Its content's name; `None` while the content is not known.
    pub tag: Option<EntityTag>,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// The SHA-256 of all of it, once that is known.
    pub sha256: Option<Digest>,
    /// What it is said to be; see [`media`].
    pub media: &'static str,
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
    extent: Extent,
}

/// What of a file an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Extent {
    Bytes(Range<u64>),
    Parts(Multipart),
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPlan<'a> {
    /// Nothing, or a text of ours that is there already.
    None,
    /// These bytes of the file, at least one.
    Bytes(u64, u64),
    /// Several parts of it.
    Parts(&'a Multipart),
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
    /// `Host` is none of our names.
    #[error("this peer does not go by that name; it does when it is told so by --host")]
    Misdirected,
    /// It is private, and what was shown does not open it.
    #[error("{0}")]
    Private(Invalid),
    /// Too many uploads already.
    #[error("too many files are being sent; try again later")]
    Busy {
        /// After this time, in whole seconds.
        retry_after: Duration,
    },
}

impl Plan {
    /// Decides. A range is for GET only, and counts only while its `If-Range` names this very content. `salt` is any number.
    pub fn of(request: &Request, entity: &Entity<'_>, salt: u64) -> Self {
        let plan = |status, extent| Self { status, method: request.method, extent };
        let nothing = Extent::Bytes(0..0);
        let conditions = &request.conditions;
        match condition::judge(conditions, entity.tag, entity.modified) {
            Outcome::Go => {}
            Outcome::Unchanged => return plan(Status::NotModified, nothing),
            Outcome::Changed => return plan(Status::PreconditionFailed, nothing),
        }
        let joins = conditions.if_range.as_deref().is_none_or(|value| condition::if_range(value, entity.tag));
        let range = request.range.as_ref().filter(|_| joins && request.method == Method::Get);
        match range.map_or(Selected::Whole, |range| range.select(entity.size)) {
            Selected::Whole => plan(Status::Ok, Extent::Bytes(0..entity.size)),
            Selected::Part(bytes) => plan(Status::PartialContent, Extent::Bytes(bytes)),
            Selected::Parts(parts) => {
                let parts = Multipart::new(parts, entity.size, entity.media, salt);
                plan(Status::PartialContent, Extent::Parts(parts))
            }
            Selected::Unsatisfiable => plan(Status::RangeNotSatisfiable, nothing),
        }
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What follows the head.
    pub fn body(&self) -> BodyPlan<'_> {
        match (self.method, self.status, &self.extent) {
            (Method::Get, Status::Ok | Status::PartialContent, Extent::Bytes(bytes)) if !bytes.is_empty() => {
                BodyPlan::Bytes(bytes.start, bytes.end)
            }
            (Method::Get, Status::PartialContent, Extent::Parts(parts)) => BodyPlan::Parts(parts),
            _ => BodyPlan::None,
        }
    }

    /// Appends the head, and where the body is a text of ours, that as well.
    pub fn write(&self, entity: &Entity<'_>, frame: Frame, out: &mut Vec<u8>) {
        match self.status {
            Status::RangeNotSatisfiable => {
                let range = format!("Content-Range: bytes */{}\r\n", entity.size);
                let text = format!("the range begins beyond the file, which has {} bytes", entity.size);
                return write_text(self.status, &text, self.method, &range, frame, out);
            }
            Status::PreconditionFailed => {
                return write_text(
                    self.status,
                    "the file is another one by now",
                    self.method,
                    "",
                    frame,
                    out,
                );
            }
            _ => {}
        }
        begin(self.status, frame, out);
        if let Some(tag) = entity.tag {
            line(out, "ETag", tag);
        }
        if let Some(modified) = entity.modified {
            // Never later than now (RFC 9110, section 8.8.2.1).
            line(out, "Last-Modified", date(modified.min(frame.date)));
        }
        if self.status != Status::NotModified {
            self.describe(entity, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn describe(&self, entity: &Entity<'_>, out: &mut Vec<u8>) {
        match &self.extent {
            Extent::Bytes(Range { start, end }) => {
                line(out, "Content-Length", end.saturating_sub(*start));
                if self.status == Status::PartialContent {
                    let last = end.saturating_sub(1);
                    line(out, "Content-Range", format_args!("bytes {start}-{last}/{}", entity.size));
                }
                line(out, "Content-Type", entity.media);
            }
            Extent::Parts(parts) => {
                line(out, "Content-Length", parts.len());
                line(out, "Content-Type", parts.media());
            }
        }
        line(out, "Accept-Ranges", "bytes");
        if let Some(sha256) = entity.sha256 {
            // RFC 9530: of the whole file, whatever part of it is sent.
            line(out, "Repr-Digest", format_args!("sha-256=:{}:", sha256.base64()));
        }
        line(out, "Content-Disposition", disposition::attachment(entity.leaf));
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

/// Appends an interim answer (RFC 9110, section 15.2): the turn has not come yet, and this is the place in the queue, from 1.
pub fn write_place(place: usize, out: &mut Vec<u8>) {
    put(out, format_args!("HTTP/1.1 102 Processing\r\nQueue-Place: {place}\r\n\r\n"));
}

/// Appends a failure, whole.
pub fn write_failure(failure: Failure, method: Method, frame: Frame, out: &mut Vec<u8>) {
    let retry = match failure {
        Failure::Busy { retry_after } => format!("Retry-After: {}\r\n", retry_after.as_secs()),
        Failure::Private(Invalid::Missing) => "WWW-Authenticate: Ticket\r\n".to_owned(),
        Failure::NotFound | Failure::Unreadable | Failure::Misdirected | Failure::Private(_) => String::new(),
    };
    write_text(failure.status(), &failure.to_string(), method, &retry, frame, out);
}

impl Failure {
    /// The status that it is told with.
    pub fn status(self) -> Status {
        match self {
            Self::NotFound => Status::NotFound,
            Self::Unreadable => Status::InternalServerError,
            Self::Misdirected => Status::MisdirectedRequest,
            Self::Private(Invalid::Missing) => Status::Unauthorized,
            Self::Private(_) => Status::Forbidden,
            Self::Busy { .. } => Status::ServiceUnavailable,
        }
    }
}

/// Appends a page for people, under a policy of its own.
pub(super) fn page(html: &str, policy: &str, method: Method, frame: Frame, out: &mut Vec<u8>) {
    begin(Status::Ok, frame, out);
    line(out, "Content-Length", html.len());
    line(out, "Content-Type", "text/html; charset=utf-8");
    line(out, "Cache-Control", "no-store");
    line(out, "Referrer-Policy", "no-referrer");
    line(out, "X-Content-Type-Options", "nosniff");
    line(out, "Content-Security-Policy", policy);
    out.extend_from_slice(b"\r\n");
    if method == Method::Get {
        out.extend_from_slice(html.as_bytes());
    }
}

/// `more`: further header lines with their ends.
fn write_text(status: Status, text: &str, method: Method, more: &str, frame: Frame, out: &mut Vec<u8>) {
    begin(status, frame, out);
    line(out, "Content-Length", text.len().saturating_add(1));
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
    put(out, format_args!("HTTP/1.1 {} {}\r\n", status.code(), status.phrase()));
    line(out, "Date", date(frame.date));
    if !frame.keep_alive {
        line(out, "Connection", "close");
    }
}

/// What keeps a browser from running what somebody shared.
fn harmless(out: &mut Vec<u8>) {
    line(out, "X-Content-Type-Options", "nosniff");
    line(out, "Content-Security-Policy", "sandbox; default-src 'none'");
}

fn line(out: &mut Vec<u8>, name: &str, value: impl Display) {
    put(out, format_args!("{name}: {value}\r\n"));
}

fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = out.write_fmt(text);
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
        let modified = Some(SystemTime::UNIX_EPOCH);
        Entity { size, tag, modified, sha256: None, media: media::BYTES, leaf: Some("a.bin") }
    }

    fn body(plan: &Plan) -> Range<u64> {
        match plan.body() {
            BodyPlan::None => 0..0,
            BodyPlan::Bytes(first, end) => first..end,
            BodyPlan::Parts(parts) => panic!("{parts:?}"),
        }
    }

    fn head(lines: &str, entity: &Entity<'_>) -> (String, Range<u64>) {
        let plan = Plan::of(&request(lines), entity, 0);
        let mut out = Vec::new();
        plan.write(entity, FRAME, &mut out);
        (String::from_utf8(out).unwrap(), body(&plan))
    }

    #[test]
    fn a_whole_file_and_its_head_say_the_same() {
        let get = head("GET /rfc/1 HTTP/1.1", &entity(10));
        let tag = "01".repeat(32);
        let expected = format!(
            "HTTP/1.1 200 OK\nDate: Thu, 01 Jan 1970 00:00:00 GMT\nETag: \"{tag}\"\n\
             Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\nContent-Length: 10\n\
             Content-Type: application/octet-stream\nAccept-Ranges: bytes\nContent-Disposition: attachment; filename=\"a.bin\"\n\
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
            ("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), 304, 0..0),
            ("If-Modified-Since: yesterday".to_owned(), 200, 0..10),
            (format!("If-Match: \"x\"\r\nIf-Match: {tag}"), 200, 0..10),
            ("If-Match: \"x\"".to_owned(), 412, 0..0),
        ] {
            let plan = Plan::of(&request(&format!("GET /rfc/1 HTTP/1.1\r\n{headers}")), &entity(10), 0);
            assert_eq!((plan.status().code(), self::body(&plan)), (status, body), "{headers}");
        }
        let (partial, _) = head("GET /rfc/1 HTTP/1.1\r\nRange: bytes=-4", &entity(10));
        assert!(partial.contains("Content-Length: 4\r\nContent-Range: bytes 6-9/10\r\n"), "{partial}");
        let (unsatisfiable, _) = head("GET /rfc/1 HTTP/1.1\r\nRange: bytes=10-", &entity(10));
        assert!(unsatisfiable.contains("Content-Range: bytes */10\r\n"), "{unsatisfiable}");
        let (unchanged, _) = head("GET /rfc/1 HTTP/1.1\r\nIf-None-Match: *", &entity(10));
        assert!(unchanged.contains("ETag: ") && !unchanged.contains("Content-Length"), "{unchanged}");
    }

    #[test]
    fn several_ranges_come_between_lines_that_name_them() {
        let lines = "GET /rfc/1 HTTP/1.1\r\nRange: bytes=0-1,5-,-1\r\nX: y";
        let (whole, all) = head(lines, &entity(10));
        assert!(whole.starts_with("HTTP/1.1 200 OK") && all == (0..10), "they overlap: {whole}");
        let (digest, lines) = (Digest([0; 32]), "GET /rfc/1 HTTP/1.1\r\nRange: bytes=0-1, -3");
        let entity = Entity { sha256: Some(digest), ..entity(10) };
        let plan = Plan::of(&request(lines), &entity, 0xab);
        let BodyPlan::Parts(parts) = plan.body() else { panic!("{plan:?}") };
        assert_eq!(
            parts.parts,
            [(0..2, "0-1"), (7..10, "7-9")].map(|(bytes, range)| {
                let lines = "\r\n--p2pci-00000000000000ab\r\nContent-Type: application/octet-stream";
                (format!("{lines}\r\nContent-Range: bytes {range}/10\r\n\r\n"), bytes)
            })
        );
        let sent: usize =
            parts.parts.iter().map(|(before, _)| before.len()).sum::<usize>() + 5 + parts.end.len();
        let mut out = Vec::new();
        plan.write(&entity, FRAME, &mut out);
        let written = String::from_utf8(out).unwrap();
        for line in [
            "HTTP/1.1 206 Partial Content\r\n".to_owned(),
            format!("\r\nContent-Length: {sent}\r\n"),
            "\r\nContent-Type: multipart/byteranges; boundary=p2pci-00000000000000ab\r\n".to_owned(),
            format!("\r\nRepr-Digest: sha-256=:{}:\r\n", digest.base64()),
        ] {
            assert!(written.contains(&line), "{line}: {written}");
        }
        assert!(!written.contains("Content-Range"), "{written}");
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

    #[test]
    fn each_failure_is_one_whole_answer_with_its_status() {
        let busy = Failure::Busy { retry_after: Duration::from_secs(7) };
        let told = [
            (Failure::NotFound, "404 Not Found", ""),
            (Failure::Unreadable, "500 Internal Server Error", ""),
            (Failure::Misdirected, "421 Misdirected Request", ""),
            (Failure::Private(Invalid::Missing), "401 Unauthorized", "WWW-Authenticate: Ticket\r\n"),
            (Failure::Private(Invalid::Forged), "403 Forbidden", ""),
            (busy, "503 Service Unavailable", "Retry-After: 7\r\n"),
        ];
        for (failure, status, field) in told {
            let mut out = Vec::new();
            write_failure(failure, Method::Get, FRAME, &mut out);
            let (all, mut head) = (String::from_utf8(out).unwrap(), Vec::new());
            assert!(all.starts_with(&format!("HTTP/1.1 {status}\r\n")) && all.contains(field), "{all}");
            let (before, body) = all.split_once("\r\n\r\n").unwrap();
            assert!(body.contains(&failure.to_string()), "{all}");
            assert!(before.contains(&format!("Content-Length: {}", body.len())), "{all}");
            write_failure(failure, Method::Head, FRAME, &mut head);
            assert_eq!(String::from_utf8(head).unwrap(), format!("{before}\r\n\r\n"));
        }
        let mut place = Vec::new();
        write_place(3, &mut place);
        assert_eq!(place, b"HTTP/1.1 102 Processing\r\nQueue-Place: 3\r\n\r\n");
    }

    #[test]
    fn a_file_that_is_another_one_by_now_is_told_so() {
        let (told, body) = head("GET /rfc/1 HTTP/1.1\r\nIf-Match: \"02\"", &entity(5));
        assert!(told.starts_with("HTTP/1.1 412 Precondition Failed\r\n"), "{told}");
        assert!(told.contains("the file is another one by now") && body.is_empty(), "{told}");
    }
}

//! Requests of 1.1.

use std::time::Duration;

use super::watch::Scope;
use crate::access::credential::Credential;
use crate::access::groups::Groups;
use crate::limits::{BODY_BYTES_MAX, HEADERS_MAX, LIST_PAGE_MAX, QUERY_BYTES_MAX, WAIT_MAX};
use crate::value::ValueError;
use crate::value::digest::Digest;
use crate::value::file_name::{FileName, percent_decode, percent_encode};
use crate::value::host::Host;
use crate::value::number::{Port, RfcNumber};
use crate::wire::refusal::{Field, Reason};

/// The version as it stands at the end of a request line.
pub const VERSION: &str = "P2P-CI/1.1";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask<'a> {
    /// `ADD FILES`: register the files of the body, one [`super::body::FileLine`] a line.
    Add {
        /// Who the peer says it is.
        host: Host<'a>,
        /// Its upload port.
        port: Port,
        /// The fingerprint of its key, if it speaks TLS there.
        tls: Option<Digest>,
        /// It serves members of these groups only.
        private: Option<Groups>,
        /// The lines.
        body: &'a [u8],
    },
    /// `REMOVE FILES`: forget files of this connection, one [`super::body::NameLine`] a line.
    Remove {
        /// The lines.
        body: &'a [u8],
    },
    /// `LOOKUP`: the variants of a file and who has each.
    Lookup {
        /// Which file.
        target: Target,
        /// How long to wait for it to appear.
        wait: Duration,
    },
    /// `LIST ALL`: a page of records.
    List(Page),
    /// `SEARCH ALL`: a page of files whose names or titles match.
    Search {
        /// What is looked for, as it was typed: see [`crate::search::Query`].
        query: String,
        /// Where to go on: what an earlier page's answer said.
        cursor: Option<String>,
        /// How many at most.
        limit: usize,
    },
    /// `PING ALL`: nothing but an answer.
    Ping {
        /// The answer shall say which cluster the index belongs to.
        asks_cluster: bool,
        /// Bytes a second that the asking peer sends to others now, for whoever watches the index.
        sending: Option<u64>,
        /// The connection has what this token is for, from here on.
        token: Option<Credential>,
    },
    /// `WANTS ALL`: the index may say, at any time, of which files it wants digests.
    Wants,
    /// `WATCH`: changes as they happen, until the connection ends.
    Watch(Scope),
}

/// A file in a request line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// `RFC 123`
    Rfc(RfcNumber),
    /// `FILE path%20escaped`: a valid [`FileName`]; exactly this name, or else the last part of one.
    File(String),
    /// `HASH` and 64 hexadecimal digits.
    Hash(Digest),
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Only names that begin with this; `None` for everything, records of 1.0 included.
    pub prefix: Option<String>,
    /// Where to go on: what an earlier page's answer said.
    pub cursor: Option<String>,
    /// How many records at most.
    pub limit: usize,
}

/// A request whose head has been read and whose body may still be on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) struct Extent {
    /// Bytes of the head, its empty line included.
    pub(in crate::wire) head: usize,
    /// Bytes of the body.
    pub(in crate::wire) body: usize,
}

/// Whether a request line asks in 1.1.
pub(in crate::wire) fn is_request_line(line: &[u8]) -> bool {
    line.strip_suffix(VERSION.as_bytes()).is_some_and(|rest| rest.ends_with(b" "))
}

/// Reads how long the body is that follows a complete head. Without a length that is beyond doubt nobody knows where the next
/// request begins, so every error closes.
pub(in crate::wire) fn extent(head: &[u8]) -> Result<Extent, Reason> {
    let headers = Headers::read(head)?;
    let length = headers.find("Content-Length").map_err(|_| Reason::BodyTooLong)?.map_or(Some(0), number);
    let body = length.filter(|length| *length <= BODY_BYTES_MAX).ok_or(Reason::BodyTooLong)?;
    match headers.find("Transfer-Encoding") {
        Ok(None) => Ok(Extent { head: head.len(), body }),
        _ => Err(Reason::Body),
    }
}

impl<'a> Ask<'a> {
    /// Reads a whole request.
    pub(in crate::wire) fn parse(head: &'a [u8], body: &'a [u8]) -> Result<Self, Reason> {
        let headers = Headers::read(head)?;
        let mut words = headers.request_line.split(|byte| *byte == b' ');
        let (method, kind) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let rest: Vec<&[u8]> = words.collect();
        let no_body = if body.is_empty() { Ok(()) } else { Err(Reason::Body) };
        match (method, kind, rest.as_slice()) {
            (b"ADD", b"FILES", [_]) => {
                let (host, port, tls) = (headers.host()?, headers.port()?, headers.tls()?);
                Ok(Self::Add { host, port, tls, private: headers.private()?, body })
            }
            (b"REMOVE", b"FILES", [_]) => Ok(Self::Remove { body }),
            (b"LOOKUP", kind, [name, _]) => {
                no_body?;
                Ok(Self::Lookup { target: Target::parse(kind, name)?, wait: headers.wait()? })
            }
            (b"LIST", b"ALL", [_]) => no_body.and_then(|()| Ok(Self::List(headers.page()?))),
            (b"SEARCH", b"ALL", [_]) => {
                no_body?;
                let query = headers.decoded("Query").map_err(|_| Reason::Query)?.ok_or(Reason::Query)?;
                Ok(Self::Search { query, cursor: headers.decoded("Cursor")?, limit: headers.limit()? })
            }
            (b"PING", b"ALL", [_]) => {
                no_body?;
                // It is only shown: what cannot be read is left out, as an older index does.
                let sending = headers.find("Sending").ok().flatten().and_then(rate);
                Ok(Self::Ping {
                    asks_cluster: headers.find("Cluster")?.is_some(),
                    sending,
                    token: headers.credential()?,
                })
            }
            (b"WANTS", b"ALL", [_]) => no_body.map(|()| Self::Wants),
            (b"WATCH", b"ALL", [_]) => {
                no_body?;
                Ok(Self::Watch(Scope::All { prefix: headers.decoded("Prefix")? }))
            }
            (b"WATCH", kind, [name, _]) => {
                no_body?;
                Ok(Self::Watch(Scope::One(Target::parse(kind, name)?)))
            }
            (b"ADD" | b"REMOVE" | b"LOOKUP" | b"LIST" | b"SEARCH" | b"PING" | b"WANTS" | b"WATCH", ..) => {
                Err(Reason::RequestLineV11)
            }
            _ => Err(Reason::UnknownMethodV11),
        }
    }

    /// Appends the request as a peer sends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut lines = Vec::new();
        let mut sent: &[u8] = &[];
        match self {
            Self::Add { host, port, tls, private, body } => {
                lines.extend([
                    format!("ADD FILES {VERSION}"),
                    format!("Host: {host}"),
                    format!("Port: {port}"),
                ]);
                lines.extend(tls.map(|fingerprint| format!("TLS: {fingerprint}")));
                lines.extend(private.as_ref().map(|groups| format!("Private: {groups}")));
                sent = body;
            }
            Self::Remove { body } => {
                lines.push(format!("REMOVE FILES {VERSION}"));
                sent = body;
            }
            Self::Lookup { target, wait } => {
                lines.push(format!("LOOKUP {target} {VERSION}"));
                if !wait.is_zero() {
                    lines.push(format!("Wait: {}", wait.as_secs()));
                }
            }
            Self::List(page) => {
                lines.extend([format!("LIST ALL {VERSION}"), format!("Limit: {}", page.limit)]);
                lines.extend(
                    page.prefix.as_deref().map(|prefix| format!("Prefix: {}", percent_encode(prefix))),
                );
                lines.extend(
                    page.cursor.as_deref().map(|cursor| format!("Cursor: {}", percent_encode(cursor))),
                );
            }
            Self::Search { query, cursor, limit } => {
                lines.extend([format!("SEARCH ALL {VERSION}"), format!("Query: {}", percent_encode(query))]);
                lines.push(format!("Limit: {limit}"));
                lines.extend(cursor.as_deref().map(|cursor| format!("Cursor: {}", percent_encode(cursor))));
            }
            Self::Ping { asks_cluster, sending, token } => {
                lines.push(format!("PING ALL {VERSION}"));
                if let Some(Credential::Token(token)) = token {
                    lines.push(format!("Authorization: Bearer {}", token.written_out()));
                }
                lines.extend(asks_cluster.then(|| "Cluster: ?".to_owned()));
                lines.extend(sending.map(|rate| format!("Sending: {rate}")));
            }
            Self::Wants => lines.push(format!("WANTS ALL {VERSION}")),
            Self::Watch(Scope::One(target)) => lines.push(format!("WATCH {target} {VERSION}")),
            Self::Watch(Scope::All { prefix }) => {
                lines.push(format!("WATCH ALL {VERSION}"));
                lines.extend(prefix.as_deref().map(|prefix| format!("Prefix: {}", percent_encode(prefix))));
            }
        }
        if !sent.is_empty() {
            lines.push(format!("Content-Length: {}", sent.len()));
        }
        lines.push(String::new());
        crate::wire::framing::LineEnd::CrLf.write_lines(&lines, out);
        out.extend_from_slice(sent);
    }
}

impl Target {
    fn parse(kind: &[u8], name: &[u8]) -> Result<Self, Reason> {
        match kind {
            b"RFC" => RfcNumber::parse(name).map(Self::Rfc).map_err(Reason::Number),
            b"HASH" => Digest::parse(name).map(Self::Hash).ok_or(Reason::Target),
            b"FILE" => {
                let name = percent_decode(name).ok_or(Reason::Target)?;
                FileName::parse(&name)
                    .map(|name| Self::File(name.as_str().to_owned()))
                    .map_err(|_| Reason::Target)
            }
            _ => Err(Reason::RequestLineV11),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rfc(number) => write!(f, "RFC {number}"),
            Self::File(name) => write!(f, "FILE {}", percent_encode(name)),
            Self::Hash(digest) => write!(f, "HASH {digest}"),
        }
    }
}

/// The lines of a head.
struct Headers<'a> {
    request_line: &'a [u8],
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Headers<'a> {
    /// Reads a head strictly: every line ends in CRLF, every header is `Name: value`.
    fn read(head: &'a [u8]) -> Result<Self, Reason> {
        let text = head.strip_suffix(b"\r\n\r\n").ok_or(Reason::Framing)?;
        let mut lines = Vec::new();
        for line in text.split(|byte| *byte == b'\n') {
            lines.push(line);
        }
        let last = lines.pop().unwrap_or_default();
        let mut whole = Vec::with_capacity(lines.len());
        for line in lines {
            whole.push(line.strip_suffix(b"\r").ok_or(Reason::Framing)?);
        }
        whole.push(last);
        let (request_line, rest) = whole.split_first().ok_or(Reason::Framing)?;
        if rest.len() > HEADERS_MAX {
            return Err(Reason::TooManyHeaders);
        }
        let field = |line: &&'a [u8]| {
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = line.split_at_checked(colon)?;
            // A name with a space at its end or its beginning would be another one to a less exact reader.
            let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
            is_name.then_some((name, value.get(1..)?.trim_ascii()))
        };
        let fields: Option<Vec<_>> = rest.iter().map(field).collect();
        Ok(Self { request_line, fields: fields.ok_or(Reason::Framing)? })
    }

    /// A header's value; twice is an error.
    fn find(&self, name: &str) -> Result<Option<&'a [u8]>, Reason> {
        let mut found = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        let first = found.next().map(|(_, value)| *value);
        if found.next().is_some() { Err(Reason::Twice) } else { Ok(first) }
    }

    fn host(&self) -> Result<Host<'a>, Reason> {
        let value = self.find("Host")?.ok_or(Reason::Missing(Field::Host))?;
        Host::parse(value).map_err(|error| Reason::Value(Field::Host, error))
    }

    fn port(&self) -> Result<Port, Reason> {
        let value = self.find("Port")?.ok_or(Reason::Missing(Field::Port))?;
        Port::parse(value).map_err(|error| Reason::Value(Field::Port, error))
    }

    fn private(&self) -> Result<Option<Groups>, Reason> {
        let value = self.find("Private")?;
        let groups = |value| str::from_utf8(value).ok().and_then(Groups::parse).ok_or(Reason::Header);
        value.map(groups).transpose()
    }

    fn credential(&self) -> Result<Option<Credential>, Reason> {
        Ok(self.find("Authorization")?.map(Credential::parse))
    }

    fn tls(&self) -> Result<Option<Digest>, Reason> {
        let value = self.find("TLS")?;
        value.map(|value| Digest::parse(value).ok_or(Reason::Header)).transpose()
    }

    /// `Wait`, in whole seconds, cut to the limit.
    fn wait(&self) -> Result<Duration, Reason> {
        let seconds = self.find("Wait")?.map_or(Some(0), number).ok_or(Reason::Header)?;
        Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)).min(WAIT_MAX))
    }

    /// `Limit`, cut to the limit of a page.
    fn limit(&self) -> Result<usize, Reason> {
        let limit = self.find("Limit")?.map_or(Some(LIST_PAGE_MAX), number).ok_or(Reason::Header)?;
        Ok(limit.clamp(1, LIST_PAGE_MAX))
    }

    fn page(&self) -> Result<Page, Reason> {
        Ok(Page { prefix: self.decoded("Prefix")?, cursor: self.decoded("Cursor")?, limit: self.limit()? })
    }

    /// A percent-encoded header of UTF-8 without control characters.
    fn decoded(&self, name: &str) -> Result<Option<String>, Reason> {
        let Some(value) = self.find(name)? else { return Ok(None) };
        let bytes = percent_decode(value).ok_or(Reason::Header)?;
        let text = String::from_utf8(bytes).map_err(|_| Reason::Header)?;
        match text.len() > QUERY_BYTES_MAX || text.chars().any(char::is_control) {
            true => Err(Reason::Header),
            false => Ok(Some(text)),
        }
    }
}

/// A number of at most nine ASCII digits, zero included.
fn number(value: &[u8]) -> Option<usize> {
    let digits = (1..=9).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

fn rate(value: &[u8]) -> Option<u64> {
    let digits = (1..=15).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// For callers that check a single value of a body as a request's would be.
pub(super) fn checked_name(name: &str) -> Result<FileName<'_>, ValueError> {
    FileName::parse(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tokens::Secret;

    fn read(request: &[u8]) -> Result<Ask<'_>, Reason> {
        let at = request.windows(4).position(|four| four == b"\r\n\r\n").map_or(request.len(), |at| at + 4);
        let (head, body) = request.split_at(at);
        assert_eq!(extent(head)?, Extent { head: at, body: body.len() });
        Ask::parse(head, body)
    }

    #[test]
    fn every_request_reads_back_as_it_was_written() {
        let page = Page { prefix: Some("models/a b".into()), cursor: Some("n\u{e9}xt".into()), limit: 7 };
        for ask in [
            Ask::Add {
                host: Host::parse(b"h").unwrap(),
                port: Port::new(5).unwrap(),
                tls: None,
                private: None,
                body: b"{}\n{}",
            },
            Ask::Add {
                host: Host::parse(b"h").unwrap(),
                port: Port::new(5).unwrap(),
                tls: Some(Digest([7; 32])),
                private: Groups::parse("team,ops"),
                body: b"{}",
            },
            Ask::Remove { body: b"{\"name\":\"x\"}" },
            Ask::Lookup { target: Target::Rfc(RfcNumber::MIN), wait: Duration::ZERO },
            Ask::Lookup { target: Target::File("a b/\u{fc} %41.txt".into()), wait: Duration::from_secs(120) },
            Ask::Lookup { target: Target::Hash(Digest([0xab; 32])), wait: Duration::from_secs(1) },
            Ask::List(page),
            Ask::List(Page { limit: 1, ..Page::default() }),
            Ask::Search { query: "two words".into(), cursor: None, limit: 10 },
            Ask::Search { query: "size:>1 a".into(), cursor: Some("7".into()), limit: 1 },
            Ask::Ping { asks_cluster: false, sending: Some(12_345_678), token: None },
            Ask::Ping {
                asks_cluster: true,
                sending: None,
                token: Some(Credential::Token(Secret::new([3; 32]))),
            },
            Ask::Watch(Scope::All { prefix: None }),
            Ask::Watch(Scope::All { prefix: Some("models/a b".into()) }),
            Ask::Watch(Scope::One(Target::Hash(Digest([0xab; 32])))),
            Ask::Watch(Scope::One(Target::File("a b".into()))),
        ] {
            let mut bytes = Vec::new();
            ask.write(&mut bytes);
            assert_eq!(read(&bytes), Ok(ask), "{}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for (request, reason) in [
            ("ADD FILES P2P-CI/1.1\r\nHost: h\r\n\r\n", Reason::Missing(Field::Port)),
            ("ADD FILES P2P-CI/1.1\nHost: h\r\nPort: 1\r\n\r\n", Reason::Framing),
            ("ADD FILES P2P-CI/1.1\r\nHost: h\r\nHost: h\r\nPort: 1\r\n\r\n", Reason::Twice),
            ("ADD RFC 1 P2P-CI/1.1\r\n\r\n", Reason::RequestLineV11),
            ("LOOKUP FILE ../x P2P-CI/1.1\r\n\r\n", Reason::Target),
            ("LOOKUP FILE %2e%2e/x P2P-CI/1.1\r\n\r\n", Reason::Target),
            ("LOOKUP FILE a%00 P2P-CI/1.1\r\n\r\n", Reason::Target),
            ("LOOKUP HASH 12 P2P-CI/1.1\r\n\r\n", Reason::Target),
            ("LOOKUP RFC 1 P2P-CI/1.1\r\nWait: -1\r\n\r\n", Reason::Header),
            ("SEARCH ALL P2P-CI/1.1\r\n\r\n", Reason::Query),
            ("SEARCH ALL P2P-CI/1.1\r\nQuery: a%0a\r\n\r\n", Reason::Query),
            ("LIST ALL P2P-CI/1.1\r\nLimit: x\r\n\r\n", Reason::Header),
            ("LIST ALL P2P-CI/1.1\r\nno colon\r\n\r\n", Reason::Framing),
            ("LIST ALL P2P-CI/1.1\r\nContent-Length: 9999999\r\n\r\n", Reason::BodyTooLong),
            ("PING ALL P2P-CI/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", Reason::BodyTooLong),
            ("PING ALL P2P-CI/1.1\r\nContent-Length : 1\r\n\r\nx", Reason::Framing),
            ("PING ALL P2P-CI/1.1\r\nA: b\r\n Content-Length: 1\r\n\r\nx", Reason::Framing),
            ("LIST ALL P2P-CI/1.1\r\nContent-Length: +1\r\n\r\n", Reason::BodyTooLong),
            ("PING ALL P2P-CI/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::Body),
            ("PING ALL P2P-CI/1.1\r\nContent-Length: 1\r\n\r\nx", Reason::Body),
            ("EAT ALL P2P-CI/1.1\r\n\r\n", Reason::UnknownMethodV11),
        ] {
            assert_eq!(read(request.as_bytes()), Err(reason), "{request:?}");
        }
    }

    #[test]
    fn waits_and_pages_are_cut_to_their_limits() {
        let long = read(b"LOOKUP RFC 1 P2P-CI/1.1\r\nWait: 99999\r\n\r\n").unwrap();
        assert!(matches!(long, Ask::Lookup { wait, .. } if wait == WAIT_MAX));
        let huge = read(b"LIST ALL P2P-CI/1.1\r\nLimit: 999999999\r\n\r\n").unwrap();
        assert!(matches!(huge, Ask::List(page) if page.limit == LIST_PAGE_MAX));
    }
}

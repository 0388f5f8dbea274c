//! The lines of one request as they are recognised: which fields were seen, where, and how they were framed.
//!
//! Everything here points into the decoder's buffer by [`Span`]s that count from the request's first byte, so nothing is
//! copied before a request is whole.

use super::departure::{Departure, Departures};
use super::framing::{Ending, Framing, LineEnd};
use super::refusal::{Field, Reason};
use super::v11;
use super::version::{NAME, Version};
use crate::limits::HEADERS_MAX;
use crate::value::ValueError;
use crate::value::host::Host;
use crate::value::number::{Port, RfcNumber};
use crate::value::title::Title;

/// A part of a request. A head is at most 16 KiB long, so 16 bits hold any position in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// Where `part` lies within `whole`, of which it is a sub-slice.
    fn of(part: &[u8], whole: &[u8]) -> Option<Self> {
        let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let end = start.checked_add(part.len())?;
        Some(Self { start: u16::try_from(start).ok()?, end: u16::try_from(end).ok()? })
    }

    fn slice(self, whole: &[u8]) -> &[u8] {
        whole.get(usize::from(self.start)..usize::from(self.end)).unwrap_or_default()
    }
}

/// What has been recognised of one request.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    request_line: Option<Span>,
    host: Option<Span>,
    port: Option<Span>,
    title: Option<Span>,
    os: Option<Span>,
    first_line_end: Option<LineEnd>,
    headers: usize,
    spaced_colons: usize,
    tight_colons: usize,
    needs: Needs,
    v11: bool,
    pub(super) any_crlf: bool,
    any_lf: bool,
    departures: Departures,
    fault: Option<Reason>,
}

/// The headers without which a request cannot be complete before its empty line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Needs {
    /// 1.1: silence ends nothing.
    EmptyLine,
    /// An unknown method: nothing more is known to come.
    #[default]
    Nothing,
    /// ADD and LOOKUP
    HostPortTitle,
    /// LIST
    HostPort,
    /// GET
    HostOs,
}

impl Head {
    /// Takes the request line or a header line, without its line end. `whole` is the request from its first byte on.
    pub(super) fn take_line(&mut self, line: &[u8], whole: &[u8]) {
        match self.request_line {
            None => {
                self.request_line = Span::of(line, whole);
                self.v11 = v11::request::is_request_line(line);
                self.needs = if self.v11 { Needs::EmptyLine } else { Needs::of(line) };
            }
            Some(_) => {
                if let Err(reason) = self.take_header(line, whole) {
                    self.fault.get_or_insert(reason);
                }
            }
        }
    }

    /// Notes how a line ended.
    pub(super) fn note_line_end(&mut self, end: LineEnd) {
        self.first_line_end.get_or_insert(end);
        match end {
            LineEnd::Lf => self.any_lf = true,
            LineEnd::CrLf => self.any_crlf = true,
        }
    }

    pub(super) fn note(&mut self, departure: Departure) {
        self.departures.note(departure);
    }

    fn take_header(&mut self, line: &[u8], whole: &[u8]) -> Result<(), Reason> {
        self.headers = self.headers.saturating_add(1);
        if self.headers > HEADERS_MAX {
            return Err(Reason::TooManyHeaders);
        }
        if self.v11 {
            // Read as a whole, and exactly, when its empty line is there.
            return Ok(());
        }
        let colon = colon(line).ok_or(Reason::NoColon)?;
        let (name, value) = line.split_at_checked(colon).ok_or(Reason::NoColon)?;
        let value = value.get(1..).unwrap_or_default();
        let trimmed = value.trim_ascii();
        match (trimmed.is_empty(), value.first()) {
            (true, _) => {}
            (false, Some(b' ')) => self.spaced_colons = self.spaced_colons.saturating_add(1),
            (false, _) => self.tight_colons = self.tight_colons.saturating_add(1),
        }
        self.take_field(name.trim_ascii(), Span::of(trimmed, whole))
    }

    fn take_field(&mut self, name: &[u8], value: Option<Span>) -> Result<(), Reason> {
        let named = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let (slot, field) = match () {
            () if named("Host") => (&mut self.host, Field::Host),
            () if named("Port") => (&mut self.port, Field::Port),
            () if named("Post") => {
                self.departures.note(Departure::PostForPort);
                (&mut self.port, Field::Port)
            }
            () if named("Title") => (&mut self.title, Field::Title),
            () if named("OS") => (&mut self.os, Field::Os),
            () if named("Content-Length") || named("Transfer-Encoding") => return Err(Reason::Body),
            () => {
                self.departures.note(Departure::UnknownHeader);
                return Ok(());
            }
        };
        match slot.is_some() {
            true => Err(Reason::Duplicate(field)),
            false => {
                *slot = value;
                Ok(())
            }
        }
    }

    /// Whether the request asks in 1.1.
    pub(super) fn is_v11(&self) -> bool {
        self.v11
    }

    /// The version in which it asks, as far as could be told.
    pub(super) fn version(&self) -> Version {
        if self.v11 { Version::V1_1 } else { Version::V1_0 }
    }

    /// Whether the request line is there.
    pub(super) fn has_begun(&self) -> bool {
        self.request_line.is_some()
    }

    /// The fault after which reading cannot go on.
    pub(super) fn fatal_fault(&self) -> Option<Reason> {
        self.fault.filter(|reason| reason.closes())
    }

    /// Whether every header that the method needs is in.
    pub(super) fn needs_met(&self) -> bool {
        let (host, port) = (self.host.is_some(), self.port.is_some());
        self.has_begun()
            && match self.needs {
                Needs::EmptyLine => false,
                Needs::Nothing => true,
                Needs::HostPortTitle => host && port && self.title.is_some(),
                Needs::HostPort => host && port,
                Needs::HostOs => host && self.os.is_some(),
            }
    }

    /// The framing, given how the request ended.
    pub(super) fn framing(&self, ending: Ending) -> Framing {
        Framing {
            line_end: self.first_line_end.unwrap_or(LineEnd::CrLf),
            ending,
            tight: self.tight_colons > 0 && self.spaced_colons == 0,
        }
    }

    /// Every departure, given how the request ended.
    pub(super) fn departures(&self, ending: Ending) -> Departures {
        let mut all = self.departures;
        all.note_if(self.any_lf && !self.any_crlf, Departure::LfLineEnds);
        all.note_if(self.any_lf && self.any_crlf, Departure::MixedLineEnds);
        all.note_if(self.tight_colons > 0, Departure::NoSpaceAfterColon);
        all.note_if(ending != Ending::EmptyLine, Departure::NoEmptyLine);
        all.note_if(ending == Ending::Unterminated, Departure::NoLastLineEnd);
        all.note_if(ending == Ending::Padding, Departure::Padded);
        let lacks_title = self.needs == Needs::HostPortTitle && self.title.is_none();
        let lacks_port = matches!(self.needs, Needs::HostPort | Needs::HostPortTitle) && self.port.is_none();
        let known = !matches!(self.needs, Needs::Nothing | Needs::EmptyLine);
        all.note_if(known && self.host.is_none(), Departure::NoHost);
        all.note_if(lacks_port, Departure::NoPort);
        all.note_if(lacks_title, Departure::NoTitle);
        all.note_if(self.needs == Needs::HostOs && self.os.is_none(), Departure::NoOs);
        all
    }

    /// The words of the request line and the fields, or the first fault. `whole` is the request.
    pub(super) fn read<'a>(&self, whole: &'a [u8]) -> Result<(Words<'a>, Fields<'a>), Reason> {
        let line = self.request_line.ok_or(Reason::RequestLine)?.slice(whole);
        let words = Words::split(line)?;
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let at = |span: Option<Span>| span.map(|span| span.slice(whole));
        let fields =
            Fields { host: at(self.host), port: at(self.port), title: at(self.title), os: at(self.os) };
        Ok((words, fields))
    }
}

impl Needs {
    fn of(request_line: &[u8]) -> Self {
        match request_line.split(|byte| *byte == b' ').next() {
            Some(b"ADD" | b"LOOKUP") => Self::HostPortTitle,
            Some(b"LIST") => Self::HostPort,
            Some(b"GET") => Self::HostOs,
            _ => Self::Nothing,
        }
    }
}

/// A value that LOOKUP and LIST do not need: an empty one is as good as none, a wrong one is refused all the same.
pub(super) fn if_given<T>(value: Result<Option<T>, Reason>) -> Result<Option<T>, Reason> {
    match value {
        Err(Reason::Value(_, ValueError::Empty)) => Ok(None),
        value => value,
    }
}

/// Whether a line is a request line rather than a header: no colon, and its last word names a version.
pub(super) fn is_request_line(line: &[u8]) -> bool {
    let last = || line.trim_ascii_end().rsplit(|byte| *byte == b' ').next();
    colon(line).is_none() && last().is_some_and(|word| word.starts_with(NAME))
}

/// Where the first colon is. Names of headers are short: looking at a few bytes first is cheaper than to prepare for many.
fn colon(line: &[u8]) -> Option<usize> {
    let (front, rest) = line.split_at(line.len().min(COLON_SOON));
    let soon = front.iter().position(|byte| *byte == b':');
    soon.or_else(|| memchr::memchr(b':', rest).map(|at| at.saturating_add(front.len())))
}

/// The colons of `Host:` and `Title:` are found within so many bytes.
const COLON_SOON: usize = 8;

/// The words of a request line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) method: &'a [u8],
    target: [&'a [u8]; 2],
    pub(super) extra_spaces: bool,
}

impl<'a> Words<'a> {
    /// Three words (`LIST ALL VERSION`) or four; the version is judged first, whatever stands before it.
    fn split(line: &'a [u8]) -> Result<Self, Reason> {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        match words.next_back() {
            Some(version) if version == Version::V1_0.as_str().as_bytes() => {}
            Some(version) if version.starts_with(NAME) => return Err(Reason::Version),
            _ => return Err(Reason::RequestLine),
        }
        let method = words.next().ok_or(Reason::RequestLine)?;
        let kind = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default();
        if words.next().is_some() {
            return Err(Reason::RequestLine);
        }
        let length = |word: &[u8]| if word.is_empty() { 0 } else { word.len().saturating_add(1) };
        let tight = [method, kind, name].into_iter().map(length).sum::<usize>();
        let extra_spaces = line.len() != tight.saturating_add(Version::V1_0.as_str().len());
        Ok(Self { method, target: [kind, name], extra_spaces })
    }

    /// The target `RFC n`.
    pub(super) fn rfc_number(&self) -> Result<RfcNumber, Reason> {
        match self.target {
            [b"RFC", number] if !number.is_empty() => RfcNumber::parse(number).map_err(Reason::Number),
            _ => Err(Reason::RequestLine),
        }
    }

    /// The target `ALL`.
    pub(super) fn all(&self) -> Result<(), Reason> {
        match self.target {
            [b"ALL", b""] => Ok(()),
            _ => Err(Reason::RequestLine),
        }
    }
}

/// The values of a request's headers, trimmed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    host: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    title: Option<&'a [u8]>,
    os: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// A field's bytes, unchecked.
    pub(super) fn raw(&self, field: Field) -> Option<&'a [u8]> {
        match field {
            Field::Host => self.host,
            Field::Port => self.port,
            Field::Title => self.title,
            Field::Os => self.os,
        }
    }

    pub(super) fn host(&self) -> Result<Option<Host<'a>>, Reason> {
        self.parsed(Field::Host, Host::parse)
    }

    pub(super) fn port(&self) -> Result<Option<Port>, Reason> {
        let parse =
            |bytes: &'a [u8]| if bytes.is_empty() { Err(ValueError::Empty) } else { Port::parse(bytes) };
        self.parsed(Field::Port, parse)
    }

    pub(super) fn title(&self) -> Result<Option<Title<'a>>, Reason> {
        self.parsed(Field::Title, Title::parse)
    }

    fn parsed<T>(
        &self,
        field: Field,
        parse: impl Fn(&'a [u8]) -> Result<T, ValueError>,
    ) -> Result<Option<T>, Reason> {
        self.raw(field).map(parse).transpose().map_err(|error| Reason::Value(field, error))
    }
}

//! `ADD RFC n`: a peer registers a file that it has.

use super::framing::LineEnd;
use super::head::{Fields, Words};
use super::refusal::{Field, Reason};
use super::version::Version;
use crate::value::host::Host;
use crate::value::number::{Port, RfcNumber};
use crate::value::title::Title;

/// A peer registers a file that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Add<'a> {
    /// The RFC.
    pub number: RfcNumber,
    /// Who the peer says it is.
    pub host: Host<'a>,
    /// Its upload port.
    pub port: Port,
    /// The RFC's title.
    pub title: Title<'a>,
}

impl<'a> Add<'a> {
    pub(super) fn parse(words: &Words<'a>, fields: &Fields<'a>) -> Result<Self, Reason> {
        Ok(Self {
            number: words.rfc_number()?,
            host: fields.host()?.ok_or(Reason::Missing(Field::Host))?,
            port: fields.port()?.ok_or(Reason::Missing(Field::Port))?,
            title: fields.title()?.ok_or(Reason::Missing(Field::Title))?,
        })
    }

    /// Appends the request with its empty line.
    pub fn write(&self, end: LineEnd, out: &mut Vec<u8>) {
        let version = Version::V1_0.as_str();
        let lines = [
            format!("ADD RFC {} {version}", self.number),
            format!("Host: {}", self.host),
            format!("Port: {}", self.port),
            format!("Title: {}", self.title),
            String::new(),
        ];
        end.write_lines(&lines, out);
    }
}

//! `LOOKUP RFC n`: who has a file?

use super::framing::LineEnd;
use super::head::{Fields, Words, if_given};
use super::refusal::Reason;
use super::version::Version;
use crate::value::host::Host;
use crate::value::number::{Port, RfcNumber};
use crate::value::title::Title;

/// Who has a file? Answered by number alone; the headers are read, checked and not needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup<'a> {
    /// The RFC.
    pub number: RfcNumber,
    /// Who the peer says it is.
    pub host: Option<Host<'a>>,
    /// Its upload port.
    pub port: Option<Port>,
    /// The title, as far as the peer knows it.
    pub title: Option<Title<'a>>,
}

impl<'a> Lookup<'a> {
    pub(super) fn parse(words: &Words<'a>, fields: &Fields<'a>) -> Result<Self, Reason> {
        Ok(Self {
            number: words.rfc_number()?,
            host: if_given(fields.host())?,
            port: if_given(fields.port())?,
            title: if_given(fields.title())?,
        })
    }

    /// Appends the request with its empty line; what is not known is left empty.
    pub fn write(&self, end: LineEnd, out: &mut Vec<u8>) {
        let version = Version::V1_0.as_str();
        let lines = [
            format!("LOOKUP RFC {} {version}", self.number),
            format!("Host: {}", self.host.map_or("", Host::as_str)),
            format!("Port: {}", self.port.map(|port| port.to_string()).unwrap_or_default()),
            format!("Title: {}", self.title.map_or("", Title::as_str)),
            String::new(),
        ];
        end.write_lines(&lines, out);
    }
}

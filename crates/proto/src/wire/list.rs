//! `LIST ALL`: every record of the index.

use super::framing::LineEnd;
use super::head::{Fields, Words, if_given};
use super::refusal::Reason;
use super::version::Version;
use crate::value::host::Host;
use crate::value::number::Port;

/// Every record of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List<'a> {
    /// Who the peer says it is.
    pub host: Option<Host<'a>>,
    /// Its upload port.
    pub port: Option<Port>,
}

impl<'a> List<'a> {
    pub(super) fn parse(words: &Words<'a>, fields: &Fields<'a>) -> Result<Self, Reason> {
        words.all()?;
        Ok(Self { host: if_given(fields.host())?, port: if_given(fields.port())? })
    }

    /// Appends the request with its empty line; what is not known is left empty.
    pub fn write(&self, end: LineEnd, out: &mut Vec<u8>) {
        let version = Version::V1_0.as_str();
        let lines = [
            format!("LIST ALL {version}"),
            format!("Host: {}", self.host.map_or("", Host::as_str)),
            format!("Port: {}", self.port.map(|port| port.to_string()).unwrap_or_default()),
            String::new(),
        ];
        end.write_lines(&lines, out);
    }
}

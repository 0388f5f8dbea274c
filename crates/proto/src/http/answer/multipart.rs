//! Several ranges in one answer (RFC 9110, section 14.6): each between lines that say which bytes they are.

use std::ops::Range;

/// The parts of a `multipart/byteranges`, ready to be sent one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart {
    boundary: String,
    /// What stands before some bytes of the file, and which these are.
    pub parts: Vec<(String, Range<u64>)>,
    /// What stands after the last.
    pub end: String,
}

impl Multipart {
    /// `salt` makes a boundary that a file's content cannot have been made for.
    pub(super) fn new(ranges: Vec<Range<u64>>, size: u64, media: &str, salt: u64) -> Self {
        let boundary = format!("p2pci-{salt:016x}");
        let before = |bytes: &Range<u64>| {
            let last = bytes.end.saturating_sub(1);
            format!(
                "\r\n--{boundary}\r\nContent-Type: {media}\r\nContent-Range: bytes {}-{last}/{size}\r\n\r\n",
                bytes.start
            )
        };
        let parts = ranges.into_iter().map(|bytes| (before(&bytes), bytes)).collect();
        let end = format!("\r\n--{boundary}--\r\n");
        Self { boundary, parts, end }
    }

    /// The value of its `Content-Type`.
    pub(super) fn media(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// Its length in bytes, everything between the parts included.
    pub fn len(&self) -> u64 {
        let part = |(before, bytes): &(String, Range<u64>)| {
            bytes.end.saturating_sub(bytes.start).saturating_add(before.len() as u64)
        };
        self.parts.iter().map(part).fold(self.end.len() as u64, u64::saturating_add)
    }

    /// Never: it has at least two parts.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

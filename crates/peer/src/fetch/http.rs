//! What is asked of a source in HTTP, and which answers are taken.

use std::net::IpAddr;
use std::ops::Range;

use proto::limits::UPLOAD_WAIT_MAX;
use proto::transfer::answer::AnswerHead;
use proto::transfer::blocks::Layout;
use proto::value::digest::Digest;
use proto::value::host::PeerAddr;

use super::SourceFault;

/// Appends a request for the file of this hash, or for what is at `path` below it; `range` in bytes of the file.
pub(super) fn write_request(
    method: &str,
    hash: Digest,
    path: &str,
    range: Option<Range<u64>>,
    peer: &PeerAddr,
    out: &mut Vec<u8>,
) {
    let mut request =
        format!("{method} /hash/{hash}{path} HTTP/1.1\r\nHost: {peer}\r\nUser-Agent: p2pci\r\n");
    if method == "GET" {
        // For its turn, and to be told its place meanwhile (RFC 7240, section 4.3).
        request += &format!("Prefer: wait={}\r\n", UPLOAD_WAIT_MAX.as_secs());
    }
    if let Some(range) = range.filter(|range| !range.is_empty()) {
        request += &format!("Range: bytes={}-{}\r\n", range.start, range.end - 1);
    }
    // To whoever listens on the way it would be as good.
    let stays_unread = peer.tls().is_some() || peer.host().parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if let Some(ticket) = peer.ticket().filter(|_| stays_unread) {
        request += &format!("Authorization: Ticket {ticket}\r\n");
    }
    request += "\r\n";
    out.extend_from_slice(request.as_bytes());
}

/// The length of a body that is all of what was asked for.
pub(super) fn whole(head: &AnswerHead) -> Result<u64, SourceFault> {
    match head.status {
        200 => head.length.ok_or(SourceFault::OtherBytes),
        status => Err(fault_of(status)),
    }
}

/// Whether the body is this run of blocks. A server that knows no ranges may send a file whole that was asked for whole.
pub(super) fn check_range(head: &AnswerHead, layout: &Layout, run: &Range<u32>) -> Result<(), SourceFault> {
    let asked = layout.span(run).unwrap_or_default();
    let (bytes, said) = match (head.status, &head.range) {
        (206, Some(range)) => (range.bytes.clone(), range.size),
        (206, None) => return Err(SourceFault::OtherBytes),
        _ => {
            let said = whole(head)?;
            (0..said, said)
        }
    };
    if said != layout.size() {
        return Err(SourceFault::OtherSize { said });
    }
    match bytes == asked && head.length == Some(asked.end - asked.start) {
        true => Ok(()),
        false => Err(SourceFault::OtherBytes),
    }
}

pub(super) fn fault_of(status: u16) -> SourceFault {
    match status {
        404 | 410 => SourceFault::NotThere,
        status => SourceFault::Status(status),
    }
}

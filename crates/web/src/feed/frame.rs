//! One frame of the event stream.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::Line;

/// One second of the plots.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// When it ended, in milliseconds since 1970.
    pub(crate) time: u64,
    /// Requests a second.
    pub(crate) requests_per_s: f64,
    /// Half of the requests were answered within so many microseconds; absent in a second without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_us: Option<u32>,
    /// The same for 99 of 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_us: Option<u32>,
    /// Bytes of files sent in it, by a peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_per_s: Option<u64>,
    /// See the frame's.
    pub(crate) peers: usize,
    /// See the frame's.
    pub(crate) records: usize,
}

/// What the event stream says at most four times a second.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Frame {
    /// When, in milliseconds since 1970.
    pub(crate) time: u64,
    /// At an index the connections that have joined; at a peer the hosts that are connected to its upload port.
    pub(crate) peers: usize,
    /// At an index its records; at a peer the files that it shares.
    pub(crate) records: usize,
    /// Requests since the start.
    pub(crate) requests: u64,
    /// Another one than before: files or their holders may have changed.
    pub(crate) revision: u64,
    /// A second that is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample: Option<Sample>,
    /// What happened since the last frame; in busy times a part of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<Line>,
}

impl Frame {
    /// As a server-sent event.
    pub(super) fn encoded(&self) -> Bytes {
        // Plain data into memory: nothing of it can fail, and JSON holds no line end.
        let json = serde_json::to_string(self).unwrap_or_default();
        Bytes::from(format!("data: {json}\n\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_one_event_whatever_is_in_it() {
        let line = Line {
            number: 1,
            time: 0,
            source: "127.0.0.1:1".into(),
            text: "a\r\n\r\ndata: forged\n\n".into(),
            status: None,
        };
        let frame = Frame {
            time: 1,
            peers: 2,
            records: 3,
            requests: 4,
            revision: 5,
            sample: None,
            lines: vec![line],
        };
        let text = String::from_utf8(frame.encoded().to_vec()).unwrap();
        assert_eq!(text.matches('\n').count(), 2, "{text}");
        assert!(text.starts_with("data: {") && text.ends_with("}\n\n"), "{text}");
    }
}

//! HTTP as a program speaks it that knows only the standard: one request on a connection of its own.

use super::Raw;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpAnswer {
    /// The status code.
    pub(crate) status: u16,
    /// The head as text.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl HttpAnswer {
    /// Takes an answer apart that ended with its connection.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("a head with an end") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status line");
        Self { status: status.parse().expect("a status"), body: bytes[end..].to_vec(), head }
    }

    /// A header of the head, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| {
            let (own, _) = line.split_once(": ")?;
            own.eq_ignore_ascii_case(name).then_some(own.len() + 2)
        };
        self.head.lines().find_map(|text| line(text).map(|at| &text[at..]))
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        let text = || String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON: {error}: {}", text()))
    }
}

/// Asks on a connection of its own, under the name `localhost`.
pub(crate) fn http_get(port: u16, path: &str) -> HttpAnswer {
    http(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

/// Sends these bytes on a connection of its own, and reads to its end.
pub(crate) fn http(port: u16, request: &str) -> HttpAnswer {
    let mut raw = Raw::connect(port);
    raw.send(request);
    HttpAnswer::of(&raw.read_to_end())
}

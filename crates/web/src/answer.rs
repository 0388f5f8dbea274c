//! The head of an answer as it goes out, with what every answer says.

use std::time::SystemTime;

use axum::http::{HeaderMap, StatusCode, header};
use proto::wire::get::writable;

/// What a browser may do with anything from here (threats W3 and W4): run only what came as a file of this host, be framed by
/// nobody, tell nobody where it came from. A handler that says one of these itself is not overruled.
const ALWAYS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// How the end of an answer's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After so many bytes.
    After(u64),
    /// With the connection.
    Close,
    /// There is none, whatever the headers say: the answer to a condition.
    Bodiless,
}

/// Appends a head.
pub(crate) fn write_head(
    status: StatusCode,
    headers: &HeaderMap,
    end: End,
    keep_alive: bool,
    out: &mut Vec<u8>,
) {
    let phrase = status.canonical_reason().unwrap_or("Unknown");
    out.extend_from_slice(format!("HTTP/1.1 {} {phrase}\r\n", status.as_u16()).as_bytes());
    line(out, "date", httpdate::fmt_http_date(writable(SystemTime::now())).as_bytes());
    for (name, value) in headers {
        if *name != header::CONTENT_LENGTH && *name != header::TRANSFER_ENCODING {
            line(out, name.as_str(), value.as_bytes());
        }
    }
    for (name, value) in ALWAYS.iter().filter(|(name, _)| !headers.contains_key(*name)) {
        line(out, name, value.as_bytes());
    }
    if let End::After(length) = end {
        line(out, "content-length", length.to_string().as_bytes());
    }
    if !keep_alive || end == End::Close {
        line(out, "connection", b"close");
    }
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

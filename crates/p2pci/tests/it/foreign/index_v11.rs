//! An index of 1.1 that says whatever a test wants it to say.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use super::{Scripted, say};

/// Answers every LOOKUP and LIST with these lines, and everything else with an empty 200.
pub(crate) fn telling(lookup: &[Value], list: &[Value]) -> Scripted {
    saying(body(lookup), body(list))
}

/// The same with bodies that are written already.
pub(crate) fn saying(lookup: String, list: String) -> Scripted {
    Scripted::start(move |mut stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(method) = request(&mut reader) {
            let body = match method.as_str() {
                "LOOKUP" => lookup.as_str(),
                "LIST" => list.as_str(),
                _ => "",
            };
            let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
            let head = format!("P2P-CI/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            say(&mut stream, head.as_bytes());
            say(&mut stream, body.as_bytes());
        }
    })
}

/// The method of the next request; `None` at the end.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut method = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => return method,
            line => method = method.or_else(|| line.split(' ').next().map(str::to_owned)),
        }
    }
}

fn body(lines: &[Value]) -> String {
    lines.iter().fold(String::new(), |mut body, line| {
        writeln!(body, "{line}").unwrap();
        body
    })
}

/// A source of 1.1 on this machine.
pub(crate) fn source(port: u16) -> Value {
    source_at("127.0.0.1", port)
}

/// A source of 1.1 somewhere.
pub(crate) fn source_at(host: &str, port: u16) -> Value {
    json!({"host": host, "port": port, "speaks": "1.1", "published": true})
}

/// A content and who has it, as a LOOKUP tells it.
pub(crate) fn variant(name: &str, content: &[u8], sources: &[Value]) -> Value {
    let count = sources.len();
    json!({
        "name": name, "size": content.len(), "modified": 1_700_000_000, "hash": crate::places::hash_of(content),
        "published": true, "sources": sources, "sources_in_all": count,
    })
}

/// A record, as a LIST tells it.
pub(crate) fn record(name: &str, content: &[u8], port: u16) -> Value {
    json!({
        "name": name, "size": content.len(), "modified": 1_700_000_000, "hash": crate::places::hash_of(content),
        "host": "127.0.0.1", "port": port, "speaks": "1.1", "published": true,
    })
}

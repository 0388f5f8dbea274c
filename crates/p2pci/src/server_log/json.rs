//! The log for programs: one JSON object a line, described in `docs/json.md`.

use std::net::SocketAddr;
use std::time::SystemTime;

use proto::access::redacted;
use proto::value::digest::Digest;
use proto::wire::get::writable;
use serde_json::{Value, json};

use super::Event;

/// Where the index listens.
pub(super) fn listening(address: SocketAddr, fingerprint: Option<Digest>) -> Value {
    let mut object = json!({"type": "listening", "address": address.ip(), "port": address.port()});
    if let Some(fingerprint) = fingerprint {
        object["fingerprint"] = fingerprint.to_string().into();
    }
    stamped(object)
}

/// One event as an object.
pub(super) fn object(event: &Event<'_>, explain: bool) -> Value {
    stamped(match event {
        Event::Connected { source } => json!({"type": "connected", "source": source}),
        Event::Left { source, records, why } => {
            json!({"type": "left", "source": source, "records": records, "why": why})
        }
        Event::Request { source, request, status, records } => {
            let mut object = json!({
                "type": "request", "source": source, "request": text(request.raw), "status": status,
                "records": records, "dialect": request.framing.dialect().to_string(),
            });
            if explain {
                object["departures"] =
                    request.departures.iter().map(|departure| departure.to_string()).collect();
            }
            object
        }
        Event::Refused { source, refusal, status } => json!({
            "type": "refused", "source": source, "request": text(refusal.raw), "status": status,
            "reason": refusal.reason.to_string(),
        }),
        Event::Http { source, method, path, status } => {
            json!({"type": "http", "source": source, "method": method, "path": path, "status": status})
        }
        Event::HttpRefused { source, reason, status } => {
            json!({"type": "http_refused", "source": source, "status": status, "reason": reason})
        }
        Event::NotServed { source, reason } => {
            json!({"type": "not_served", "source": source, "reason": reason})
        }
        Event::Trouble { message } => json!({"type": "trouble", "message": message}),
        Event::Hidden { lines } => json!({"type": "hidden", "lines": lines}),
        Event::Status { peers, records, tasks } => {
            json!({"type": "status", "peers": peers, "records": records, "tasks": tasks})
        }
        Event::Cluster { trouble } => {
            json!({"type": "cluster", "ready": trouble.is_none(), "why": trouble})
        }
        Event::Stopping => json!({"type": "stopping"}),
    })
}

fn stamped(mut object: Value) -> Value {
    object["time"] = humantime::format_rfc3339_millis(writable(SystemTime::now())).to_string().into();
    object
}

/// A request as text; what a terminal must not see is escaped where objects are printed.
fn text(raw: &[u8]) -> String {
    String::from_utf8_lossy(&redacted(raw)).into_owned()
}

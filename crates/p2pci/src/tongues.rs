//! Who answers a connection, by the language that it speaks.

use net::accept::Incoming;
use proto::limits::{LINGER, WRITE_STALL};
use proto::tongue::Tongue;

/// What a connection reads that is not served at all.
pub const REFUSAL: &[u8] = b"P2P-CI/1.0 400 Bad Request\r\n\r\n";

/// What a browser reads.
const NOT_HTTP: &str =
    "HTTP is switched off on this port (--no-http). Use 'p2pci list' or 'p2pci get' to talk to it.\n";

/// Answers a connection that speaks something else than P2P-CI: in HTTP to HTTP, and then closes it.
pub async fn refuse(incoming: Incoming) {
    let Incoming { mut stream, tongue, permit, .. } = incoming;
    let answer = if tongue == Some(Tongue::Http) { not_http().into_bytes() } else { REFUSAL.to_vec() };
    if stream.write_all(&answer, WRITE_STALL).await.is_ok() {
        stream.close_lingering(LINGER).await;
    }
    drop(permit);
}

fn not_http() -> String {
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{NOT_HTTP}",
        NOT_HTTP.len()
    )
}

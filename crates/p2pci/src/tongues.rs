//! Who answers a connection, by the language that it speaks.

use net::accept::Incoming;
use proto::limits::{LINGER, WRITE_STALL};
use proto::tongue::Tongue;

/// What a connection reads that is not served at all.
pub const REFUSAL: &[u8] = b"P2P-CI/1.0 400 Bad Request\r\n\r\n";

/// What a browser reads.
const NOT_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 87\r\n\
    Connection: close\r\n\r\nThis port speaks P2P-CI/1.0 and no HTTP. Use 'p2pci list' or 'p2pci get' to talk to it.\n";

/// Answers a connection that speaks something else than P2P-CI: in HTTP to HTTP, and then closes it.
pub async fn refuse(incoming: Incoming) {
    let Incoming { mut stream, tongue, permit, .. } = incoming;
    let answer = if tongue == Some(Tongue::Http) { NOT_HTTP } else { REFUSAL };
    if stream.write_all(answer, WRITE_STALL).await.is_ok() {
        stream.close_lingering(LINGER).await;
    }
    drop(permit);
}

#[cfg(test)]
mod tests {
    use super::NOT_HTTP;

    #[test]
    fn the_answer_to_a_browser_says_its_length() {
        let text = str::from_utf8(NOT_HTTP).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}

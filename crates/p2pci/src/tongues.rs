//! Who answers a connection, by the language that it speaks.

use net::accept::Incoming;
use proto::limits::{LINGER, WRITE_STALL};
use proto::tongue::Tongue;
use proto::wire::v11::answer::{Answer, Status};
use proto::wire::v11::body::{Refused, write_line};
use proto::wire::v11::request::VERSION;

/// What a connection reads that is not served at all.
pub const REFUSAL: &[u8] = b"P2P-CI/1.0 400 Bad Request\r\n\r\n";

/// What a browser reads.
const NOT_HTTP: &str =
    "HTTP is switched off on this port (--no-http). Use 'p2pci list' or 'p2pci get' to talk to it.\n";

/// What a program reads that speaks plain text where only TLS is spoken.
const ONLY_TLS: &str = "only TLS is spoken on this port: https:// for a browser, --server tls://HOST#FINGERPRINT for p2pci \
                        (whoever runs it knows the fingerprint)";

/// Answers a connection that speaks something else than P2P-CI: in HTTP to HTTP, and then closes it.
pub async fn refuse(incoming: Incoming) {
    let is_http = incoming.tongue == Some(Tongue::Http);
    let answer = if is_http { http_400(NOT_HTTP).into_bytes() } else { REFUSAL.to_vec() };
    last_word(incoming, &answer).await;
}

/// Answers a connection in plain text where only TLS is spoken, in its own tongue, and then closes it.
pub async fn refuse_plain_text(incoming: Incoming) {
    let answer = match incoming.tongue {
        Some(Tongue::Http) => http_400(&format!("{ONLY_TLS}.\n")).into_bytes(),
        Some(Tongue::P2pCi) if is_v11(&incoming.first) => {
            let mut body = Vec::new();
            write_line(&Refused { reason: ONLY_TLS.to_owned() }, &mut body);
            let mut answer = Vec::new();
            Answer {
                status: Status::BadRequest,
                cursor: None,
                warming: None,
                cluster: None,
                stale: false,
                incomplete: false,
                body: &body,
            }
            .write(&mut answer);
            answer
        }
        _ => REFUSAL.to_vec(),
    };
    last_word(incoming, &answer).await;
}

/// Nearly always the first bytes are the whole request; of one that came in pieces 1.0 is assumed.
fn is_v11(first: &[u8]) -> bool {
    first.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_end().ends_with(VERSION.as_bytes()))
}

async fn last_word(incoming: Incoming, answer: &[u8]) {
    let Incoming { mut stream, permit, .. } = incoming;
    if stream.write_all(answer, WRITE_STALL).await.is_ok() {
        stream.close_lingering(LINGER).await;
    }
    drop(permit);
}

fn http_400(sentence: &str) -> String {
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{sentence}",
        sentence.len()
    )
}

//! U7: requests that two programs could read differently, each with another one behind it, on both ports of the real binary.

use crate::places::folder;
use crate::world::{Index, Raw, Sharer, shown};

pub(super) const VECTORS: &str = include_str!("../../../../proto/tests/http/smuggling.txt");
/// What must never be answered where a refusal stands.
const MARKER: &str = "GET /rfc/666 HTTP/1.1\\r\\nHost: marker\\r\\n\\r\\n";

/// The bytes of a vector.
pub(super) fn unescaped(text: &str) -> Vec<u8> {
    let text = text.replace("{M}", MARKER);
    let (mut out, mut rest) = (Vec::new(), text.as_str());
    while let Some((before, escape)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        let (kind, after) = escape.split_at(1);
        rest = after;
        match kind {
            "r" => out.push(b'\r'),
            "n" => out.push(b'\n'),
            "t" => out.push(b'\t'),
            "0" => out.push(0),
            "\\" => out.push(b'\\'),
            _ => {
                let (hex, after) = after.split_at(2);
                out.push(u8::from_str_radix(hex, 16).unwrap());
                rest = after;
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Everything that comes back until the connection ends.
fn answers(mut raw: Raw, text: &str) -> String {
    raw.send(unescaped(text));
    // What begins like no tongue at all would be waited for.
    raw.end_sending();
    shown(&raw.try_to_end().unwrap_or_default())
}

#[test]
fn u7_a_refusal_is_the_last_answer_on_both_ports() {
    let shared = folder(&[(1, "the text of one"), (666, "the marker was answered")]);
    let index = Index::start();
    let sharer = Sharer::with(shared.path(), &index.address(), &["--as", "/"]);
    let mut refused = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (expected, text) = line.split_once(" | ").unwrap();
        // What is sound or not whole has tests of its own; what begins like no HTTP is refused in another tongue.
        if expected.len() != 3 {
            continue;
        }
        for (port, raw) in [("upload", sharer.raw()), ("index", index.raw())] {
            let answer = answers(raw, text);
            // A sound request may stand before what is refused.
            let before = usize::from(text.contains("\\r\\n\\r\\n\\n"));
            let http = answer.to_lowercase().matches("\\r\\ncontent-length: ").count();
            let other = usize::from(answer.starts_with("P2P-CI/1.0 "));
            assert!(http + other <= 1 + before, "{port}: {text}: {answer}");
            assert!(!answer.contains("marker") && !answer.contains("/rfc/666"), "{port}: {text}: {answer}");
            refused += 1;
        }
    }
    assert!(refused >= 560, "{refused}");
    let mut raw = sharer.raw();
    raw.send("GET /rfc/666 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    raw.end_sending();
    assert!(
        shown(&raw.read_to_end()).contains("the marker was answered"),
        "the marker is a request that is served"
    );
}

//! A file as a Metalink (RFC 5854): its size, its digests and everybody who has it, for programs that fetch from many at once.

use std::fmt::Write as _;

use index::checksums::Checksums;

/// What a Metalink is.
pub(super) const MEDIA: &str = "application/metalink4+xml";

/// A file.
#[derive(Debug)]
pub(super) struct Metalink {
    /// In bytes, where that is known.
    pub(super) size: Option<u64>,
    /// What SHA-256 says.
    pub(super) sums: Checksums,
    /// Where it is, the best first.
    pub(super) urls: Vec<String>,
}

impl Metalink {
    /// As a document about a file that is kept under this name.
    pub(super) fn to_xml(&self, name: &str) -> String {
        let mut xml = String::with_capacity(1024);
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        xml.push_str("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n");
        let _ = writeln!(xml, "  <file name=\"{}\">", escaped(name));
        if let Some(size) = self.size {
            let _ = writeln!(xml, "    <size>{size}</size>");
        }
        if let Some(sha256) = self.sums.sha256 {
            let _ = writeln!(xml, "    <hash type=\"sha-256\">{sha256}</hash>");
        }
        if let Some(pieces) = self.sums.pieces.as_ref().filter(|pieces| !pieces.digests.is_empty()) {
            let _ = writeln!(xml, "    <pieces type=\"sha-256\" length=\"{}\">", pieces.size);
            for digest in &pieces.digests {
                let _ = writeln!(xml, "      <hash>{digest}</hash>");
            }
            xml.push_str("    </pieces>\n");
        }
        for (url, priority) in self.urls.iter().zip(1..) {
            let _ = writeln!(xml, "    <url priority=\"{priority}\">{}</url>", escaped(url));
        }
        xml.push_str("  </file>\n</metalink>\n");
        xml
    }
}

/// Text as it may stand in XML. Names have no control characters; of other characters XML 1.0 knows two not.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::value::digest::Digest;
    use proto::value::pieces::Pieces;

    use super::*;

    #[test]
    fn a_document_says_all_that_is_known_and_nothing_gets_out_of_its_place() {
        let pieces = Pieces { size: 1 << 20, digests: [Digest([1; 32]), Digest([2; 32])].into() };
        let sums = Checksums { sha256: Some(Digest([0xab; 32])), pieces: Some(Arc::new(pieces)) };
        let urls = vec!["http://h:1/hash/x".to_owned(), "http://h:2/hash/x".to_owned()];
        let xml = Metalink { size: Some(1_048_577), sums, urls }.to_xml("a \"<&>.bin");
        let lines: Vec<&str> = xml.lines().map(str::trim).collect();
        let (one, two, all) = ("01".repeat(32), "02".repeat(32), "ab".repeat(32));
        assert_eq!(
            lines[2..],
            [
                "<file name=\"a &quot;&lt;&amp;&gt;.bin\">",
                "<size>1048577</size>",
                &format!("<hash type=\"sha-256\">{all}</hash>"),
                "<pieces type=\"sha-256\" length=\"1048576\">",
                &format!("<hash>{one}</hash>"),
                &format!("<hash>{two}</hash>"),
                "</pieces>",
                "<url priority=\"1\">http://h:1/hash/x</url>",
                "<url priority=\"2\">http://h:2/hash/x</url>",
                "</file>",
                "</metalink>",
            ]
        );
        let bare = Metalink { size: None, sums: Checksums::default(), urls: Vec::new() }.to_xml("a");
        assert!(!bare.contains("hash") && !bare.contains("size"), "{bare}");
    }
}

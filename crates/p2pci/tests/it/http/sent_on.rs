//! What an index says of a file to whoever asks for it in HTTP: it has none itself.

use super::browse::ask;
use crate::world::v11::{add_files, file, hash, hashed};
use crate::world::{Index, spec};

/// The values of a header, in order.
fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

#[test]
fn whoever_asks_is_led_to_the_first_source_with_the_query_and_told_of_the_others() {
    let index = Index::with(&["--order", "added"]);
    let mut peers = [6001, 6002].map(|port| (port, index.raw()));
    for (port, peer) in &mut peers {
        assert_eq!(peer.ask_v11(add_files("127.0.0.1", *port, &[hashed("a/b c.bin", 5, 'c')])).status, 200);
    }
    for path in ["/file/a/b%20c.bin", "/file/b%20c.bin", &format!("/hash/{}", hash('c'))] {
        let (head, _) = ask(index.raw(), &format!("{path}?x=1&y=%2F"));
        let at = |port: u16| format!("http://127.0.0.1:{port}/hash/{}", hash('c'));
        assert!(head.starts_with("HTTP/1.1 307 "), "{head}");
        assert_eq!(values(&head, "location"), [format!("{}?x=1&y=%2F", at(6001))], "{head}");
        let links = [
            format!("<{}>; rel=duplicate; pri=1", at(6001)),
            format!("<{}>; rel=duplicate; pri=2", at(6002)),
            format!("<{path}.meta4>; rel=describedby; type=\"application/metalink4+xml\""),
        ];
        assert_eq!(values(&head, "link"), links, "{head}");
    }
}

#[test]
fn what_no_peer_has_hashed_is_described_without_digests() {
    let index = Index::start();
    let mut peer = index.raw();
    assert_eq!(peer.ask_v11(add_files("127.0.0.1", 6001, &[file("b.bin", 5)])).status, 200);
    let (head, xml) = ask(index.raw(), "/file/b.bin.meta4");
    let xml = String::from_utf8(xml).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(xml.contains("<file name=\"b.bin\">"), "{xml}");
    assert!(xml.contains(">http://127.0.0.1:6001/file/b.bin</url>"), "{xml}");
    assert!(!xml.contains("<hash") && !xml.contains("<pieces"), "{xml}");
}

#[test]
fn what_only_peers_of_1_0_have_is_told_with_how_to_get_it() {
    let index = Index::start();
    let mut peer = index.raw();
    assert!(peer.ask_whole(&spec::add(9, "Nine", "localhost", 5000)).starts_with("P2P-CI/1.0 200"));
    for path in ["/rfc/9", "/rfc/9.meta4"] {
        let (head, reason) = ask(index.raw(), path);
        assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
        let reason = String::from_utf8_lossy(&reason).into_owned();
        assert!(reason.contains("P2P-CI/1.0") && reason.contains("p2pci get"), "{reason}");
    }
}

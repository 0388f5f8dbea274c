//! Who is answered, and what every answer says.

use crate::world::{HttpAnswer, Index, http, http_get};

const ADD: &str = "ADD RFC 7 P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: A title\r\n\r\n";

#[test]
fn threat_w1_a_request_for_another_name_gets_421_and_no_word_of_the_index() {
    let index = Index::with(&["--http-host", "files.example.org,other.example"]);
    let ask = |host: &str| {
        http(index.port(), &format!("GET /api/v1/status HTTP/1.1\r\n{host}\r\nConnection: close\r\n\r\n"))
    };
    for host in ["attacker.example", "attacker.example:80", "127.0.0.1.attacker.example"] {
        let answer = ask(&format!("Host: {host}\r\nX-Forwarded-Host: localhost"));
        assert_eq!(answer.status, 421, "{host}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("records"), "{answer:?}");
    }
    for host in
        ["127.0.0.1", "[::1]:1", "localhost", "index", "nas.lan", "FILES.example.org:7734", "other.example"]
    {
        assert_eq!(ask(&format!("Host: {host}")).status, 200, "{host}");
    }
    assert_eq!(ask("X: no host").status, 400);
    assert_eq!(ask("Host: localhost\r\nHost: localhost").status, 400);
    assert_eq!(http(index.port(), "GET /api/v1/status HTTP/1.0\r\n\r\n").status, 400);
}

#[test]
fn threat_w2_a_page_of_another_site_neither_changes_nor_reads_anything() {
    let index = Index::start();
    let mut peer = index.raw();
    peer.ask_whole(ADD);
    let port = index.port();
    let form = "POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b";
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = http(port, &form.replace("POST", method));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let ask = |path: &str, header: &str| {
        http(
            port,
            &format!("GET {path} HTTP/1.1\r\nHost: localhost:1\r\n{header}\r\nConnection: close\r\n\r\n"),
        )
    };
    for foreign in [
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: http://localhost:2",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        for path in ["/api/v1/status", "/api/v1/events"] {
            let answer = ask(path, foreign);
            assert_eq!(
                (answer.status, answer.header("access-control-allow-origin")),
                (403, None),
                "{foreign}"
            );
        }
    }
    for own in ["Origin: http://localhost:1", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: none"] {
        assert_eq!(ask("/api/v1/status", own).status, 200, "{own}");
    }
    assert_eq!(index.status().records, 1);
}

#[test]
fn threat_w4_every_answer_says_what_a_browser_may_do_with_it() {
    let index = Index::start();
    for path in [
        "/",
        "/assets/main.js",
        "/api/v1/status",
        "/api/v1/nothing",
        "/api/v1/files?limit=0",
        "/nothing",
        "/metrics",
    ] {
        let answer = http_get(index.port(), path);
        let csp = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            csp.contains("default-src 'self'") && csp.contains("frame-ancestors 'none'"),
            "{path}: {csp}"
        );
        assert!(!csp.contains("unsafe"), "{csp}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        let kept = if path == "/" || path.starts_with("/assets/") { "no-cache" } else { "no-store" };
        assert_eq!(answer.header("cache-control"), Some(kept), "{path}");
        assert_eq!(answer.header("server"), None);
    }
}

#[test]
fn requests_that_came_together_are_answered_in_order_and_head_has_no_body() {
    let index = Index::start();
    let mut raw = index.raw();
    let ask = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    raw.send([ask("HEAD", "/healthz"), ask("GET", "/healthz"), ask("GET", "/nothing")].concat());
    raw.end_sending();
    let all = String::from_utf8(raw.read_to_end()).unwrap();
    let statuses: Vec<&str> = all.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "200", "404"], "{all}");
    assert_eq!(all.matches("\r\n\r\nok\n").count(), 1, "{all}");
    assert_eq!(all.matches("content-length: 3\r\n").count(), 2, "{all}");
}

#[test]
fn threat_u7_a_connection_keeps_its_tongue_and_nothing_hides_behind_a_refusal() {
    let index = Index::start();
    let marker = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for begin in [
        "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /api/v1/status HTTP/1.1\nHost: localhost\n\n",
        "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n",
        "GET /api/v1/status HTTP/1.1\r\nHost : localhost\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n",
    ] {
        let answer = http(index.port(), &format!("{begin}{marker}"));
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{begin}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("HTTP/1.1"), "{begin}: {answer:?}");
    }
    let mut raw = index.raw();
    raw.send(format!("{marker}{ADD}"));
    let all = String::from_utf8(raw.read_to_end()).unwrap();
    assert!(all.contains("\r\n\r\nok\nHTTP/1.1 505 ") && !all.contains("P2P-CI/1.0 "), "{all}");
    let mut raw = index.raw();
    raw.ask_whole(ADD);
    assert!(raw.ask(marker).starts_with("P2P-CI/1.0 400 Bad Request"));
}

#[test]
fn the_page_is_asked_for_by_its_content_and_can_be_left_out() {
    let index = Index::start();
    let page = http_get(index.port(), "/");
    let tag = page.header("etag").unwrap();
    let again =
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n");
    let again = http(index.port(), &again);
    assert_eq!((page.status, again.status, again.body.len(), again.header("etag")), (200, 304, 0, Some(tag)));
    let without = Index::with(&["--no-web"]);
    assert_eq!(http_get(without.port(), "/").status, 404);
    assert_eq!(http_get(without.port(), "/api/v1/status").status, 200);
}

#[test]
fn without_http_the_port_says_so_in_http() {
    let index = Index::with(&["--no-http"]);
    let answer = http_get(index.port(), "/api/v1/status");
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains("--no-http"), "{answer:?}");
}

#[test]
fn a_silent_connection_and_a_slow_head_are_closed() {
    let index = Index::start();
    let (mut slow, mut quiet) = (index.raw(), index.raw());
    slow.send("GET /healthz HTTP/1.1\r\n");
    quiet.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(HttpAnswer::of(&slow.read_to_end()).status, 408);
    let all = quiet.read_to_end();
    assert!(all.ends_with(b"\r\n\r\nok\n"), "closed without another word");
}

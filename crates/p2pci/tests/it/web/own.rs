//! The page of a peer: `share --web`.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::world::{
    Browser, Index, PATIENCE, Raw, Sharer, http, http_get, noise, p2pci, run_command, wait_for,
};

const LARGE: usize = 3_000_000;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    std::fs::write(folder.path().join("models/llama 7b.gguf"), noise(3, LARGE)).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "one").unwrap();
    std::fs::write(
        folder.path().join("rfc1.txt"),
        "Network Working Group\n\n                         Host Software\n\nText.\n",
    )
    .unwrap();
    folder
}

fn share(index: &Index, folder: &tempfile::TempDir) -> (Sharer, u16) {
    share_with(index, folder, &[])
}

fn share_with(index: &Index, folder: &tempfile::TempDir, more: &[&str]) -> (Sharer, u16) {
    let flags = ["--as", "lab", "--upload-listen", "127.0.0.1", "--web"];
    let sharer = Sharer::with(folder.path(), &index.address(), &[&flags, more].concat());
    let page = sharer.sharing()["page"].as_str().expect("the page's address").to_owned();
    let port = page.strip_prefix("http://127.0.0.1:").expect("loopback and no other").trim_end_matches('/');
    let port = port.parse().unwrap();
    (sharer, port)
}

fn get(port: u16, path: &str) -> Value {
    let answer = http_get(port, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

#[test]
fn a_peer_tells_what_it_shares_and_who_takes_it() {
    let (index, folder) = (Index::start(), folder());
    let (sharer, port) = share(&index, &folder);
    let status = wait_for(PATIENCE, "the registration", || {
        let status = get(port, "/api/v1/status");
        status["indexes"][0]["registered"].as_u64().map(|_| status)
    });
    assert_eq!((&status["kind"], &status["files"]), (&json!("peer"), &json!(3)));
    assert_eq!(
        (&status["indexes"][0]["server"], &status["upload_port"]),
        (&json!(index.address()), &json!(sharer.port()))
    );
    let first = get(port, "/api/v1/files?limit=2");
    let names = |page: &Value| {
        let files = page["files"].as_array().unwrap().clone();
        files.iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["lab/models/llama 7b.gguf", "lab/notes.txt"]);
    let next = first["next"].as_str().unwrap().replace(' ', "%20");
    let second = get(port, &format!("/api/v1/files?limit=2&after={next}"));
    assert_eq!((names(&second), &second["next"]), (vec!["lab/rfc1.txt".to_owned()], &Value::Null));
    assert_eq!(names(&get(port, "/api/v1/files?prefix=lab%2Fm")).len(), 1);
    assert_eq!(names(&get(port, "/api/v1/search?query=lama%20size:%3E1M")), ["lab/models/llama 7b.gguf"]);
    assert_eq!(names(&get(port, "/api/v1/search?query=host%20software")), ["lab/rfc1.txt"]);
    let file = get(port, "/api/v1/file?name=lab/models/llama%207b.gguf");
    let source = &file["variants"][0]["sources"][0];
    assert_eq!((&source["host"], &source["port"]), (&json!("127.0.0.1"), &json!(sharer.port())));
    assert_eq!(http_get(port, "/api/v1/file?name=lab/none").status, 404);

    // A reader that has taken a part, and reads on when it is told to.
    let mut taking = TcpStream::connect(("127.0.0.1", sharer.port())).unwrap();
    taking.write_all(b"GET /file/lab/models/llama%207b.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut some = vec![0; LARGE / 2];
    taking.read_exact(&mut some).unwrap();
    let taker = wait_for(PATIENCE, "the taker", || {
        let takers = get(port, "/api/v1/takers")["takers"].as_array().unwrap().clone();
        takers.into_iter().find(|taker| taker["rate"].as_u64() > Some(0))
    });
    assert_eq!((&taker["host"], &taker["connections"]), (&json!("127.0.0.1"), &json!(1)));
    assert_eq!(taker["file"], json!("lab/models/llama 7b.gguf"), "also before it is whole");
    taking.read_exact(&mut vec![0; LARGE / 2]).unwrap();
    wait_for(PATIENCE, "all of it", || {
        let status = get(port, "/api/v1/status");
        (status["sent"].as_u64() >= Some(LARGE as u64) && status["requests"] == 1).then_some(())
    });
    let told = wait_for(PATIENCE, "the request among the last ones", || {
        get(port, "/api/v1/recent")["lines"].as_array().unwrap().first().cloned()
    });
    assert_eq!(told["text"], json!(format!("GET /file/lab/models/llama%207b.gguf, {LARGE} bytes")));
    assert_eq!(told["status"], "200 OK");
    drop(index);
    wait_for(PATIENCE, "the loss of the index", || {
        get(port, "/api/v1/status")["indexes"][0]["registered"].is_null().then_some(())
    });
}

#[test]
fn the_page_of_a_peer_that_speaks_tls_names_its_key() {
    let (index, folder, keys) = (Index::start(), folder(), tempfile::tempdir().unwrap());
    let (sharer, port) = share_with(&index, &folder, &["--tls", "--tls-dir", keys.path().to_str().unwrap()]);
    let file = get(port, "/api/v1/file?name=lab/notes.txt");
    let named =
        file["variants"][0]["sources"][0]["tls"].as_str().expect("the fingerprint of its key").to_owned();
    assert_eq!(json!(named), sharer.sharing()["fingerprint"]);
}

#[test]
fn the_page_of_a_peer_keeps_to_itself() {
    let (index, folder) = (Index::start(), folder());
    let (sharer, port) = share(&index, &folder);
    let page = http_get(port, "/");
    assert!(String::from_utf8_lossy(&page.body).contains("data-kind=\"peer\""));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    let ask = |lines: &str| http(port, &format!("{lines}\r\nConnection: close\r\n\r\n"));
    let path = "/api/v1/takers";
    assert_eq!(ask(&format!("GET {path} HTTP/1.1\r\nHost: attacker.example")).status, 421);
    let foreign = ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example"));
    assert_eq!((foreign.status, foreign.header("access-control-allow-origin")), (403, None));
    assert_eq!(ask(&format!("POST {path} HTTP/1.1\r\nHost: localhost")).status, 405);
    for nothing in ["/file/lab/notes.txt", "/metrics", "/api/v1/peers", "/../etc/passwd", "/rfc/1"] {
        assert_eq!(http_get(port, nothing).status, 404, "{nothing}");
    }
    for elsewhere in ["/api/v1/status", path] {
        assert_eq!(http_get(sharer.port(), elsewhere).status, 404, "not on the upload port: {elsewhere}");
    }
    let mut raw = Raw::connect(port);
    raw.send("LIST ALL P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n\r\n");
    assert!(raw.read_to_end().starts_with(b"P2P-CI/1.0 400 Bad Request\r\n"));
    // The port is taken: nothing is shared then.
    let (index, web) = (index.address(), format!("--web=127.0.0.1:{port}"));
    let again = run_command(p2pci(Sharer::args(folder.path(), &index, &[&web])));
    assert_eq!(again.code, Some(1));
    assert!(
        again.text().contains("--web=ADDR:PORT") && !again.text().contains("sharing"),
        "{}",
        again.text()
    );
}

#[test]
fn whoever_shares_sees_it_in_a_browser() {
    let Some(mut browser) = Browser::start("whoever_shares_sees_it_in_a_browser") else { return };
    let (index, folder) = (Index::start(), folder());
    let (sharer, port) = share(&index, &folder);
    browser.open(&format!("http://127.0.0.1:{port}/"), &json!({}));
    for name in ["llama 7b.gguf", "notes.txt", "Host Software"] {
        browser.wait("#list .row", name);
    }
    browser.wait("#live-text", "live");
    browser.wait("#who", &format!("shares at {}", index.address()));
    assert_eq!(http_get(sharer.port(), "/file/lab/models/llama%207b.gguf").body.len(), LARGE);
    browser.wait("#peers td", "lab/models/llama 7b.gguf");
    browser.wait("#console li", "GET /file/lab/models/llama%207b.gguf");
    browser.inspect("peer");
    std::fs::write(folder.path().join("fresh.pdf"), "%PDF").unwrap();
    browser.wait("#list .row", "fresh.pdf");
    browser.run("click", &json!({"selector": "#list .row"}));
    browser.wait("#detail .actions code", &format!("--server {}", index.address()));
    browser.press("Escape");
    browser.open(
        &format!("http://127.0.0.1:{port}/"),
        &json!({"width": 390, "height": 844, "phone": true, "dark": true}),
    );
    browser.wait("#list .row", "fresh.pdf");
    assert_eq!(browser.evaluate("document.documentElement.scrollWidth - innerWidth"), json!(0));
    browser.inspect("peer-phone");
    browser.assert_harmless();
}

#[test]
fn the_index_shows_how_fast_a_peer_says_it_sends() {
    let (index, folder) = (Index::start(), folder());
    let flags = ["--as", "lab", "--upload-listen", "127.0.0.1", "--upload-limit", "200K"];
    let sharer = Sharer::with(folder.path(), &index.address(), &flags);
    let sending = || get(index.port(), "/api/v1/peers")["peers"][0]["sending"].as_u64();
    assert_eq!(sending(), Some(0), "an average rises from nothing");
    let mut taking = TcpStream::connect(("127.0.0.1", sharer.port())).unwrap();
    taking.write_all(b"GET /file/lab/models/llama%207b.gguf HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // Until the peer is gone.
    let reading = std::thread::spawn(move || taking.read_to_end(&mut Vec::new()).map(drop));
    let rate = wait_for(PATIENCE, "the rate", || sending().filter(|rate| *rate > 80_000));
    assert!(rate < 800_000, "{rate} bytes a second of 204,800");
    drop(sharer);
    // However it ended.
    let _ = reading.join().unwrap();
}

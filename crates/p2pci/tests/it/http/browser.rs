//! U12: what somebody shares never runs in a browser, whatever it is called and however it is asked for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::places::{empty_folder, put};
use crate::world::{Index, PATIENCE, Process, Sharer, on_path, skip, wait_for};

/// A server of one page on a free port, and how often its `/ran` was asked for.
struct Page {
    port: u16,
    ran: Arc<AtomicUsize>,
}

impl Page {
    fn start(page: impl Fn(u16) -> String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ran, page) = (Arc::new(AtomicUsize::new(0)), page(port));
        let counted = Arc::clone(&ran);
        // It ends with the process of the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = [0; 4096];
                let count = stream.read(&mut request).unwrap_or(0);
                counted.fetch_add(usize::from(request[..count].starts_with(b"GET /ran")), Ordering::SeqCst);
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
                let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{page}", page.len());
            }
        });
        Self { port, ran }
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

/// A page whose script says that it runs.
fn page(port: u16) -> String {
    format!("<!doctype html><script>new Image().src='http://127.0.0.1:{port}/ran?'+location.port</script>")
}

/// Opens addresses in Chromium, one after the other.
fn browse(url: &str) {
    let home = empty_folder();
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-dev-shm-usage",
    ]);
    command.args([
        "--disable-background-networking",
        "--no-proxy-server",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", home.path().display())).arg(url).env("HOME", home.path());
    let mut browser = Process::start(command);
    let ended = std::time::Instant::now() + Duration::from_secs(15);
    // A page that is a download leaves it waiting for ever.
    while !browser.has_ended() && std::time::Instant::now() < ended {
        std::thread::sleep(Duration::from_millis(20));
        if browser.stderr().contains("ERR_ABORTED") {
            break;
        }
    }
}

#[test]
fn u12_a_shared_page_runs_nothing_in_a_browser() {
    if !on_path("chromium") {
        return skip("u12_a_shared_page_runs_nothing_in_a_browser", "there is no chromium here");
    }
    let marker = Page::start(page);
    // Served as what it is, it runs: the browser does what the test relies on.
    browse(&format!("http://127.0.0.1:{}/", marker.port));
    wait_for(PATIENCE, "the page to run", || (marker.ran() > 0).then_some(()));
    let before = marker.ran();
    let folder = empty_folder();
    for name in ["x.html", "x.svg", "x", "x.txt"] {
        put(&folder.path().join(name), page(marker.port));
    }
    let index = Index::start();
    let sharer = Sharer::with(folder.path(), &index.address(), &["--as", "a", "--browse"]);
    for url in [
        format!("http://{}/file/a/x.html", sharer.address()),
        format!("http://{}/file/a/x.svg", index.address()),
    ] {
        browse(&url);
    }
    assert_eq!(marker.ran(), before, "a shared page has run");
}

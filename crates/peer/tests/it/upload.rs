//! The upload server against raw bytes of every dialect.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::accept::{Incoming, Policy};
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::stop::{Stopper, stop_pair};
use peer::download::{Destination, Timing, fetch};
use peer::limit::RateLimit;
use peer::shares::ShareTable;
use peer::upload;
use peer::upload::http::Manners;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scripted::{BOUND, Recorder, number, peer};

const TEXT: &[u8] = b"\r\nNetwork\nWorking\r\nGroup \xff\0\x80 end";

struct Server {
    address: SocketAddr,
    folder: tempfile::TempDir,
    told: Arc<Recorder>,
    _stopper: Stopper,
}

/// Serves a folder with `rfc1.txt`, and what `more` puts there.
fn serve(more: impl FnOnce(&Path)) -> Server {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rfc1.txt"), TEXT).unwrap();
    more(folder.path());
    let shares = Arc::new(ShareTable::new());
    shares.scan(folder.path()).unwrap();
    let spec = ListenSpec { address: Some([127, 0, 0, 1].into()), ports: PortChoice::Any };
    let listeners = Listeners::bind(spec).unwrap();
    let address = listeners.local_addrs()[0];
    let told = Recorder::new();
    let (stopper, stop) = stop_pair();
    let policy = Policy {
        public: false,
        connections_max: 512,
        per_address_max: 512,
        refusal: b"",
        drain: Duration::from_secs(5),
        lists: net::lists::AddressLists::default(),
        tls: None,
    };
    let fallback = |incoming: Incoming| async move {
        let mut stream = incoming.stream;
        let _ = stream.write_all(b"the other tongue", BOUND).await;
    };
    let served = upload::Served { content: Arc::clone(&shares) as Arc<_>, shares };
    tokio::spawn(upload::serve(listeners, policy, Manners::default(), served, told.clone(), fallback, stop));
    Server { address, folder, told, _stopper: stopper }
}

/// Sends bytes; gives the first read and everything that follows.
async fn ask(address: SocketAddr, bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut first = vec![0; 64 * 1024];
        let count = stream.read(&mut first).await.unwrap();
        first.truncate(count);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (first, rest)
    };
    tokio::time::timeout(BOUND, asked).await.unwrap()
}

/// The head with its two dates taken out.
fn without_dates(head: &[u8]) -> String {
    let text = String::from_utf8(head.to_vec()).unwrap();
    let lines = text.split_inclusive('\n').map(|line| {
        let dated = line.starts_with("Date: ") || line.starts_with("Last-Modified: ");
        match line.split_once(": ") {
            Some((name, date)) if dated => {
                let end = if date.ends_with("\r\n") { "\r\n" } else { "\n" };
                assert!(date.trim_end().ends_with(" GMT") && date.trim_end().len() == 29, "{date}");
                format!("{name}: GMT{end}")
            }
            _ => line.to_owned(),
        }
    });
    lines.collect()
}

fn expected_head(length: usize, separator: &str, end: &str) -> String {
    format!(
        "P2P-CI/1.0 200 OK\nDate: GMT\nOS: Linux\nLast-Modified: GMT\nContent-Length: {length}\nContent-Type: text/plain\n{separator}"
    )
    .replace('\n', end)
}

#[tokio::test]
async fn every_dialect_gets_the_file_as_it_needs_it() {
    let server = serve(|_| {});
    let plain = "GET RFC 1 P2P-CI/1.0\r\nHost: h\r\nOS: x\r\n";
    let cases = [
        ("spec", format!("{plain}\r\n"), "\n", "\r\n"),
        ("tight", format!("{plain}\r\n").replace(": ", ":"), "\n", "\r\n"),
        ("lf-blank", format!("{plain}\r\n").replace('\r', ""), "\n", "\n"),
        ("original", plain.replace('\r', ""), "\n", "\n"),
        ("unterminated", plain.trim_end().to_owned(), "\n", "\r\n"),
        ("padded", format!("{:~<1024}", plain.replace('\r', "")), "\n", "\n"),
    ];
    for (dialect, request, separator, end) in cases {
        let (head, body) = ask(server.address, request.as_bytes()).await;
        assert_eq!(without_dates(&head), expected_head(TEXT.len(), separator, end), "{dialect}");
        assert_eq!(body, TEXT, "{dialect}");
    }
    for (name, request, separator) in [
        ("crlf-plain", plain.to_owned(), ""),
        ("ours", "GET RFC 1 P2P-CI/1.0\r\nHost: h\r\nOS: Linux (p2pci)\r\n\r\n".to_owned(), "\n"),
    ] {
        let (one_write, rest) = ask(server.address, request.as_bytes()).await;
        let (head, body) = one_write.split_at(one_write.len() - TEXT.len());
        assert_eq!(without_dates(head), expected_head(TEXT.len(), separator, "\r\n"), "{name}");
        assert_eq!((body, &rest[..]), (TEXT, &b""[..]), "{name}");
    }
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte_and_late_empty_lines_reset_nothing() {
    let server = serve(|_| {});
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"GET RFC 1 P2P-CI/1.0\nHost: h\nOS: x\n" {
        stream.write_all(&[*byte]).await.unwrap();
    }
    let mut start = [0; 17];
    stream.read_exact(&mut start).await.unwrap();
    stream.write_all(b"\n").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(BOUND, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(start == *b"P2P-CI/1.0 200 OK" && rest.ends_with(TEXT));
}

#[tokio::test]
async fn refusals_come_in_the_framing_of_the_request() {
    let server = serve(|_| {});
    for (request, answer) in [
        ("GET RFC 2 P2P-CI/1.0\r\nHost: h\r\nOS: x\r\n\r\n", "P2P-CI/1.0 404 Not Found\r\n\r\n"),
        ("GET RFC 2 P2P-CI/1.0\nHost: h\nOS: x\n", "P2P-CI/1.0 404 Not Found\n"),
        ("GET RFC 2 P2P-CI/1.0\nHost: h\nOS: x\n\n", "P2P-CI/1.0 404 Not Found\n\n"),
        ("GET RFC ../1 P2P-CI/1.0\r\nHost: h\r\nOS: x\r\n\r\n", "P2P-CI/1.0 400 Bad Request\r\n\r\n"),
        (
            "GET RFC 1 P2P-CI/9.0\r\nHost: h\r\nOS: x\r\n\r\n",
            "P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n",
        ),
        ("LIST ALL P2P-CI/1.0\nHost: h\nPort: 1\n\n", "P2P-CI/1.0 400 Bad Request\n\n"),
        ("\u{1}", "P2P-CI/1.0 400 Bad Request\r\n\r\n"),
        ("\u{16}\u{3}\u{1}", "the other tongue"),
    ] {
        let (first, rest) = ask(server.address, request.as_bytes()).await;
        assert_eq!(String::from_utf8([first, rest].concat()).unwrap(), answer, "{request:?}");
    }
}

#[tokio::test]
async fn the_same_port_speaks_http() {
    let server = serve(|_| {});
    let request = "GET /rfc/1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let (head, rest) = ask(server.address, request.as_bytes()).await;
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&head));
    assert!([head, rest].concat().ends_with(TEXT));
    let (answer, _) = ask(server.address, b"GET / HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "{}", String::from_utf8_lossy(&answer));
    server.told.wait_for("HttpRefused").await;
}

#[tokio::test]
async fn links_fifos_and_folders_are_never_served() {
    let server = serve(|folder| {
        let path = |name: &str| folder.join(name);
        for name in ["rfc5.txt", "rfc6.txt"] {
            std::fs::write(path(name), "was shared").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", path("rfc2.txt")).unwrap();
        std::fs::create_dir(path("rfc3.txt")).unwrap();
        fifo(&path("rfc4.txt"));
    });
    // What was a file when it was shared, and is none any more.
    for name in ["rfc5.txt", "rfc6.txt"] {
        std::fs::remove_file(server.folder.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", server.folder.path().join("rfc5.txt")).unwrap();
    fifo(&server.folder.path().join("rfc6.txt"));
    for number in 2..=6 {
        let request = format!("GET RFC {number} P2P-CI/1.0\r\nHost: h\r\nOS: x\r\n\r\n");
        let (answer, _) = ask(server.address, request.as_bytes()).await;
        assert_eq!(answer, b"P2P-CI/1.0 404 Not Found\r\n\r\n", "{number}");
    }
}

fn fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[tokio::test]
async fn a_file_that_becomes_shorter_resets_the_connection() {
    const LENGTH: u64 = 256 * 1024 * 1024;
    let server = serve(|folder| File::create(folder.join("rfc7.txt")).unwrap().set_len(LENGTH).unwrap());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET RFC 7 P2P-CI/1.0\r\nHost: h\r\nOS: x\r\n\r\n").await.unwrap();
    let mut head = [0; 17];
    stream.read_exact(&mut head).await.unwrap();
    File::options().write(true).open(server.folder.path().join("rfc7.txt")).unwrap().set_len(10).unwrap();
    let mut sink = tokio::io::sink();
    let copied = tokio::time::timeout(BOUND, tokio::io::copy(&mut stream, &mut sink)).await.unwrap();
    let error = copied.expect_err("a cut body must not look complete");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.told.wait_for("Cut(Truncated").await;
}

#[tokio::test]
async fn many_downloads_at_once_all_get_the_same_bytes() {
    let large: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let wanted = large.clone();
    let server = serve(move |folder| std::fs::write(folder.join("rfc8.txt"), large).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut downloads = tokio::task::JoinSet::new();
    // More than may be sent at once: the rest waits.
    for n in 0..100 {
        let path = folder.path().join(n.to_string());
        let source = peer(server.address);
        downloads.spawn(async move {
            let mut into = Destination::File { path: path.clone(), force: false };
            fetch(&source, number(8), &mut into, &Timing::default(), &RateLimit::default()).await.unwrap();
            std::fs::read(path).unwrap()
        });
    }
    let all = tokio::time::timeout(BOUND, downloads.join_all()).await.unwrap();
    assert!(all.len() == 100 && all.iter().all(|bytes| *bytes == wanted));
}

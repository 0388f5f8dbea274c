//! The upload server in HTTP, over real sockets.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::accept::{AcceptNotice, AcceptObserver, Incoming, Policy};
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::stop::{Stopper, stop_pair};
use peer::upload::content::{Content, Opened};
use peer::upload::http::HttpUploads;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::scripted::{BOUND, Recorder};

mod limits;
mod programs;
mod shares;

/// What of `smuggling.txt` must never be answered where a refusal stands.
const MARKER: &str = "GET /rfc/666 HTTP/1.1\r\nHost: marker\r\n\r\n";
const SMUGGLING: &str = include_str!("../../../proto/tests/http/smuggling.txt");

const LARGE: usize = 3_000_001;

fn hex(byte: u8) -> String {
    Digest([byte; 32]).to_string()
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Files of a folder, opened by name; some have a number, some a digest.
struct Shelf {
    folder: tempfile::TempDir,
    hashes: HashMap<Digest, &'static str>,
}

impl Shelf {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
        put("rfc1.txt", b"the text of one");
        put("rfc666.txt", b"the marker was answered");
        put("empty", b"");
        put("small file.bin", &pattern(1000));
        put("large", &pattern(LARGE));
        File::create(folder.path().join("huge")).unwrap().set_len(1 << 30).unwrap();
        let hashes = [(Digest([1; 32]), "small file.bin"), (Digest([2; 32]), "large")].into();
        Self { folder, hashes }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self, name: &str, hash: Option<Digest>) -> Option<Opened> {
        let file = File::open(self.path(name)).ok()?;
        let metadata = file.metadata().ok()?;
        let (size, modified) = (metadata.len(), metadata.modified().ok()?);
        let name = format!("a/{name}").into();
        Some(Opened { file: Arc::new(file), size, modified, hash, sha256: None, name })
    }
}

impl Content for Shelf {
    fn by_hash(&self, digest: &Digest) -> Option<Opened> {
        self.hashes.get(digest).and_then(|name| self.open(name, Some(*digest)))
    }

    fn by_name(&self, name: FileName<'_>) -> Option<Opened> {
        let leaf = name.as_str().strip_prefix("a/").filter(|leaf| !leaf.contains('/'))?;
        let hash = self.hashes.iter().find(|(_, name)| **name == leaf).map(|(hash, _)| *hash);
        self.open(leaf, hash)
    }

    fn by_number(&self, number: RfcNumber) -> Option<Opened> {
        self.open(&format!("rfc{number}.txt"), None)
    }

    fn blocks(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        match self.hashes.get(digest) {
            Some(&"large") => Some(pattern(96).into()),
            Some(_) => Some([].into()),
            None => None,
        }
    }
}

struct Quiet;

impl AcceptObserver for Quiet {
    fn notice(&self, _: AcceptNotice) {}
}

struct Server {
    address: SocketAddr,
    shelf: Arc<Shelf>,
    told: Arc<Recorder>,
    stopper: Stopper,
    done: tokio::task::JoinHandle<()>,
}

fn serve() -> Server {
    let shelf = Arc::new(Shelf::new());
    serve_content(shelf.clone(), shelf)
}

fn serve_content(content: Arc<dyn Content>, shelf: Arc<Shelf>) -> Server {
    let told = Recorder::new();
    let uploads = Arc::new(HttpUploads::new(content, told.clone()));
    let spec = ListenSpec { address: Some([127, 0, 0, 1].into()), ports: PortChoice::Any };
    let listeners = Listeners::bind(spec).unwrap();
    let address = listeners.local_addrs()[0];
    let (stopper, stop) = stop_pair();
    let drain = Duration::from_secs(30);
    let policy = Policy {
        public: false,
        connections_max: 1024,
        per_address_max: 1024,
        refusal: b"",
        drain,
        lists: net::lists::AddressLists::default(),
        tls: None,
    };
    let stopping = stop.clone();
    let handler = move |incoming: Incoming| {
        let (uploads, stop) = (Arc::clone(&uploads), stopping.clone());
        async move { uploads.run(incoming, stop).await }
    };
    let done = tokio::spawn(net::accept::serve(listeners, policy, Arc::new(Quiet), handler, stop));
    Server { address, shelf, told, stopper, done }
}

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A client that reads answers one by one off one connection.
struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        timeout(BOUND, self.stream.write_all(bytes)).await.unwrap().unwrap();
    }

    async fn more(&mut self) -> bool {
        self.read.reserve(64 * 1024);
        let count = timeout(BOUND, self.stream.read_buf(&mut self.read)).await.unwrap().unwrap_or(0);
        count > 0
    }

    async fn answer(&mut self, method: &str) -> Answer {
        let end = loop {
            match self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => {
                    assert!(self.more().await, "ended in a head: {}", String::from_utf8_lossy(&self.read));
                }
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let bodiless = method == "HEAD" || status == 304;
        let length = if bodiless { 0 } else { answer.header("Content-Length").unwrap().parse().unwrap() };
        while self.read.len() < length {
            assert!(self.more().await, "ended in a body");
        }
        answer.body = self.read.drain(..length).collect();
        answer
    }

    async fn ask(&mut self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n{headers}\r\n").as_bytes()).await;
        self.answer(method).await
    }

    /// Everything up to the end, and whether that was a clean one.
    async fn rest(mut self) -> (Vec<u8>, bool) {
        let clean = timeout(BOUND, self.stream.read_to_end(&mut self.read)).await.unwrap().is_ok();
        (self.read, clean)
    }
}

type Case<'a> = (&'a str, &'a str, &'a str, u16, &'a [u8]);

/// What is asked of the first text, and how it is answered.
const OF_ONE: [Case<'_>; 9] = [
    ("GET", "/rfc/1", "", 200, b"the text of one"),
    ("HEAD", "/rfc/1", "", 200, b""),
    ("GET", "/rfc/1", "Range: bytes=4-7\r\n", 206, b"text"),
    ("GET", "/rfc/1", "Range: bytes=-3\r\n", 206, b"one"),
    ("GET", "/rfc/1", "Range: bytes=3-4,0-1\r\n", 200, b"the text of one"),
    ("GET", "/rfc/1", "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 304, b""),
    ("GET", "/rfc/1", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 200, b"the text of one"),
    (
        "GET",
        "/rfc/1",
        "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
        412,
        b"the file is another one by now\n",
    ),
    ("GET", "/rfc/1", "Range: bytes=15-\r\n", 416, b"the range begins beyond the file, which has 15 bytes\n"),
];

#[tokio::test]
async fn every_status_on_one_connection() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    let (one, two) = (hex(1), hex(2));
    let of_one =
        OF_ONE.map(|(method, path, headers, status, body)| (method, path, headers.to_owned(), status, body));
    let others = [
        ("GET", "/rfc/2", String::new(), 404, &b"there is no such file here\n"[..]),
        ("HEAD", "/rfc/2", String::new(), 404, b""),
        ("GET", "/file/a/empty", String::new(), 200, b""),
        (
            "GET",
            "/file/a/empty",
            "Range: bytes=0-\r\n".into(),
            416,
            b"the range begins beyond the file, which has 0 bytes\n",
        ),
        ("GET", "/file/a/small%20file.bin", String::new(), 200, &pattern(1000)),
        ("GET", "/file/a/small%2520file.bin", String::new(), 404, b"there is no such file here\n"),
        ("GET", "/file/a/../a/rfc1.txt", String::new(), 404, b"there is no such file here\n"),
        ("GET", "/file/%2e%2e/%2e%2e/etc/passwd", String::new(), 404, b"there is no such file here\n"),
        ("GET", "/etc/passwd", String::new(), 404, b"there is no such file here\n"),
        ("GET", &format!("/hash/{one}"), String::new(), 200, &pattern(1000)),
        ("GET", &format!("/hash/{one}"), format!("If-None-Match: \"{one}\"\r\n"), 304, b""),
        ("GET", &format!("/hash/{one}"), format!("If-None-Match: \"{two}\"\r\n"), 200, &pattern(1000)),
        (
            "GET",
            &format!("/hash/{one}"),
            format!("Range: bytes=2-3\r\nIf-Range: \"{one}\"\r\n"),
            206,
            &[2, 3],
        ),
        (
            "GET",
            &format!("/hash/{one}"),
            format!("Range: bytes=2-3\r\nIf-Range: \"{two}\"\r\n"),
            200,
            &pattern(1000),
        ),
        ("GET", &format!("/hash/{}", hex(3)), String::new(), 404, b"there is no such file here\n"),
        ("GET", &format!("/hash/{one}/blocks"), String::new(), 200, b""),
        ("GET", &format!("/hash/{two}/blocks"), String::new(), 200, &pattern(96)),
        ("GET", &format!("/hash/{two}/blocks"), "Range: bytes=32-63\r\n".into(), 206, &pattern(96)[32..64]),
        ("GET", &format!("/hash/{}/blocks", hex(3)), String::new(), 404, b"there is no such file here\n"),
        ("GET", &format!("/hash/{two}"), String::new(), 200, &pattern(LARGE)),
        ("HEAD", &format!("/hash/{two}"), String::new(), 200, b""),
    ];
    for (method, path, headers, status, body) in of_one.into_iter().chain(others) {
        let answer = client.ask(method, path, &headers).await;
        assert_eq!(answer.status, status, "{method} {path} {headers}: {answer:?}");
        assert!(answer.body == body, "{method} {path} {headers}: {}", answer.head);
        assert_eq!(answer.header("X-Content-Type-Options").is_some(), status != 304, "{}", answer.head);
        for leak in ["Server", "p2pci", server.shelf.folder.path().to_str().unwrap()] {
            assert!(!answer.head.contains(leak), "{}", answer.head);
        }
    }
    server.told.wait_for("target: Hash").await;
}

/// The parts of a `multipart/byteranges`: which bytes, and what they are.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let boundary =
        answer.header("Content-Type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mark = format!("\r\n--{boundary}").into_bytes();
    let mut rest = answer.body.strip_prefix(&mark[..]).expect("it begins with a part");
    let mut parts = Vec::new();
    while rest != b"--\r\n" {
        let head = rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let lines = std::str::from_utf8(&rest[..head]).unwrap();
        let range = lines.lines().find_map(|line| line.strip_prefix("Content-Range: bytes ")).unwrap();
        let end = rest.windows(mark.len()).position(|some| some == mark).unwrap();
        parts.push((range.to_owned(), rest[head + 4..end].to_vec()));
        rest = &rest[end + mark.len()..];
    }
    parts
}

#[tokio::test]
async fn several_ranges_come_in_one_answer_small_or_large() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    let whole = pattern(LARGE);
    for ranges in [
        &[(0, 0), (2, 2)][..],
        &[(0, 9), (10, 19), (LARGE - 5, LARGE - 1)],
        &[(0, 1_499_999), (1_500_000, LARGE - 1)],
        &[(1, 100_000), (200_000, 200_000), (2_000_000, 2_999_999)],
    ] {
        let asked: Vec<String> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
        let answer =
            client.ask("GET", "/file/a/large", &format!("Range: bytes={}\r\n", asked.join(", "))).await;
        assert_eq!((answer.status, answer.header("Content-Range")), (206, None), "{ranges:?}");
        let parts = parts(&answer);
        assert_eq!(parts.len(), ranges.len());
        for ((range, bytes), (first, last)) in parts.iter().zip(ranges) {
            assert_eq!(*range, format!("{first}-{last}/{LARGE}"));
            assert!(*bytes == whole[*first..=*last], "{range}");
        }
    }
    let blocks = client.ask("GET", &format!("/hash/{}/blocks", hex(2)), "Range: bytes=0-31,64-95\r\n").await;
    assert_eq!(parts(&blocks).last().unwrap().1, pattern(96)[64..]);
}

#[tokio::test]
async fn u6_ranges_that_overflow_or_overlap_a_thousandfold_give_the_file_once() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    for value in [
        vec!["0-"; 1300].join(","),
        (0..1300).map(|at| format!("{at}-{}", at + 100)).collect::<Vec<_>>().join(","),
        "-17208,-9223372036854758792".to_owned(),
        "-9223372036854775808,-9223372036854775808".to_owned(),
        "0-18446744073709551615,1-18446744073709551615".to_owned(),
        vec!["-1"; 16].join(","),
    ] {
        let headers: String = match value.len() {
            ..8000 => format!("Range: bytes={value}\r\n"),
            // Too long for one line: as many as fit.
            _ => format!("Range: bytes={}\r\n", value.get(..8000).unwrap().rsplit_once(',').unwrap().0),
        };
        let answer = client.ask("GET", "/rfc/1", &headers).await;
        assert_eq!((answer.status, &answer.body[..]), (200, &b"the text of one"[..]), "{value:.60}");
    }
}

#[tokio::test]
async fn w1_only_our_own_names_are_answered() {
    let server = serve();
    for (host, status) in [
        ("127.0.0.1", 200),
        ("h:80", 200),
        ("[::1]:80", 200),
        ("nas.local", 200),
        ("attacker.example", 421),
        ("127.0.0.1.attacker.example:80", 421),
        ("", 421),
    ] {
        let mut client = Client::connect(&server).await;
        client.send(format!("GET /rfc/1 HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await;
        let answer = client.answer("GET").await;
        assert_eq!(answer.status, status, "{host}");
        assert_eq!(answer.body == b"the text of one", status == 200, "{host}");
    }
}

#[tokio::test]
async fn folders_are_told_only_to_whom_they_are_shown() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    for path in ["/", "/file/", "/file/a/"] {
        assert_eq!(client.ask("GET", path, "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_head_says_all_that_is_needed_to_go_on_later() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    let two = hex(2);
    let answer = client.ask("HEAD", &format!("/hash/{two}"), "").await;
    assert_eq!(answer.header("Content-Length"), Some("3000001"));
    assert_eq!(answer.header("ETag"), Some(&*format!("\"{two}\"")));
    assert_eq!(answer.header("Content-Type"), Some("application/octet-stream"));
    assert_eq!(answer.header("Accept-Ranges"), Some("bytes"));
    assert_eq!(answer.header("Content-Disposition"), Some("attachment; filename=\"large\""));
    let answer = client.ask("HEAD", "/rfc/1", "Connection: close\r\n").await;
    assert_eq!(answer.header("Content-Type"), Some("text/plain"));
    assert_eq!((answer.header("ETag"), answer.header("Connection")), (None, Some("close")));
    assert_eq!(client.rest().await, (Vec::new(), true));
}

#[tokio::test]
async fn ranges_are_exact_to_the_byte() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    let whole = pattern(LARGE);
    for (first, last) in [
        (0, 0),
        (0, 65_535),
        (0, 65_536),
        (1, 65_536),
        (65_535, 65_536),
        (1_048_575, 1_048_576),
        (1_048_576, 2_097_151),
        (LARGE - 1, LARGE - 1),
        (LARGE - 70_000, LARGE - 1),
        (0, LARGE - 1),
        (17, LARGE - 18),
    ] {
        let answer = client.ask("GET", "/file/a/large", &format!("Range: bytes={first}-{last}\r\n")).await;
        assert_eq!(answer.status, 206);
        assert_eq!(answer.header("Content-Range"), Some(&*format!("bytes {first}-{last}/{LARGE}")));
        assert!(answer.body == whole[first..=last], "{first}-{last}");
    }
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_order_and_small_answers_in_one_write() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    let request = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let small = ["/rfc/1", "/rfc/2", "/file/a/small%20file.bin"].map(|path| request("GET", path)).concat();
    client.send(small.as_bytes()).await;
    assert!(client.more().await);
    let at_once = client.read.windows(9).filter(|nine| nine == b"HTTP/1.1 ").count();
    assert_eq!(at_once, 3, "three answers in one read");
    assert_eq!(client.answer("GET").await.body, b"the text of one");
    assert_eq!(client.answer("GET").await.status, 404);
    assert_eq!(client.answer("GET").await.body, pattern(1000));
    let mut many = String::new();
    for _ in 0..50 {
        many +=
            &[request("GET", "/rfc/1"), request("HEAD", "/file/a/large"), request("GET", "/file/a/large")]
                .concat();
    }
    let (reading, mut writing) = client.stream.into_split();
    let sending = tokio::spawn(async move { writing.write_all(many.as_bytes()).await.map(|()| writing) });
    let mut all = tokio::io::BufReader::new(reading);
    for _ in 0..50 {
        for length in [15, 0, LARGE] {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(timeout(BOUND, all.read_u8()).await.unwrap().unwrap());
            }
            let mut body = vec![0; length];
            timeout(BOUND, all.read_exact(&mut body)).await.unwrap().unwrap();
            assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(length != LARGE || body == pattern(LARGE));
        }
    }
    drop(sending.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_head_may_come_in_two_pieces_cut_anywhere() {
    let server = serve();
    let request = b"\r\nGET /rfc/1 HTTP/1.1\r\nHost: h\r\nRange: bytes=0-2\r\n\r\n";
    let mut kept = Client::connect(&server).await;
    for cut in 1..request.len() {
        let mut fresh = Client::connect(&server).await;
        for client in [&mut kept, &mut fresh] {
            client.send(&request[..cut]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            client.send(&request[cut..]).await;
            let answer = client.answer("GET").await;
            assert_eq!((answer.status, &answer.body[..]), (206, &b"the"[..]), "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn after_a_refusal_nothing_is_answered_and_the_connection_ends() {
    let server = serve();
    let mut refused = 0;
    for line in SMUGGLING.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (expected, text) = line.split_once(" | ").unwrap();
        if expected.len() != 3 {
            continue;
        }
        let mut client = Client::connect(&server).await;
        client.send(&unescaped(text)).await;
        let (read, _) = client.rest().await;
        let read = String::from_utf8_lossy(&read);
        // A sound request may stand before what is refused.
        let before = usize::from(text.contains("\\r\\n\\r\\n\\n"));
        assert_eq!(read.matches("\r\nDate: ").count(), 1 + before, "{text}: {read}");
        assert!(read.contains(&format!("HTTP/1.1 {expected} ")), "{text}: {read}");
        assert!(read.contains("\r\nConnection: close\r\n") && read.ends_with('\n'), "{text}: {read}");
        assert!(!read.contains("marker"), "{text}: {read}");
        refused += 1;
    }
    assert!(refused > 150, "{refused}");
    server.told.wait_for("HttpRefused").await;
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let text = text.replace("{M}", &MARKER.replace('\r', "\\r").replace('\n', "\\n"));
    let mut rest = text.as_str();
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

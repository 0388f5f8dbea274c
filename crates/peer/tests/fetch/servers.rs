//! Sources of all kinds, played over loopback, and a download with its result.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer::download::Timing;
use peer::fetch::{Event, FetchError, Fetched, Progress, Request, fetch};
use proto::transfer::blocks::{BLOCK_BYTES, BlockList, TreeHasher};
use proto::value::digest::Digest;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::Port;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Bound of every wait in these tests.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
pub(crate) const MIB: usize = BLOCK_BYTES as usize;

/// How a source behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Good,
    /// The bit of this number of the file is wrong.
    Flips(u64),
    /// Closes after this many bytes of each body.
    Cuts(usize),
    /// Brings one byte every 20 ms.
    Drips,
    /// Takes requests and says nothing.
    Silent,
    /// Answers HEAD and the block list, and no block.
    Stalls,
    /// Closes after each answer.
    OneAnswer,
    /// States this size.
    Claims(u64),
    /// Answers everything with this status.
    Status(u16),
    /// Sends a wrong block list.
    WrongList,
    /// Sends the whole file, whatever range is asked for.
    NoRanges,
    /// Sends the range before the one that is asked for, and says so.
    OtherRange,
    /// Sends twice the body, one after the other.
    TooMuch,
    /// Waits this many milliseconds before each MiB.
    Slow(u64),
    /// Answers in a coding.
    Chunked,
}

/// A file and its hashes.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) hash: Digest,
    pub(crate) list: Arc<BlockList>,
}

impl Content {
    pub(crate) fn new(size: usize) -> Self {
        // Cheap, and no two blocks are the same.
        let bytes: Vec<u8> = (0..size).map(|at| ((at >> 20) * 7 + (at >> 10) * 13 + at * 31) as u8).collect();
        Self::of(bytes)
    }

    pub(crate) fn of(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let mut hasher = TreeHasher::new();
        hasher.update(&bytes);
        let (hash, list) = hasher.finish();
        Self { bytes: Arc::new(bytes), hash, list: Arc::new(list) }
    }
}

/// A source that runs.
pub(crate) struct Server {
    pub(crate) peer: PeerAddr,
    /// Bytes of bodies that it handed to the system.
    pub(crate) sent: Arc<AtomicU64>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    pub(crate) connections: Arc<AtomicU64>,
}

impl Server {
    pub(crate) async fn start(content: &Content, nature: Nature) -> Self {
        Self::of_many(vec![content.clone()], nature).await
    }

    pub(crate) async fn of_many(contents: Vec<Content>, nature: Nature) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = peer(listener.local_addr().unwrap());
        let (sent, requests, connections) = (Arc::default(), Arc::default(), Arc::<AtomicU64>::default());
        let server = Self {
            peer,
            sent: Arc::clone(&sent),
            requests: Arc::clone(&requests),
            connections: Arc::clone(&connections),
        };
        let contents = Arc::new(contents);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                let (sent, requests) = (Arc::clone(&sent), Arc::clone(&requests));
                let play = Play { contents: Arc::clone(&contents), nature, sent, requests };
                tokio::spawn(play.run(BufReader::new(stream)));
            }
        });
        server
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

pub(crate) fn peer(address: SocketAddr) -> PeerAddr {
    let host = address.ip().to_string();
    PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(address.port()).unwrap())
}

struct Play {
    contents: Arc<Vec<Content>>,
    nature: Nature,
    sent: Arc<AtomicU64>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Play {
    async fn run(self, mut stream: BufReader<TcpStream>) {
        while let Some((line, range)) = read_request(&mut stream).await {
            let bytes = range.as_ref().map(|range| format!(" bytes {range:?}")).unwrap_or_default();
            self.requests.lock().unwrap().push(format!("{line}{bytes}"));
            if self.answer(&line, range, stream.get_mut()).await.is_none() || self.nature == Nature::OneAnswer
            {
                return;
            }
        }
    }

    /// `None` closes.
    async fn answer(&self, line: &str, range: Option<Range<usize>>, stream: &mut TcpStream) -> Option<()> {
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        if let Nature::Status(status) = self.nature {
            return say(stream, &format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")).await;
        }
        if self.nature == Nature::Silent {
            return std::future::pending().await;
        }
        let hash: Digest = target.strip_prefix("/hash/")?.get(..64)?.parse().ok()?;
        let Some(content) = self.contents.iter().find(|content| content.hash == hash) else {
            return say(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone").await;
        };
        if target.ends_with("/blocks") {
            let mut list = content.list.as_bytes().to_vec();
            if self.nature == Nature::WrongList {
                *list.last_mut()? ^= 1;
            }
            say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", list.len())).await?;
            return stream.write_all(&list).await.ok();
        }
        self.answer_file(content, method, range, stream).await
    }

    async fn answer_file(
        &self,
        content: &Content,
        method: &str,
        range: Option<Range<usize>>,
        stream: &mut TcpStream,
    ) -> Option<()> {
        let size = content.bytes.len() as u64;
        let said = match self.nature {
            Nature::Claims(said) => said,
            _ => size,
        };
        if method == "HEAD" {
            return say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {said}\r\n\r\n")).await;
        }
        if self.nature == Nature::Stalls {
            return std::future::pending().await;
        }
        let (mut bytes, ranged) = match (range, self.nature) {
            (Some(range), Nature::OtherRange) => (range.start.saturating_sub(1)..range.end - 1, true),
            (Some(range), nature) if nature != Nature::NoRanges => (range, true),
            _ => (0..content.bytes.len(), false),
        };
        bytes.end = bytes.end.min(said as usize);
        let close = if self.nature == Nature::OneAnswer { "Connection: close\r\n" } else { "" };
        let coding = match self.nature {
            Nature::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            _ => format!("Content-Length: {}\r\n", bytes.len()),
        };
        let head = match ranged {
            true => format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{}/{said}\r\n{coding}{close}\r\n",
                bytes.start,
                bytes.end - 1
            ),
            false => format!("HTTP/1.1 200 OK\r\n{coding}{close}\r\n"),
        };
        say(stream, &head).await?;
        self.send_body(content, bytes, stream).await
    }

    async fn send_body(&self, content: &Content, bytes: Range<usize>, stream: &mut TcpStream) -> Option<()> {
        let start = bytes.start;
        let end = bytes.end.min(content.bytes.len());
        let mut body = content.bytes[start.min(end)..end].to_vec();
        body.resize(bytes.len(), 0);
        match self.nature {
            Nature::Flips(bit) if bytes.contains(&((bit / 8) as usize)) => {
                body[(bit / 8) as usize - start] ^= 1 << (bit % 8);
            }
            Nature::Cuts(after) if after < body.len() => {
                stream.write_all(&body[..after]).await.ok()?;
                return None;
            }
            Nature::TooMuch => body.extend_from_within(..),
            _ => {}
        }
        let step = if self.nature == Nature::Drips { 1 } else { MIB / 4 };
        for piece in body.chunks(step) {
            match self.nature {
                Nature::Drips => tokio::time::sleep(Duration::from_millis(20)).await,
                Nature::Slow(pause) => tokio::time::sleep(Duration::from_millis(pause) / 4).await,
                _ => {}
            }
            stream.write_all(piece).await.ok()?;
            self.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        Some(())
    }
}

async fn say(stream: &mut TcpStream, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()
}

/// The request line, and the range that is asked for.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, Option<Range<usize>>)> {
    let (mut first, mut range) = (None, None);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
        let line = line.trim_end();
        if let Some(bytes) = line.strip_prefix("Range: bytes=") {
            let (from, to) = bytes.split_once('-')?;
            range = Some(from.parse().ok()?..to.parse::<usize>().ok()? + 1);
        }
        match line {
            "" => return Some((first?, range)),
            line => first = first.or_else(|| Some(line.to_owned())),
        }
    }
}

/// Remembers what was told, as text, and the bytes that verified.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) told: Mutex<Vec<String>>,
    pub(crate) verified: AtomicU64,
}

impl Progress for Heard {
    fn tell(&self, event: Event<'_>) {
        if let Event::Verified { bytes, .. } = event {
            self.verified.fetch_add(bytes, Ordering::SeqCst);
        }
        if !matches!(event, Event::Received { .. }) {
            self.told.lock().unwrap().push(format!("{event:?}"));
        }
    }
}

impl Heard {
    pub(crate) fn has(&self, part: &str) -> bool {
        self.told.lock().unwrap().iter().any(|told| told.contains(part))
    }
}

/// A folder to download to.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) heard: Heard,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), heard: Heard::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.path().join("file")
    }

    pub(crate) fn part(&self) -> PathBuf {
        self.path().join("file.p2pci-part")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.path().join("file.p2pci-part.journal")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(crate) fn request(&self, content: &Content, servers: &[&Server]) -> Request {
        Request {
            hash: content.hash,
            size: None,
            sources: servers.iter().map(|server| server.peer.clone()).collect(),
            target: self.target(),
            force: false,
            keep_free_percent: 0,
            timing: patient(),
            limit: peer::limit::RateLimit::default(),
            partial: Vec::new(),
            joining: None,
            check: None,
            receipts: None,
        }
    }

    pub(crate) async fn fetch(&self, content: &Content, servers: &[&Server]) -> Result<Fetched, FetchError> {
        self.run(&self.request(content, servers)).await
    }

    pub(crate) async fn run(&self, request: &Request) -> Result<Fetched, FetchError> {
        tokio::time::timeout(BOUND, fetch(request, &self.heard)).await.expect("it takes too long")
    }

    /// The file is there, whole, and nothing else.
    pub(crate) fn assert_whole(&self, content: &Content) {
        assert!(std::fs::read(self.target()).unwrap() == *content.bytes, "the file differs");
        assert_eq!(self.names(), ["file"]);
    }
}

/// As usual.
pub(crate) fn patient() -> Timing {
    Timing::default()
}

/// For sources whose silence is what is tested.
pub(crate) fn impatient() -> Timing {
    let short = Duration::from_millis(500);
    Timing { first_byte: short, stall: short, rate_window: 4 * short, ..Timing::default() }
}

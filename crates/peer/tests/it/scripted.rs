//! The other side of a conversation, played from a script; and an observer that remembers.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer::notice::{Notice, Observer};
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Bound of every wait in these tests.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// A server on loopback that plays `part` for each connection, which it gets with its number from 0.
pub(crate) async fn server<F, W>(part: F) -> SocketAddr
where
    F: Fn(usize, TcpStream) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(part(number, stream));
        }
    });
    address
}

/// A request up to its empty line; empty at the end of the connection.
pub(crate) async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\n\n") && !bytes.ends_with(b"\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Sends pieces, each in a segment of its own.
pub(crate) async fn send(stream: &mut TcpStream, pieces: &[&[u8]]) {
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The other side may have had enough.
        let _ = stream.write_all(piece).await;
    }
}

/// Waits until the other side closes.
pub(crate) async fn until_closed(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {}
}

pub(crate) fn number(number: u32) -> RfcNumber {
    RfcNumber::new(number).unwrap()
}

pub(crate) fn peer(address: SocketAddr) -> PeerAddr {
    let host = address.ip().to_string();
    PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(address.port()).unwrap())
}

/// Remembers what was told, as text.
#[derive(Default)]
pub(crate) struct Recorder(Mutex<Vec<String>>);

impl Recorder {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until something was told that contains this.
    pub(crate) async fn wait_for(&self, part: &str) {
        let heard = async {
            while !self.told().iter().any(|told| told.contains(part)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let heard = tokio::time::timeout(BOUND, heard).await;
        assert!(heard.is_ok(), "never told: {part}; told: {:#?}", self.told());
    }
}

impl Observer for Recorder {
    fn notice(&self, notice: Notice) {
        self.0.lock().unwrap().push(format!("{notice:?}"));
    }
}

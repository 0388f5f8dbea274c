//! Programs that are not ours, played by scripts: indexes and peers of every dialect, and peers that misbehave.
//!
//! They read and write as the measured programs do, not as ours would: what they do not understand they do not answer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) mod index;
pub(crate) mod index_v11;
pub(crate) mod source;
pub(crate) mod uploader;

/// Longest that a script waits for its client to read.
const WRITE_BOUND: Duration = Duration::from_secs(60);

/// The ways in which existing programs speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Spec,
    Original,
    LfBlank,
    CrlfPlain,
    Unterminated,
    Padded,
    Tight,
}

impl Dialect {
    /// The end of a line.
    pub(crate) fn line_end(self) -> &'static str {
        match self {
            Self::Spec | Self::CrlfPlain | Self::Tight => "\r\n",
            Self::Original | Self::LfBlank | Self::Unterminated | Self::Padded => "\n",
        }
    }

    /// What most programs of this dialect do with CRLF. Those that look for two LFs never find them; that some of them say so
    /// with a 505 is the case that costs a test no time.
    fn crlf(self) -> Crlf {
        match self {
            Self::LfBlank => Crlf::Refused,
            _ => Crlf::Read,
        }
    }

    /// What ends a request for a program that reads on until it comes; the others take what one read brings.
    fn request_end(self) -> Option<&'static [u8]> {
        match self {
            Self::Spec | Self::Tight => Some(b"\r\n\r\n"),
            Self::LfBlank => Some(b"\n\n"),
            Self::Original | Self::CrlfPlain | Self::Unterminated | Self::Padded => None,
        }
    }
}

/// What a program of LF does with a request in CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crlf {
    /// It understands it.
    Read,
    /// It takes the carriage return for a part of the version: 505.
    Refused,
    /// It waits for more, for ever.
    Ignored,
}

/// A server whose every connection is played by one function in a thread of its own.
#[derive(Debug)]
pub(crate) struct Scripted {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Listens on a free port. `play` gets each connection with its number, counted from 1.
    pub(crate) fn start(play: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let open = Arc::new(Mutex::new(Vec::new()));
        let accepting = std::thread::spawn({
            let (stopping, open) = (Arc::clone(&stopping), Arc::clone(&open));
            move || accept(&listener, &stopping, &open, &Arc::new(play))
        });
        Self { address, stopping, open, accepting: Some(accepting) }
    }

    /// A server that says these bytes to whoever has asked, and closes.
    pub(crate) fn saying(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut stream, _| {
            if !read_some(&mut stream).is_empty() {
                say(&mut stream, &answer);
                finish(&mut stream);
            }
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// As `--server` and `--from` take it.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        for stream in self.open.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept<F>(listener: &TcpListener, stopping: &AtomicBool, open: &Mutex<Vec<TcpStream>>, play: &Arc<F>)
where
    F: Fn(TcpStream, usize) + Send + Sync + 'static,
{
    for (before, stream) in listener.incoming().enumerate() {
        if stopping.load(Ordering::SeqCst) {
            break;
        }
        let Ok(stream) = stream else { continue };
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(WRITE_BOUND)).unwrap();
        open.lock().unwrap().push(stream.try_clone().unwrap());
        let play = Arc::clone(play);
        std::thread::spawn(move || {
            play(stream.try_clone().unwrap(), before + 1);
            // The clone kept for the end of the test would hold the connection open.
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

/// What one read of 1024 bytes brings, as the original reads; empty at the end of the connection.
pub(crate) fn read_some(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let count = stream.read(&mut buffer).unwrap_or(0);
    buffer[..count].to_vec()
}

/// One request, as a program of this dialect reads it; `None` at the end of the connection.
fn read_request(stream: &mut TcpStream, dialect: Dialect, crlf: Crlf) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let piece = read_some(stream);
        if piece.is_empty() {
            return None;
        }
        request.extend_from_slice(&piece);
        let is_crlf = request.windows(2).any(|pair| pair == b"\r\n");
        match dialect.request_end() {
            _ if is_crlf && crlf == Crlf::Refused => return Some(request),
            _ if is_crlf && crlf == Crlf::Ignored => {}
            Some(end) if !request.ends_with(end) => {}
            _ => return Some(request),
        }
    }
}

/// Writes; whether the client still wants it is the client's test to decide.
pub(crate) fn say(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// Ends our side, and waits until the client has ended its own.
pub(crate) fn finish(stream: &mut TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    hold(stream);
}

/// Keeps the connection open until the client, or the end of the test, closes it.
pub(crate) fn hold(stream: &mut TcpStream) {
    while !read_some(stream).is_empty() {}
}

//! A raw conversation over TCP, for programs that are not ours.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::{PATIENCE, shown};

/// Silence after which an answer whose end nothing marks is taken for whole.
const QUIET: Duration = Duration::from_millis(400);

/// A TCP connection on which a test says and reads plain bytes. Every read has a bound.
#[derive(Debug)]
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Connects to a port of 127.0.0.1.
    pub(crate) fn connect(port: u16) -> Self {
        Self::connect_from(Ipv4Addr::LOCALHOST.into(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// Connects from this address.
    pub(crate) fn connect_from(source: IpAddr, server: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        let connected = socket.connect_timeout(&server.into(), PATIENCE);
        connected.unwrap_or_else(|error| panic!("cannot connect from {source} to {server}: {error}"));
        Self::from(TcpStream::from(socket))
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.0
    }

    /// Sends bytes, in one segment where they fit.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end_sending(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends bytes, and expects exactly this answer.
    pub(crate) fn exchange(&mut self, request: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) {
        self.send(request);
        self.expect(answer);
    }

    /// Sends bytes and gives what comes back until it is quiet.
    pub(crate) fn ask(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.send(bytes);
        String::from_utf8(self.until_quiet()).expect("an answer in UTF-8")
    }

    /// Sends a request of the specification's framing and gives its whole answer: the status and an empty line, and after a
    /// 200 records up to an empty line.
    pub(crate) fn ask_whole(&mut self, request: &str) -> String {
        self.send(request);
        let mut answer = Vec::new();
        loop {
            answer.extend_from_slice(&self.exactly(1));
            let empty_lines = answer.windows(4).filter(|end| end == b"\r\n\r\n").count();
            let needed = if answer.starts_with(b"P2P-CI/1.0 200 ") { 2 } else { 1 };
            if empty_lines == needed {
                return String::from_utf8(answer).expect("an answer in UTF-8");
            }
        }
    }

    /// What comes in one read, empty at the connection's end; `None` when nothing comes in time.
    pub(crate) fn segment_within(&mut self, time: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 256 * 1024];
        let count = self.read_within(&mut buffer, time)?;
        buffer.truncate(count);
        Some(buffer)
    }

    /// Waits for the first byte, then reads until nothing more comes for a while or the connection ends.
    pub(crate) fn until_quiet(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let mut wait = PATIENCE;
        loop {
            match self.read_within(&mut buffer, wait) {
                Some(0) => return all,
                Some(count) => all.extend_from_slice(&buffer[..count]),
                None if all.is_empty() => panic!("no answer within {wait:?}"),
                None => return all,
            }
            wait = QUIET;
        }
    }

    /// Reads exactly as many bytes as are expected, and compares.
    pub(crate) fn expect(&mut self, expected: impl AsRef<[u8]>) {
        let expected = expected.as_ref();
        let got = self.exactly(expected.len());
        assert_eq!(shown(&got), shown(expected));
    }

    /// Reads so many bytes.
    pub(crate) fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut all = vec![0; count];
        let mut filled = 0;
        let began = Instant::now();
        while filled < count {
            let left = PATIENCE.saturating_sub(began.elapsed());
            match self.read_within(&mut all[filled..], left) {
                None => panic!("only {filled} of {count} bytes came: {}", shown(&all[..filled])),
                Some(0) => {
                    panic!("the connection ended after {filled} of {count} bytes: {}", shown(&all[..filled]))
                }
                Some(more) => filled += more,
            }
        }
        all
    }

    /// Reads so many bytes, or fails when the connection ends before, orderly or not, or takes too long.
    pub(crate) fn try_to_answer(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut all = vec![0; count];
        self.0.read_exact(&mut all).map(|()| all)
    }

    /// Reads to the connection's orderly end.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        self.try_to_end().unwrap_or_else(|error| panic!("the connection did not end in order: {error}"))
    }

    /// Reads to the connection's end, orderly or not.
    pub(crate) fn try_to_end(&mut self) -> std::io::Result<Vec<u8>> {
        self.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut all = Vec::new();
        self.0.read_to_end(&mut all).map(|_| all)
    }

    /// Whether nothing at all comes within this time, neither bytes nor the end.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.read_within(&mut [0], time).is_none()
    }

    /// Ends the connection with a reset, as a crash of the other machine's program does.
    pub(crate) fn reset(self) {
        let socket = Socket::from(self.0);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// One read; `None` when nothing came in time.
    fn read_within(&mut self, buffer: &mut [u8], time: Duration) -> Option<usize> {
        self.0.set_read_timeout(Some(time.max(Duration::from_millis(1)))).unwrap();
        match self.0.read(buffer) {
            Ok(count) => Some(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("cannot read: {error}"),
        }
    }
}

impl From<TcpStream> for Raw {
    fn from(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }
}

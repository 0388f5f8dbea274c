//! TLS between a socket and whoever reads and writes: what [`Stream`](crate::stream::Stream) does for TCP as it is, with records in between.
//!
//! Bytes are encrypted when they are written. What the socket does not take at once waits here, at most [`TLS_HELD`], and leaves
//! with the next write or while somebody waits to read; so it is to the caller what the system's own buffer is. What came is
//! decrypted when it is read, and nothing is read ahead of that.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustls::{Connection, IoState};
use socket2::SockRef;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::{HandshakeError, in_words, told};
use crate::limits::{END_LOOKED_FOR, TLS_HELD, TLS_READ, TLS_READ_WORTH, TLS_RECORD};
use crate::patience::Patience;
use crate::stream::WriteError;

thread_local! {
    /// What was taken off a socket and is decrypted at once: one for each thread, and none for each connection.
    static TAKEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A connection with TLS on it, after its handshake.
#[derive(Debug)]
pub struct TlsStream {
    pub(crate) socket: TcpStream,
    connection: Mutex<Connection>,
}

/// The socket as the state of TLS wants it: reads and writes that never wait.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same by asking the system itself, whatever the runtime last heard about this socket.
struct Directly<'a>(&'a TcpStream);

impl Write for Directly<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        SockRef::from(self.0).send(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TlsStream {
    /// How many bytes that are written may wait to leave.
    pub(crate) fn hold(&self, most: usize) {
        self.connection().set_buffer_limit(Some(most));
    }

    /// The socket itself, for a last word to whoever does not understand TLS.
    pub(super) fn into_socket(self) -> TcpStream {
        self.socket
    }

    pub(super) fn new(socket: TcpStream, mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(TLS_HELD));
        Self { socket, connection: Mutex::new(connection) }
    }

    /// Takes the handshake to its end; `first` was taken off the socket already.
    pub(super) async fn handshake(&self, mut first: &[u8]) -> Result<(), HandshakeError> {
        while !first.is_empty() {
            self.step(&mut first)?;
        }
        loop {
            if self.is_holding().map_err(HandshakeError::Io)? {
                self.socket.writable().await.map_err(HandshakeError::Io)?;
            } else if self.connection().is_handshaking() {
                self.socket.readable().await.map_err(HandshakeError::Io)?;
                self.step(&mut Socket(&self.socket))?;
            } else {
                return Ok(());
            }
        }
    }

    /// A step of the handshake. If it fails the other side hears why, as far as that leaves at once.
    fn step(&self, from: &mut dyn Read) -> Result<(), HandshakeError> {
        let mut connection = self.connection();
        match connection.read_tls(from) {
            Ok(0) => return Err(HandshakeError::Closed),
            Ok(_) => {}
            Err(error) if is_pending(&error) => return Ok(()),
            Err(error) => return Err(HandshakeError::Io(error)),
        }
        let taken = connection.process_new_packets();
        taken.map(drop).map_err(|error| {
            let _ = leave(&mut connection, &mut Socket(&self.socket));
            told(error)
        })
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        loop {
            let wants_write = {
                let mut connection = self.connection();
                // What cannot be decrypted is told by the read.
                if connection.process_new_packets().map_or(true, |state| has_something(&state)) {
                    return Ok(());
                }
                leave(&mut connection, &mut Socket(&self.socket))?;
                connection.wants_write()
            };
            let interest =
                if wants_write { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            if self.socket.ready(interest).await?.is_readable() {
                return Ok(());
            }
        }
    }

    /// Reads until the buffer is full or nothing is left; 0 is the end that the other side declared.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut connection = self.connection();
        let mut filled = 0;
        loop {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            match connection.reader().read(rest) {
                Ok(count) => {
                    filled += count;
                    if count == 0 || filled == buffer.len() {
                        return Ok(filled);
                    }
                }
                Err(error) if is_pending(&error) => match self.decrypt(&mut connection, rest) {
                    // At the end of the stream the reader knows whether it was declared.
                    Ok(count) => filled += count,
                    Err(_) if filled > 0 => return Ok(filled),
                    Err(error) => return Err(error),
                },
                Err(_) if filled > 0 => return Ok(filled),
                // Requests say themselves where they end, so one that is cut off gains nothing by it.
                Err(error) if is_cut(&error) && matches!(&*connection, Connection::Server(_)) => {
                    return Ok(0);
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.try_read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if is_pending(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            while self.connection().wants_write() && self.socket.poll_write_ready(context)?.is_ready() {
                leave(&mut self.connection(), &mut Socket(&self.socket))?;
            }
            ready!(self.socket.poll_read_ready(context))?;
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Encrypts what there is room for; `WouldBlock` while there is none.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_by(bytes, &mut Socket(&self.socket))
    }

    /// The same, asking the system itself.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_by(bytes, &mut Directly(&self.socket))
    }

    fn write_by(&self, bytes: &[u8], socket: &mut dyn Write) -> io::Result<usize> {
        let mut connection = self.connection();
        leave(&mut connection, socket)?;
        if connection.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = connection.writer().write(bytes)?;
        leave(&mut connection, socket)?;
        Ok(written)
    }

    pub(crate) fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(bytes) {
                Err(error) if is_pending(&error) => ready!(self.socket.poll_write_ready(context))?,
                written => return Poll::Ready(written),
            }
        }
    }

    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_holding()? {
            ready!(self.socket.poll_write_ready(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes some of the bytes. What is taken in and what leaves for the socket both count as taken by the reader.
    pub(crate) async fn write_some(
        &self,
        bytes: &[u8],
        patience: &mut Patience,
    ) -> Result<usize, WriteError> {
        loop {
            match self.try_write(bytes) {
                Err(error) if is_pending(&error) => self.room(patience).await?,
                Ok(written) => {
                    patience.took(written, Instant::now());
                    return Ok(written);
                }
                Err(error) => return Err(WriteError::Io(error)),
            }
        }
    }

    /// Waits until everything has left for the socket.
    pub(crate) async fn flush(&self, patience: &mut Patience) -> Result<(), WriteError> {
        while self.is_holding()? {
            self.room(patience).await?;
        }
        Ok(())
    }

    /// Waits until some of what is held may have left.
    async fn room(&self, patience: &mut Patience) -> Result<(), WriteError> {
        let left = match timeout(patience.look(Instant::now()), self.socket.writable()).await {
            Ok(ready) => ready.and_then(|()| leave(&mut self.connection(), &mut Socket(&self.socket)))?,
            Err(_) => leave(&mut self.connection(), &mut Directly(&self.socket))?,
        };
        patience.took(left, Instant::now());
        if left == 0 && patience.is_over(Instant::now()) { Err(WriteError::Stalled) } else { Ok(()) }
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.connection().process_new_packets().map_or(true, |state| has_something(&state))
    }

    /// Resolves when the other side has closed, or the connection broke.
    pub(crate) async fn ended(&self) {
        loop {
            let unread = {
                let mut connection = self.connection();
                match connection.process_new_packets() {
                    Err(_) => return,
                    Ok(state) if state.plaintext_bytes_to_read() > 0 => true,
                    Ok(state) if state.peer_has_closed() => return,
                    Ok(_) => match self.take_off_socket(&mut connection) {
                        Ok(0) => return,
                        Ok(_) => continue,
                        Err(error) if is_pending(&error) => false,
                        Err(_) => return,
                    },
                }
            };
            match self.socket.ready(Interest::READABLE).await {
                Ok(ready) if unread && !ready.is_read_closed() => sleep(END_LOOKED_FOR).await,
                Ok(_) if !unread => {}
                _ => return,
            }
        }
    }

    /// Says that nothing more will come, as far as that leaves at once.
    pub(crate) fn say_goodbye(&self) -> io::Result<()> {
        let mut connection = self.connection();
        connection.send_close_notify();
        leave(&mut connection, &mut Socket(&self.socket)).map(drop)
    }

    /// Takes some bytes off the socket and decrypts them, into the buffer as far as that is known to have room; says how many of it are
    /// filled. `WouldBlock` when there are none.
    fn decrypt(&self, connection: &mut Connection, buffer: &mut [u8]) -> io::Result<usize> {
        // What is encrypted is never shorter than what is in it, but a part of a record may have come before.
        let room = buffer.len().saturating_sub(TLS_RECORD).min(TLS_READ);
        if room < TLS_READ_WORTH {
            return self.take_off_socket(connection).map(|_| 0);
        }
        TAKEN.with_borrow_mut(|taken| {
            taken.resize(TLS_READ, 0);
            let count = match self.socket.try_read(taken.get_mut(..room).unwrap_or_default()) {
                Ok(0) => return self.take_off_socket(connection).map(|_| 0),
                read => read?,
            };
            let (mut bytes, mut filled) = (taken.get(..count).unwrap_or_default(), 0);
            while !bytes.is_empty() {
                connection.read_tls(&mut bytes)?;
                process(connection)?;
                while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty())
                    && let Ok(count @ 1..) = connection.reader().read(rest)
                {
                    filled += count;
                }
            }
            // Answers of TLS itself.
            let _ = leave(connection, &mut Socket(&self.socket));
            Ok(filled)
        })
    }

    /// Takes some bytes off the socket and decrypts them; `WouldBlock` when there are none, 0 at the end of the stream.
    fn take_off_socket(&self, connection: &mut Connection) -> io::Result<usize> {
        let count = connection.read_tls(&mut Socket(&self.socket))?;
        let taken = process(connection);
        // Answers of TLS itself.
        let _ = leave(connection, &mut Socket(&self.socket));
        taken.map(|()| count)
    }

    /// Whether the socket does not take everything that is held.
    fn is_holding(&self) -> io::Result<bool> {
        let mut connection = self.connection();
        leave(&mut connection, &mut Socket(&self.socket))?;
        Ok(connection.wants_write())
    }

    // Nothing panics while it is held, and it is held across no await.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decrypts what came.
fn process(connection: &mut Connection) -> io::Result<()> {
    let taken = connection.process_new_packets();
    taken.map(drop).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, in_words(&error)))
}

/// Moves what is held to the socket as far as it takes it. Says how many bytes those were.
fn leave(connection: &mut Connection, socket: &mut dyn Write) -> io::Result<usize> {
    let mut left = 0;
    while connection.wants_write() {
        match connection.write_tls(socket) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => left += count,
            Err(error) if is_pending(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(left)
}

fn has_something(state: &IoState) -> bool {
    state.plaintext_bytes_to_read() > 0 || state.peer_has_closed()
}

fn is_pending(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

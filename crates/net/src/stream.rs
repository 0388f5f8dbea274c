//! The one stream type of all connections, and the only place that sets socket options.
//!
//! Reading and writing are inherent methods rather than the traits of tokio: a wait for room to write always has a bound, and a
//! session that waits for its next request holds no buffer ([`Stream::readable`], then [`Stream::try_read`]).

use crate::limits::{
    DISCARD_MAX, DISCARD_READ, END_LOOKED_FOR, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES,
    PRESENCE, READ_CHUNK, UNSENT_MAX, USER_TIMEOUT,
};
use crate::machine::Carrier;
use crate::patience::Patience;
use crate::tls::TlsStream;
use bytes::BytesMut;
use socket2::{SockRef, TcpKeepalive};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A connection, whatever carries it.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it is.
    Plain(TcpStream),
    /// TLS on TCP. Boxed, as it is large, and a plain connection is not to hold the room for it.
    Tls(Box<TlsStream>),
    /// What a simulated machine has for a connection.
    Simulated(Box<dyn Carrier>),
}

/// Why bytes could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Nothing, or too little, could be written for as long as the caller allowed.
    #[error("the other side does not read what it is sent")]
    Stalled,
    /// What the system said.
    #[error("the connection broke while sending")]
    Io(#[from] io::Error),
}

impl Stream {
    /// Takes a connected socket over and sets its options: no delay, keepalive, and an end to data that nobody acknowledges.
    #[must_use]
    pub fn plain(socket: TcpStream) -> Self {
        // Options fail on a socket that is already dead, which the first read tells better.
        let _ = set_options(&SockRef::from(&socket));
        Self::Plain(socket)
    }

    /// Waits until [`Self::try_read`] may give something. Safe to cancel.
    ///
    /// # Errors
    /// When the runtime is going down.
    pub async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.readable().await,
            Self::Tls(tls) => tls.readable().await,
            Self::Simulated(carrier) => {
                poll_fn(|context| carrier.poll_readable(context)).await;
                Ok(())
            }
        }
    }

    /// Reads what is there without waiting; 0 is the end of the stream.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there (also after [`Self::readable`], now and then), else what the system said.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(buffer),
            Self::Tls(tls) => tls.try_read(buffer),
            Self::Simulated(carrier) => carrier.try_read(buffer),
        }
    }

    /// Reads what is there into `buffer`, or sees to it that the task is woken when something is; nothing read is the end of the
    /// stream. Cheaper than [`Self::readable`] and [`Self::try_read`]: a read that leaves room in the buffer has emptied the
    /// socket, and is not followed by another one that only finds this out.
    ///
    /// # Errors
    /// What the system said.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(tls) => tls.poll_read(context, buffer),
            Self::Simulated(carrier) => poll_read(&**carrier, context, buffer),
        }
    }

    /// Waits for bytes and appends them; 0 is the end of the stream. Room is made only once something is there. Safe to cancel.
    ///
    /// # Errors
    /// What the system said.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        loop {
            self.readable().await?;
            buffer.reserve(READ_CHUNK);
            let result = match self {
                Self::Plain(socket) => socket.try_read_buf(buffer),
                Self::Tls(tls) => append(|room| tls.try_read(room), buffer),
                Self::Simulated(carrier) => append(|room| carrier.try_read(room), buffer),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Waits until [`Self::try_write`] may take something. Safe to cancel.
    ///
    /// # Errors
    /// When the runtime is going down.
    pub async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.writable().await,
            Self::Tls(tls) => tls.writable().await,
            Self::Simulated(carrier) => {
                poll_fn(|context| carrier.poll_writable(context)).await;
                Ok(())
            }
        }
    }

    /// Writes what fits without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits, else what the system said.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            Self::Tls(tls) => tls.try_write(bytes),
            Self::Simulated(carrier) => carrier.try_write(bytes),
        }
    }

    /// Writes all the bytes. The reader has `stall` for it, and earns more by taking: see [`READ_RATE_MIN`](crate::limits::READ_RATE_MIN). After an error, or when cancelled, an
    /// unknown part of the bytes is on its way, so the connection is of no further use.
    ///
    /// # Errors
    /// [`WriteError::Stalled`] when it takes nothing, or too little, else what the system said.
    pub async fn write_all(&mut self, bytes: &[u8], stall: Duration) -> Result<(), WriteError> {
        let mut rest = bytes;
        // Most writes fit at once, and need no clock then.
        if let Ok(written) = self.try_write(rest) {
            rest = rest.get(written..).unwrap_or_default();
        }
        let mut patience = Patience::new(stall, Instant::now());
        while !rest.is_empty() {
            let written = self.write_some(rest, &mut patience).await?;
            rest = rest.get(written..).unwrap_or_default();
        }
        match self {
            Self::Plain(_) | Self::Simulated(_) => Ok(()),
            Self::Tls(tls) => tls.flush(&mut patience).await,
        }
    }

    pub(crate) async fn write_some(
        &self,
        bytes: &[u8],
        patience: &mut Patience,
    ) -> Result<usize, WriteError> {
        if let Self::Tls(tls) = self {
            return tls.write_some(bytes, patience).await;
        }
        loop {
            let written = match timeout(patience.look(Instant::now()), self.write_when_writable(bytes)).await
            {
                Ok(result) => result,
                Err(_) => self.send_now(bytes),
            };
            match written {
                Ok(0) => return Err(WriteError::Io(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    patience.took(count, Instant::now());
                    return Ok(count);
                }
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(WriteError::Io(error)),
                Err(_) if patience.is_over(Instant::now()) => return Err(WriteError::Stalled),
                Err(_) => {}
            }
        }
    }

    async fn write_when_writable(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.writable().await?;
            match self.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Asks the system itself, whatever the runtime last heard about this socket.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => SockRef::from(socket).send(bytes),
            Self::Tls(tls) => tls.send_now(bytes),
            Self::Simulated(carrier) => carrier.try_write(bytes),
        }
    }

    /// Whether bytes have come that nobody has read. Asks the system itself, whatever the runtime last heard about this socket.
    pub(crate) fn has_unread(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        match self {
            Self::Plain(socket) => matches!(SockRef::from(socket).peek(&mut byte), Ok(1..)),
            Self::Tls(tls) => tls.has_unread(),
            Self::Simulated(carrier) => carrier.has_unread(),
        }
    }

    /// Resolves when the other side has closed, or the connection broke; at most [`END_LOOKED_FOR`] later where bytes are there
    /// and unread. Takes none of them.
    pub async fn ended(&self) {
        let mut byte = [0; 1];
        loop {
            match self {
                Self::Plain(socket) => match socket.peek(&mut byte).await {
                    Ok(0) => return,
                    // What is unread hides the end behind it from a look into the buffer, not from the system's word.
                    Ok(_) => match socket.ready(Interest::READABLE).await {
                        Ok(ready) if !ready.is_read_closed() => sleep(END_LOOKED_FOR).await,
                        _ => return,
                    },
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return,
                },
                Self::Tls(tls) => return tls.ended().await,
                Self::Simulated(carrier) => return poll_fn(|context| carrier.poll_ended(context)).await,
            }
        }
    }

    /// Sets after which time at most the other side is known to be gone when it went without a word: [`PRESENCE`] by itself. The
    /// parts of that time keep their proportions, in whole seconds where the system counts in them.
    pub fn set_presence(&self, within: Duration) {
        let part = |whole: Duration| within.mul_f64(whole.as_secs_f64() / PRESENCE.as_secs_f64());
        let seconds = |whole| Duration::from_secs(part(whole).as_secs().max(1));
        let keepalive = TcpKeepalive::new()
            .with_time(seconds(KEEPALIVE_IDLE))
            .with_interval(seconds(KEEPALIVE_INTERVAL))
            .with_retries(KEEPALIVE_PROBES);
        let socket = match self.socket() {
            Ok(socket) => SockRef::from(socket),
            Err(carrier) => return carrier.set_presence(within),
        };
        // Options fail on a socket that is already dead, which the first read tells better.
        let _ = socket.set_tcp_keepalive(&keepalive);
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(Some(part(USER_TIMEOUT)));
    }

    /// Whether nobody on the path can read or change what is said here.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The system's, or what a simulated machine has in its place.
    fn socket(&self) -> Result<&TcpStream, &dyn Carrier> {
        match self {
            Self::Plain(socket) => Ok(socket),
            Self::Tls(tls) => Ok(&tls.socket),
            Self::Simulated(carrier) => Err(&**carrier),
        }
    }

    /// The other side, an IPv4 address as such.
    ///
    /// # Errors
    /// When the connection is already gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().map_or_else(|carrier| Ok(carrier.peer_addr()), TcpStream::peer_addr).map(canonical)
    }

    /// Our side, an IPv4 address as such.
    ///
    /// # Errors
    /// When the connection is already gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().map_or_else(|carrier| Ok(carrier.local_addr()), TcpStream::local_addr).map(canonical)
    }

    /// Tells the other side that nothing more will come; reading goes on.
    ///
    /// # Errors
    /// When the connection is already gone.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        if let Self::Tls(tls) = self {
            tls.say_goodbye()?;
        }
        match self.socket() {
            Ok(socket) => SockRef::from(socket).shutdown(std::net::Shutdown::Write),
            Err(carrier) => {
                carrier.shutdown_write();
                Ok(())
            }
        }
    }

    /// Closes after everything was read and written: where the end of the stream could be forged it is declared.
    pub fn close(self) {
        if let Self::Tls(tls) = &self {
            // The other side may be gone already.
            let _ = tls.say_goodbye();
        }
    }

    /// Closes so that the other side gets what was written last: says that nothing more will come, then reads and throws away
    /// until the other side closes, `patience` is over or 1 MiB came. Closing at once with unread bytes would send a reset,
    /// and a reset takes away what the other side has not read yet.
    pub async fn close_lingering(mut self, patience: Duration) {
        if let Self::Tls(tls) = &self
            && tls.flush(&mut Patience::new(patience, Instant::now())).await.is_err()
        {
            return;
        }
        if self.shutdown_write().is_ok() {
            // However it ends, the stream is dropped now.
            let _ = timeout(patience, self.discard()).await;
        }
    }

    async fn discard(&self) {
        let mut discarded = 0;
        while discarded < DISCARD_MAX && self.readable().await.is_ok() {
            match self.discard_some() {
                Ok(0) => return,
                Ok(count) => discarded += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    // A function of its own, so that the buffer lies on the stack and not in each task.
    fn discard_some(&self) -> io::Result<usize> {
        let mut buffer = [0; DISCARD_READ];
        self.try_read(&mut buffer)
    }

    /// Closes with a reset, so that the receiver can never take a body that was cut for a complete one.
    pub fn abort(self) {
        match self.socket() {
            // Where this fails the connection is already gone.
            Ok(socket) => drop(SockRef::from(socket).set_linger(Some(Duration::ZERO))),
            Err(carrier) => carrier.abort(),
        }
    }
}

/// Reads into the rest of a buffer; there is room for it.
fn append(read: impl FnOnce(&mut [u8]) -> io::Result<usize>, buffer: &mut BytesMut) -> io::Result<usize> {
    let held = buffer.len();
    buffer.resize(buffer.capacity(), 0);
    let result = read(buffer.get_mut(held..).unwrap_or_default());
    buffer.truncate(held + result.as_ref().copied().unwrap_or(0));
    result
}

fn poll_read(
    carrier: &dyn Carrier,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        match carrier.try_read(buffer.initialize_unfilled()) {
            Ok(count) => {
                buffer.advance(count);
                return Poll::Ready(Ok(()));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        std::task::ready!(carrier.poll_readable(context));
    }
}

/// An address without the v4-mapped form, in which one host would have two names.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        // Not rebuilt: an IPv6 address keeps its scope.
        std::net::IpAddr::V6(_) => address,
        v4 => SocketAddr::new(v4, address.port()),
    }
}

fn set_options(socket: &SockRef<'_>) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    // Without it the system goes on to take bytes for a reader that takes none, up to megabytes, and no stall shows.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_MAX)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_address_that_it_carries() {
        let shown = |text: &str| canonical(text.parse().unwrap()).to_string();
        assert_eq!(shown("[::ffff:192.0.2.1]:7734"), "192.0.2.1:7734");
        assert_eq!(shown("[2001:db8::1]:7734"), "[2001:db8::1]:7734");
        assert_eq!(shown("[fe80::1%3]:7734"), "[fe80::1%3]:7734");
        assert_eq!(shown("192.0.2.1:7734"), "192.0.2.1:7734");
    }

    #[tokio::test]
    async fn both_sides_get_the_socket_options() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = Stream::plain(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let options = SockRef::from(stream.socket().unwrap());
        assert!(options.tcp_nodelay().unwrap() && options.keepalive().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(options.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(options.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        #[cfg(target_os = "linux")]
        {
            assert_eq!(options.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
            assert_eq!(options.tcp_notsent_lowat().unwrap(), UNSENT_MAX);
        }
        stream.set_presence(PRESENCE / 10);
        let options = SockRef::from(stream.socket().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE / 10);
        assert_eq!(options.tcp_keepalive_interval().unwrap(), Duration::from_secs(1), "in whole seconds");
        #[cfg(target_os = "linux")]
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT / 10));
    }
}

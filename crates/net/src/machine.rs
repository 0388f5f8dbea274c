//! The machine under this thread, where it is a simulated one: its network, its disk, its run.
//!
//! Nobody but a simulation (`crates/sim`, decision 0030) ever calls [`enter`]. Where nobody has, all of this is one look at a variable of the thread:
//! connections are sockets, work that may wait for a disk has a thread of its own, and what is synced is the system's.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What a simulated machine does in place of the system.
pub trait Machine: Send + Sync {
    /// Connects; resolves when it is known whether there is a connection.
    fn connect(&self, to: SocketAddr) -> Connecting;

    /// Listens on a port of all addresses; 0 lets the machine choose.
    ///
    /// # Errors
    /// `AddrInUse`.
    fn listen(&self, port: u16) -> io::Result<Box<dyn Inlet>>;

    /// The address of a host name.
    fn resolve(&self, host: &str) -> Option<IpAddr>;

    /// How long the disk takes for what comes next.
    fn disk_wait(&self) -> Duration;

    /// What is in the file is durable now.
    fn synced(&self, file: BorrowedFd<'_>);

    /// The names in the folder are durable now.
    fn folder_synced(&self, folder: BorrowedFd<'_>);

    /// When the file was last changed, in nanoseconds.
    fn change_time(&self, file: BorrowedFd<'_>) -> i128;

    /// Which run of the machine this is: another one after each loss of power.
    fn run(&self) -> [u8; 16];
}

/// A connection that is being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Carrier>>> + Send>>;

/// Where connections come in.
pub trait Inlet: fmt::Debug + Send + Sync {
    /// The next connection and where it comes from.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<(Box<dyn Carrier>, SocketAddr)>;

    /// Where it listens.
    fn local_addr(&self) -> SocketAddr;
}

/// One end of a connection. Whoever waits may be told without a reason.
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Waits until reading may give something: bytes, the end, or an error.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()>;

    /// Reads what is there; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock`, or why the connection broke.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Waits until writing may take something.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()>;

    /// Writes what fits.
    ///
    /// # Errors
    /// `WouldBlock`, or why the connection broke.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether bytes have come that nobody has read.
    fn has_unread(&self) -> bool;

    /// Resolves when the other side has closed, or the connection broke.
    fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()>;

    /// After which time at most the other side is known to be gone when it went without a word.
    fn set_presence(&self, within: Duration);

    /// Nothing more will be written. What is dropped without it has nothing more to say either.
    fn shutdown_write(&self);

    /// What is dropped now resets the connection.
    fn abort(&self);

    /// The other side.
    fn peer_addr(&self) -> SocketAddr;

    /// Our side.
    fn local_addr(&self) -> SocketAddr;
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Machine>>> = const { RefCell::new(None) };
}

/// From now on this thread is on that machine, or on the real one.
pub fn enter(machine: Option<Arc<dyn Machine>>) {
    CURRENT.with_borrow_mut(|current| *current = machine);
}

/// The simulated machine that this thread is on; `None` nearly always.
#[must_use]
pub fn current() -> Option<Arc<dyn Machine>> {
    CURRENT.with_borrow(Option::clone)
}

//! Listening: one port, on one address or on all interfaces of both families.
//!
//! All interfaces means two sockets, IPv4 and IPv6-only, rather than one that takes both: then a machine without IPv6 works, no
//! system setting changes the meaning, and an IPv4 source is always seen as an IPv4 address.

use crate::limits::{BACKLOG, PORT_TRIES};
use crate::machine::{self, Inlet};
use crate::stream::Stream;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;
use tokio::net::TcpListener;

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenSpec {
    /// One address, or all interfaces of both families.
    pub address: Option<IpAddr>,
    /// On which port.
    pub ports: PortChoice,
}

/// Which port to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortChoice {
    /// The system chooses.
    Any,
    /// This one; 0 is the same as [`Self::Any`].
    One(u16),
    /// The first free one from the first to the last, both included.
    Range(u16, u16),
}

/// Where we wanted to listen, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(
    /// One address, or all interfaces.
    pub Option<IpAddr>,
);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("all interfaces"),
        }
    }
}

/// Why we cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The port is taken.
    #[error("cannot listen on port {port} ({place}): another program listens there")]
    InUse {
        /// Where.
        place: Place,
        /// The port that was asked for.
        port: u16,
    },
    /// Each port of the range is taken, or the range is empty.
    #[error("cannot listen on any port from {first} to {last} ({place}): there is no free one among them")]
    NoneFree {
        /// Where.
        place: Place,
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// The system reserves this port.
    #[error("cannot listen on port {port} ({place}): the system does not allow this program to use it")]
    Denied {
        /// Where.
        place: Place,
        /// The port that was asked for.
        port: u16,
    },
    /// The address is not one of this machine, or its family is missing here.
    #[error("cannot listen on {place}: this machine has no such address")]
    NoSuchAddress {
        /// Where.
        place: Place,
    },
    /// What was given is not one port.
    #[error(
        "the sockets that were given to this program are not one port, on one address or on all of both families"
    )]
    Given,
    /// Anything else.
    #[error("cannot listen on port {port} ({place})")]
    Io {
        /// Where.
        place: Place,
        /// The port that was asked for; 0 when the system was to choose.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
}

/// Sockets that listen, all on the same port.
#[derive(Debug)]
pub struct Listeners {
    sockets: Sockets,
    local_addrs: Vec<SocketAddr>,
}

#[derive(Debug)]
enum Sockets {
    One(TcpListener),
    Both(TcpListener, TcpListener),
    /// What a simulated machine has in their place.
    Simulated(Box<dyn Inlet>),
}

impl Listeners {
    /// Begins to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError`] says where and why not.
    pub fn bind(spec: ListenSpec) -> Result<Self, ListenError> {
        let place = Place(spec.address.map(|address| address.to_canonical()));
        if let Some(machine) = machine::current() {
            return listen_simulated(&*machine, place, spec.ports);
        }
        match spec.ports {
            PortChoice::Any | PortChoice::One(0) => bind_any(place),
            PortChoice::One(port) => bind_port(place, port).map_err(|error| listen_error(place, port, error)),
            PortChoice::Range(first, last) => bind_range(place, first, last),
        }
    }

    /// Goes on with sockets that somebody else opened, and may keep open longer than we live: one, or one of each family on the same port.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ListenError::Given`] where they are anything else.
    pub fn given(sockets: Vec<std::net::TcpListener>) -> Result<Self, ListenError> {
        let taken = sockets.into_iter().map(|socket| {
            socket.set_nonblocking(true)?;
            TcpListener::from_std(socket)
        });
        let taken = taken.collect::<io::Result<Vec<_>>>().map_err(|_| ListenError::Given)?;
        let listeners = Self::new(taken).map_err(|_| ListenError::Given)?;
        let port = listeners.port();
        let is_one = listeners.local_addrs.iter().all(|address| address.port() == port);
        if is_one && listeners.local_addrs.len() <= 2 { Ok(listeners) } else { Err(ListenError::Given) }
    }

    /// The one address that they listen on; `None` on all interfaces.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.local_addrs.first().map(SocketAddr::ip).filter(|address| !address.is_unspecified())
    }

    /// The port, the same on every socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.local_addrs.first().map_or(0, SocketAddr::port)
    }

    /// The address of each socket: one, or the unspecified ones of both families.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.local_addrs.clone()
    }

    /// Waits for the next connection on any of the sockets; the source has its v4-mapped form taken off. Safe to cancel.
    ///
    /// # Errors
    /// What the system said; the sockets go on listening.
    pub async fn accept(&self) -> io::Result<(Stream, SocketAddr)> {
        let (socket, source) = match &self.sockets {
            Sockets::One(socket) => socket.accept().await?,
            Sockets::Both(first, second) => tokio::select! {
                accepted = first.accept() => accepted?,
                accepted = second.accept() => accepted?,
            },
            Sockets::Simulated(inlet) => {
                let (carrier, source) = poll_fn(|context| inlet.poll_accept(context)).await;
                return Ok((Stream::Simulated(carrier), source));
            }
        };
        Ok((Stream::plain(socket), crate::stream::canonical(source)))
    }

    fn new(sockets: Vec<TcpListener>) -> io::Result<Self> {
        let local_addrs = sockets.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
        let mut sockets = sockets.into_iter();
        let first = sockets.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let sockets = match sockets.next() {
            None => Sockets::One(first),
            Some(second) => Sockets::Both(first, second),
        };
        Ok(Self { sockets, local_addrs })
    }
}

fn listen_simulated(
    machine: &dyn machine::Machine,
    place: Place,
    ports: PortChoice,
) -> Result<Listeners, ListenError> {
    let port = match ports {
        PortChoice::Any => 0,
        PortChoice::One(port) | PortChoice::Range(port, _) => port,
    };
    let inlet = machine.listen(port).map_err(|error| listen_error(place, port, error))?;
    let local_addrs = vec![inlet.local_addr()];
    Ok(Listeners { sockets: Sockets::Simulated(inlet), local_addrs })
}

fn bind_any(place: Place) -> Result<Listeners, ListenError> {
    let mut tries = 1;
    loop {
        match bind_port(place, 0) {
            // The port that the system chose for one family was taken in the other one.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES => tries += 1,
            result => return result.map_err(|error| listen_error(place, 0, error)),
        }
    }
}

fn bind_range(place: Place, first: u16, last: u16) -> Result<Listeners, ListenError> {
    // Port 0 would be the system's choice, which is outside of any range.
    for port in first.max(1)..=last {
        match bind_port(place, port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            result => return result.map_err(|error| listen_error(place, port, error)),
        }
    }
    Err(ListenError::NoneFree { place, first, last })
}

fn bind_port(place: Place, port: u16) -> io::Result<Listeners> {
    match place.0 {
        Some(address) => Listeners::new(vec![open(SocketAddr::new(address, port))?]),
        None => bind_both(port),
    }
}

fn bind_both(mut port: u16) -> io::Result<Listeners> {
    let mut sockets = Vec::with_capacity(2);
    for family in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        match open(SocketAddr::new(family, port)) {
            Ok(socket) => {
                port = socket.local_addr()?.port();
                sockets.push(socket);
            }
            Err(error) if is_missing_family(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Listeners::new(sockets)
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the connections of the last run to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn is_missing_family(error: &io::Error) -> bool {
    let unsupported = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::PROTONOSUPPORT];
    error.kind() == io::ErrorKind::AddrNotAvailable
        || unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn listen_error(place: Place, port: u16, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { place, port },
        io::ErrorKind::PermissionDenied => ListenError::Denied { place, port },
        _ if is_missing_family(&source) => ListenError::NoSuchAddress { place },
        _ => ListenError::Io { place, port, source },
    }
}

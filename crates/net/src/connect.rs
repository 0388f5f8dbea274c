//! Connecting: to an address, or to a host by name with each of its addresses in turn.

use crate::machine;
use crate::stream::Stream;
use proto::reach::{OutOfReach, Reach};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The name has no address, or none was found in time.
    #[error("no address was found for the host name {host:?}")]
    Unresolvable {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The machine is there, and nothing listens on that port.
    #[error("{address} refuses connections: nothing listens there")]
    Refused {
        /// Where we tried.
        address: SocketAddr,
    },
    /// No answer in time.
    #[error("{address} does not answer")]
    TimedOut {
        /// Where we tried.
        address: SocketAddr,
    },
    /// It must not be connected to. Nothing was sent there.
    #[error("{address} is not connected to")]
    OutOfReach {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: OutOfReach,
    },
    /// Anything else.
    #[error("cannot connect to {address}")]
    Io {
        /// Where we tried.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl ConnectError {
    // Of several addresses the one that tells most is reported: a refusal comes from the very machine, while "unreachable"
    // often only means that we have no IPv6.
    fn rank(&self) -> u8 {
        match self {
            Self::Refused { .. } => 3,
            Self::TimedOut { .. } => 2,
            Self::Io { .. } => 1,
            Self::OutOfReach { .. } | Self::Unresolvable { .. } => 0,
        }
    }
}

impl Stream {
    /// Connects to an address within `limit`.
    ///
    /// # Errors
    /// [`ConnectError`], never `Unresolvable`.
    pub async fn connect(address: SocketAddr, limit: Duration) -> Result<Self, ConnectError> {
        let connecting = async {
            match machine::current() {
                None => TcpStream::connect(address).await.map(Self::plain),
                Some(machine) => machine.connect(address).await.map(Self::Simulated),
            }
        };
        match timeout(limit, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(connect_error(address, error)),
            Err(_) => Err(ConnectError::TimedOut { address }),
        }
    }

    /// Finds the addresses of a host name (or of an address written out, IPv6 without brackets) and tries each in turn:
    /// at most `per_address` for one, at most `total` for everything together.
    ///
    /// # Errors
    /// [`ConnectError`]: of several failures the one that tells most.
    pub async fn connect_host(
        host: &str,
        port: u16,
        per_address: Duration,
        total: Duration,
    ) -> Result<Self, ConnectError> {
        Self::connect_within(&Reach::ANYWHERE, host, port, per_address, total).await
    }

    /// The same, to addresses within reach only. The name is resolved once, and it is the judged address that is connected to, so
    /// a name that means something else the next time gains nothing.
    ///
    /// # Errors
    /// [`ConnectError`]: of several failures the one that tells most.
    pub async fn connect_within(
        reach: &Reach,
        host: &str,
        port: u16,
        per_address: Duration,
        total: Duration,
    ) -> Result<Self, ConnectError> {
        let deadline = Instant::now() + total;
        let addresses = resolve(host, port, deadline).await?;
        connect_first(reach, addresses, per_address, deadline)
            .await
            .unwrap_or_else(|| Err(unresolvable(host, io::ErrorKind::NotFound.into())))
    }
}

/// The addresses of a host name, or of an address written out; none when there is no answer in time.
pub async fn addresses_of(host: &str, port: u16, within: Duration) -> Vec<SocketAddr> {
    resolve(host, port, Instant::now() + within).await.unwrap_or_default()
}

async fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Some(machine) = machine::current() {
        return Ok(machine.resolve(host).map(|address| SocketAddr::new(address, port)).into_iter().collect());
    }
    match timeout_at(deadline, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => Ok(addresses.collect()),
        Ok(Err(error)) => Err(unresolvable(host, error)),
        Err(_) => Err(unresolvable(host, io::ErrorKind::TimedOut.into())),
    }
}

/// `None` when there was no address to try.
async fn connect_first(
    reach: &Reach,
    addresses: Vec<SocketAddr>,
    per_address: Duration,
    deadline: Instant,
) -> Option<Result<Stream, ConnectError>> {
    let mut worst: Option<ConnectError> = None;
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        let connected = match reach.judge(address) {
            Ok(()) => Stream::connect(address, per_address.min(left)).await,
            Err(source) => Err(ConnectError::OutOfReach { address, source }),
        };
        match connected {
            Ok(stream) => return Some(Ok(stream)),
            Err(error) => {
                if worst.as_ref().is_none_or(|known| known.rank() < error.rank()) {
                    worst = Some(error);
                }
            }
        }
    }
    worst.map(Err)
}

fn connect_error(address: SocketAddr, source: io::Error) -> ConnectError {
    match source.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { address },
        io::ErrorKind::TimedOut => ConnectError::TimedOut { address },
        _ => ConnectError::Io { address, source },
    }
}

fn unresolvable(host: &str, source: io::Error) -> ConnectError {
    ConnectError::Unresolvable { host: host.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_refused_address_does_not_hide_the_next_one() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let deadline = Instant::now() + LIMIT;
        let stream =
            connect_first(&Reach::ANYWHERE, vec![closed, open], LIMIT, deadline).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let refused = connect_first(&Reach::ANYWHERE, vec![closed], LIMIT, deadline).await.unwrap();
        assert!(matches!(refused, Err(ConnectError::Refused { address }) if address == closed));
    }

    #[tokio::test]
    async fn connect_host_takes_a_name_and_an_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1"] {
            let stream = Stream::connect_host(host, port, LIMIT, LIMIT).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap().port(), port, "{host}");
        }
    }

    /// `fault_d7`: whatever a record's host looks like, nobody within our own networks hears from us. The index is in public here.
    #[tokio::test]
    async fn fault_d7_no_spelling_of_an_address_gets_by() {
        let sink = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = sink.local_addr().unwrap().port();
        let reach = Reach::of_index("9.9.9.9".parse().unwrap(), &[]);
        let spellings = include_str!("connect/spellings.txt");
        let hosts: Vec<&str> = spellings.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(hosts.len() >= 60, "{}", hosts.len());
        for host in hosts {
            match Stream::connect_within(&reach, host, port, LIMIT, LIMIT).await {
                // Some resolvers take fewer spellings than others.
                Err(ConnectError::OutOfReach { .. } | ConnectError::Unresolvable { .. }) => {}
                other => panic!("{host}: {other:?}"),
            }
        }
        let heard = timeout(Duration::from_millis(100), sink.accept()).await;
        assert!(heard.is_err(), "somebody connected: {heard:?}");
        // The same sink is heard of where the index is on this machine.
        let reach = Reach::of_index("127.0.0.1".parse().unwrap(), &[]);
        Stream::connect_within(&reach, "127.0.0.1", port, LIMIT, LIMIT).await.unwrap();
        let low = Stream::connect_within(&reach, "127.0.0.1", 22, LIMIT, LIMIT).await;
        assert!(matches!(low, Err(ConnectError::OutOfReach { .. })), "{low:?}");
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_is_unresolvable() {
        // A name with a NUL byte is refused before anybody on the network is asked.
        let result = Stream::connect_host("no\0name", 1, LIMIT, LIMIT).await;
        assert!(matches!(result, Err(ConnectError::Unresolvable { host, .. }) if host == "no\0name"));
    }

    #[tokio::test]
    async fn the_total_bounds_all_addresses_together() {
        let (_full, address) = address_that_does_not_answer().await;
        let began = Instant::now();
        let deadline = began + Duration::from_millis(200);
        let (addresses, each) = (vec![address; 200], Duration::from_millis(100));
        let result = connect_first(&Reach::ANYWHERE, addresses, each, deadline).await.unwrap();
        assert!(matches!(result, Err(ConnectError::TimedOut { address: tried }) if tried == address));
        // 200 addresses of 100 ms each would be 20 s.
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    /// A listener that accepts nothing and whose queue is full, with what fills it.
    async fn address_that_does_not_answer() -> ((socket2::Socket, Vec<Stream>), SocketAddr) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = Stream::connect(address, Duration::from_millis(200)).await {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue never fills");
        }
        ((socket, queued), address)
    }
}

//! What the program has of a connection: one end of it, and the place where others come in.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use net::machine::{Carrier, Connecting, Inlet};

use super::network::{End, HostId, Listening, Network, address_of};

/// One end.
#[derive(Debug)]
struct OwnEnd {
    network: Network,
    connection: u64,
    side: usize,
}

impl OwnEnd {
    /// `None` when nobody knows the connection any more.
    fn with<T>(&self, look: impl FnOnce(&mut End) -> T) -> Option<T> {
        self.network.with(|state| {
            state
                .connections
                .get_mut(&self.connection)
                .map(|connection| look(&mut connection.ends[self.side]))
        })
    }

    fn poll(&self, context: &mut Context<'_>, is_ready: impl FnOnce(&End) -> bool) -> Poll<()> {
        let ready = self.with(|end| {
            let ready = is_ready(end);
            if !ready {
                end.wakers.push(context.waker().clone());
            }
            ready
        });
        if ready.unwrap_or(true) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        let found = self.network.with(|state| {
            state.connections.get(&self.connection).map(|known| known.ends.each_ref().map(|end| end.address))
        });
        found.unwrap_or([SocketAddr::new(address_of(0), 0); 2])
    }
}

impl Carrier for OwnEnd {
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll(context, |end| !end.unread.is_empty() || end.is_over || end.broken.is_some())
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.with(|end| {
            if let Some(kind) = end.broken {
                return Err(kind.into());
            }
            let mut filled = 0;
            while let Some(first) = end.unread.front_mut()
                && filled < buffer.len()
            {
                let count = first.len().min(buffer.len() - filled);
                first.copy_to_slice(&mut buffer[filled..filled + count]);
                filled += count;
                if first.is_empty() {
                    end.unread.pop_front();
                }
            }
            match filled {
                0 if end.is_over || buffer.is_empty() => Ok(0),
                0 => Err(ErrorKind::WouldBlock.into()),
                filled => Ok(filled),
            }
        });
        let read = read.unwrap_or(Err(ErrorKind::ConnectionReset.into()));
        if let Ok(count @ 1..) = read {
            self.network.with(|state| state.acknowledge(self.connection, self.side, count));
        }
        read
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll(context, |end| end.room() > 0 || end.broken.is_some())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let fits = self.with(|end| match end.broken {
            Some(kind) => Err(io::Error::from(kind)),
            None if end.has_shut => Err(ErrorKind::BrokenPipe.into()),
            None if end.room() == 0 => Err(ErrorKind::WouldBlock.into()),
            None => Ok(()),
        });
        fits.unwrap_or(Err(ErrorKind::ConnectionReset.into()))?;
        Ok(self.network.with(|state| state.write(self.connection, self.side, bytes)))
    }

    fn has_unread(&self) -> bool {
        self.with(|end| !end.unread.is_empty()).unwrap_or(false)
    }

    fn poll_ended(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll(context, |end| end.is_over || end.broken.is_some())
    }

    fn set_presence(&self, within: Duration) {
        self.with(|end| end.presence = within);
    }

    fn shutdown_write(&self) {
        self.network.with(|state| state.shut(self.connection, self.side));
    }

    fn abort(&self) {
        self.with(|end| end.aborts = true);
    }

    fn peer_addr(&self) -> SocketAddr {
        self.addresses()[1 - self.side]
    }

    fn local_addr(&self) -> SocketAddr {
        self.addresses()[self.side]
    }
}

impl Drop for OwnEnd {
    fn drop(&mut self) {
        self.network.with(|state| state.close(self.connection, self.side));
    }
}

/// Connects from a machine.
pub(super) fn connect(network: &Network, from: HostId, to: SocketAddr) -> Connecting {
    let id = network.with(|state| state.connect(from, to));
    let end = OwnEnd { network: network.clone(), connection: id, side: 0 };
    Box::pin(async move {
        std::future::poll_fn(|context| {
            end.network.with(|state| {
                let Some(connection) = state.connections.get_mut(&id) else {
                    return Poll::Ready(Err(ErrorKind::ConnectionReset));
                };
                match connection.ends[0].broken {
                    Some(kind) => Poll::Ready(Err(kind)),
                    None if connection.is_made => Poll::Ready(Ok(())),
                    None => {
                        connection.ends[0].wakers.push(context.waker().clone());
                        Poll::Pending
                    }
                }
            })
        })
        .await?;
        Ok(Box::new(end) as Box<dyn Carrier>)
    })
}

/// Where connections come in.
#[derive(Debug)]
struct OwnInlet {
    network: Network,
    host: HostId,
    port: u16,
}

/// Listens on a machine's port.
///
/// # Errors
/// `AddrInUse`
pub(super) fn listen(network: &Network, host: HostId, port: u16) -> io::Result<Box<dyn Inlet>> {
    network.with(|state| {
        let port = match port {
            0 => (20_000..).find(|port| !state.listening.contains_key(&(host, *port))),
            port => Some(port).filter(|port| !state.listening.contains_key(&(host, *port))),
        };
        let port = port.ok_or(ErrorKind::AddrInUse)?;
        state.listening.insert((host, port), Listening::default());
        Ok(Box::new(OwnInlet { network: network.clone(), host, port }) as Box<dyn Inlet>)
    })
}

impl Inlet for OwnInlet {
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<(Box<dyn Carrier>, SocketAddr)> {
        self.network.with(|state| {
            let Some(listening) = state.listening.get_mut(&(self.host, self.port)) else {
                return Poll::Pending;
            };
            while let Some(id) = listening.waiting.pop_front() {
                if let Some(connection) = state.connections.get(&id) {
                    let source = connection.ends[0].address;
                    let end = OwnEnd { network: self.network.clone(), connection: id, side: 1 };
                    return Poll::Ready((Box::new(end) as Box<dyn Carrier>, source));
                }
            }
            listening.wakers.push(context.waker().clone());
            Poll::Pending
        })
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(address_of(self.host), self.port)
    }
}

impl Drop for OwnInlet {
    fn drop(&mut self) {
        let waiting = self.network.with(|state| state.listening.remove(&(self.host, self.port)));
        // Nobody will take these.
        for id in waiting.into_iter().flat_map(|listening| listening.waiting) {
            self.network.with(|state| {
                if let Some(connection) = state.connections.get_mut(&id) {
                    connection.ends[1].aborts = true;
                }
                state.close(id, 1);
            });
        }
    }
}

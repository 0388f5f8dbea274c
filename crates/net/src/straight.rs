//! From a socket straight into a file: the system moves the bytes, and none is copied through us.
//!
//! Between the two lies a pipe. It is filled without waiting, and emptied where waiting for a disk harms nobody.

use crate::limits::STRAIGHT_HELD;
use crate::portable;
use crate::stream::Stream;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes on their way from a stream to a file.
#[derive(Debug)]
pub struct Straight {
    out: File,
    into: OwnedFd,
    held: usize,
}

impl Straight {
    /// A new way; `None` where the process takes portable ways only, or has no room for one.
    #[must_use]
    pub fn new() -> Option<Self> {
        if portable::only() {
            return None;
        }
        let (out, into) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        // A smaller one than wished is only slower.
        let _ = fcntl_setpipe_size(&into, STRAIGHT_HELD);
        Some(Self { out: out.into(), into, held: 0 })
    }

    /// Bytes that came and are in no file yet.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes what is there, at most so many bytes, without waiting; 0 is the end of the stream. To be called after
    /// [`Stream::readable`]; once more bytes are held, as often as it gives some.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, or no more fits, else what the system said.
    pub fn take(&mut self, stream: &Stream, most: usize) -> io::Result<usize> {
        // What is encrypted has to come through us.
        let Stream::Plain(socket) = stream else { return Err(io::ErrorKind::Unsupported.into()) };
        let count = match self.held {
            0 => socket.try_io(Interest::READABLE, || self.splice(socket, most)),
            // The runtime must not take a full pipe for an empty socket.
            _ => self.splice(socket, most),
        }?;
        self.held += count;
        Ok(count)
    }

    fn splice(&self, socket: &TcpStream, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        Ok(splice(socket, None, &self.into, None, most.min(STRAIGHT_HELD), flags)?)
    }

    /// Moves all that is held to this place of a file. May wait for the disk.
    ///
    /// # Errors
    /// What the system said; then an unknown part has been moved.
    pub fn land(&mut self, file: &File, at: u64) -> io::Result<()> {
        let mut at = at;
        while self.held > 0 {
            match splice(&self.out, None, file, Some(&mut at), self.held, SpliceFlags::MOVE) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.held = self.held.saturating_sub(count),
                Err(Errno::INTR) => {}
                // The file system has no such way.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => return self.copy_to(file, at),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Throws away what is held.
    ///
    /// # Errors
    /// What the system said.
    pub fn discard(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; self.held];
        self.held = 0;
        self.out.read_exact(&mut buffer)
    }

    fn copy_to(&mut self, file: &File, at: u64) -> io::Result<()> {
        let mut buffer = vec![0; self.held];
        self.out.read_exact(&mut buffer)?;
        self.held = 0;
        file.write_all_at(&buffer, at)
    }
}

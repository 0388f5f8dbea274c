//! The one path of a body: a piece of a file onto a stream, in bounded memory.
//!
//! Exactly the promised number of bytes or an error. A file that became shorter is never filled up: the caller aborts the
//! stream then, and the receiver sees that the body was cut.

use crate::blocking::spawn_blocking;
use crate::limits::{BODY_BUFFER, TLS_HELD, TLS_HELD_OF_FILE};
use crate::patience::Patience;
use crate::stream::{Stream, WriteError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why a body is not complete. The stream is of no further use: [`Stream::abort`] it.
#[derive(Debug, Error)]
pub enum SendFileError {
    /// The file ended early.
    #[error("the file ended after {sent} bytes of what was promised")]
    Truncated {
        /// Bytes that were sent.
        sent: u64,
    },
    /// The file could not be read.
    #[error("the file could not be read")]
    Read(#[source] io::Error),
    /// The stream did not take it.
    #[error("the file could not be sent")]
    Write(#[from] WriteError),
}

impl Stream {
    /// Sends exactly `len` bytes of the file from `offset` on. The file's own position is neither used nor moved, so one open
    /// file can serve many streams (`Arc<File>`). The system moves the bytes itself where it can; where not, as
    /// [`Self::copy_file`].
    ///
    /// # Errors
    /// [`SendFileError`]. It is a stall when nothing gets away for `stall`, or too little: see
    /// [`READ_RATE_MIN`](crate::limits::READ_RATE_MIN).
    pub async fn send_file(
        &mut self,
        file: impl Into<Arc<File>>,
        offset: u64,
        len: u64,
        stall: Duration,
    ) -> Result<(), SendFileError> {
        self.send_file_counted(file, offset, len, stall, &AtomicU64::new(0)).await
    }

    /// The same; `moved` grows by each byte as it gets away.
    ///
    /// # Errors
    /// As [`Self::send_file`].
    pub async fn send_file_counted(
        &mut self,
        file: impl Into<Arc<File>>,
        offset: u64,
        len: u64,
        stall: Duration,
        moved: &AtomicU64,
    ) -> Result<(), SendFileError> {
        let piece = Piece { file: file.into(), offset, len };
        #[cfg(target_os = "linux")]
        let sent = match crate::portable::only() {
            true => 0,
            false => crate::sendfile::send(self, &piece, stall, moved).await?,
        };
        #[cfg(not(target_os = "linux"))]
        let sent = 0;
        self.copy_rest(piece, sent, stall, moved).await
    }

    /// The same by reading and writing, for files that the system cannot send itself. Memory: one buffer of at most 256 KiB.
    ///
    /// # Errors
    /// As [`Self::send_file`].
    pub async fn copy_file(
        &mut self,
        file: impl Into<Arc<File>>,
        offset: u64,
        len: u64,
        stall: Duration,
    ) -> Result<(), SendFileError> {
        let moved = AtomicU64::new(0);
        self.copy_rest(Piece { file: file.into(), offset, len }, 0, stall, &moved).await
    }

    async fn copy_rest(
        &mut self,
        piece: Piece,
        sent: u64,
        stall: Duration,
        moved: &AtomicU64,
    ) -> Result<(), SendFileError> {
        let Piece { file, offset, len } = piece;
        let mut patience = Patience::new(stall, Instant::now());
        if let Self::Tls(tls) = self {
            tls.hold(TLS_HELD_OF_FILE);
        }
        let mut buffer = Vec::new();
        let is_in_memory = lives_in_memory(&file);
        let mut sent = sent;
        while sent < len {
            let at = offset.saturating_add(sent);
            buffer =
                read_piece(&file, is_in_memory, at, len - sent, buffer).await.map_err(SendFileError::Read)?;
            if buffer.is_empty() {
                return Err(SendFileError::Truncated { sent });
            }
            let mut rest = &buffer[..];
            while !rest.is_empty() {
                let written = self.write_some(rest, &mut patience).await?;
                rest = rest.get(written..).unwrap_or_default();
                moved.fetch_add(written as u64, Ordering::Relaxed);
            }
            sent += buffer.len() as u64;
        }
        if let Self::Tls(tls) = self {
            tls.hold(TLS_HELD);
        }
        Ok(())
    }
}

/// Whether a file or a folder is on a file system without a disk, which also has no way to be asked what is in memory.
#[must_use]
pub fn lives_in_memory(file: impl std::os::fd::AsFd) -> bool {
    #[cfg(target_os = "linux")]
    {
        const TMPFS_MAGIC: u32 = 0x0102_1994;
        rustix::fs::fstatfs(file).is_ok_and(|system| u32::try_from(system.f_type) == Ok(TMPFS_MAGIC))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// What is to be sent of a file.
pub(crate) struct Piece {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// At most `wanted` and at most a buffer full; empty at the end of the file.
async fn read_piece(
    file: &Arc<File>,
    is_in_memory: bool,
    at: u64,
    wanted: u64,
    mut buffer: Vec<u8>,
) -> io::Result<Vec<u8>> {
    let room = usize::try_from(wanted).unwrap_or(BODY_BUFFER).min(BODY_BUFFER);
    buffer.resize(room, 0);
    let read = if is_in_memory {
        Some(file.read_at(&mut buffer, at)?)
    } else {
        read_from_cache(file, at, &mut buffer)
    };
    if let Some(count) = read {
        buffer.truncate(count);
        return Ok(buffer);
    }
    let file = Arc::clone(file);
    let reading = spawn_blocking(move || {
        let count = file.read_at(&mut buffer, at)?;
        buffer.truncate(count);
        Ok(buffer)
    });
    // The task does not panic; it ends without a result only when the runtime goes down.
    reading.await.map_err(io::Error::other)?
}

/// Reads without waiting for a disk, which is worth no other thread; `None` where nothing, or nothing yet, can be read so.
#[cfg(target_os = "linux")]
fn read_from_cache(file: &File, at: u64, buffer: &mut [u8]) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    if crate::portable::only() {
        return None;
    }
    let mut room = [io::IoSliceMut::new(buffer)];
    // The end of a file is told by whoever may wait.
    preadv2(file, &mut room, at, ReadWriteFlags::NOWAIT).ok().filter(|count| *count > 0)
}

#[cfg(not(target_os = "linux"))]
fn read_from_cache(_: &File, _: u64, _: &mut [u8]) -> Option<usize> {
    None
}

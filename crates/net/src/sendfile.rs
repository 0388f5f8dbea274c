//! A body that the system moves itself, from its page cache to the socket, without a copy through us.
//!
//! The call would wait for the disk in the middle of the runtime. So each step first makes sure that its pages are in memory,
//! and where they are not, a thread that may wait fetches them.

use crate::blocking::spawn_blocking;
use crate::body::{Piece, SendFileError, lives_in_memory};
use crate::limits::{BODY_READAHEAD, BODY_STEP, TOUCH_BUFFER, TOUCH_EVERY};
use crate::patience::Patience;
use crate::stream::{Stream, WriteError};
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Sends as much of the piece as the system can; fewer bytes than asked for mean that it cannot send this file at all.
pub(crate) async fn send(
    stream: &mut Stream,
    piece: &Piece,
    stall: Duration,
    moved: &AtomicU64,
) -> Result<u64, SendFileError> {
    // What is encrypted has to come through us.
    let Stream::Plain(socket) = stream else { return Ok(0) };
    let mut patience = Patience::new(stall, Instant::now());
    let mut sent = 0;
    let mut in_memory = if lives_in_memory(&piece.file) { piece.len } else { 0 };
    while sent < piece.len {
        let Some(at) = piece.offset.checked_add(sent) else { return Err(SendFileError::Truncated { sent }) };
        if sent >= in_memory {
            let step = (piece.len - sent).min(BODY_STEP);
            fetch(&piece.file, at, step).await.map_err(SendFileError::Read)?;
            in_memory = sent + step;
        }
        match send_some(socket, &piece.file, at, (in_memory - sent).min(BODY_STEP), &mut patience).await {
            Ok(0) => return Err(SendFileError::Truncated { sent }),
            Ok(count) => {
                sent += count as u64;
                moved.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(error) if cannot(&error) => return Ok(sent),
            Err(error) => return Err(told(error)),
        }
    }
    Ok(sent)
}

async fn send_some(
    socket: &TcpStream,
    file: &File,
    at: u64,
    wanted: u64,
    patience: &mut Patience,
) -> io::Result<usize> {
    let now = || {
        let mut at = at;
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        rustix::fs::sendfile(socket, file, Some(&mut at), wanted).map_err(io::Error::from)
    };
    loop {
        let sent =
            match timeout(patience.look(Instant::now()), socket.async_io(Interest::WRITABLE, now)).await {
                Ok(result) => result,
                Err(_) => now(),
            };
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !patience.is_over(Instant::now()) => {}
            sent => {
                patience.took(sent.as_ref().copied().unwrap_or_default(), Instant::now());
                return sent;
            }
        }
    }
}

/// The file system, or this file, has no way to be sent.
fn cannot(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::OVERFLOW))
}

fn told(error: io::Error) -> SendFileError {
    match Errno::from_io_error(&error) {
        Some(Errno::AGAIN) => SendFileError::Write(WriteError::Stalled),
        // Of the two ends only the disk has these.
        Some(Errno::IO | Errno::STALE | Errno::UCLEAN) => SendFileError::Read(error),
        _ => SendFileError::Write(WriteError::Io(error)),
    }
}

/// Returns when the bytes are most likely in memory.
async fn fetch(file: &Arc<File>, at: u64, len: u64) -> io::Result<()> {
    if is_in_memory(file, at, len) {
        return Ok(());
    }
    let file = Arc::clone(file);
    spawn_blocking(move || read_through(&file, at, len)).await.map_err(io::Error::other)?
}

/// Looks at single bytes that are there without waiting. Also `true` at the end of the file, where there is nothing to fetch.
fn is_in_memory(file: &File, at: u64, len: u64) -> bool {
    let last = at.saturating_add(len - 1);
    let mut places = (0..len).step_by(TOUCH_EVERY).map(|skip| at.saturating_add(skip)).chain([last]);
    places.all(|place| {
        let mut byte = [0];
        let found =
            rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], place, ReadWriteFlags::NOWAIT);
        found.is_ok()
    })
}

fn read_through(file: &File, at: u64, len: u64) -> io::Result<()> {
    let ahead = NonZeroU64::new(len.saturating_add(BODY_READAHEAD));
    // A hint; whoever does not take it is only slower.
    let _ = fadvise(file, at, ahead, Advice::WillNeed);
    let mut buffer = [0; TOUCH_BUFFER];
    let mut read = 0;
    while read < len {
        match file.read_at(&mut buffer, at.saturating_add(read))? {
            0 => return Ok(()),
            count => read += count as u64,
        }
    }
    Ok(())
}

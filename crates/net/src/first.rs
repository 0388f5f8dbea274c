//! The first bytes of a connection: enough to tell its tongue, and no more.
//!
//! Most connections of an index are silent most of the time, and some from the start. Until the first byte there is therefore
//! neither a buffer nor a deadline.

use crate::limits::{FIRST_BYTES_MAX, FIRST_BYTES_WAIT, FIRST_READ};
use crate::stream::Stream;
use bytes::BytesMut;
use proto::tongue::{Tongue, tell};
use std::io;
use tokio::time::{Instant, timeout_at};

/// What a connection began with.
#[derive(Debug)]
pub(crate) struct Opening {
    /// At least one byte.
    pub(crate) bytes: BytesMut,
    /// When the first byte was seen.
    pub(crate) first_byte_at: Instant,
    /// `None`: the time was up, the stream ended, or there were too many bytes before it could be told.
    pub(crate) tongue: Option<Tongue>,
}

/// Waits for the opening; `None` when the connection ends without a byte.
pub(crate) async fn opening(stream: &Stream) -> Option<Opening> {
    let mut bytes = BytesMut::new();
    take(stream, &mut bytes).await.ok()?;
    if bytes.is_empty() {
        return None;
    }
    let first_byte_at = Instant::now();
    let telling = tell_tongue(stream, &mut bytes);
    let tongue = timeout_at(first_byte_at + FIRST_BYTES_WAIT, telling).await.unwrap_or(None);
    Some(Opening { bytes, first_byte_at, tongue })
}

async fn tell_tongue(stream: &Stream, bytes: &mut BytesMut) -> Option<Tongue> {
    loop {
        if let Some(tongue) = tell(bytes) {
            return Some(tongue);
        }
        if bytes.len() >= FIRST_BYTES_MAX {
            return None;
        }
        // The handler meets the end or the error again when it reads.
        match take(stream, bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

async fn take(stream: &Stream, bytes: &mut BytesMut) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match take_now(stream, bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result,
        }
    }
}

// A function of its own, so that the array lies on the stack and not in each task.
fn take_now(stream: &Stream, bytes: &mut BytesMut) -> io::Result<usize> {
    let mut piece = [0; FIRST_READ];
    let count = stream.try_read(&mut piece)?;
    bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    Ok(count)
}

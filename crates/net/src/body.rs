//! The one path of a body: a piece of a file onto a stream, in bounded memory.
//!
//! Exactly the promised number of bytes or an error. A file that became shorter is never filled up: the caller aborts the
//! stream then, and the receiver sees that the body was cut.

use crate::limits::BODY_BUFFER;
use crate::stream::{Stream, WriteError};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::spawn_blocking;

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
    /// file can serve many streams (`Arc<File>`). Memory: one buffer of at most 256 KiB.
    ///
    /// # Errors
    /// [`SendFileError`]; `stall` as in [`Stream::write_all`].
    pub async fn send_file(
        &mut self,
        file: impl Into<Arc<File>>,
        offset: u64,
        len: u64,
        stall: Duration,
    ) -> Result<(), SendFileError> {
        let file = file.into();
        let mut buffer = Vec::new();
        let mut sent = 0;
        while sent < len {
            buffer = read_piece(Arc::clone(&file), offset.saturating_add(sent), len - sent, buffer)
                .await
                .map_err(SendFileError::Read)?;
            if buffer.is_empty() {
                return Err(SendFileError::Truncated { sent });
            }
            self.write_all(&buffer, stall).await?;
            sent += buffer.len() as u64;
        }
        Ok(())
    }
}

/// At most `wanted` and at most a buffer full; empty at the end of the file.
async fn read_piece(file: Arc<File>, at: u64, wanted: u64, mut buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let room = usize::try_from(wanted).unwrap_or(BODY_BUFFER).min(BODY_BUFFER);
    let reading = spawn_blocking(move || {
        buffer.resize(room, 0);
        let count = file.read_at(&mut buffer, at)?;
        buffer.truncate(count);
        Ok(buffer)
    });
    // The task does not panic; it ends without a result only when the runtime goes down.
    reading.await.map_err(io::Error::other)?
}

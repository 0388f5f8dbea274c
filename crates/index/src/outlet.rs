//! The way out of a session: answers are collected, and leave in one write before the session waits.

use std::time::Duration;

use net::stream::{Stream, WriteError};
use proto::limits::{INDEX_ANSWERS_HELD, LINE_BYTES_MAX};

/// Room made when the first answer is collected: most answers fit.
const FIRST_ROOM: usize = 512;

/// A connection with the answers that wait for their write.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) stream: Stream,
    held: Vec<u8>,
    stall: Duration,
}

impl Outlet {
    pub(crate) fn new(stream: Stream, stall: Duration) -> Self {
        Self { stream, held: Vec::new(), stall }
    }

    /// Where to append. After at most one line, [`Self::make_room`].
    pub(crate) fn held(&mut self) -> &mut Vec<u8> {
        if self.held.capacity() == 0 {
            self.held.reserve(FIRST_ROOM);
        }
        &mut self.held
    }

    /// Writes what is held if one more line might be too much.
    pub(crate) async fn make_room(&mut self) -> Result<(), WriteError> {
        if self.held.len() + LINE_BYTES_MAX > INDEX_ANSWERS_HELD {
            self.stream.write_all(&self.held, self.stall).await?;
            self.held.clear();
        }
        Ok(())
    }

    /// Writes what is held and gives its memory back: idle connections are many.
    pub(crate) async fn flush(&mut self) -> Result<(), WriteError> {
        if !self.held.is_empty() {
            self.stream.write_all(&self.held, self.stall).await?;
        }
        self.held = Vec::new();
        Ok(())
    }
}

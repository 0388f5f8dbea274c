//! The way out of a session: answers are collected, and leave in one write before the session waits.

use std::cell::Cell;
use std::time::Duration;

use net::stream::{Stream, WriteError};
use proto::limits::{INDEX_ANSWERS_HELD, LINE_BYTES_MAX};

/// Room for as much as may be held, so that no answer moves it while it grows.
const ROOM: usize = INDEX_ANSWERS_HELD + LINE_BYTES_MAX;

thread_local! {
    /// The one buffer that a worker needs as long as its sessions get rid of what they hold at once, which is nearly always.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

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

    /// Where to append. After at most one line, [`Self::is_full`] must be asked.
    pub(crate) fn held(&mut self) -> &mut Vec<u8> {
        if self.held.capacity() == 0 {
            self.held = SPARE.take();
            self.held.reserve(ROOM);
        }
        &mut self.held
    }

    /// Whether one more line might be too much.
    pub(crate) fn is_full(&self) -> bool {
        is_full(&self.held)
    }

    /// Writes what is held if one more line might be too much.
    pub(crate) async fn make_room(&mut self) -> Result<(), WriteError> {
        if self.is_full() {
            self.stream.write_all(&self.held, self.stall).await?;
            self.held.clear();
        }
        Ok(())
    }

    /// Writes what is held and gives its memory back: idle connections are many.
    pub(crate) async fn flush(&mut self) -> Result<(), WriteError> {
        if self.flush_at_once() {
            return Ok(());
        }
        let rest = std::mem::take(&mut self.held);
        self.stream.write_all(&rest, self.stall).await
    }

    /// The same as far as that takes no wait: whether nothing is left, which is so nearly always.
    pub(crate) fn flush_at_once(&mut self) -> bool {
        if self.held.capacity() == 0 {
            return true;
        }
        let mut held = std::mem::take(&mut self.held);
        let written = if held.is_empty() { 0 } else { self.stream.try_write(&held).unwrap_or_default() };
        if let Some(rest) = held.get(written..)
            && !rest.is_empty()
        {
            // Copied, so that a connection that waits for its reader holds no more than what is left.
            self.held = rest.to_vec();
            return false;
        }
        held.clear();
        // What a body of 1.1 needed is more than most answers do.
        if held.capacity() <= 2 * ROOM {
            SPARE.set(held);
        }
        true
    }
}

/// Whether one more line might be too much for what is held.
pub(crate) fn is_full(held: &[u8]) -> bool {
    held.len() + LINE_BYTES_MAX > INDEX_ANSWERS_HELD
}

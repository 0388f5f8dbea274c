//! The memory of a transfer: a fixed number of blocks, used again and again.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use proto::limits::BLOCKS_HELD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::in_place::{Claim, InPlace};

/// Hands out buffers for blocks.
#[derive(Debug, Clone)]
pub(super) struct Buffers {
    permits: Arc<Semaphore>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    in_place: Arc<OnceLock<InPlace>>,
}

/// Room for one block, in memory or in the part, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    claim: Option<Arc<Claim>>,
    /// What the disk said to a block that went straight into the part.
    failed: Option<io::Error>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    _permit: OwnedSemaphorePermit,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(BLOCKS_HELD)),
            free: Arc::default(),
            in_place: Arc::default(),
        }
    }

    /// From now on blocks go straight into the part, where nobody else writes the same one.
    pub(super) fn go_in_place(&self, places: InPlace) {
        // Once for each transfer.
        let _ = self.in_place.set(places);
    }

    /// Waits until there is room for this block, of so many bytes.
    pub(super) async fn take_for(&self, block: u32, length: usize) -> Buffer {
        let Some(claim) = self.in_place.get().and_then(|places| places.claim(block)) else {
            return self.take(length).await;
        };
        let mut buffer = self.take(0).await;
        buffer.claim = Some(claim);
        buffer
    }

    /// Waits until a buffer is free.
    pub(super) async fn take(&self, length: usize) -> Buffer {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let bytes = room(&self.free, length);
        Buffer { bytes, claim: None, failed: None, free: Arc::clone(&self.free), _permit: permit }
    }
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The right to write it where it belongs; `None` where it is in memory.
    pub(super) fn claim(&self) -> Option<&Arc<Claim>> {
        self.claim.as_ref()
    }

    /// Takes the block into memory after all.
    pub(super) fn go_through_memory(&mut self, length: usize) {
        self.claim = None;
        self.bytes = room(&self.free, length);
    }

    /// It could not be written where it belongs.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.failed = Some(error);
    }

    /// What the disk said, once.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() > 0 {
            lock(&self.free).push(bytes);
        }
    }
}

/// Room for so many bytes, where there was some before if possible; what is in it means nothing.
fn room(free: &Mutex<Vec<Vec<u8>>>, length: usize) -> Vec<u8> {
    let mut bytes = if length > 0 { lock(free).pop().unwrap_or_default() } else { Vec::new() };
    bytes.resize(length, 0);
    bytes
}

/// A list of free memory is right whoever panicked while holding it.
fn lock(free: &Mutex<Vec<Vec<u8>>>) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blocks_that_go_through_memory_after_all_use_the_same_memory_again() {
        let buffers = Buffers::new();
        for _ in 0..3 * BLOCKS_HELD {
            let mut buffer = buffers.take(0).await;
            buffer.go_through_memory(1000);
            assert_eq!(buffer.bytes().len(), 1000);
        }
        assert_eq!(lock(&buffers.free).len(), 1);
    }
}

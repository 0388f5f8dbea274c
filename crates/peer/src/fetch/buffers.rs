//! The memory of a transfer: a fixed number of blocks, used again and again.

use std::sync::{Arc, Mutex, PoisonError};

use proto::limits::BLOCKS_HELD;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hands out buffers for blocks.
#[derive(Debug, Clone)]
pub(super) struct Buffers {
    permits: Arc<Semaphore>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// Room for one block, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    _permit: OwnedSemaphorePermit,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(BLOCKS_HELD)), free: Arc::default() }
    }

    /// Waits until a buffer is free.
    pub(super) async fn take(&self, length: usize) -> Buffer {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let mut bytes = lock(&self.free).pop().unwrap_or_default();
        bytes.resize(length, 0);
        Buffer { bytes, free: Arc::clone(&self.free), _permit: permit }
    }
}

impl Buffer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        lock(&self.free).push(std::mem::take(&mut self.bytes));
    }
}

/// A list of free memory is right whoever panicked while holding it.
fn lock(free: &Mutex<Vec<Vec<u8>>>) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

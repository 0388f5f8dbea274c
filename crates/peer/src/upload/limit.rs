//! How fast uploads may go, all of them together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use net::body::SendFileError;
use net::stream::Stream;
use proto::transfer::rate::Rate;

/// The rate of all uploads of a process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct UploadLimit(Option<Arc<Mutex<Rate>>>);

impl UploadLimit {
    /// So many bytes a second.
    #[must_use]
    pub fn of(bytes_per_second: u64) -> Self {
        Self(Some(Arc::new(Mutex::new(Rate::new(bytes_per_second, Instant::now())))))
    }

    /// Waits until so many bytes may go.
    pub(super) async fn admit(&self, bytes: usize) {
        let wait = self.with(|rate| rate.admit(bytes as u64, Instant::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// [`Stream::send_file`], no faster than allowed.
    pub(super) async fn send_file(
        &self,
        stream: &mut Stream,
        file: Arc<std::fs::File>,
        offset: u64,
        length: u64,
        stall: Duration,
    ) -> Result<(), SendFileError> {
        let Some(step) = self.with(|rate| rate.step()) else {
            return stream.send_file(file, offset, length, stall).await;
        };
        let mut sent = 0;
        while sent < length {
            let piece = step.min(length - sent);
            // A step is at most 1 MiB.
            self.admit(piece as usize).await;
            stream.send_file(Arc::clone(&file), offset + sent, piece, stall).await?;
            sent += piece;
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Rate) -> T) -> Option<T> {
        // A rate is as good as before whatever another thread did with it.
        self.0.as_ref().map(|rate| act(&mut rate.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

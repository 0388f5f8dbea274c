//! How fast bytes may go in one direction, all connections of a process together.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use net::body::SendFileError;
use net::interfaces::is_own_network;
use net::stream::{Stream, WriteError};
use proto::transfer::rate::Rate;

/// A limit in bytes a second; clones share it. The default is none.
#[derive(Debug, Clone, Default)]
pub struct RateLimit {
    rate: Option<Arc<Mutex<Rate>>>,
    lan_exempt: bool,
}

impl RateLimit {
    /// So many bytes a second; where `lan_exempt`, it does not hold for loopback and this machine's own subnets.
    #[must_use]
    pub fn of(bytes_per_second: u64, lan_exempt: bool) -> Self {
        let rate = Rate::new(bytes_per_second, Instant::now());
        Self { rate: Some(Arc::new(Mutex::new(rate))), lan_exempt }
    }

    /// The limit as it holds for a connection with this address. Asked once for each connection, as the system is asked.
    pub(crate) fn towards(&self, other: IpAddr) -> Self {
        match self.lan_exempt && self.rate.is_some() && is_own_network(other) {
            true => Self::default(),
            false => self.clone(),
        }
    }

    /// How many bytes to take at once; `None` where there is no limit.
    pub(crate) fn step(&self) -> Option<u64> {
        self.with(|rate| rate.step())
    }

    /// Waits until so many bytes may go.
    pub(crate) async fn admit(&self, bytes: u64) {
        let wait = self.with(|rate| rate.admit(bytes, Instant::now()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            tokio::time::sleep(wait).await;
        }
    }

    /// [`Stream::send_file_counted`], no faster than allowed.
    pub(crate) async fn send_file(
        &self,
        stream: &mut Stream,
        file: Arc<std::fs::File>,
        offset: u64,
        length: u64,
        stall: Duration,
        moved: &AtomicU64,
    ) -> Result<(), SendFileError> {
        let Some(step) = self.step() else {
            return stream.send_file_counted(file, offset, length, stall, moved).await;
        };
        let mut sent = 0;
        while sent < length {
            let piece = step.min(length - sent);
            self.admit(piece).await;
            stream.send_file_counted(Arc::clone(&file), offset + sent, piece, stall, moved).await?;
            sent += piece;
        }
        Ok(())
    }

    /// [`Stream::write_all`], no faster than allowed.
    pub(crate) async fn write_all(
        &self,
        stream: &mut Stream,
        bytes: &[u8],
        stall: Duration,
    ) -> Result<(), WriteError> {
        let Some(step) = self.step() else { return stream.write_all(bytes, stall).await };
        for piece in bytes.chunks(usize::try_from(step).unwrap_or(usize::MAX)) {
            self.admit(piece.len() as u64).await;
            stream.write_all(piece, stall).await?;
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Rate) -> T) -> Option<T> {
        // A rate is as good as before whatever another thread did with it.
        self.rate.as_ref().map(|rate| act(&mut rate.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

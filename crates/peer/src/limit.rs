//! How fast bytes may go in one direction, all connections of a process together; on their way they are counted.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use net::body::SendFileError;
use net::interfaces::is_own_network;
use net::stream::{Stream, WriteError};
use proto::http::target::Target;
use proto::transfer::rate::Rate;

use crate::traffic::{Counted, Traffic};

/// A limit in bytes a second; clones share it. The default is none.
#[derive(Debug, Clone, Default)]
pub struct RateLimit {
    rate: Option<Arc<Mutex<Rate>>>,
    lan_exempt: bool,
    traffic: Option<Arc<Traffic>>,
    /// The connection that it holds for.
    counted: Option<Arc<Counted>>,
}

/// What is counted goes in pieces of so many bytes, so that a rate is seen while a large file travels.
const COUNTED_STEP: u64 = 4 << 20;

impl RateLimit {
    /// So many bytes a second; where `lan_exempt`, it does not hold for loopback and this machine's own subnets.
    #[must_use]
    pub fn of(bytes_per_second: u64, lan_exempt: bool) -> Self {
        let rate = Rate::new(bytes_per_second, Instant::now());
        Self { rate: Some(Arc::new(Mutex::new(rate))), lan_exempt, ..Self::default() }
    }

    /// The same, and what goes out is counted there.
    #[must_use]
    pub fn counted_in(self, traffic: Arc<Traffic>) -> Self {
        Self { traffic: Some(traffic), ..self }
    }

    /// The limit as it holds for a connection with this address. Asked once for each connection, as the system is asked.
    pub(crate) fn towards(&self, other: IpAddr) -> Self {
        let is_exempt = self.lan_exempt && self.rate.is_some() && is_own_network(other);
        let rate = if is_exempt { None } else { self.rate.clone() };
        let counted = self.traffic.as_ref().map(|traffic| Arc::new(traffic.connection(other)));
        Self { rate, counted, ..self.clone() }
    }

    /// The connection asks for this now.
    pub(crate) fn takes(&self, target: &Target) {
        if let Some(counted) = &self.counted {
            counted.takes(target);
        }
    }

    fn count(&self, bytes: u64) {
        if let Some(counted) = &self.counted {
            counted.sent(bytes);
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
        let Some(step) = self.step().or(self.counted.as_ref().map(|_| COUNTED_STEP)) else {
            return stream.send_file_counted(file, offset, length, stall, moved).await;
        };
        let mut sent = 0;
        while sent < length {
            let piece = step.min(length - sent);
            self.admit(piece).await;
            stream.send_file_counted(Arc::clone(&file), offset + sent, piece, stall, moved).await?;
            self.count(piece);
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
        let Some(step) = self.step() else {
            stream.write_all(bytes, stall).await?;
            self.count(bytes.len() as u64);
            return Ok(());
        };
        for piece in bytes.chunks(usize::try_from(step).unwrap_or(usize::MAX)) {
            self.admit(piece.len() as u64).await;
            stream.write_all(piece, stall).await?;
            self.count(piece.len() as u64);
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Rate) -> T) -> Option<T> {
        // A rate is as good as before whatever another thread did with it.
        self.rate.as_ref().map(|rate| act(&mut rate.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

//! HTTP with one source: requests go out, and their answers come in the same order.
//!
//! A body goes straight to where it belongs; only what came together with a head is copied.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::straight::Straight;
use net::stream::Stream;
use proto::limits::{DOWNLOAD_RATE_MIN, UPLOAD_WAIT_MAX};
use proto::transfer::answer::AnswerHead;
use proto::value::host::PeerAddr;

use super::SourceFault;
use super::buffers::Buffer;
use super::in_place::Claim;
use crate::dial;
use crate::download::Timing;
use crate::files::on_disk;
use crate::limit::RateLimit;
use crate::patience::{GivenUp, Patience};

/// Bytes read at once while a head is awaited, when what follows goes straight to where it belongs.
pub(super) const HEAD_READ: usize = 16 * 1024;
/// Interim answers (1xx) that are skipped before one answer.
const INTERIM_MAX: usize = 8;
/// Longest body of an answer that is of no use, in bytes, which is read so that the connection can go on.
const USELESS_BODY_MAX: u64 = 64 * 1024;
/// How often, at most, somebody is told that bytes came.
const METER_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes after which somebody is told that they came, however soon.
const METER_BYTES: u64 = 256 * 1024;

/// Hears that bytes of a body came.
pub(super) trait Meter: Send {
    /// So many since the last time. It must not wait for anything.
    fn came(&mut self, bytes: u64);

    /// We wait for our turn, and this is our place. It must not wait for anything.
    fn waits(&mut self, _place: u32) {}
}

/// A connection to a source.
pub(super) struct Talk<M> {
    stream: Stream,
    timing: Timing,
    /// For bodies that go straight into a file; made when there is one.
    straight: Option<Straight>,
    limit: RateLimit,
    /// Bytes that came; those before `taken` were asked for.
    carry: Vec<u8>,
    taken: usize,
    /// Bytes read at once while a head is awaited.
    read_ahead: usize,
    patience: Patience,
    meter: M,
    unmetered: u64,
    metered_at: Instant,
    /// The last head said that nothing follows its body.
    last: bool,
    /// Since when answers were awaited without a pause, and bytes that came since: many short answers, each of which comes in
    /// time, can be as slow as a long one that does not.
    window: Option<(Instant, u64)>,
}

impl<M: Meter> Talk<M> {
    pub(super) async fn connect(
        peer: &PeerAddr,
        timing: &Timing,
        limit: &RateLimit,
        meter: M,
    ) -> Result<Self, SourceFault> {
        let Timing { reach, connect_address, connect_total, .. } = *timing;
        let dialing = dial::peer(peer, &reach, connect_address, connect_total);
        let stream = dialing.await.map_err(SourceFault::Unreachable)?;
        let now = Instant::now();
        let limit = stream.peer_addr().map_or_else(|_| limit.clone(), |other| limit.towards(other.ip()));
        Ok(Self {
            stream,
            straight: None,
            limit,
            timing: *timing,
            carry: Vec::new(),
            taken: 0,
            read_ahead: HEAD_READ,
            patience: Patience::new(*timing, now),
            meter,
            unmetered: 0,
            metered_at: now,
            last: false,
            window: None,
        })
    }

    /// Sends requests.
    pub(super) async fn send(&mut self, requests: &[u8]) -> Result<(), SourceFault> {
        let sent = self.stream.write_all(requests, self.timing.first_byte).await;
        // Whoever closes while we write says so more clearly when we read.
        sent.or_else(|error| match error {
            net::stream::WriteError::Stalled => Err(SourceFault::Silent),
            net::stream::WriteError::Io(_) => Ok(()),
        })
    }

    /// The head of the next answer.
    pub(super) async fn head(&mut self) -> Result<AnswerHead, SourceFault> {
        if self.last {
            return Err(SourceFault::Closed);
        }
        let now = Instant::now();
        self.patience = Patience::new(self.timing, now);
        self.window.get_or_insert((now, 0));
        let mut interim = 0;
        while interim <= INTERIM_MAX && now.elapsed() < UPLOAD_WAIT_MAX {
            let head = self.any_head().await?;
            if !(100..200).contains(&head.status) {
                self.last = head.close;
                self.patience.body_begins(Instant::now());
                return Ok(head);
            }
            match head.place {
                // It is busy, not slow.
                Some(place) => {
                    self.patience = Patience::new(self.timing, Instant::now());
                    self.window = Some((Instant::now(), 0));
                    self.meter.waits(place);
                }
                None => interim += 1,
            }
        }
        Err(SourceFault::Status(100))
    }

    async fn any_head(&mut self) -> Result<AnswerHead, SourceFault> {
        loop {
            if let Some((head, length)) = AnswerHead::parse(self.carried())? {
                self.taken += length;
                return Ok(head);
            }
            self.carry.drain(..self.taken);
            self.taken = 0;
            let held = self.carry.len();
            self.carry.resize(held + self.read_ahead, 0);
            let mut carry = std::mem::take(&mut self.carry);
            let came = self.read(carry.get_mut(held..).unwrap_or_default()).await;
            carry.truncate(held + came.as_ref().copied().unwrap_or(0));
            self.carry = carry;
            came?;
        }
    }

    /// Reads so much at once while a head is awaited: more than [`HEAD_READ`] where short answers follow each other.
    pub(super) fn read_ahead(&mut self, bytes: usize) {
        self.read_ahead = bytes;
    }

    /// What came and was not asked for yet.
    pub(super) fn carried(&self) -> &[u8] {
        self.carry.get(self.taken..).unwrap_or_default()
    }

    /// The next bytes of a body: exactly as many as there is room for.
    pub(super) async fn fill(&mut self, into: &mut [u8]) -> Result<(), SourceFault> {
        let carried = self.carried().len().min(into.len());
        if let (Some(begun), Some(bytes)) = (into.get_mut(..carried), self.carried().get(..carried)) {
            begun.copy_from_slice(bytes);
            self.taken += carried;
            self.meter(carried);
        }
        let mut filled = carried;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let count = self.read(rest).await?;
            self.meter(count);
            filled += count;
        }
        self.meter_now();
        Ok(())
    }

    /// The next bytes of a body, a block, to where there is room for it. What the disk says goes into the buffer.
    pub(super) async fn bring(&mut self, buffer: &mut Buffer, length: usize) -> Result<(), SourceFault> {
        if let Some(claim) = buffer.claim().map(Arc::clone) {
            // What is encrypted has to come through us.
            let way =
                if self.stream.is_secure() { None } else { self.straight.take().or_else(Straight::new) };
            match way {
                Some(straight) => {
                    if let Err(error) = self.land(straight, &claim, length).await? {
                        buffer.fail(error);
                    }
                    return Ok(());
                }
                None => buffer.go_through_memory(length),
            }
        }
        self.fill(buffer.bytes_mut()).await
    }

    async fn land(
        &mut self,
        mut straight: Straight,
        claim: &Arc<Claim>,
        length: usize,
    ) -> Result<io::Result<()>, SourceFault> {
        let carried = self.carried().iter().copied().take(length).collect::<Vec<u8>>();
        let mut landed = carried.len();
        self.taken += landed;
        if landed > 0 {
            self.meter(landed);
            let claim = Arc::clone(claim);
            if let Err(error) = on_disk(move || claim.put(&carried, 0)).await {
                return Ok(Err(error));
            }
        }
        while landed < length {
            self.take_straight(&mut straight, length - landed).await?;
            let held = straight.held();
            self.meter(held);
            let (claim, from) = (Arc::clone(claim), landed as u64);
            let result;
            (straight, result) = on_disk(move || {
                let result = claim.land(&mut straight, from);
                (straight, result)
            })
            .await;
            if let Err(error) = result {
                return Ok(Err(error));
            }
            landed += held;
        }
        self.straight = Some(straight);
        self.meter_now();
        Ok(Ok(()))
    }

    /// Waits for bytes, then takes all that are there.
    async fn take_straight(&mut self, straight: &mut Straight, most: usize) -> Result<(), SourceFault> {
        let step = self.limit.step();
        let most = step.map_or(most, |step| as_room(step, most));
        self.take(|stream| straight.take(stream, most)).await?;
        while step.is_none() && straight.held() < most {
            match straight.take(&self.stream, most - straight.held()) {
                Ok(count @ 1..) => self.took(count)?,
                // Nothing more now; the end and errors come again.
                _ => break,
            }
        }
        Ok(())
    }

    /// Reads a body that is of no use, if the connection is worth it; whether it is.
    pub(super) async fn skip(&mut self, length: Option<u64>) -> Result<bool, SourceFault> {
        let Some(length) = length.filter(|length| *length <= USELESS_BODY_MAX) else { return Ok(false) };
        let mut useless = vec![0; usize::try_from(length).unwrap_or(0)];
        self.fill(&mut useless).await?;
        Ok(true)
    }

    /// Nothing more is awaited for now.
    pub(super) fn rest(&mut self) {
        self.window = None;
    }

    /// Waits until the source closes, or says something although nobody asked.
    pub(super) async fn idle(&mut self) -> SourceFault {
        if !self.carried().is_empty() {
            return SourceFault::OtherBytes;
        }
        self.rest();
        let mut byte = [0];
        loop {
            if let Err(error) = self.stream.readable().await {
                return SourceFault::Broken(error.into());
            }
            match self.stream.try_read(&mut byte) {
                Ok(0) => return SourceFault::Closed,
                Ok(_) => return SourceFault::OtherBytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return SourceFault::Broken(error.into()),
            }
        }
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<usize, SourceFault> {
        let most = self.limit.step().map_or(into.len(), |step| as_room(step, into.len()));
        let into = into.get_mut(..most).unwrap_or_default();
        self.take(|stream| stream.try_read(into)).await
    }

    /// Waits until there are bytes to be taken.
    async fn take(
        &mut self,
        mut now: impl FnMut(&Stream) -> io::Result<usize>,
    ) -> Result<usize, SourceFault> {
        loop {
            let wake = self.patience.wake();
            let came = tokio::select! {
                // What is there counts, even if it is late.
                biased;
                ready = self.stream.readable() => match ready {
                    Ok(()) => now(&self.stream),
                    Err(error) => Err(error),
                },
                () = tokio::time::sleep_until(wake.into()) => Err(io::ErrorKind::WouldBlock.into()),
            };
            match came {
                Ok(0) => return Err(SourceFault::Closed),
                Ok(count) => self.took(count)?,
                Err(ref error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(SourceFault::Closed);
                }
                Err(error) => return Err(SourceFault::Broken(error.into())),
            }
            if let Some(given_up) = self.patience.verdict(Instant::now()) {
                return Err(fault_of(given_up));
            }
            if let Ok(count) = came {
                self.pay(count).await;
                return Ok(count);
            }
        }
    }

    /// Waits until bytes that came were allowed to; it is not the source that we wait for.
    async fn pay(&mut self, count: usize) {
        if self.limit.step().is_some() {
            let began = Instant::now();
            self.limit.admit(count as u64).await;
            let waited = began.elapsed();
            self.patience.pause(waited);
            self.window = self.window.map(|(since, bytes)| (since + waited, bytes));
        }
    }

    fn took(&mut self, count: usize) -> Result<(), SourceFault> {
        let now = Instant::now();
        self.patience.took(count, now);
        let Some((since, bytes)) = &mut self.window else { return Ok(()) };
        *bytes += count as u64;
        if now.saturating_duration_since(*since) < self.timing.rate_window {
            return Ok(());
        }
        let enough = *bytes >= DOWNLOAD_RATE_MIN * self.timing.rate_window.as_secs();
        self.window = Some((now, 0));
        if enough { Ok(()) } else { Err(SourceFault::TooSlow) }
    }

    fn meter(&mut self, bytes: usize) {
        self.unmetered += bytes as u64;
        if self.unmetered >= METER_BYTES || self.metered_at.elapsed() >= METER_INTERVAL {
            self.meter_now();
        }
    }

    fn meter_now(&mut self) {
        if self.unmetered > 0 {
            self.meter.came(std::mem::take(&mut self.unmetered));
            self.metered_at = Instant::now();
        }
    }
}

fn as_room(step: u64, room: usize) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX).min(room)
}

fn fault_of(given_up: GivenUp) -> SourceFault {
    match given_up {
        GivenUp::Silent => SourceFault::Silent,
        GivenUp::Stalled(silence) => SourceFault::Stalled(silence),
        GivenUp::TooSlow => SourceFault::TooSlow,
    }
}

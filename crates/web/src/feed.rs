//! What happens at an index, or at a peer, for onlookers: the last requests, the plots, and the stream of events.
//!
//! Onlookers must cost next to nothing. So a request is only written down while the budget of the current frame
//! lasts; rates and times come from counters that are read once a second; and a frame is written once, whoever gets it.

mod frame;
mod recent;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use index::meter::{Kind, Totals};
use index::notice::{Notice, Observer};
use index::server::Server;
use net::stop::StopSignal;
use proto::limits::{EVENT_FRAME, EVENT_STREAMS_MAX, SAMPLE_EVERY, SAMPLES_KEPT};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

pub(crate) use self::frame::{Frame, Sample};
use self::recent::Recent;
pub(crate) use self::recent::{Happened, Line};

/// Lines that are written down for one frame while somebody looks.
const LINES_A_FRAME: u32 = 30;
/// The same for a second in which nobody does, so that whoever comes sees something.
const LINES_UNSEEN: u32 = 5;
/// More viewers than this get half as many frames.
const MANY_VIEWERS: usize = 100;
/// Frames that a slow viewer may be behind before it misses some.
const FRAMES_HELD: usize = 16;

/// See the module.
pub struct Feed {
    budget: AtomicU32,
    recent: Mutex<Recent>,
    samples: Mutex<VecDeque<Sample>>,
    places: Arc<Semaphore>,
    frames: broadcast::Sender<Bytes>,
    last: Mutex<Bytes>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("viewers", &self.viewers()).finish_non_exhaustive()
    }
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            budget: AtomicU32::new(LINES_A_FRAME),
            recent: Mutex::default(),
            samples: Mutex::default(),
            places: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            frames: broadcast::Sender::new(FRAMES_HELD),
            last: Mutex::default(),
        }
    }
}

/// Counters at one moment, of whatever the feed tells of.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// See [`Frame::peers`].
    pub(crate) peers: usize,
    /// See [`Frame::records`].
    pub(crate) records: usize,
    /// Requests since the start.
    pub(crate) requests: u64,
    /// Another one whenever files or their holders may be others than before.
    pub(crate) changes: u64,
    /// How long requests took, where that is known.
    pub(crate) turns: Option<Box<Totals>>,
    /// Bytes of files sent since the start, by a peer.
    pub(crate) sent: Option<u64>,
}

/// What a feed tells of.
pub(crate) trait Source: Send + Sync {
    /// Reads the counters; called a few times a second.
    fn look(&self) -> Look;
}

impl Source for Server {
    fn look(&self) -> Look {
        let (status, totals) = (self.status(), self.totals());
        let changes = [Kind::Add, Kind::Remove].map(|kind| totals.requests[kind as usize]).iter().sum();
        let (peers, records, requests) = (status.peers, status.records, totals.all());
        Look { peers, records, requests, changes, turns: Some(Box::new(totals)), sent: None }
    }
}

/// Somebody who looks on, counted as long as this lives.
pub(crate) struct Viewer {
    /// The newest frame, to begin with.
    pub(crate) first: Bytes,
    frames: broadcast::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Viewer {
    /// The next frame; `None` when there will be none. One who is too slow misses some.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            match self.frames.recv().await {
                Ok(frame) => return Some(frame),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// What the last look at the counters saw.
struct Seen {
    at: Instant,
    look: Look,
    /// Rises whenever the files or their holders may be others than before.
    revision: u64,
    /// Lines up to this one are in an earlier frame.
    line: u64,
}

impl Feed {
    /// A new viewer; `None` when there are too many.
    pub(crate) fn join(&self) -> Option<Viewer> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let frames = self.frames.subscribe();
        let first = locked(&self.last).clone();
        Some(Viewer { first, frames, _place: place })
    }

    /// How many look on.
    pub(crate) fn viewers(&self) -> usize {
        EVENT_STREAMS_MAX - self.places.available_permits()
    }

    /// The plots so far, the oldest sample first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        locked(&self.samples).iter().copied().collect()
    }

    /// The last lines, the oldest first.
    pub(crate) fn lines(&self) -> Vec<Line> {
        locked(&self.recent).since(0)
    }

    /// Writes frames and samples until `stop`.
    pub(crate) async fn run(&self, source: &dyn Source, stop: StopSignal) {
        let mut seen = Seen::now(source, Instant::now());
        let mut sampled = (seen.at, seen.look.clone());
        self.publish(&seen, None, SystemTime::now());
        loop {
            let pause = pause(self.viewers());
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.stopped() => return,
            }
            let (now, clock) = (Instant::now(), SystemTime::now());
            let mut next = Seen::now(source, now);
            next.follow(&seen);
            let (since, before) = &sampled;
            let elapsed = now.saturating_duration_since(*since);
            let sample = (elapsed >= SAMPLE_EVERY).then(|| next.look.sample_since(before, elapsed, clock));
            if let Some(sample) = sample {
                self.keep(sample);
                sampled = (now, next.look.clone());
            }
            if self.viewers() > 0 {
                next.line = self.publish(&next, sample, clock);
            }
            seen = next;
            let lines = if self.viewers() > 0 { LINES_A_FRAME } else { LINES_UNSEEN };
            self.budget.store(lines, Ordering::Relaxed);
        }
    }

    fn keep(&self, sample: Sample) {
        let mut samples = locked(&self.samples);
        if samples.len() >= SAMPLES_KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Sends a frame to all viewers. Says which line was the last in it.
    fn publish(&self, seen: &Seen, sample: Option<Sample>, clock: SystemTime) -> u64 {
        let lines = locked(&self.recent).since(seen.line);
        let last_line = lines.last().map_or(seen.line, |line| line.number);
        let frame = Frame {
            time: millis(clock),
            peers: seen.look.peers,
            records: seen.look.records,
            requests: seen.look.requests,
            revision: seen.revision,
            sample,
            lines,
        };
        let bytes = frame.encoded();
        *locked(&self.last) = bytes.clone();
        // Nobody may be there to hear it.
        let _ = self.frames.send(bytes);
        last_line
    }

    /// Whether a line would be written down now; it costs something to word one.
    pub(crate) fn has_room(&self) -> bool {
        self.budget.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn write_down(&self, happened: &Happened<'_>) {
        let left = |budget: u32| budget.checked_sub(1);
        if self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
            let line = Line::new(happened, millis(SystemTime::now()));
            locked(&self.recent).push(line);
        }
    }
}

impl Observer for Feed {
    fn notice(&self, notice: &Notice<'_>) {
        match *notice {
            Notice::Joined { source, .. } => self.write_down(&Happened::Joined { source }),
            Notice::Left { source, records, .. } => self.write_down(&Happened::Left { source, records }),
            Notice::Request { source, request, status, records, of_member } => {
                // Whoever reads this may be a member of nothing.
                let raw = if of_member { method(request.raw) } else { request.raw };
                self.write_down(&Happened::Request { source, raw, status, records });
            }
            Notice::Refused { source, refusal } => {
                let status = refusal.reason.status().as_str();
                self.write_down(&Happened::Request { source, raw: refusal.raw, status, records: 0 });
            }
        }
    }

    fn wants_requests(&self) -> bool {
        self.has_room()
    }
}

impl Seen {
    fn now(source: &dyn Source, at: Instant) -> Self {
        Self { at, look: source.look(), revision: 0, line: 0 }
    }

    /// Takes on what an earlier look had seen.
    fn follow(&mut self, before: &Self) {
        let state = |look: &Look| (look.peers, look.records, look.changes);
        let same = state(&self.look) == state(&before.look);
        self.revision = before.revision + u64::from(!same);
        self.line = before.line;
    }
}

impl Look {
    fn sample_since(&self, before: &Self, elapsed: Duration, clock: SystemTime) -> Sample {
        let a_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        let micros = |share| {
            let took = self.turns.as_ref()?.quantile_since(before.turns.as_deref()?, share)?;
            u32::try_from(took.as_micros()).ok()
        };
        let sent = self.sent.zip(before.sent);
        Sample {
            time: millis(clock),
            requests_per_s: (a_second(self.requests, before.requests) * 10.0).round() / 10.0,
            p50_us: micros(0.5),
            p99_us: micros(0.99),
            sent_per_s: sent.map(|(now, before)| a_second(now, before).round() as u64),
            peers: self.peers,
            records: self.records,
        }
    }
}

/// Between two frames: a frame costs a write for each viewer, so many viewers are told less often.
fn pause(viewers: usize) -> Duration {
    match viewers {
        0 => SAMPLE_EVERY,
        1..=MANY_VIEWERS => EVENT_FRAME,
        _ => EVENT_FRAME * 2,
    }
}

/// Nothing panics while one of these is held, so a poisoned lock still holds what is true.
/// The first word of a request.
fn method(raw: &[u8]) -> &[u8] {
    raw.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

//! How much is asked and how long it takes, counted so that counting costs nearly nothing.
//!
//! Each thread has a lane of its own, so that no two cores write to one cache line; a reader adds the lanes up. Times are of one
//! turn in `SAMPLED`: from the moment when requests were read to the moment when their answers are written.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use proto::wire::request::{Request, Verb};
use proto::wire::v11::request::Ask;

/// More threads than this share lanes, which is still right.
const LANES: usize = 8;
/// One turn in so many is timed.
const SAMPLED: u64 = 16;
/// Steps of times: four for each doubling, from 1 µs to 2^20 µs.
pub const STEPS: usize = 4 * 20;

/// What a request asks for, in either version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the verbs of the protocol")]
pub enum Kind {
    Add,
    Remove,
    Lookup,
    List,
    Search,
    Ping,
    Watch,
    Other,
    /// What could not be understood.
    Refused,
}

impl Kind {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 9] = [
        Self::Add,
        Self::Remove,
        Self::Lookup,
        Self::List,
        Self::Search,
        Self::Ping,
        Self::Watch,
        Self::Other,
        Self::Refused,
    ];

    /// In small letters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Lookup => "lookup",
            Self::List => "list",
            Self::Search => "search",
            Self::Ping => "ping",
            Self::Watch => "watch",
            Self::Other => "other",
            Self::Refused => "refused",
        }
    }

    pub(crate) fn of(request: &Request<'_>) -> Self {
        match &request.verb {
            Verb::Add(_) | Verb::V11(Ask::Add { .. }) => Self::Add,
            Verb::V11(Ask::Remove { .. }) => Self::Remove,
            Verb::Lookup(_) | Verb::V11(Ask::Lookup { .. }) => Self::Lookup,
            Verb::List(_) | Verb::V11(Ask::List(_)) => Self::List,
            Verb::V11(Ask::Search { .. }) => Self::Search,
            Verb::V11(Ask::Ping { .. }) => Self::Ping,
            Verb::V11(Ask::Watch(_)) => Self::Watch,
            _ => Self::Other,
        }
    }
}

/// The sums of all lanes at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Requests by [`Kind`], in the order of [`Kind::ALL`].
    pub requests: [u64; Kind::ALL.len()],
    /// Timed turns by how long they took, see [`Totals::longest_of_step`].
    pub turns: [u64; STEPS],
    /// Sum of the timed turns in microseconds.
    pub turns_us: u64,
}

impl Totals {
    /// All requests.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.requests.iter().sum()
    }

    /// Turns of this step took at most this long; the last step has no end.
    #[must_use]
    pub fn longest_of_step(step: usize) -> Duration {
        let (octave, quarter) = (step / 4, step % 4);
        // 2^octave µs and so many quarters more.
        Duration::from_nanos((1_u64 << octave) * 250 * (5 + quarter as u64))
    }

    /// The time that this share (0 to 1) of the turns since `before` did not exceed; `None` without any.
    #[must_use]
    pub fn quantile_since(&self, before: &Self, share: f64) -> Option<Duration> {
        let turns = self.turns.iter().zip(&before.turns).map(|(now, before)| now.saturating_sub(*before));
        let turns: Vec<u64> = turns.collect();
        let all: u64 = turns.iter().sum();
        let wanted = (all as f64 * share).ceil().max(1.0);
        let mut seen = 0;
        let step = turns.iter().position(|count| {
            seen += count;
            seen as f64 >= wanted
        })?;
        Some(Self::longest_of_step(step))
    }
}

#[repr(align(128))]
struct Lane {
    requests: [AtomicU64; Kind::ALL.len()],
    turns: [AtomicU64; STEPS],
    turns_us: AtomicU64,
    counted: AtomicU64,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            requests: Default::default(),
            turns: std::array::from_fn(|_| AtomicU64::new(0)),
            turns_us: AtomicU64::new(0),
            counted: AtomicU64::new(0),
        }
    }
}

/// The counters of an index.
#[derive(Default)]
pub(crate) struct Meter([Lane; LANES]);

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

static NEXT_LANE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The lane of this thread.
fn lane() -> usize {
    let mut lane = LANE.get();
    if lane == usize::MAX {
        lane = NEXT_LANE.fetch_add(1, Ordering::Relaxed) % LANES;
        LANE.set(lane);
    }
    lane
}

// Every count stands for itself, no other memory hangs on it: relaxed everywhere.
impl Meter {
    /// Counts requests.
    pub(crate) fn count(&self, kind: Kind, requests: u64) {
        if requests > 0 {
            self.0[lane()].requests[kind as usize].fetch_add(requests, Ordering::Relaxed);
        }
    }

    /// Whether this turn is to be timed.
    pub(crate) fn wants_time(&self) -> bool {
        self.0[lane()].counted.fetch_add(1, Ordering::Relaxed).is_multiple_of(SAMPLED)
    }

    /// Notes how long a turn took.
    pub(crate) fn time(&self, took: Duration) {
        let lane = &self.0[lane()];
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        lane.turns[step_of(took)].fetch_add(1, Ordering::Relaxed);
        lane.turns_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The sums of all lanes.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals { requests: [0; Kind::ALL.len()], turns: [0; STEPS], turns_us: 0 };
        for lane in &self.0 {
            let counters = lane.requests.iter().chain(&lane.turns);
            let sums = totals.requests.iter_mut().chain(&mut totals.turns);
            for (sum, counter) in sums.zip(counters) {
                *sum += counter.load(Ordering::Relaxed);
            }
            totals.turns_us += lane.turns_us.load(Ordering::Relaxed);
        }
        totals
    }
}

/// The first step whose longest time is not below.
fn step_of(took: Duration) -> usize {
    let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1001) - 1;
    let us = ns / 1000;
    let octave = us.ilog2() as usize;
    let quarter = ((ns >> octave) / 250).saturating_sub(4) as usize;
    (octave * 4 + quarter.min(3)).min(STEPS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_the_step_that_says_so() {
        for ns in [0, 1, 999, 1000, 1250, 1251, 1500, 1999, 2000, 2001, 12_345, 999_999, 1 << 29] {
            let took = Duration::from_nanos(ns);
            let step = step_of(took);
            assert!(took <= Totals::longest_of_step(step), "{ns}: {step}");
            assert!(step == 0 || took > Totals::longest_of_step(step - 1), "{ns}: {step}");
        }
        assert_eq!(step_of(Duration::from_secs(3600)), STEPS - 1);
    }

    #[test]
    fn quantiles_are_of_what_came_since() {
        let meter = Meter::default();
        meter.time(Duration::from_secs(1));
        let before = meter.totals();
        assert_eq!(before.quantile_since(&before, 0.5), None);
        (0..99).for_each(|_| meter.time(Duration::from_micros(10)));
        meter.time(Duration::from_micros(900));
        let now = meter.totals();
        let micros = |share| now.quantile_since(&before, share).map(|took| took.as_micros());
        assert_eq!((micros(0.5), micros(0.99), micros(1.0)), (Some(10), Some(10), Some(1024)));
    }

    #[test]
    fn threads_count_together() {
        let meter = Meter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * LANES {
                scope.spawn(|| (0..100).for_each(|_| meter.count(Kind::Add, 1)));
            }
        });
        assert_eq!(meter.totals().all(), 200 * LANES as u64);
    }
}

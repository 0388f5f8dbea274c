//! What is refused while too much is asked at once, so that the rest is answered in time: LIST first, then searches; ADD and LOOKUP never.
//!
//! A LIST of 1.0 costs as much as everything that there is; it counts from its beginning to its end. Whether the index keeps up is told by
//! its pulse: a task that only wakes, and looks how late it is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use net::stop::StopSignal;
use proto::limits::{PULSE, PULSE_LATE, PULSES_LATE, SEARCHES_MAX};

/// Why something is refused now and may be asked again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    Lists,
    Searches,
    Behind,
}

impl Busy {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Lists => "too many LISTs are being answered (--max-lists); ask again later",
            Self::Searches => "too many searches are waiting; ask again later",
            Self::Behind => "the index does not keep up, and LIST comes last; ask again later",
        }
    }
}

/// How much there is to do.
#[derive(Debug)]
pub(crate) struct Admission {
    lists_max: usize,
    lists: AtomicUsize,
    searches: AtomicUsize,
    is_behind: AtomicBool,
}

/// Something that is being answered; it counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted<'a>(&'a AtomicUsize);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(crate) fn new(lists_max: usize) -> Self {
        Self {
            lists_max,
            lists: AtomicUsize::new(0),
            searches: AtomicUsize::new(0),
            is_behind: AtomicBool::new(false),
        }
    }

    /// A LIST, or a page of one.
    pub(crate) fn list(&self) -> Result<Admitted<'_>, Busy> {
        if self.is_behind.load(Ordering::Relaxed) {
            return Err(Busy::Behind);
        }
        within(&self.lists, self.lists_max).ok_or(Busy::Lists)
    }

    /// A search, or a page of one.
    pub(crate) fn search(&self) -> Result<Admitted<'_>, Busy> {
        within(&self.searches, SEARCHES_MAX).ok_or(Busy::Searches)
    }

    /// Feels the pulse until `stop`.
    pub(crate) async fn feel_pulse(&self, stop: StopSignal) {
        let mut pulse = Pulse::default();
        loop {
            let due = Instant::now() + PULSE;
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = stop.stopped() => return,
            }
            self.is_behind.store(pulse.beat(due.elapsed()), Ordering::Relaxed);
        }
    }
}

/// One more of them, if there may be.
fn within(count: &AtomicUsize, max: usize) -> Option<Admitted<'_>> {
    // Given back where it was one too many.
    let admitted = Admitted(count);
    (count.fetch_add(1, Ordering::Relaxed) < max).then_some(admitted)
}

/// Whether the index keeps up, from how late it wakes.
#[derive(Debug, Default)]
struct Pulse {
    late: u32,
}

impl Pulse {
    /// It woke so late; whether it is behind. Once is no sign: a machine that slept wakes late as well.
    fn beat(&mut self, late: Duration) -> bool {
        self.late = if late >= PULSE_LATE { self.late.saturating_add(1) } else { 0 };
        self.late >= PULSES_LATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_one_more_when_one_has_ended() {
        let admission = Admission::new(2);
        let (one, _two) = (admission.list().unwrap(), admission.list().unwrap());
        assert_eq!(admission.list().unwrap_err(), Busy::Lists);
        assert_eq!(admission.list().unwrap_err(), Busy::Lists);
        assert!(admission.search().is_ok(), "counted apart");
        drop(one);
        assert!(admission.list().is_ok());
    }

    #[test]
    fn who_wakes_late_several_times_in_a_row_is_behind() {
        let (mut pulse, on_time) = (Pulse::default(), PULSE_LATE / 2);
        assert!(!pulse.beat(Duration::from_secs(3600)), "the machine slept");
        assert!(!pulse.beat(on_time));
        for _ in 1..PULSES_LATE {
            assert!(!pulse.beat(PULSE_LATE));
        }
        assert!(pulse.beat(PULSE_LATE) && pulse.beat(PULSE_LATE) && !pulse.beat(on_time));
    }

    #[tokio::test]
    async fn lists_are_refused_while_the_index_is_behind() {
        let admission = Admission::new(2);
        admission.is_behind.store(true, Ordering::Relaxed);
        assert_eq!(admission.list().unwrap_err(), Busy::Behind);
        assert!(admission.search().is_ok());
        let (stopper, stop) = net::stop::stop_pair();
        tokio::join!(admission.feel_pulse(stop), async {
            while admission.list().is_err() {
                tokio::task::yield_now().await;
            }
            stopper.stop();
        });
    }
}

//! How long a reader is waited for who takes nothing, or next to nothing.

use std::time::{Duration, Instant};

use crate::limits::{READ_RATE_MIN, STALL_LOOKS};

/// A reader has so much time, and earns more with what it takes: a second for each [`READ_RATE_MIN`] bytes, never beyond what it had
/// at first. So neither one that takes nothing holds a connection, nor one whose system takes a few bytes now and then.
#[derive(Debug)]
pub(crate) struct Patience {
    stall: Duration,
    until: Instant,
}

impl Patience {
    pub(crate) fn new(stall: Duration, now: Instant) -> Self {
        Self { stall, until: now + stall }
    }

    /// Counts bytes that the system took for it.
    pub(crate) fn took(&mut self, bytes: usize, now: Instant) {
        let earned = Duration::from_secs_f64(bytes as f64 / READ_RATE_MIN as f64);
        self.until = (self.until + earned).min(now + self.stall);
    }

    /// For how long to wait before the system itself is asked: it calls a socket writable only when a third of its buffer is free, and a
    /// slow reader may have taken bytes without getting there.
    pub(crate) fn look(&self, now: Instant) -> Duration {
        (self.stall / STALL_LOOKS).min(self.until.saturating_duration_since(now))
    }

    /// Whether there is nothing left of it.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(30);

    /// Takes so many bytes each second; after how many seconds it is over, if it is within an hour.
    fn over_after(bytes_a_second: usize) -> Option<u64> {
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let mut patience = Patience::new(STALL, start);
        (0..3600).find(|second| {
            let is_over = patience.is_over(at(*second));
            patience.took(bytes_a_second, at(*second + 1));
            is_over
        })
    }

    #[test]
    fn who_takes_less_than_a_kibibyte_a_second_is_waited_for_a_while_and_who_takes_more_for_ever() {
        assert_eq!(over_after(0), Some(30));
        assert_eq!(over_after(1), Some(31));
        assert_eq!(over_after(512), Some(60));
        assert_eq!(over_after(1024), None);
        assert_eq!(over_after(1 << 30), None);
    }

    #[test]
    fn nothing_is_saved_up() {
        let start = Instant::now();
        let mut patience = Patience::new(STALL, start);
        patience.took(usize::MAX >> 12, start);
        let late = start + STALL;
        assert!(patience.is_over(late) && patience.look(late).is_zero());
        patience.took(4096, late);
        assert!(!patience.is_over(late));
        assert_eq!(patience.look(late), STALL / STALL_LOOKS);
    }
}

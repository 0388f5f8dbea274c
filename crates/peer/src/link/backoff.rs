//! How long to pause before the next try to connect, as a value: time and chance are arguments.
//!
//! Full jitter: each pause is chosen evenly between nothing and a ceiling, so that the peers of an index that comes back do not
//! all come back in the same moment.

use std::time::Duration;

use proto::limits::{RECONNECT_CAP, RECONNECT_FIRST, RECONNECT_STABLE};

/// The tries since the last good connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Backoff {
    failed: u32,
}

impl Backoff {
    /// A connection ended after this time; one that was never made lasted no time at all.
    pub(crate) fn ended(&mut self, lasted: Duration) {
        self.failed = if lasted >= RECONNECT_STABLE { 1 } else { self.failed.saturating_add(1) };
    }

    /// The pause before the next try: `chance` from 0 to 1 chooses it.
    pub(crate) fn pause(self, chance: f64) -> Duration {
        self.ceiling().mul_f64(chance.clamp(0.0, 1.0))
    }

    /// 5 s, then 8, 16, 32 and always 60.
    fn ceiling(self) -> Duration {
        match self.failed {
            0 | 1 => RECONNECT_FIRST,
            failed => {
                let seconds = 1_u64.checked_shl(failed.saturating_add(1)).unwrap_or(u64::MAX);
                Duration::from_secs(seconds).min(RECONNECT_CAP)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_begin_anew_after_a_good_connection() {
        let mut backoff = Backoff::default();
        let mut ceilings = Vec::new();
        for _ in 0..8 {
            backoff.ended(Duration::ZERO);
            ceilings.push(backoff.pause(1.0).as_secs());
        }
        assert_eq!(ceilings, [5, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(backoff.pause(0.0), Duration::ZERO);
        assert_eq!(backoff.pause(0.5), RECONNECT_CAP / 2);
        backoff.ended(RECONNECT_STABLE - Duration::from_millis(1));
        assert_eq!(backoff.pause(1.0), RECONNECT_CAP);
        backoff.ended(RECONNECT_STABLE);
        assert_eq!(backoff.pause(1.0), RECONNECT_FIRST);
    }

    #[test]
    fn many_failures_overflow_nothing() {
        let mut backoff = Backoff { failed: 61 };
        for _ in 0..6 {
            backoff.ended(Duration::ZERO);
            assert_eq!(backoff.pause(1.0), RECONNECT_CAP);
        }
        assert_eq!(Backoff { failed: u32::MAX }.pause(2.0), RECONNECT_CAP);
    }
}

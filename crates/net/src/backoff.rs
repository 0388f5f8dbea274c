//! When to try accepting again after the system refused: a decision about time without a clock.

use crate::limits::{BACKOFF_MAX, BACKOFF_MIN, TROUBLE_INTERVAL};
use std::time::Duration;
use tokio::time::Instant;

/// Pauses that double from [`BACKOFF_MIN`] to [`BACKOFF_MAX`] until something works again.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    pause: Duration,
    until: Option<Instant>,
    told_at: Option<Instant>,
}

impl BackOff {
    /// Notes a failure; true when it is time to tell somebody.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        self.pause = (self.pause * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        self.until = Some(now + self.pause);
        let tell = self.told_at.is_none_or(|told| now.duration_since(told) >= TROUBLE_INTERVAL);
        if tell {
            self.told_at = Some(now);
        }
        tell
    }

    /// Notes a success. When trouble was told last stays known, so that trouble that comes and goes is not told each time.
    pub(crate) fn worked(&mut self) {
        self.pause = Duration::ZERO;
        self.until = None;
    }

    /// Not before then, if at all.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second_and_begin_anew() {
        let now = Instant::now();
        let mut backoff = BackOff::default();
        let pauses: Vec<u128> = (0..9)
            .map(|_| {
                backoff.failed(now);
                (backoff.until().unwrap() - now).as_millis()
            })
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.worked();
        assert_eq!(backoff.until(), None);
        backoff.failed(now);
        assert_eq!(backoff.until(), Some(now + BACKOFF_MIN));
    }

    #[test]
    fn trouble_is_told_once_a_second_even_when_it_comes_and_goes() {
        let start = Instant::now();
        let mut backoff = BackOff::default();
        let told: Vec<u64> = (0..30)
            .map(|step| step * 100)
            .filter(|millis| {
                backoff.worked();
                backoff.failed(start + Duration::from_millis(*millis))
            })
            .collect();
        assert_eq!(told, [0, 1000, 2000]);
    }
}

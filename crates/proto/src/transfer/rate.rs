//! A limit of bytes a second, as a value: when may so many bytes go?

use std::time::{Duration, Instant};

/// How much of a silence may be made up for at once. With the step that is admitted last it makes a burst of at most 100 ms.
pub const BURST: Duration = Duration::from_millis(50);

/// Bytes that all go through here share one rate.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    per_second: u64,
    /// Up to when everything that was admitted takes.
    taken_until: Instant,
}

impl Rate {
    /// At least one byte a second, from `now` on.
    #[must_use]
    pub fn new(per_second: u64, now: Instant) -> Self {
        Self { per_second: per_second.max(1), taken_until: now }
    }

    /// Admits so many bytes, and says how long they have to wait.
    pub fn admit(&mut self, bytes: u64, now: Instant) -> Duration {
        let begin = self.taken_until.max(now.checked_sub(BURST).unwrap_or(now));
        self.taken_until = begin.checked_add(self.time_of(bytes)).unwrap_or(begin);
        begin.saturating_duration_since(now)
    }

    /// How many bytes to admit at a time, so that several transfers get their turns: 50 ms' worth.
    #[must_use]
    pub fn step(&self) -> u64 {
        const STEP_MIN: u64 = 1024;
        const STEP_MAX: u64 = 1024 * 1024;
        (self.per_second / 20).clamp(STEP_MIN, STEP_MAX)
    }

    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes).saturating_mul(1_000_000_000);
        let nanos = nanos.checked_div(u128::from(self.per_second)).unwrap_or(u128::MAX);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_brings_more_than_the_rate_and_one_burst() {
        let start = Instant::now();
        let mut rate = Rate::new(1_000_000, start);
        let (mut now, mut sent) = (start, 0u64);
        while now < start + Duration::from_secs(1) {
            now += rate.admit(10_000, now);
            sent += 10_000;
        }
        assert!((990_000..=1_100_000).contains(&sent), "{sent}");
        // A long silence saves up no more than one burst.
        let later = now + Duration::from_secs(60);
        let at_once = (0..100).take_while(|_| rate.admit(10_000, later).is_zero()).count();
        assert!((5..=6).contains(&at_once), "{at_once}");
    }

    #[test]
    fn any_rate_and_any_size_are_taken() {
        let now = Instant::now();
        for per_second in [0, 1, u64::MAX] {
            let mut rate = Rate::new(per_second, now);
            rate.admit(u64::MAX, now);
            rate.admit(0, now);
            assert!((1024..=1024 * 1024).contains(&rate.step()));
        }
    }
}

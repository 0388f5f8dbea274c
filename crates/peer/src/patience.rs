//! How long to wait for a peer, as a value: bytes and time go in, the verdict comes out.

use std::time::{Duration, Instant};

use proto::limits::DOWNLOAD_RATE_MIN;

use crate::download::Timing;

/// Why a peer is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// Not one byte of an answer came.
    Silent,
    /// Nothing came for this long, within an answer.
    Stalled(Duration),
    /// What comes is too little.
    TooSlow,
}

/// The waiting for one answer.
#[derive(Debug)]
pub(crate) struct Patience {
    timing: Timing,
    asked_at: Instant,
    last_byte_at: Option<Instant>,
    body: Option<Window>,
}

/// Some time of a body, and the bytes that came in it.
#[derive(Debug)]
struct Window {
    since: Instant,
    bytes: u64,
}

impl Patience {
    /// For a request that was sent at `now`.
    pub(crate) fn new(timing: Timing, now: Instant) -> Self {
        Self { timing, asked_at: now, last_byte_at: None, body: None }
    }

    /// Bytes came.
    pub(crate) fn took(&mut self, bytes: usize, now: Instant) {
        self.last_byte_at = Some(now);
        if let Some(window) = &mut self.body {
            window.bytes = window.bytes.saturating_add(bytes as u64);
        }
    }

    /// The head is complete: what comes now is the body.
    pub(crate) fn body_begins(&mut self, now: Instant) {
        self.body = Some(Window { since: now, bytes: 0 });
    }

    /// For so long it was we who did not want more.
    pub(crate) fn pause(&mut self, waited: Duration) {
        self.asked_at += waited;
        self.last_byte_at = self.last_byte_at.map(|last| last + waited);
        if let Some(window) = &mut self.body {
            window.since += waited;
        }
    }

    /// When to ask for the verdict if no byte comes.
    pub(crate) fn wake(&self) -> Instant {
        let Timing { first_byte, stall, rate_window, .. } = self.timing;
        match (self.last_byte_at, &self.body) {
            (None, _) => self.asked_at + first_byte,
            (Some(_), None) => self.asked_at + stall,
            (Some(last), Some(window)) => (last + stall).min(window.since + rate_window),
        }
    }

    /// Whether the peer is given up. To be asked after [`Self::took`] and at [`Self::wake`].
    pub(crate) fn verdict(&mut self, now: Instant) -> Option<GivenUp> {
        let Timing { stall, rate_window, .. } = self.timing;
        if now < self.wake() {
            return None;
        }
        let Some(last) = self.last_byte_at else { return Some(GivenUp::Silent) };
        match &mut self.body {
            _ if now >= last + stall => Some(GivenUp::Stalled(stall)),
            None => Some(GivenUp::TooSlow),
            Some(window) if window.bytes < DOWNLOAD_RATE_MIN.saturating_mul(rate_window.as_secs()) => {
                Some(GivenUp::TooSlow)
            }
            Some(window) => {
                *window = Window { since: now, bytes: 0 };
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_ends_it_before_and_within_an_answer() {
        let start = Instant::now();
        let mut patience = Patience::new(Timing::default(), start);
        assert_eq!(patience.wake(), start + 10 * SECOND);
        assert_eq!(patience.verdict(start + 9 * SECOND), None);
        assert_eq!(patience.verdict(start + 10 * SECOND), Some(GivenUp::Silent));
        patience.took(1, start + 9 * SECOND);
        assert_eq!(patience.verdict(start + 29 * SECOND), None);
        assert_eq!(patience.verdict(start + 39 * SECOND), Some(GivenUp::Stalled(30 * SECOND)));
    }

    #[test]
    fn a_head_that_drips_is_given_up() {
        let start = Instant::now();
        let mut patience = Patience::new(Timing::default(), start);
        for second in 1..30 {
            patience.took(1, start + second * SECOND);
            assert_eq!(patience.verdict(start + second * SECOND), None);
        }
        assert_eq!(patience.verdict(start + 30 * SECOND), Some(GivenUp::TooSlow));
    }

    #[test]
    fn a_body_that_drips_is_given_up_and_a_slow_one_is_not() {
        let start = Instant::now();
        for (bytes, verdict) in [(1023, Some(GivenUp::TooSlow)), (1024, None)] {
            let mut patience = Patience::new(Timing::default(), start);
            patience.took(100, start);
            patience.body_begins(start);
            for second in 1..60 {
                patience.took(bytes, start + second * SECOND);
                assert_eq!(patience.verdict(start + second * SECOND), None);
            }
            patience.took(bytes, start + 60 * SECOND);
            assert_eq!(patience.verdict(start + 60 * SECOND), verdict, "{bytes} bytes a second");
        }
    }
}

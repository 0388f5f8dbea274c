//! At most so many lines in one second; the rest is counted, so that a flood of requests is no flood of lines.

use std::time::{Duration, Instant};

/// Counts lines by the second.
#[derive(Debug)]
pub struct LineBudget {
    per_second: u32,
    second: Instant,
    shown: u32,
    hidden: u64,
}

/// What to do with one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Lines of an earlier second that were not shown, to be told before this one.
    pub hidden_before: Option<u64>,
    /// Whether this line is shown.
    pub show: bool,
}

impl LineBudget {
    /// A budget that begins at `now`.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second, second: now, shown: 0, hidden: 0 }
    }

    /// One more line at `now`.
    pub fn admit(&mut self, now: Instant) -> Admission {
        let hidden_before = self.settle(now);
        let show = self.shown < self.per_second;
        match show {
            true => self.shown += 1,
            false => self.hidden += 1,
        }
        Admission { hidden_before, show }
    }

    /// A line that was admitted could not be shown after all.
    pub fn hide_one(&mut self) {
        self.hidden += 1;
    }

    /// How many lines of a second that is over were not shown; told once.
    pub fn settle(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.second) < Duration::from_secs(1) {
            return None;
        }
        self.second = now;
        self.shown = 0;
        let hidden = std::mem::take(&mut self.hidden);
        (hidden > 0).then_some(hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_budget_are_counted_and_told_once() {
        let start = Instant::now();
        let mut budget = LineBudget::new(2, start);
        let shown = (0..5).filter(|_| budget.admit(start).show).count();
        assert_eq!(shown, 2);
        assert_eq!(budget.settle(start + Duration::from_millis(999)), None);
        let later = budget.admit(start + Duration::from_secs(1));
        assert_eq!(later, Admission { hidden_before: Some(3), show: true });
        assert_eq!(budget.settle(start + Duration::from_secs(3)), None);
    }
}

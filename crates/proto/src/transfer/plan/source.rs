//! What the plan knows of one source: what it owes, and how fast it is.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::limits::{DOWNLOAD_RATE_MIN, SOURCE_BLOCKS_OUTSTANDING};

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    /// In the order in which they were asked for, which is the order in which they come.
    owed: VecDeque<u32>,
    /// Where to look for the next block.
    cursor: u32,
    /// Bytes so far, and the time in which it owed something.
    bytes: u64,
    busy: Duration,
    /// When it was last seen to bring something, or was asked after it owed nothing.
    heard_at: Instant,
    window: Window,
}

/// Some time in which it owed something, and the bytes that came in it.
#[derive(Debug)]
struct Window {
    since: Instant,
    bytes: u64,
}

impl Source {
    pub(super) fn new(cursor: u32, now: Instant) -> Self {
        Self {
            owed: VecDeque::new(),
            cursor,
            bytes: 0,
            busy: Duration::ZERO,
            heard_at: now,
            window: Window { since: now, bytes: 0 },
        }
    }

    pub(super) fn owed(&self) -> impl Iterator<Item = u32> {
        self.owed.iter().copied()
    }

    pub(super) fn owed_count(&self) -> usize {
        self.owed.len()
    }

    /// How many blocks come from it up to this one; what it does not owe comes after all.
    pub(super) fn place_of(&self, block: u32) -> usize {
        self.owed.iter().position(|owed| *owed == block).unwrap_or(self.owed.len()).saturating_add(1)
    }

    pub(super) fn cursor(&self) -> u32 {
        self.cursor
    }

    /// How many more blocks it may be asked for.
    pub(super) fn room(&self) -> u32 {
        SOURCE_BLOCKS_OUTSTANDING.saturating_sub(u32::try_from(self.owed.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn owes(&mut self, run: Range<u32>, now: Instant) {
        if self.owed.is_empty() {
            self.heard_at = now;
            self.window = Window { since: now, bytes: 0 };
        }
        self.cursor = run.end;
        self.owed.extend(run);
    }

    pub(super) fn took(&mut self, bytes: u64, now: Instant) {
        if !self.owed.is_empty() {
            self.busy = self.busy.saturating_add(now.saturating_duration_since(self.heard_at));
        }
        self.heard_at = now;
        self.bytes = self.bytes.saturating_add(bytes);
        self.window.bytes = self.window.bytes.saturating_add(bytes);
    }

    pub(super) fn delivered(&mut self, block: u32, now: Instant) {
        self.took(0, now);
        self.owed.retain(|owed| *owed != block);
    }

    /// It owes something and brought nothing for this long.
    pub(super) fn is_stalled(&self, after: Duration, now: Instant) -> bool {
        !self.owed.is_empty() && now.saturating_duration_since(self.heard_at) >= after
    }

    /// Whether it brought too little over the last window; begins the next one.
    pub(super) fn is_too_slow(&mut self, window: Duration, now: Instant) -> bool {
        if self.owed.is_empty() || now.saturating_duration_since(self.window.since) < window {
            return false;
        }
        let bytes = self.window.bytes;
        self.window = Window { since: now, bytes: 0 };
        bytes < DOWNLOAD_RATE_MIN.saturating_mul(window.as_secs().max(1))
    }

    /// How long it takes to bring this many blocks; as long as possible while nothing is known.
    pub(super) fn time_for(&self, blocks: usize, block_bytes: u64) -> Duration {
        let bytes = block_bytes.saturating_mul(blocks as u64);
        if self.bytes == 0 {
            // Another one that is as new is no better.
            return Duration::from_secs(bytes);
        }
        let nanos =
            self.busy.as_nanos().saturating_mul(u128::from(bytes)).checked_div(u128::from(self.bytes));
        Duration::from_nanos(u64::try_from(nanos.unwrap_or(0)).unwrap_or(u64::MAX))
    }
}

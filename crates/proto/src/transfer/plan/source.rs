//! What the plan knows of one source: what it has, what it owes, and how fast it is.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use super::super::blocks::BLOCK_BYTES;
use super::super::have::Have;
use super::super::runs::Runs;
use crate::limits::DOWNLOAD_RATE_MIN;

/// Time over which a rate is remembered.
const REMEMBERED: Duration = Duration::from_secs(4);

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    /// What it has; `None`: everything.
    holds: Option<Runs>,
    /// The number by which it is known; 0 until it told it.
    peer: u64,
    /// What is on its way to it, and since when we know.
    coming: BTreeMap<u32, Instant>,
    /// In the order in which they were asked for, which is the order in which they come.
    owed: VecDeque<u32>,
    /// Where to look for the next block.
    cursor: u32,
    /// Bytes lately, and the time in which it owed something.
    bytes: u64,
    busy: Duration,
    /// When it was last seen to bring something, or was asked after it owed nothing.
    heard_at: Instant,
    window: Window,
    /// Since when there has been nothing that only it can give.
    spare_since: Option<Instant>,
}

/// Some time in which it owed something, and the bytes that came in it.
#[derive(Debug)]
struct Window {
    since: Instant,
    bytes: u64,
}

impl Source {
    /// One that has everything.
    pub(super) fn complete(cursor: u32, now: Instant) -> Self {
        Self {
            holds: None,
            peer: 0,
            coming: BTreeMap::new(),
            owed: VecDeque::new(),
            cursor,
            bytes: 0,
            busy: Duration::ZERO,
            heard_at: now,
            window: Window { since: now, bytes: 0 },
            spare_since: None,
        }
    }

    /// One that has nothing so far.
    pub(super) fn partial(cursor: u32, now: Instant) -> Self {
        Self { holds: Some(Runs::default()), ..Self::complete(cursor, now) }
    }

    pub(super) fn is_partial(&self) -> bool {
        self.holds.is_some()
    }

    pub(super) fn peer(&self) -> u64 {
        self.peer
    }

    pub(super) fn holds(&self, block: u32) -> bool {
        self.holds.as_ref().is_none_or(|holds| holds.contains(block))
    }

    /// The block is on its way to it, as far as that is still to be believed.
    pub(super) fn awaits(&self, block: u32, believed: Duration, now: Instant) -> bool {
        self.coming.get(&block).is_some_and(|since| now.saturating_duration_since(*since) < believed)
    }

    /// It told what it has. Blocks that the file does not have are left out.
    pub(super) fn told(&mut self, have: &Have, blocks: u32, now: Instant) {
        let Some(holds) = &mut self.holds else { return };
        self.peer = have.peer;
        if have.whole {
            *holds = Runs::default();
            self.coming.retain(|block, _| have.coming.contains(block));
        }
        for (start, end) in &have.has {
            holds.insert_run(*start..(*end).min(blocks));
        }
        for lost in &have.lost {
            self.coming.remove(lost);
        }
        for block in have.coming.iter().filter(|block| **block < blocks) {
            self.coming.entry(*block).or_insert(now);
        }
        self.coming.retain(|block, _| !holds.contains(*block));
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

    /// How many more blocks it may be asked for, if it may owe so many.
    pub(super) fn room(&self, most: u32) -> u32 {
        most.saturating_sub(u32::try_from(self.owed.len()).unwrap_or(u32::MAX))
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
        if let Some(half) = self.busy.checked_div(2).filter(|_| self.busy > REMEMBERED) {
            self.busy = half;
            self.bytes >>= 1;
        }
    }

    /// It is not its fault that nothing comes.
    pub(super) fn waits(&mut self, now: Instant) {
        self.window = Window { since: now, bytes: 0 };
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

    /// It has brought something, and was looked at for this long: the first bytes come slowly from everybody.
    pub(super) fn is_known(&self, after: Duration) -> bool {
        self.bytes > 0 && self.busy >= after
    }

    /// How long it takes for a block; `None` while it has brought nothing.
    pub(super) fn block_time(&self) -> Option<Duration> {
        (self.bytes > 0).then(|| self.time_for(1, BLOCK_BYTES))
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

    /// Something that only it can give was found, or was not.
    pub(super) fn note_need(&mut self, is_needed: bool, now: Instant) {
        match is_needed {
            true => self.spare_since = None,
            false => {
                self.spare_since.get_or_insert(now);
            }
        }
    }

    /// It has had nothing to give that others cannot for so long.
    pub(super) fn is_spare(&self, after: Duration, now: Instant) -> bool {
        self.spare_since.is_some_and(|since| now.saturating_duration_since(since) >= after)
    }
}

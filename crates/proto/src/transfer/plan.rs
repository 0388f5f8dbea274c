//! Which source is asked for which blocks, and what becomes of a source.
//!
//! Invariant: each block is in exactly one of *missing*, *asked* and *verified*. A block is asked while at least one source
//! owes it. Only a block that verified leaves for good; a source that leaves gives back what only it owed.
//!
//! Time and randomness are arguments, so a download of an hour is a test of a millisecond.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use source::Source;

use super::blocks::Layout;
use super::runs::Runs;
use crate::limits::{DOWNLOAD_RATE_WINDOW, SOURCE_BLOCKS_OUTSTANDING, SOURCE_STALLED};

mod source;
#[cfg(test)]
mod tests;

/// A source of this transfer; the caller numbers them and never gives a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A source can be asked.
    Joined(SourceId),
    /// A source is gone, for whatever reason.
    Left(SourceId),
    /// No further source will join.
    NoMoreSources,
    /// Bytes of blocks came from a source.
    Bytes(SourceId, u64),
    /// A block came, verified and is written.
    Verified(SourceId, u32),
    /// A block came and is not what it should be.
    Wrong(SourceId, u32),
    /// Time passed.
    Tick,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the source for these blocks, after those that it owes already.
    Fetch(SourceId, Range<u32>),
    /// The source sent a wrong block: it is never asked again, and what else comes from it is thrown away.
    Ban(SourceId),
    /// The source is too slow to be waited for.
    Drop(SourceId),
    /// Every block is verified.
    Done,
    /// Blocks are missing and nobody is left to ask.
    Failed,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A source that brings nothing for this long is stalled: what it owes is asked of others too.
    pub stalled: Duration,
    /// A source that brings fewer than [`crate::limits::DOWNLOAD_RATE_MIN`] bytes a second over this time is dropped.
    pub rate_window: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { stalled: SOURCE_STALLED, rate_window: DOWNLOAD_RATE_WINDOW }
    }
}

/// One transfer.
#[derive(Debug)]
pub struct Plan {
    layout: Layout,
    pace: Pace,
    seed: u64,
    missing: Runs,
    /// Who owes the block.
    asked: BTreeMap<u32, Vec<SourceId>>,
    verified: Runs,
    sources: BTreeMap<SourceId, Source>,
    closed: bool,
    over: bool,
}

impl Plan {
    /// For a file some of whose blocks may be there already. `seed` decides where each source begins.
    #[must_use]
    pub fn new(layout: Layout, verified: Runs, pace: Pace, seed: u64) -> Self {
        let mut missing = Runs::below(layout.blocks());
        for block in verified.iter() {
            missing.remove(block);
        }
        let (asked, sources) = (BTreeMap::new(), BTreeMap::new());
        Self { layout, pace, seed, missing, asked, verified, sources, closed: false, over: false }
    }

    /// Blocks that are verified.
    #[must_use]
    pub fn verified(&self) -> &Runs {
        &self.verified
    }

    /// Takes in what happened. After [`Action::Done`] and [`Action::Failed`] nothing more comes.
    #[must_use]
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.over {
            self.apply(event, now, &mut actions);
            self.drop_slow(now, &mut actions);
            self.ask(now, &mut actions);
            self.conclude(&mut actions);
        }
        debug_assert!(self.is_partition(), "each block is in exactly one state");
        actions
    }

    fn apply(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Joined(id) => {
                let begin = self.begin_of(id);
                self.sources.entry(id).or_insert_with(|| Source::new(begin, now));
            }
            Event::Left(id) => self.forget(id),
            Event::NoMoreSources => self.closed = true,
            Event::Bytes(id, bytes) => {
                if let Some(source) = self.sources.get_mut(&id) {
                    source.took(bytes, now);
                }
            }
            Event::Verified(id, block) => self.received(id, block, now),
            Event::Wrong(id, _) => {
                if self.sources.contains_key(&id) {
                    self.forget(id);
                    actions.push(Action::Ban(id));
                }
            }
            Event::Tick => {}
        }
    }

    /// Whoever sent it: it is verified, and so it counts.
    fn received(&mut self, id: SourceId, block: u32, now: Instant) {
        if self.layout.range(block).is_none() {
            return;
        }
        if let Some(source) = self.sources.get_mut(&id) {
            source.delivered(block, now);
        }
        self.asked.remove(&block);
        self.missing.remove(block);
        self.verified.insert(block);
    }

    /// Takes a source out, and gives back what only it owed.
    fn forget(&mut self, id: SourceId) {
        let Some(source) = self.sources.remove(&id) else { return };
        for block in source.owed() {
            let Some(askers) = self.asked.get_mut(&block) else { continue };
            askers.retain(|asker| *asker != id);
            if askers.is_empty() {
                self.asked.remove(&block);
                self.missing.insert(block);
            }
        }
    }

    fn drop_slow(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let window = self.pace.rate_window;
        let slow =
            self.sources.iter_mut().filter_map(|(id, source)| source.is_too_slow(window, now).then_some(*id));
        for id in slow.collect::<Vec<_>>() {
            self.forget(id);
            actions.push(Action::Drop(id));
        }
    }

    /// Gives work to everybody who has room for it.
    fn ask(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let stalled = self.pace.stalled;
        let free =
            self.sources.iter().filter(|(_, source)| source.room() > 0 && !source.is_stalled(stalled, now));
        for id in free.map(|(id, _)| *id).collect::<Vec<_>>() {
            while let Some(run) = self.next_for(id, now) {
                for block in run.clone() {
                    self.asked.entry(block).or_default().push(id);
                    self.missing.remove(block);
                }
                if let Some(source) = self.sources.get_mut(&id) {
                    source.owes(run.clone(), now);
                }
                actions.push(Action::Fetch(id, run));
            }
        }
    }

    /// What this source is to be asked for next, if anything.
    fn next_for(&self, id: SourceId, now: Instant) -> Option<Range<u32>> {
        let source = self.sources.get(&id)?;
        match self.missing.next_run(source.cursor(), source.room()) {
            // Not one block at a time while more of the file is missing: half of the window is a request.
            Some(_) if source.room() < SOURCE_BLOCKS_OUTSTANDING.div_ceil(2) => None,
            Some(run) => Some(run),
            None if source.room() > 0 => {
                self.steal_for(id, source, now).map(|block| block..block.saturating_add(1))
            }
            None => None,
        }
    }

    /// At the end: a block that somebody else owes and that this source is likely to bring first.
    fn steal_for(&self, id: SourceId, thief: &Source, now: Instant) -> Option<u32> {
        let mut best = None;
        for (block, askers) in &self.asked {
            if askers.contains(&id) {
                continue;
            }
            let waits =
                askers.iter().filter_map(|asker| Some(self.wait_for(self.sources.get(asker)?, *block, now)));
            let wait = waits.min().unwrap_or(Duration::MAX);
            let own = thief.time_for(thief.owed_count().saturating_add(1), self.layout.block_len(*block));
            // Twice: what is asked twice is paid twice.
            if wait > own.saturating_mul(2) && best.is_none_or(|(longest, _)| wait > longest) {
                best = Some((wait, *block));
            }
        }
        best.map(|(_, block)| block)
    }

    /// How long it will take until this source has brought the block.
    fn wait_for(&self, source: &Source, block: u32, now: Instant) -> Duration {
        match source.is_stalled(self.pace.stalled, now) {
            true => Duration::MAX,
            false => source.time_for(source.place_of(block), self.layout.block_len(block)),
        }
    }

    fn conclude(&mut self, actions: &mut Vec<Action>) {
        if self.missing.is_empty() && self.asked.is_empty() {
            self.over = true;
            actions.push(Action::Done);
        } else if self.closed && self.sources.is_empty() {
            self.over = true;
            actions.push(Action::Failed);
        }
    }

    /// Sources begin at places that differ, so that they bring different blocks and none of them is asked for all.
    fn begin_of(&self, id: SourceId) -> u32 {
        let mut random = [0; 8];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes()).update(&id.0.to_le_bytes()).finalize_xof().fill(&mut random);
        let begin = u64::from_le_bytes(random).checked_rem(u64::from(self.layout.blocks())).unwrap_or(0);
        u32::try_from(begin).unwrap_or(0)
    }

    fn is_partition(&self) -> bool {
        let asked = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        let count = self.missing.count().saturating_add(asked).saturating_add(self.verified.count());
        let apart = |block: &u32| !self.missing.contains(*block) && !self.verified.contains(*block);
        count == self.layout.blocks() && self.asked.keys().all(apart)
    }
}

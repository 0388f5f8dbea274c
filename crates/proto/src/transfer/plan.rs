//! Which source is asked for which blocks, and what becomes of a source.
//!
//! Invariant: each block is in exactly one of *missing*, *asked* and *verified*. A block is asked while at least one source
//! owes it. Only a block that verified leaves for good; a source that leaves gives back what only it owed.
//!
//! Time and randomness are arguments, so a download of an hour is a test of a millisecond.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use choose::Pick;
use source::Source;

use super::blocks::Layout;
use super::have::Have;
use super::runs::Runs;
use crate::limits::{
    DOWNLOAD_RATE_WINDOW, SOURCE_BLOCKS_OUTSTANDING, SOURCE_STALLED, SWARM_BELIEVED, SWARM_BLOCKS_AT_FIRST,
    SWARM_BLOCKS_OUTSTANDING, SWARM_SLOW, SWARM_SPARE, SWARM_STARVED,
};

mod choose;
mod source;
#[cfg(test)]
mod tests;

/// A source of this transfer; the caller numbers them and never gives a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A source that has everything can be asked.
    Joined(SourceId),
    /// A source that has only what it tells can be asked.
    JoinedPartial(SourceId),
    /// Such a source told what it has.
    Told(SourceId, Have),
    /// A source is gone, for whatever reason.
    Left(SourceId),
    /// No further source will join.
    NoMoreSources,
    /// Bytes of blocks came from a source.
    Bytes(SourceId, u64),
    /// A source said that others come before us: it is not slow, but what it owes can be asked of others.
    Waits(SourceId),
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
    /// Blocks are missing that those who are left do not have, and it has been so for too long.
    Starved,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A source that brings nothing for this long is stalled: what it owes is asked of others too.
    pub stalled: Duration,
    /// A source that brings fewer than [`crate::limits::DOWNLOAD_RATE_MIN`] bytes a second over this time is dropped.
    pub rate_window: Duration,
    /// A source in a swarm that has the whole file is asked for what others have or await only after it was idle for this long.
    pub spare: Duration,
    /// That a block is on its way to somebody is believed for so many times as long as a block takes from the source that we would
    /// ask for it.
    pub believed: u32,
    /// Blocks that a source in a swarm is asked for in advance.
    pub outstanding: u32,
    /// Blocks that a source is asked for before it has brought anything.
    pub at_first: u32,
}

impl Pace {
    /// For a transfer of which others may hear.
    #[must_use]
    pub fn in_swarm() -> Self {
        Self { at_first: SWARM_BLOCKS_AT_FIRST, ..Self::default() }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            stalled: SOURCE_STALLED,
            rate_window: DOWNLOAD_RATE_WINDOW,
            spare: SWARM_SPARE,
            believed: SWARM_BELIEVED,
            outstanding: SWARM_BLOCKS_OUTSTANDING,
            at_first: SOURCE_BLOCKS_OUTSTANDING,
        }
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
    /// How often a place was drawn.
    drawn: u64,
    /// Since when nobody has owed anything.
    starved_since: Option<Instant>,
}

impl Plan {
    /// For a file some of whose blocks may be there already. `seed` decides where each source begins, and is the number by which
    /// others know us: [`super::have::Have::peer`].
    #[must_use]
    pub fn new(layout: Layout, verified: Runs, pace: Pace, seed: u64) -> Self {
        let mut missing = Runs::below(layout.blocks());
        for block in verified.iter() {
            missing.remove(block);
        }
        Self {
            layout,
            pace,
            seed,
            missing,
            asked: BTreeMap::new(),
            verified,
            sources: BTreeMap::new(),
            closed: false,
            over: false,
            drawn: 0,
            starved_since: None,
        }
    }

    /// Blocks that are verified.
    #[must_use]
    pub fn verified(&self) -> &Runs {
        &self.verified
    }

    /// Blocks that are on their way from somebody who has everything. Others who are told of them need not ask for them too.
    pub fn coming(&self) -> impl Iterator<Item = u32> {
        let complete = |id: &SourceId| self.sources.get(id).is_some_and(|source| !source.is_partial());
        self.asked.iter().filter(move |(_, askers)| askers.iter().any(complete)).map(|(block, _)| *block)
    }

    /// Takes in what happened. After [`Action::Done`], [`Action::Failed`] and [`Action::Starved`] nothing more comes.
    #[must_use]
    pub fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.over {
            self.apply(event, now, &mut actions);
            self.drop_slow(now, &mut actions);
            self.ask(now, &mut actions);
            self.conclude(now, &mut actions);
        }
        debug_assert!(self.is_partition(), "each block is in exactly one state");
        actions
    }

    fn apply(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::Joined(id) => {
                let begin = self.draw(u64::from(id.0));
                self.sources.entry(id).or_insert_with(|| Source::complete(begin, now));
            }
            Event::JoinedPartial(id) => {
                self.sources.entry(id).or_insert_with(|| Source::partial(0, now));
            }
            Event::Told(id, have) => {
                if let Some(source) = self.sources.get_mut(&id) {
                    source.told(&have, self.layout.blocks(), now);
                }
            }
            Event::Left(id) => self.forget(id),
            Event::NoMoreSources => self.closed = true,
            Event::Bytes(id, bytes) => {
                if let Some(source) = self.sources.get_mut(&id) {
                    source.took(bytes, now);
                }
            }
            Event::Waits(id) => {
                if let Some(source) = self.sources.get_mut(&id) {
                    source.waits(now);
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
        let is_swarm = self.sources.values().any(Source::is_partial);
        let free = self.sources.iter().filter(|(_, source)| !source.is_stalled(stalled, now));
        for id in free.map(|(id, _)| *id).collect::<Vec<_>>() {
            while self.room_of(id, is_swarm) > 0 {
                let place = if is_swarm { self.draw_next() } else { 0 };
                let pick = self.next_for(id, place, is_swarm, now);
                let Some(source) = self.sources.get_mut(&id) else { break };
                source.note_need(pick.as_ref().is_some_and(|pick| pick.is_needed), now);
                let Some(Pick { run, .. }) = pick else { break };
                source.owes(run.clone(), now);
                for block in run.clone() {
                    self.asked.entry(block).or_default().push(id);
                    self.missing.remove(block);
                }
                actions.push(Action::Fetch(id, run));
            }
        }
    }

    /// How many more blocks a source may be asked for.
    fn room_of(&self, id: SourceId, is_swarm: bool) -> u32 {
        let Some(source) = self.sources.get(&id) else { return 0 };
        source.room(match is_swarm {
            // A slow one is not idle for long between two blocks, and what it was asked for cannot be planned anew.
            true if source.block_time().is_none_or(|time| time > SWARM_SLOW) => 1,
            true => self.pace.outstanding,
            false if source.block_time().is_none() => self.pace.at_first,
            false => SOURCE_BLOCKS_OUTSTANDING,
        })
    }

    fn conclude(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let starves = self.asked.is_empty() && !self.sources.is_empty();
        self.starved_since = self.starved_since.filter(|_| starves).or(starves.then_some(now));
        let starved =
            self.starved_since.is_some_and(|since| now.saturating_duration_since(since) >= SWARM_STARVED);
        let end = if self.missing.is_empty() && self.asked.is_empty() {
            Action::Done
        } else if self.closed && self.sources.is_empty() {
            Action::Failed
        } else if starved {
            Action::Starved
        } else {
            return;
        };
        self.over = true;
        actions.push(end);
    }

    /// Places differ, so that sources bring different blocks and none of them is asked for all.
    fn draw_next(&mut self) -> u32 {
        self.drawn = self.drawn.wrapping_add(1);
        self.draw(u64::MAX.wrapping_sub(self.drawn))
    }

    fn draw(&self, number: u64) -> u32 {
        let mut random = [0; 8];
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.seed.to_le_bytes())
            .update(&number.to_le_bytes())
            .finalize_xof()
            .fill(&mut random);
        let place = u64::from_le_bytes(random).checked_rem(u64::from(self.layout.blocks())).unwrap_or(0);
        u32::try_from(place).unwrap_or(0)
    }

    fn is_partition(&self) -> bool {
        let asked = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        let count = self.missing.count().saturating_add(asked).saturating_add(self.verified.count());
        let apart = |block: &u32| !self.missing.contains(*block) && !self.verified.contains(*block);
        count == self.layout.blocks() && self.asked.keys().all(apart)
    }
}

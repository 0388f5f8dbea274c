//! What a source is asked for next.
//!
//! Where everybody has everything, runs of blocks from places that differ. In a swarm, where some have only a part, single blocks:
//! of one that has a part, the block that the fewest have; of one that has all, what nobody else has and what is on its way to nobody.
//! So it sends each block about once, and the others pass it on.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::source::Source;
use super::{Plan, SourceId};
use crate::limits::{RAREST_OF, SOURCE_BLOCKS_OUTSTANDING};

/// A source that takes this many times as long as the fastest one is not counted on.
const SLOW: u32 = 4;

/// What to ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) run: Range<u32>,
    /// Nobody else has it.
    pub(super) is_needed: bool,
}

impl Pick {
    fn one(block: u32, is_needed: bool) -> Self {
        Self { run: block..block.saturating_add(1), is_needed }
    }
}

impl Plan {
    /// What a source that has room is to be asked for next, if anything; `place` is where to look first in a swarm.
    pub(super) fn next_for(&self, id: SourceId, place: u32, is_swarm: bool, now: Instant) -> Option<Pick> {
        let source = self.sources.get(&id)?;
        let room = self.room_of(id, is_swarm);
        match (is_swarm, source.is_partial()) {
            (false, _) => self.run_for(id, source, room, now),
            (true, true) => self.rarest_of(source, place, now).or_else(|| self.stolen(id, source, now)),
            (true, false) => self.needed_of(id, place, now).or_else(|| self.spare_of(id, source, place, now)),
        }
    }

    fn run_for(&self, id: SourceId, source: &Source, room: u32, now: Instant) -> Option<Pick> {
        match self.missing.next_run(source.cursor(), room) {
            // Not one block at a time while more of the file is missing: half of the window is a request.
            Some(_) if source.owed_count() > 0 && room < SOURCE_BLOCKS_OUTSTANDING.div_ceil(2) => None,
            Some(run) => Some(Pick { run, is_needed: true }),
            None => self.stolen(id, source, now),
        }
    }

    /// Of what this source has, the block that the fewest others have.
    fn rarest_of(&self, source: &Source, place: u32, now: Instant) -> Option<Pick> {
        let fastest = self.fastest();
        let candidates = self.missing.iter_from(place).filter(|block| source.holds(*block)).take(RAREST_OF);
        let holders = |block: &u32| {
            self.sources.values().filter(|one| one.holds(*block) && self.counts(one, fastest, now)).count()
        };
        candidates.min_by_key(holders).map(|block| Pick::one(block, true))
    }

    /// Of a source that has everything: a block that nobody else has or awaits. All who look at the same time should not see the
    /// same one, so each begins with those for which it has drawn the highest lot of all.
    fn needed_of(&self, id: SourceId, place: u32, now: Instant) -> Option<Pick> {
        let fastest = self.fastest();
        let block_time = self.sources.get(&id).and_then(Source::block_time).unwrap_or_default();
        let believed = block_time.saturating_mul(self.pace.believed).max(self.pace.stalled.saturating_mul(2));
        let others = || self.sources.iter().filter(|(other, one)| **other != id && one.is_partial());
        let elsewhere = |block: u32| {
            others().any(|(_, one)| {
                (one.holds(block) || one.awaits(block, believed, now)) && self.counts(one, fastest, now)
            })
        };
        let fresh = self.missing.iter_from(place).take(RAREST_OF).filter(|block| !elsewhere(*block));
        let peers: Vec<u64> = others().map(|(_, one)| one.peer()).collect();
        let rank = |block: &u32| {
            let own = lot(self.seed, *block);
            peers.iter().filter(|peer| lot(**peer, *block) > own).count()
        };
        fresh.min_by_key(rank).map(|block| Pick::one(block, true))
    }

    /// Of a source that has everything and that nobody has needed for a while: something that others have too.
    fn spare_of(&self, id: SourceId, source: &Source, place: u32, now: Instant) -> Option<Pick> {
        if source.owed_count() > 0 || !source.is_spare(self.pace.spare, now) {
            return None;
        }
        let missing = self.rarest_of(source, place, now).or_else(|| self.stolen(id, source, now));
        missing.map(|pick| Pick { is_needed: false, ..pick })
    }

    /// A block that somebody else owes and that this source is likely to bring first.
    fn stolen(&self, id: SourceId, thief: &Source, now: Instant) -> Option<Pick> {
        let mut best = None;
        for (block, askers) in &self.asked {
            if askers.contains(&id) || !thief.holds(*block) {
                continue;
            }
            let waits =
                askers.iter().filter_map(|asker| Some(self.wait_for(self.sources.get(asker)?, *block, now)));
            let wait = waits.min().unwrap_or(Duration::MAX);
            let own = match self.is_to_be_tried(thief, askers, now) {
                true => self.pace.stalled,
                false => thief.time_for(thief.owed_count().saturating_add(1), self.layout.block_len(*block)),
            };
            // What is asked twice is paid twice, and in a swarm by those who wait for something else.
            let often = if thief.is_partial() { 3 } else { 2 };
            if wait > own.saturating_mul(often) && best.is_none_or(|(longest, _)| wait > longest) {
                best = Some((wait, *block));
            }
        }
        best.map(|(_, block)| Pick::one(block, false))
    }

    /// Of a source that has nothing to do nothing is known, and everything of those who owe the block: it may be the only good one beside many who
    /// bring a byte now and then, each of whom would be waited for until its rate is found too low.
    fn is_to_be_tried(&self, thief: &Source, askers: &[SourceId], now: Instant) -> bool {
        let is_known = |asker: &SourceId| {
            self.sources.get(asker).is_some_and(|source| {
                source.is_known(self.pace.stalled) || source.is_stalled(self.pace.stalled, now)
            })
        };
        thief.block_time().is_none() && thief.owed_count() == 0 && askers.iter().all(is_known)
    }

    /// How long it will take until this source has brought the block.
    fn wait_for(&self, source: &Source, block: u32, now: Instant) -> Duration {
        if source.is_stalled(self.pace.stalled, now) {
            return Duration::MAX;
        }
        match (source.block_time(), self.slowest()) {
            // Who is new in a swarm is as good as any other until it is known better.
            (None, Some(usual)) if source.is_partial() => {
                usual.saturating_mul(u32::try_from(source.place_of(block)).unwrap_or(u32::MAX))
            }
            _ => source.time_for(source.place_of(block), self.layout.block_len(block)),
        }
    }

    /// Whether what this source has will come from it soon enough.
    fn counts(&self, source: &Source, fastest: Option<Duration>, now: Instant) -> bool {
        let is_slow =
            |fastest: Duration| source.block_time().is_some_and(|time| time > fastest.saturating_mul(SLOW));
        !source.is_stalled(self.pace.stalled, now) && !fastest.is_some_and(is_slow)
    }

    fn slowest(&self) -> Option<Duration> {
        self.sources.values().filter_map(Source::block_time).max()
    }

    fn fastest(&self) -> Option<Duration> {
        self.sources.values().filter_map(Source::block_time).min()
    }
}

/// A number that everybody draws alike for a peer and a block.
pub(super) fn lot(peer: u64, block: u32) -> u64 {
    // The finalizer of SplitMix64.
    let mut lot = peer ^ u64::from(block).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    lot = (lot ^ (lot >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    lot = (lot ^ (lot >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    lot ^ (lot >> 31)
}

//! A set of blocks as runs that do not touch, so that a million blocks cost as little as their gaps.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of block numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs {
    /// Start to end (exclusive); neither empty, nor overlapping, nor touching.
    runs: BTreeMap<u32, u32>,
    count: u32,
}

impl Runs {
    /// All blocks below `end`.
    #[must_use]
    pub fn below(end: u32) -> Self {
        let mut all = Self::default();
        if end > 0 {
            all.runs.insert(0, end);
            all.count = end;
        }
        all
    }

    /// How many blocks are in it.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether it has no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether the block is in it.
    #[must_use]
    pub fn contains(&self, block: u32) -> bool {
        self.run_of(block).is_some()
    }

    /// Puts a block in; whether it was not there.
    pub fn insert(&mut self, block: u32) -> bool {
        let Some(after) = block.checked_add(1).filter(|_| !self.contains(block)) else { return false };
        let end = self.runs.remove(&after).unwrap_or(after);
        let before = self.runs.range_mut(..block).next_back();
        match before.filter(|(_, end)| **end == block) {
            Some((_, touching)) => *touching = end,
            None => {
                self.runs.insert(block, end);
            }
        }
        self.count = self.count.saturating_add(1);
        true
    }

    /// Takes a block out; whether it was there.
    pub fn remove(&mut self, block: u32) -> bool {
        let Some(run) = self.run_of(block) else { return false };
        self.runs.remove(&run.start);
        if run.start < block {
            self.runs.insert(run.start, block);
        }
        if let Some(after) = block.checked_add(1).filter(|after| *after < run.end) {
            self.runs.insert(after, run.end);
        }
        self.count = self.count.saturating_sub(1);
        true
    }

    /// The first run at `from` or behind it, else the first of all, at most `most` blocks long.
    #[must_use]
    pub fn next_run(&self, from: u32, most: u32) -> Option<Range<u32>> {
        let here = self.run_of(from).map(|run| from..run.end);
        let behind = || self.runs.range(from..).next().map(as_range);
        let run = here.or_else(behind).or_else(|| self.runs.first_key_value().map(as_range))?;
        let end = run.end.min(run.start.saturating_add(most));
        (run.start < end).then_some(run.start..end)
    }

    /// Puts all blocks of a run in.
    pub fn insert_run(&mut self, run: Range<u32>) {
        // What lies within it or touches it becomes part of it.
        let (mut start, mut end) = (run.start, run.end.min(u32::MAX.saturating_sub(1)));
        if start >= end {
            return;
        }
        let before = self.runs.range(..=start).next_back().map(as_range).filter(|run| run.end >= start);
        start = before.map_or(start, |before| before.start);
        while let Some(other) = self.runs.range(start..=end).next().map(as_range) {
            end = end.max(other.end);
            self.runs.remove(&other.start);
            self.count = self.count.saturating_sub(len(&other));
        }
        self.count = self.count.saturating_add(len(&(start..end)));
        self.runs.insert(start, end);
    }

    /// The runs in order.
    pub fn runs(&self) -> impl Iterator<Item = Range<u32>> {
        self.runs.iter().map(as_range)
    }

    /// All blocks in order, from `from` on and then from the beginning.
    pub fn iter_from(&self, from: u32) -> impl Iterator<Item = u32> {
        let here = self.run_of(from).map_or(from..from, |run| from..run.end);
        let behind = self.runs.range(from.saturating_add(1)..).map(as_range);
        let before = self.runs.range(..from).map(move |(start, end)| *start..(*end).min(from));
        std::iter::once(here).chain(behind).chain(before).flatten()
    }

    /// All blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.runs.iter().flat_map(|(start, end)| *start..*end)
    }

    fn run_of(&self, block: u32) -> Option<Range<u32>> {
        self.runs.range(..=block).next_back().map(as_range).filter(|run| run.contains(&block))
    }
}

fn as_range((start, end): (&u32, &u32)) -> Range<u32> {
    *start..*end
}

fn len(run: &Range<u32>) -> u32 {
    run.end.saturating_sub(run.start)
}

impl FromIterator<u32> for Runs {
    fn from_iter<T: IntoIterator<Item = u32>>(blocks: T) -> Self {
        let mut runs = Self::default();
        for block in blocks {
            runs.insert(block);
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec((any::<bool>(), 0_u32..40, 0_u32..40, 1_u32..6), 0..200)) {
            let (mut runs, mut model) = (Runs::below(10), (0..10).collect::<BTreeSet<u32>>());
            for (put, block, from, most) in steps {
                match put {
                    true => prop_assert_eq!(runs.insert(block), model.insert(block)),
                    false => prop_assert_eq!(runs.remove(block), model.remove(&block)),
                }
                prop_assert!(runs.iter().eq(model.iter().copied()));
                prop_assert_eq!(runs.count() as usize, model.len());
                let around = model.range(from..).chain(model.range(..from)).copied();
                prop_assert!(runs.iter_from(from).eq(around));
                let next = model.range(from..).next().or(model.first()).copied();
                let run = runs.next_run(from, most);
                prop_assert_eq!(run.clone().map(|run| run.start), next);
                if let Some(run) = run {
                    prop_assert!(run.len() <= most as usize && run.clone().all(|block| model.contains(&block)));
                    prop_assert!(run.len() == most as usize || !model.contains(&run.end));
                }
                let ends: Vec<_> = runs.runs.iter().collect();
                prop_assert!(ends.windows(2).all(|pair| pair[0].1 < pair[1].0), "runs touch");
            }
        }
    }

    proptest! {
        #[test]
        fn runs_join_what_they_touch(steps in proptest::collection::vec((0_u32..40, 0_u32..9), 0..30)) {
            let (mut runs, mut model) = (Runs::default(), BTreeSet::new());
            for (start, length) in steps {
                runs.insert_run(start..start + length);
                model.extend(start..start + length);
                prop_assert!(runs.iter().eq(model.iter().copied()));
                prop_assert_eq!(runs.count() as usize, model.len());
                let ends: Vec<_> = runs.runs().collect();
                prop_assert!(ends.windows(2).all(|pair| pair[0].end < pair[1].start), "runs touch");
            }
        }
    }

    #[test]
    fn the_last_number_of_all_is_no_block() {
        assert!(!Runs::default().insert(u32::MAX));
        assert!(Runs::below(0).is_empty() && Runs::default().next_run(5, 3).is_none());
    }
}

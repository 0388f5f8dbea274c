//! What a downloader has of a file and what is on its way to it, told to others in steps.
//!
//! The changes are numbered. Whoever knows all of them up to some number gets those since; whoever knows none, or too few of
//! them, gets the whole state instead. So what is told is small however often somebody asks, and nothing is kept for anybody.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::blocks::Layout;
use super::runs::Runs;
use crate::limits::{HAVE_CHANGES_HELD, HAVE_RUNS_MAX};

/// What is told: a JSON object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Bytes of the file.
    pub size: u64,
    /// The number of the next change: to be named the next time.
    pub next: u64,
    /// Whoever tells it, so that a peer knows itself.
    #[serde(default)]
    pub peer: u64,
    /// This is the whole state; what was told before is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Runs of blocks that are there now: the first one, and the one after the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub has: Vec<(u32, u32)>,
    /// Blocks that are on their way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coming: Vec<u32>,
    /// Blocks that are not on their way any more, although they did not come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<u32>,
}

impl Have {
    /// What somebody tells who has all of a file.
    #[must_use]
    pub fn everything(layout: Layout, peer: u64) -> Self {
        let has = if layout.blocks() > 0 { vec![(0, layout.blocks())] } else { Vec::new() };
        Self { size: layout.size(), next: 0, peer, whole: true, has, ..Self::default() }
    }

    /// Reads one. `None` when it is not understood.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// As it travels.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// What happened to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Has(u32),
    Coming(u32),
    Lost(u32),
}

/// What a downloader has and awaits.
#[derive(Debug, Clone)]
pub struct Board {
    layout: Layout,
    peer: u64,
    has: Runs,
    coming: BTreeSet<u32>,
    /// The last changes, oldest first.
    changes: VecDeque<Change>,
    /// The number of the next one. What is there at the beginning is change 0.
    next: u64,
}

impl Board {
    /// For a file some of whose blocks may be there already; `peer` is what tells this peer from others.
    #[must_use]
    pub fn new(layout: Layout, has: Runs, peer: u64) -> Self {
        Self { layout, peer, has, coming: BTreeSet::new(), changes: VecDeque::new(), next: 1 }
    }

    /// Where the blocks lie.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of the next change.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// What is there.
    #[must_use]
    pub fn has(&self) -> &Runs {
        &self.has
    }

    /// A block is there.
    pub fn verified(&mut self, block: u32) {
        self.coming.remove(&block);
        if self.layout.range(block).is_some() && self.has.insert(block) {
            self.note(Change::Has(block));
        }
    }

    /// These blocks are on their way, and no others.
    pub fn await_only(&mut self, blocks: impl IntoIterator<Item = u32>) {
        let now: BTreeSet<u32> = blocks.into_iter().filter(|block| !self.has.contains(*block)).collect();
        for lost in self.coming.difference(&now).copied().collect::<Vec<_>>() {
            self.note(Change::Lost(lost));
        }
        for coming in now.difference(&self.coming).copied().collect::<Vec<_>>() {
            self.note(Change::Coming(coming));
        }
        self.coming = now;
    }

    /// Whether there is anything to tell somebody who knows what came before this change.
    #[must_use]
    pub fn is_news(&self, after: Option<u64>) -> bool {
        after != Some(self.next)
    }

    /// What to tell somebody who knows what came before this change; `None`: who knows nothing.
    #[must_use]
    pub fn since(&self, after: Option<u64>) -> Have {
        let known = after.and_then(|after| self.next.checked_sub(after));
        let unknown = known.and_then(|unknown| usize::try_from(unknown).ok());
        match unknown.and_then(|unknown| self.changes.len().checked_sub(unknown)) {
            Some(skipped) => self.changed(skipped),
            None => self.whole(),
        }
    }

    fn note(&mut self, change: Change) {
        if self.changes.len() >= HAVE_CHANGES_HELD {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.next = self.next.saturating_add(1);
    }

    fn changed(&self, skipped: usize) -> Have {
        let (mut has, mut coming, mut lost) = (Runs::default(), BTreeSet::new(), BTreeSet::new());
        for change in self.changes.iter().skip(skipped) {
            match *change {
                Change::Has(block) => {
                    has.insert(block);
                    coming.remove(&block);
                    lost.remove(&block);
                }
                Change::Coming(block) => {
                    lost.remove(&block);
                    coming.insert(block);
                }
                Change::Lost(block) => {
                    coming.remove(&block);
                    lost.insert(block);
                }
            }
        }
        Have {
            has: pairs(&has),
            coming: coming.into_iter().collect(),
            lost: lost.into_iter().collect(),
            ..self.nothing()
        }
    }

    fn whole(&self) -> Have {
        let coming = self.coming.iter().copied().collect();
        Have { whole: true, has: pairs(&self.has), coming, ..self.nothing() }
    }

    fn nothing(&self) -> Have {
        Have { size: self.layout.size(), next: self.next, peer: self.peer, ..Have::default() }
    }
}

/// So many runs that the text stays short. What does not fit is not told, which claims nothing.
fn pairs(runs: &Runs) -> Vec<(u32, u32)> {
    runs.runs().take(HAVE_RUNS_MAX).map(|run| (run.start, run.end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCKS: u32 = 40;

    fn board() -> Board {
        Board::new(Layout::with_blocks(u64::from(BLOCKS) * 1024, 1024), [3, 4].into_iter().collect(), 7)
    }

    /// What somebody knows who was told this.
    fn learn(told: &Have, has: &mut Runs, coming: &mut BTreeSet<u32>) {
        if told.whole {
            (*has, *coming) = (Runs::default(), BTreeSet::new());
        }
        for (start, end) in &told.has {
            has.insert_run(*start..*end);
            coming.retain(|block| !(*start..*end).contains(block));
        }
        coming.extend(&told.coming);
        coming.retain(|block| !told.lost.contains(block));
    }

    #[test]
    fn the_first_answer_is_everything_and_the_next_ones_are_short() {
        let mut board = board();
        let first = board.since(None);
        assert_eq!(
            String::from_utf8(first.to_bytes()).unwrap(),
            "{\"size\":40960,\"next\":1,\"peer\":7,\"whole\":true,\"has\":[[3,5]]}\n"
        );
        assert!(!board.is_news(Some(first.next)) && board.is_news(None));
        board.await_only([9, 3, 11]);
        board.verified(9);
        board.verified(9);
        board.await_only([12]);
        let told = board.since(Some(first.next));
        assert_eq!(
            (told.has.clone(), told.coming.clone(), told.lost.clone()),
            (vec![(9, 10)], vec![12], vec![11])
        );
        assert_eq!(Have::parse(&told.to_bytes()), Some(told.clone()));
        assert!(board.since(Some(told.next + 1)).whole, "a number of another board");
        assert_eq!(Have::parse(b"{\"size\":-1}"), None);
    }

    proptest! {
        #[test]
        fn whoever_asks_now_and_then_knows_all(steps in proptest::collection::vec((0_u8..4, 0_u32..BLOCKS), 0..200)) {
            let mut board = board();
            let (mut has, mut coming, mut after) = (Runs::default(), BTreeSet::new(), None);
            for (step, block) in steps {
                match step {
                    0 => board.verified(block),
                    1 => board.await_only([block, (block * 7) % BLOCKS]),
                    2 => board.await_only([]),
                    _ => {
                        let told = Have::parse(&board.since(after).to_bytes()).unwrap();
                        learn(&told, &mut has, &mut coming);
                        after = Some(told.next);
                        prop_assert_eq!(&has, &board.has);
                        prop_assert_eq!(&coming, &board.coming);
                    }
                }
            }
        }
    }

    #[test]
    fn who_has_everything_tells_all_blocks_and_a_board_knows_its_file() {
        let layout = Layout::new(3 << 20).unwrap();
        let all = Have::everything(layout, 7);
        assert_eq!((all.size, all.peer, all.whole, all.has), (3 << 20, 7, true, vec![(0, 3)]));
        assert_eq!(Have::everything(Layout::new(0).unwrap(), 7).has, []);
        let mut board = Board::new(layout, Runs::below(1), 7);
        assert_eq!((board.layout(), board.next(), board.has().count()), (layout, 1, 1));
        for block in [2, 99] {
            board.verified(block);
        }
        assert_eq!((board.next(), board.has().count()), (2, 2), "no file has block 99");
    }
}

//! Whether an index is taken for one of 1.0, from what it has said so far: as a value.
//!
//! An index that is swamped, or dies while it is greeted, looks like an old one that does not understand. So its silence alone does not count for
//! long: one that has spoken 1.1 is tried again, and any other is looked at again after a while.

use std::iter::successors;
use std::time::Duration;

use proto::limits::{LADDER_AGAIN, LADDER_AGAIN_MAX, SILENT_MAX};

/// What is known of an index.
#[derive(Debug, Default)]
pub(super) struct Tongue {
    spoke_v11: bool,
    /// How often in a row it was silent since.
    silent: u32,
}

impl Tongue {
    /// It speaks 1.1.
    pub(super) fn spoke_v11(&mut self) {
        *self = Self { spoke_v11: true, silent: 0 };
    }

    /// It did not speak 1.1 just now: it answered something else, or nothing at all. Whether 1.0 is spoken with it.
    pub(super) fn is_old(&mut self, answered: bool) -> bool {
        if answered || !self.spoke_v11 {
            return true;
        }
        self.silent = self.silent.saturating_add(1);
        self.silent >= SILENT_MAX
    }
}

/// How long 1.0 is spoken with one that was only silent before it is looked at again, and again.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    let double = |pause: &Duration| Some((*pause * 2).min(LADDER_AGAIN_MAX));
    successors(Some(LADDER_AGAIN), double)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_of_one_that_has_spoken_is_trouble_and_not_age() {
        let mut tongue = Tongue::default();
        assert!(tongue.is_old(false), "as far as is known");
        tongue.spoke_v11();
        for _ in 1..SILENT_MAX {
            assert!(!tongue.is_old(false));
        }
        assert!(tongue.is_old(false), "another one may listen there now");
        tongue.spoke_v11();
        assert!(!tongue.is_old(false) && tongue.is_old(true), "it says so itself");
    }

    #[test]
    fn it_is_looked_at_again_ever_less_often() {
        let pauses: Vec<Duration> = pauses().take(40).collect();
        assert!(pauses[..3] == [LADDER_AGAIN, LADDER_AGAIN * 2, LADDER_AGAIN * 4]);
        assert!(pauses[8..].iter().all(|pause| *pause == LADDER_AGAIN_MAX));
    }
}

//! Several numbers looked up together.
//!
//! To find one is to wait for memory three times: for the numbers of its piece, for its row, for its title. The waits of one number
//! follow each other, those of several numbers need not. So all of them take each step before the first one takes the next. No step
//! writes to memory that cores share, which would end the waits of before.

use std::hint::black_box;
use std::ops::ControlFlow;

use proto::directory::{NumberRun, Record, SessionId};
use proto::value::number::RfcNumber;

use super::shards::{SHARDS, Shard, Shards, read};
use crate::store::Peer;

/// How many numbers are looked up together: more waits than a core can have at once are of no use.
pub const NUMBERS_AT_ONCE: usize = 16;

/// Who holds a number.
#[derive(Debug)]
pub struct Holders<'a> {
    number: RfcNumber,
    run: NumberRun<'a, Peer>,
}

impl Holders<'_> {
    /// Shows them in the order of joining until the visitor has enough; says whether there are more then.
    #[inline]
    pub fn show(&mut self, visitor: &mut impl FnMut(&Record<'_, Peer>) -> ControlFlow<()>) -> bool {
        self.run.show(self.number.get(), visitor).is_break() && self.run.number() == Some(self.number)
    }
}

/// See [`super::MemoryStore::visit_numbers`].
pub(super) fn visit(
    shards: &Shards,
    numbers: &[RfcNumber],
    mut visitor: impl FnMut(usize, &mut Holders<'_>) -> ControlFlow<()>,
) {
    let mut locked = [const { None }; SHARDS];
    // In their order, as whoever holds several must have taken them so.
    let mut wanted = numbers.iter().fold(0_u32, |wanted, number| wanted | 1 << shards.of_number(*number));
    while wanted != 0 {
        let at = wanted.trailing_zeros() as usize;
        locked[at] = Some(read(shards.at(at)));
        wanted &= wanted - 1;
    }
    let find = |number: RfcNumber| {
        let shard: &Shard = locked[shards.of_number(number)].as_deref()?;
        Some(Holders { number, run: shard.run_from(number, SessionId(0)) })
    };
    let mut found = [const { None }; NUMBERS_AT_ONCE];
    let mut titles = [None; NUMBERS_AT_ONCE];
    for (number, place) in numbers.iter().zip(&mut found) {
        *place = find(*number);
    }
    if numbers.len() > 1 {
        for (holders, title) in found.iter().flatten().zip(&mut titles) {
            *title = holders.run.look();
        }
        let lengths =
            found.iter().flatten().zip(&titles).map(|(holders, title)| holders.run.look_at_title(*title));
        black_box(lengths.fold(0, usize::wrapping_add));
    }
    for (at, holders) in found.iter_mut().flatten().enumerate() {
        if visitor(at, holders).is_break() {
            return;
        }
    }
}

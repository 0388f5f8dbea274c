//! The shards of the directory, each behind a lock of its own, and which key is in which.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::ControlFlow;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use proto::directory::{Cursor, Directory, Key, Record, SessionId};
use proto::value::number::RfcNumber;

use crate::store::Peer;

/// Enough that two cores seldom meet at a lock, and few enough that a LIST can hold them all for a page.
pub(super) const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 4;

/// Neighbouring numbers share a shard, in blocks of this many (as a power of two): a LIST then takes long runs from one shard,
/// and a peer with a row of numbers stays in one.
const BLOCK_BITS: u32 = 8;

/// One of them.
pub(in crate::store) type Shard = Directory<Peer>;

/// All of them.
#[derive(Debug)]
pub(in crate::store) struct Shards {
    // Seeded, so that nobody can choose names that all meet in one shard.
    hasher: RandomState,
    /// The same for numbers, which are many: a factor, odd and secret.
    spread_by: u64,
    each: [RwLock<Shard>; SHARDS],
}

impl Default for Shards {
    fn default() -> Self {
        Self::new(Shard::default)
    }
}

impl Shards {
    /// Shards that note which texts change.
    pub(super) fn watched() -> Self {
        Self::new(Shard::watched)
    }

    fn new(shard: impl Fn() -> Shard) -> Self {
        let hasher = RandomState::new();
        let spread_by = hasher.hash_one(SHARDS) | 1;
        Self { hasher, spread_by, each: std::array::from_fn(|_| RwLock::new(shard())) }
    }

    pub(in crate::store) fn iter(&self) -> std::slice::Iter<'_, RwLock<Shard>> {
        self.each.iter()
    }

    fn of(&self, key: &Key) -> usize {
        match key {
            Key::Rfc(number) => self.of_number(*number),
            // Names with one last part are found together.
            Key::Leaf { leaf, .. } => spread(self.hasher.hash_one(leaf)),
            key => spread(self.hasher.hash_one(key)),
        }
    }

    /// The shard at a place.
    pub(super) fn at(&self, place: usize) -> &RwLock<Shard> {
        &self.each[place]
    }

    /// Which shard a number is in.
    #[inline]
    pub(super) fn of_number(&self, number: RfcNumber) -> usize {
        // The highest bits of the product, on which all bits of the number have a say.
        let block = u64::from(number.get() >> BLOCK_BITS);
        spread(block.wrapping_mul(self.spread_by) >> (u64::BITS - SHARD_BITS))
    }

    /// The shard of a key.
    pub(in crate::store) fn to_read(&self, key: &Key) -> RwLockReadGuard<'_, Shard> {
        read(&self.each[self.of(key)])
    }

    /// The same for changing it, and which one it is.
    pub(super) fn to_write(&self, key: &Key) -> (usize, RwLockWriteGuard<'_, Shard>) {
        let at = self.of(key);
        (at, write(&self.each[at]))
    }

    /// Shows who holds a key until the visitor has enough; gives the place to go on when there are more.
    pub(in crate::store) fn visit_holders<V>(
        &self,
        key: &Key,
        after: Option<&Cursor>,
        visitor: &mut V,
    ) -> Option<Cursor>
    where
        V: FnMut(&Record<'_, Peer>) -> ControlFlow<()> + ?Sized,
    {
        let shard = self.to_read(key);
        match key {
            Key::Rfc(number) => {
                let session = after.map_or(SessionId(0), |(_, session)| *session);
                show(shard.numbered(*number, session), visitor)
            }
            key => show(shard.holders_after(key, after), visitor),
        }
    }
}

/// The last number that is in one shard for certain with this one.
pub(super) fn last_of_block(number: RfcNumber) -> u32 {
    number.get() | ((1 << BLOCK_BITS) - 1)
}

/// A number as the index of one of [`SHARDS`].
pub(super) fn spread(number: u64) -> usize {
    // Below 16, so it fits.
    (number % SHARDS as u64) as usize
}

fn show<'a, V>(mut records: impl Iterator<Item = Record<'a, Peer>>, visitor: &mut V) -> Option<Cursor>
where
    V: FnMut(&Record<'_, Peer>) -> ControlFlow<()> + ?Sized,
{
    let last = records.find(|record| visitor(record).is_break())?;
    records.next().map(|_| last.cursor())
}

pub(in crate::store) fn read(shard: &RwLock<Shard>) -> RwLockReadGuard<'_, Shard> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

pub(in crate::store) fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

//! What hashing found out: kept in the cache on the disk where there is one, and block lists in memory as far as there is room.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use proto::limits::BLOCK_LISTS_HELD;
use proto::transfer::blocks::{BLOCK_BYTES, BlockList, Layout};
use proto::value::digest::Digest;

use super::cache::{Cache, Known};
use super::file::Stamp;
use super::receipts::Receipts;
use super::sums::Sums;

/// Files whose SHA-256 is held in memory, for where there is no cache.
const SUMS_HELD: usize = 64;

/// The block lists of shared files.
#[derive(Debug, Default)]
pub(super) struct Lists {
    held: Mutex<Held>,
    sums: Mutex<VecDeque<(Stamp, Sums)>>,
    cache: OnceLock<Cache>,
    receipts: OnceLock<Receipts>,
    /// Files that could not be read: what is kept of them says nothing until they have been read once more.
    doubted: Mutex<HashSet<Stamp>>,
}

/// The lists that were used last.
#[derive(Debug, Default)]
struct Held {
    lists: HashMap<Digest, Arc<[u8]>>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl Held {
    fn keep(&mut self, hash: Digest, blocks: &Arc<[u8]>) {
        if self.lists.insert(hash, Arc::clone(blocks)).is_some() {
            return;
        }
        self.order.push_back(hash);
        self.bytes += blocks.len();
        // The newest stays however large it is, or nobody could ever fetch its file.
        while self.bytes > BLOCK_LISTS_HELD && self.order.len() > 1 {
            let oldest = self.order.pop_front().and_then(|oldest| self.lists.remove(&oldest));
            self.bytes -= oldest.map_or(0, |blocks| blocks.len());
        }
    }
}

impl Lists {
    /// Uses a cache from now on.
    pub(super) fn use_cache(&self, cache: Cache) {
        // A second one is none the better: the first is kept.
        let _ = self.cache.set(cache);
    }

    /// Takes over from now on what downloads left.
    pub(super) fn use_receipts(&self, receipts: Receipts) {
        let _ = self.receipts.set(receipts);
    }

    /// Keeps what was found about a content.
    pub(super) fn keep(&self, stamp: Stamp, hash: Digest, blocks: &Arc<[u8]>) {
        self.doubted().remove(&stamp);
        if !blocks.is_empty() {
            self.held().keep(hash, blocks);
        }
        if let Some(cache) = self.cache.get() {
            cache.put(stamp, Known { hash, blocks: Arc::clone(blocks) });
        }
    }

    /// The hash of a content that was hashed before, from the cache, or by a download that left a receipt.
    pub(super) fn recall(&self, stamp: Stamp) -> Option<Digest> {
        if self.doubted().contains(&stamp) {
            return None;
        }
        self.cache.get().and_then(|cache| cache.hash(stamp)).or_else(|| self.take_over(stamp))
    }

    fn take_over(&self, stamp: Stamp) -> Option<Digest> {
        // Of a small file none is left: it is hashed as fast as a receipt is read.
        let receipts = self.receipts.get().filter(|_| stamp.size > BLOCK_BYTES)?;
        let Known { hash, blocks } = receipts.take(stamp)?;
        self.keep(stamp, hash, &blocks);
        Some(hash)
    }

    /// Keeps what SHA-256 says about a content.
    pub(super) fn keep_sums(&self, stamp: Stamp, sums: Sums) {
        if let Some(cache) = self.cache.get() {
            cache.put_sums(stamp, &sums);
        }
        let mut held = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        held.truncate(SUMS_HELD - 1);
        held.push_front((stamp, sums));
    }

    /// What SHA-256 says about a content, if that was asked before.
    pub(super) fn sums(&self, stamp: Stamp) -> Option<Sums> {
        let held = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held.iter().find(|(known, _)| *known == stamp).map(|(_, sums)| sums.clone());
        drop(held);
        known.or_else(|| self.cache.get()?.sums(stamp))
    }

    /// The block list of a file; empty for one of at most one block.
    pub(super) fn blocks(&self, hash: &Digest, stamp: Stamp) -> Option<Arc<[u8]>> {
        if stamp.size <= BLOCK_BYTES {
            return Some(Arc::default());
        }
        if let Some(blocks) = self.held().lists.get(hash) {
            return Some(Arc::clone(blocks));
        }
        let blocks = self.cache.get()?.blocks(stamp)?;
        // The disk may have lost bits: what is handed on belongs to the hash.
        BlockList::check(*hash, Layout::new(stamp.size)?, &blocks).ok()?;
        self.held().keep(*hash, &blocks);
        Some(blocks)
    }

    /// A file cannot be read: whatever is kept, it has no hash until it was read from end to end.
    pub(super) fn doubt(&self, stamp: Stamp) {
        self.doubted().insert(stamp);
    }

    /// Writes to the disk what waits for it.
    pub(super) fn flush(&self) {
        if let Some(cache) = self.cache.get() {
            cache.flush();
        }
    }

    fn doubted(&self) -> std::sync::MutexGuard<'_, HashSet<Stamp>> {
        self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lists_make_room() {
        let mut held = Held::default();
        let list: Arc<[u8]> = vec![0; BLOCK_LISTS_HELD / 2].into();
        for hash in 0..5 {
            held.keep(Digest([hash; 32]), &list);
            held.keep(Digest([hash; 32]), &list);
        }
        assert_eq!(held.lists.len(), 2);
        assert!(held.lists.contains_key(&Digest([4; 32])) && held.bytes <= BLOCK_LISTS_HELD);
        held.keep(Digest([9; 32]), &vec![0; BLOCK_LISTS_HELD * 2].into());
        assert_eq!(held.lists.len(), 1, "one that is too large stays alone");
    }
}

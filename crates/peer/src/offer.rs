//! What a download hands on while it runs, and after it: blocks that are verified, out of the part itself.
//!
//! Whoever downloads is a source. Its part is served like a shared file, except that only what is there is given, and that others may
//! ask what that is and wait for news of it.

use std::collections::HashMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::SystemTime;

use proto::transfer::blocks::{BlockList, Layout};
use proto::transfer::end;
use proto::transfer::have::{Board, Have};
use proto::transfer::runs::Runs;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;
use tokio::sync::watch;

use crate::gate::Gate;
use crate::upload::content::{Content, Opened};

/// The downloads of this process that others may take from.
#[derive(Debug)]
pub struct Offers {
    /// Tells this process from others.
    peer: u64,
    offers: RwLock<HashMap<Digest, Arc<Offer>>>,
}

impl Default for Offers {
    fn default() -> Self {
        // 0 is nobody.
        Self { peer: fastrand::u64(1..), offers: RwLock::default() }
    }
}

impl Offers {
    /// The number by which others know this process.
    pub(crate) fn peer(&self) -> u64 {
        self.peer
    }

    /// Offers a part, of which these blocks are there.
    pub(crate) fn begin(
        &self,
        part: File,
        list: &BlockList,
        there: Runs,
        end: Option<Vec<u8>>,
        gate: Option<Arc<Gate>>,
    ) -> Arc<Offer> {
        let board = Board::new(list.layout(), there, self.peer);
        let offer = Arc::new(Offer {
            hash: list.root(),
            gate,
            file: Arc::new(part),
            layout: list.layout(),
            list: list.as_bytes().into(),
            end: end.map_or_else(OnceLock::new, OnceLock::from),
            begun: SystemTime::now(),
            next: watch::Sender::new(board.next()),
            board: Mutex::new(board),
            lost: watch::Sender::new(false),
        });
        let mut offers = self.offers.write().unwrap_or_else(PoisonError::into_inner);
        offers.insert(offer.hash, Arc::clone(&offer));
        offer
    }

    /// Whether there is nothing that others could take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offers.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Whether something is being sent right now.
    #[must_use]
    pub fn are_in_use(&self) -> bool {
        let offers = self.offers.read().unwrap_or_else(PoisonError::into_inner);
        // Whoever sends holds the file.
        offers.values().any(|offer| Arc::strong_count(&offer.file) > 1)
    }

    fn find(&self, digest: &Digest) -> Option<Arc<Offer>> {
        self.offers.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }
}

impl Content for Offers {
    fn by_hash(&self, digest: &Digest) -> Option<Opened> {
        let offer = self.find(digest)?;
        Some(Opened {
            file: Arc::clone(&offer.file),
            size: offer.layout.size(),
            modified: offer.begun,
            hash: Some(offer.hash),
            sha256: None,
            name: offer.hash.to_string().into(),
        })
    }

    fn by_name(&self, _: FileName<'_>) -> Option<Opened> {
        None
    }

    fn by_number(&self, _: RfcNumber) -> Option<Opened> {
        None
    }

    fn blocks(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        Some(Arc::clone(&self.find(digest)?.list))
    }

    fn withdraw(&self, name: &str, _file: &File) -> bool {
        let Some(hash) = Digest::parse(name.as_bytes()) else { return false };
        let lost = self.offers.write().unwrap_or_else(PoisonError::into_inner).remove(&hash);
        lost.map(|offer| offer.lost.send_replace(true)).is_some()
    }

    fn holds(&self, digest: &Digest, bytes: &Range<u64>) -> bool {
        self.find(digest).is_some_and(|offer| offer.holds(bytes))
    }

    fn end(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.find(digest)?.end()
    }

    fn offer(&self, digest: &Digest) -> Option<Arc<Offer>> {
        self.find(digest)
    }
}

/// One download that others may take from.
#[derive(Debug)]
pub struct Offer {
    hash: Digest,
    gate: Option<Arc<Gate>>,
    file: Arc<File>,
    layout: Layout,
    list: Arc<[u8]>,
    end: OnceLock<Vec<u8>>,
    begun: SystemTime,
    board: Mutex<Board>,
    /// The number of the board's next change.
    next: watch::Sender<u64>,
    /// The disk does not give what was written to it.
    lost: watch::Sender<bool>,
}

impl Offer {
    /// The content's hash.
    pub(crate) fn hash(&self) -> Digest {
        self.hash
    }

    /// What keeps it from others than members of some groups.
    pub(crate) fn gate(&self) -> Option<Arc<Gate>> {
        self.gate.clone()
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.layout.size()
    }

    /// A block is there.
    pub(crate) fn verified(&self, block: u32) {
        self.change(|board| board.verified(block));
    }

    /// These blocks are on their way, and no others.
    pub(crate) fn await_only(&self, blocks: impl IntoIterator<Item = u32>) {
        self.change(|board| board.await_only(blocks));
    }

    /// What is there, for somebody who knows what came before change `after`.
    pub(crate) fn since(&self, after: Option<u64>) -> Have {
        self.board().since(after)
    }

    /// Waits until there is news for somebody who knows what came before change `after`. Safe to cancel.
    pub(crate) async fn news(&self, after: Option<u64>) {
        // The sender lives as long as we do.
        let _ = self.next.subscribe().wait_for(|next| Some(*next) != after).await;
    }

    /// Waits until it turns out that it cannot be read. Safe to cancel.
    pub(crate) async fn lost(&self) {
        // The sender lives as long as we do.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }

    fn change(&self, act: impl FnOnce(&mut Board)) {
        let mut board = self.board();
        act(&mut board);
        let next = board.next();
        drop(board);
        self.next.send_if_modified(|known| std::mem::replace(known, next) != next);
    }

    fn holds(&self, bytes: &Range<u64>) -> bool {
        let Some(last) = bytes.end.checked_sub(1).filter(|last| *last >= bytes.start) else { return true };
        let board = self.board();
        match (self.layout.block_of(bytes.start), self.layout.block_of(last)) {
            (Some(first), Some(last)) => (first..=last).all(|block| board.has().contains(block)),
            _ => false,
        }
    }

    fn end(&self) -> Option<Vec<u8>> {
        if let Some(end) = self.end.get() {
            return Some(end.clone());
        }
        let range = self.layout.range(self.layout.blocks().checked_sub(1)?)?;
        self.holds(&range).then(|| end_of(&self.file, &self.layout)).flatten()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics while it is held.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What proves the length of a file that is there whole. Blocks.
pub(crate) fn end_of(file: &File, layout: &Layout) -> Option<Vec<u8>> {
    let range = layout.range(layout.blocks().checked_sub(1)?)?;
    let mut last = vec![0; usize::try_from(range.end.checked_sub(range.start)?).ok()?];
    file.read_exact_at(&mut last, range.start).ok()?;
    end::prove(layout, &last)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::transfer::blocks::{BLOCK_BYTES, TreeHasher};

    use super::*;

    fn offer(offers: &Offers, bytes: &[u8], there: Runs) -> Arc<Offer> {
        let mut hasher = TreeHasher::new();
        hasher.update(bytes);
        let (_, list) = hasher.finish();
        let part = tempfile::tempfile().unwrap();
        part.write_all_at(bytes, 0).unwrap();
        offers.begin(part, &list, there, None, None)
    }

    #[tokio::test]
    async fn only_what_is_there_is_given_and_news_wake_who_waits() {
        let offers = Offers::default();
        let bytes = vec![7; 3 * BLOCK_BYTES as usize + 100];
        let offer = offer(&offers, &bytes, [1].into_iter().collect());
        let (hash, block) = (offer.hash(), BLOCK_BYTES);
        let range = |range: Range<u64>| offers.holds(&hash, &range);
        assert!(range(block..2 * block) && range(block + 5..block + 6) && range(9..9));
        assert!(
            !range(block - 1..block + 1) && !range(block..2 * block + 1) && !range(0..bytes.len() as u64)
        );
        assert!(!range(3 * block..4 * block), "behind the end");
        assert!(offers.end(&hash).is_none(), "the last block is not there");
        let known = offer.since(None).next;
        assert!(tokio::time::timeout(Duration::from_millis(50), offer.news(Some(known))).await.is_err());
        offer.news(None).await;
        let waiting = offer.news(Some(known));
        offer.verified(3);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
        assert_eq!(offer.since(Some(known)).has, [(3, 4)]);
        assert!(offers.end(&hash).is_some() && range(3 * block..bytes.len() as u64));
        let opened = offers.by_hash(&hash).unwrap();
        assert!(offers.are_in_use());
        drop(opened);
        assert!(!offers.are_in_use());
    }
}

//! What the engine has still to be told: which records of ours changed, bucket by bucket.
//!
//! Only what names a record waits; what it says is read when it is told. So however long the engine is away, a record waits once,
//! and no more can wait than there are records and some that are gone. Beyond that a bucket is compared as a whole.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::directory::{Key, SessionId};
use tokio::sync::Notify;

use super::buckets::{BUCKETS, Bucket, bucket_of};

/// Records that wait in one bucket at most: a quarter of what an index may hold, when they are spread evenly.
const WAITING_MAX: usize = 20_000;

/// What names a record of ours.
pub(super) type Named = (SessionId, Key);

/// All of it.
#[derive(Debug)]
pub(super) struct Outbox {
    each: Vec<Waiting>,
    all: AtomicUsize,
}

#[derive(Debug, Default)]
struct Waiting {
    held: Mutex<Held>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Held {
    names: HashSet<Named>,
    /// There was more than may wait.
    overflowed: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { each: (0..BUCKETS).map(|_| Waiting::default()).collect(), all: AtomicUsize::new(0) }
    }
}

impl Outbox {
    /// A record came, changed or went.
    pub(super) fn note(&self, session: SessionId, key: Key) {
        let waiting = &self.each[usize::from(bucket_of(&key))];
        let mut held = waiting.held();
        if held.names.len() >= WAITING_MAX {
            self.all.fetch_sub(held.names.len(), Ordering::Relaxed);
            *held = Held { names: HashSet::new(), overflowed: true };
        }
        if held.names.insert((session, key)) {
            self.all.fetch_add(1, Ordering::Relaxed);
            waiting.news.notify_one();
        }
    }

    /// Waits until something is there for a bucket.
    pub(super) async fn news(&self, bucket: Bucket) {
        let waiting = &self.each[usize::from(bucket)];
        while waiting.held().names.is_empty() {
            waiting.news.notified().await;
        }
    }

    /// How much waits in a bucket.
    pub(super) fn count(&self, bucket: Bucket) -> usize {
        self.each[usize::from(bucket)].held().names.len()
    }

    /// Takes some of a bucket.
    pub(super) fn take(&self, bucket: Bucket, most: usize) -> Vec<Named> {
        let mut held = self.each[usize::from(bucket)].held();
        let taken: Vec<Named> = held.names.iter().take(most).cloned().collect();
        for name in &taken {
            held.names.remove(name);
        }
        self.all.fetch_sub(taken.len(), Ordering::Relaxed);
        taken
    }

    /// Whether more changed in a bucket than could wait since this was asked last.
    pub(super) fn take_overflow(&self, bucket: Bucket) -> bool {
        std::mem::take(&mut self.each[usize::from(bucket)].held().overflowed)
    }

    /// How much waits in all.
    pub(super) fn len(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }
}

impl Waiting {
    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proto::value::number::RfcNumber;

    use super::*;

    #[test]
    fn a_record_waits_once_and_a_bucket_is_bounded() {
        let outbox = Outbox::default();
        let key = |number| Key::Rfc(RfcNumber::new(number).unwrap());
        let bucket = bucket_of(&key(1));
        for _ in 0..3 {
            outbox.note(SessionId(1), key(1));
        }
        assert_eq!((outbox.len(), outbox.count(bucket)), (1, 1));
        assert_eq!(outbox.take(bucket, 9), [(SessionId(1), key(1))]);
        assert_eq!(outbox.len(), 0);
        for session in 0..=WAITING_MAX as u64 {
            outbox.note(SessionId(session), key(1));
        }
        assert_eq!(
            (outbox.len(), outbox.take_overflow(bucket), outbox.take_overflow(bucket)),
            (1, true, false)
        );
    }
}

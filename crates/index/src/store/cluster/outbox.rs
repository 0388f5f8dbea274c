//! What the engine has still to be told: which records of ours changed, bucket by bucket.
//!
//! A record waits by what names it, with the file if that is what was said last; anything else is read when it is told. So however
//! long the engine is away, a record waits once, and no more can wait than there are records and some that are gone. Beyond that
//! a bucket is compared as a whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::directory::{Key, SessionId};
use tokio::sync::Notify;

use super::buckets::{BUCKETS, Bucket, bucket_of};
use crate::store::memory::Offer;

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
    /// What each says, if that is known: it is what was noted last.
    names: HashMap<Named, Option<Offer>>,
    /// There was more than may wait.
    overflowed: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { each: (0..BUCKETS).map(|_| Waiting::default()).collect(), all: AtomicUsize::new(0) }
    }
}

impl Outbox {
    /// A record came, changed or went: it is read when it is told.
    pub(super) fn note(&self, session: SessionId, key: Key) {
        self.put((session, key), None);
    }

    /// A file was said: this is told, unless something else is noted before.
    pub(super) fn note_file(&self, session: SessionId, key: Key, offer: Offer) {
        self.put((session, key), Some(offer));
    }

    fn put(&self, name: Named, offer: Option<Offer>) {
        let waiting = &self.each[usize::from(bucket_of(&name.1))];
        let mut held = waiting.held();
        if held.names.len() >= WAITING_MAX {
            self.all.fetch_sub(held.names.len(), Ordering::Relaxed);
            *held = Held { names: HashMap::new(), overflowed: true };
        }
        match held.names.entry(name) {
            Entry::Occupied(mut there) => {
                there.insert(offer);
            }
            Entry::Vacant(free) => {
                free.insert(offer);
                self.all.fetch_add(1, Ordering::Relaxed);
                waiting.news.notify_one();
            }
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
    pub(super) fn take(&self, bucket: Bucket, most: usize) -> Vec<(Named, Option<Offer>)> {
        let mut held = self.each[usize::from(bucket)].held();
        let taken: Vec<_> = held.names.extract_if(|_, _| true).take(most).collect();
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
    use std::sync::Arc;

    use proto::value::host::{Host, PeerAddr};
    use proto::value::number::{Port, RfcNumber};
    use proto::wire::v11::body::File;

    use super::*;
    use crate::store::Peer;

    #[test]
    fn a_record_waits_once_and_a_bucket_is_bounded() {
        let outbox = Outbox::default();
        let key = |number| Key::Rfc(RfcNumber::new(number).unwrap());
        let bucket = bucket_of(&key(1));
        for _ in 0..3 {
            outbox.note(SessionId(1), key(1));
        }
        assert_eq!((outbox.len(), outbox.count(bucket)), (1, 1));
        let names: Vec<Named> = outbox.take(bucket, 9).into_iter().map(|(name, _)| name).collect();
        assert_eq!((names, outbox.len()), (vec![(SessionId(1), key(1))], 0));
        for session in 0..=WAITING_MAX as u64 {
            outbox.note(SessionId(session), key(1));
        }
        assert_eq!(
            (outbox.len(), outbox.take_overflow(bucket), outbox.take_overflow(bucket)),
            (1, true, false)
        );
    }

    #[test]
    fn what_was_noted_last_is_what_is_told() {
        let outbox = Outbox::default();
        let key = Key::Name("notes.txt".into());
        let bucket = bucket_of(&key);
        let address = PeerAddr::new(Host::parse(b"10.0.0.1").unwrap(), Port::new(7001).unwrap());
        let peer = Arc::new(Peer::new(address, [10, 0, 0, 1].into()));
        let offer = |size| {
            let name = "notes.txt".into();
            let file = File {
                name,
                size,
                modified: 0,
                hash: None,
                sha256: None,
                rfc: None,
                copied: false,
                partial: false,
            };
            (Arc::new(file), Arc::clone(&peer))
        };
        let told = || -> Vec<Option<u64>> {
            outbox.take(bucket, 9).into_iter().map(|(_, offer)| offer.map(|(file, _)| file.size)).collect()
        };
        outbox.note_file(SessionId(1), key.clone(), offer(1));
        outbox.note_file(SessionId(1), key.clone(), offer(2));
        assert_eq!(told(), [Some(2)]);
        // It went, or may have: whoever tells looks.
        outbox.note_file(SessionId(1), key.clone(), offer(3));
        outbox.note(SessionId(1), key.clone());
        assert_eq!(told(), [None]);
        outbox.note(SessionId(1), key.clone());
        outbox.note_file(SessionId(1), key, offer(4));
        assert_eq!(told(), [Some(4)]);
    }
}

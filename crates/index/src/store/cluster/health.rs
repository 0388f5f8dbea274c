//! How it stands with the cluster, for whoever asks: probes, metrics, and requesters who must know that an answer may be old.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::buckets::BUCKETS;

/// Without a word of the engine for this long, what is known of other nodes may be old.
const STALE_AFTER: Duration = Duration::from_secs(3);

/// A snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Which cluster it is, once the engine has said so.
    pub cluster: Option<String>,
    /// Why the node is not ready; `None` when it is.
    pub trouble: Option<String>,
    /// Other nodes that are there.
    pub nodes: usize,
    /// Records of ours of which the engine has still to be told.
    pub waiting: usize,
    /// Buckets that were read as a whole, for the first time or because something was missing.
    pub read: u64,
    /// Entries at the engine that are no records.
    pub left_out: u64,
}

#[derive(Debug, Default)]
pub(super) struct Health {
    told: Mutex<Told>,
    /// Buckets whose changes are followed.
    followed: AtomicUsize,
    read: AtomicU64,
    left_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Told {
    cluster: Option<String>,
    last_word: Option<Instant>,
    trouble: Option<String>,
}

impl Health {
    /// The engine answered, and knows us.
    pub(super) fn is_well(&self, cluster: &str) {
        let mut told = self.told();
        if told.cluster.as_deref() != Some(cluster) {
            told.cluster = Some(cluster.to_owned());
        }
        told.last_word = Some(Instant::now());
        told.trouble = None;
    }

    pub(super) fn is_troubled(&self, why: String) {
        self.told().trouble = Some(why);
    }

    pub(super) fn cluster(&self) -> Option<String> {
        self.told().cluster.clone()
    }

    pub(super) fn set_followed(&self, buckets: usize) {
        self.followed.store(buckets, Ordering::Relaxed);
    }

    pub(super) fn note_read(&self, left_out: usize) {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.note_left_out(left_out);
    }

    pub(super) fn note_left_out(&self, count: usize) {
        self.left_out.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn is_stale(&self) -> bool {
        let is_silent = self.told().last_word.is_none_or(|at| at.elapsed() > STALE_AFTER);
        is_silent || self.followed.load(Ordering::Relaxed) < BUCKETS
    }

    pub(super) fn status(&self, nodes: usize, waiting: usize) -> ClusterStatus {
        let followed = self.followed.load(Ordering::Relaxed);
        let told = self.told();
        let is_silent = told.last_word.is_none_or(|at| at.elapsed() > STALE_AFTER);
        let trouble = match (&told.trouble, is_silent) {
            (Some(trouble), true) => Some(trouble.clone()),
            (None, true) => Some("the engine has not answered yet".to_owned()),
            (_, false) if followed < BUCKETS => {
                Some(format!("{followed} of {BUCKETS} parts of the catalogue are there"))
            }
            (_, false) => None,
        };
        ClusterStatus {
            cluster: told.cluster.clone(),
            trouble,
            nodes,
            waiting,
            read: self.read.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_is_known_and_follows_everything() {
        let health = Health::default();
        let trouble = |health: &Health| health.status(0, 0).trouble;
        assert_eq!((trouble(&health).is_some(), health.is_stale()), (true, true));
        health.is_well("c");
        assert_eq!(trouble(&health).unwrap(), "0 of 256 parts of the catalogue are there");
        health.set_followed(BUCKETS);
        assert_eq!((trouble(&health), health.is_stale()), (None, false));
        // A short silence is no trouble.
        health.is_troubled("gone".to_owned());
        assert_eq!(trouble(&health), None);
        health.told().last_word = Instant::now().checked_sub(STALE_AFTER * 2);
        assert_eq!((trouble(&health).as_deref(), health.is_stale()), (Some("gone"), true));
    }
}

//! Searching the store: an index of texts beside the shards, which follows them a moment behind.
//!
//! An ADD only notes its key, and that only when its title or file is a new one; a thread of its own reads what has become of the
//! key and takes it in. So the index of texts is a hint, and what is told is read from the shards: a record that is gone is never
//! told, however far behind the thread is.
//!
//! Order of locks: taking in, the index of texts, one shard for reading. Who changes a shard holds no lock of the search.

mod found;
mod keeper;

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use proto::limits::{SEARCH_FOUND_MAX, SEARCHES_AT_ONCE};
use proto::search::{Hit, Index, Query};
use proto::wire::v11::body::FoundLine;
use tokio::sync::Semaphore;

pub(super) use self::keeper::Keeper;
use super::memory::Shards;

/// What a query found, or a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// The best first.
    pub files: Vec<FoundLine>,
    /// There are more behind these.
    pub has_more: bool,
    /// The search ended at its limits: there may be others.
    pub is_incomplete: bool,
}

/// Who searches.
#[derive(Debug)]
pub(super) struct Finder {
    shards: Arc<Shards>,
    index: RwLock<Index>,
    /// Held by who takes changes in; nobody else changes the index of texts.
    taking_in: Mutex<()>,
    places: Semaphore,
}

/// Searches on a thread for what takes its time, a few at once.
pub(super) async fn search(finder: &Arc<Finder>, query: &Query, from: usize, limit: usize) -> Matches {
    let place = finder.places.acquire().await;
    let (own, query) = (Arc::clone(finder), query.clone());
    let searching = tokio::task::spawn_blocking(move || own.matches(&query, from, limit));
    // A panic of ours, which was shown, or the runtime's end: either way nothing was found.
    let found = searching.await.unwrap_or_else(|_| Matches { is_incomplete: true, ..Matches::default() });
    drop(place);
    found
}

impl Finder {
    fn new(shards: Arc<Shards>) -> Self {
        Self {
            shards,
            index: RwLock::default(),
            taking_in: Mutex::default(),
            places: Semaphore::new(SEARCHES_AT_ONCE),
        }
    }

    fn matches(&self, query: &Query, from: usize, limit: usize) -> Matches {
        self.catch_up_a_little();
        let found = self.read().find(query, SEARCH_FOUND_MAX);
        let is_incomplete = found.is_incomplete || found.hits.len() >= SEARCH_FOUND_MAX;
        let mut matches = Matches { is_incomplete, ..Matches::default() };
        let mut left_out = from;
        for hit in self.in_order(found.hits) {
            for file in found::files(&self.shards, query, &hit.key) {
                match (left_out.checked_sub(1), matches.files.len() < limit) {
                    (Some(less), _) => left_out = less,
                    (None, true) => matches.files.push(file),
                    (None, false) => {
                        matches.has_more = true;
                        return self.with_sources(matches);
                    }
                }
            }
        }
        self.with_sources(matches)
    }

    /// Among equally good ones, those with more sources first, then shorter ones, then by number and name.
    fn in_order(&self, hits: Vec<Hit>) -> Vec<Hit> {
        let mut hits: Vec<(usize, Hit)> =
            hits.into_iter().map(|hit| (found::sources(&self.shards, &hit.key), hit)).collect();
        hits.sort_by(|(sources, hit), (others, other)| {
            let place = |sources, hit: &Hit| (Reverse(hit.score), Reverse(sources), hit.words);
            place(*sources, hit).cmp(&place(*others, other)).then_with(|| hit.key.cmp(&other.key))
        });
        hits.into_iter().map(|(_, hit)| hit).collect()
    }

    /// Whoever has a content is one of its sources, under whatever name.
    fn with_sources(&self, mut matches: Matches) -> Matches {
        matches.files.iter_mut().for_each(|file| found::count_sources(&self.shards, file));
        matches
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

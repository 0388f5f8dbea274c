//! What changed since it was last asked, as a set of names: however often a file changes while nobody listens, it is in here
//! once, so the set never outgrows the table.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::file::Change;
use super::table::Table;

/// Most changes that are handed over at once.
const CHANGES_AT_ONCE: usize = 1024;

/// Names that changed and were not handed over yet.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    names: Mutex<BTreeSet<Arc<str>>>,
    news: Notify,
}

impl Dirty {
    pub(super) fn mark(&self, name: &Arc<str>) {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(name));
        self.news.notify_one();
    }

    fn take(&self) -> Vec<Arc<str>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::iter::from_fn(|| names.pop_first()).take(CHANGES_AT_ONCE).collect();
        if !names.is_empty() {
            self.news.notify_one();
        }
        taken
    }
}

/// The changes of a table, from the moment on when this was made. A snapshot taken after that moment and these changes
/// together miss nothing.
#[derive(Debug)]
pub struct Changes {
    table: Arc<Table>,
    dirty: Arc<Dirty>,
}

impl Changes {
    pub(super) fn new(table: Arc<Table>, dirty: Arc<Dirty>) -> Self {
        Self { table, dirty }
    }

    /// Waits until something changed: at least one change, at most 1024, each name once, in the order of names, and each with
    /// what is known of it now. Nothing is lost when this is dropped while it waits.
    pub async fn next(&mut self) -> Vec<Change> {
        loop {
            let changes = self.try_next();
            if !changes.is_empty() {
                return changes;
            }
            self.dirty.news.notified().await;
        }
    }

    /// What changed, without waiting.
    pub fn try_next(&mut self) -> Vec<Change> {
        let names = self.dirty.take();
        if names.is_empty() { Vec::new() } else { self.table.changes_of(names) }
    }
}

//! Changes told by several indexes, each once: what one has told the others do not tell again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::limits::WATCH_HELD;
use proto::wire::v11::body::RecordLine;
use proto::wire::v11::watch::{Change, Scope};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::indexes::{Indexes, Seats, expanded};
use crate::link::backoff::Backoff;
use crate::link::watch::{Event, Watch};
use crate::link::{IndexAddr, watch};
use crate::query::QueryError;

/// Changes of all indexes that wait to be told.
const WAITING: usize = 64;

/// What a task has to say.
enum Told {
    Watching,
    Change(Change),
    /// The connection is gone, or could not be made.
    Gone(QueryError),
}

/// Tells changes for as long as it runs; see [`watch::follow`]. A record that several indexes know comes and goes once.
///
/// # Errors
/// [`QueryError`], when no connection could be made at first, or when no index knows WATCH.
pub async fn follow(
    indexes: &Indexes,
    scope: &Scope,
    on: &mut (dyn FnMut(&IndexAddr, Event) + Send),
) -> Result<Infallible, QueryError> {
    let mut addresses = Vec::new();
    for index in indexes.iter() {
        addresses.extend(expanded(index).await);
    }
    if let [index] = addresses.as_slice() {
        return watch::follow(index, scope, &mut |event| on(index, event)).await;
    }
    let (tell, mut told) = mpsc::channel(WAITING);
    // Dropped with this future, and the tasks with it.
    let mut tasks = JoinSet::new();
    let seats = Arc::new(Seats::default());
    for (at, index) in addresses.iter().enumerate() {
        tasks.spawn(follow_one(at, index.clone(), scope.clone(), Arc::clone(&seats), tell.clone()));
    }
    drop(tell);
    let (mut known, mut failed, mut was_there) = (Known::default(), vec![false; addresses.len()], false);
    while let Some((at, event)) = told.recv().await {
        let Some(index) = addresses.get(at) else { continue };
        match event {
            Told::Watching => {
                was_there = true;
                on(index, Event::Watching);
            }
            Told::Change(change) => {
                if known.is_news(at, &change) {
                    on(index, Event::Change(change));
                }
            }
            Told::Gone(error) => {
                known.forget(at);
                failed[at] = true;
                match error {
                    QueryError::Link(error) if was_there => on(index, Event::Gone(error)),
                    error if !was_there && failed.iter().all(|failed| *failed) => return Err(error),
                    _ => {}
                }
            }
        }
    }
    Err(QueryError::TooOld)
}

/// Follows one index as long as it can be followed.
async fn follow_one(
    at: usize,
    index: IndexAddr,
    scope: Scope,
    seats: Arc<Seats>,
    tell: mpsc::Sender<(usize, Told)>,
) {
    let mut backoff = Backoff::default();
    loop {
        let (error, lasted) = match Watch::open_seated(&index, &scope, &seats).await {
            Ok((mut watch, _seat)) => {
                let since = Instant::now();
                if tell.send((at, Told::Watching)).await.is_err() {
                    return;
                }
                let gone = loop {
                    let change = match watch.next().await {
                        Ok(change) => change,
                        Err(error) => break error,
                    };
                    if tell.send((at, Told::Change(change))).await.is_err() {
                        return;
                    }
                };
                (QueryError::Link(gone), since.elapsed())
            }
            Err(error) => (error, Duration::ZERO),
        };
        let is_over = !matches!(error, QueryError::Link(_));
        if tell.send((at, Told::Gone(error))).await.is_err() || is_over {
            return;
        }
        backoff.ended(lasted);
        sleep(backoff.pause(fastrand::f64())).await;
    }
}

/// What was told of each record, and by whom it is there.
#[derive(Debug, Default)]
struct Known(HashMap<Record, State>);

/// A file, or a number, of a peer.
type Record = (Option<String>, Option<u32>, String, u16);

#[derive(Debug, Default)]
struct State {
    /// A bit for each index at which it is there.
    there: u64,
    /// What was told last; `None` that it is gone.
    last: Option<RecordLine>,
}

/// Records of which it is known that they are told; when there are more the oldest knowledge is of no use.
const KNOWN_MAX: usize = 16 * WATCH_HELD;

impl Known {
    fn is_news(&mut self, at: usize, change: &Change) -> bool {
        let bit = 1_u64 << at;
        if self.0.len() >= KNOWN_MAX {
            self.0.retain(|_, state| state.there != 0);
            if self.0.len() >= KNOWN_MAX {
                self.0.clear();
            }
        }
        match change {
            Change::Lost => true,
            Change::Added(record) | Change::Changed(record) => {
                let state = self.0.entry(key(record)).or_default();
                state.there |= bit;
                let is_news = state.last.as_ref() != Some(record);
                state.last = Some(record.clone());
                is_news
            }
            Change::Removed(record) => match self.0.get_mut(&key(record)) {
                // It was there before we began.
                None => {
                    self.0.insert(key(record), State::default());
                    true
                }
                Some(state) => {
                    state.there &= !bit;
                    state.there == 0 && state.last.take().is_some()
                }
            },
        }
    }

    /// What this index has is not known any more.
    fn forget(&mut self, at: usize) {
        self.0.values_mut().for_each(|state| state.there &= !(1_u64 << at));
    }
}

fn key(record: &RecordLine) -> Record {
    let number = record.rfc.filter(|_| record.name.is_none());
    (record.name.clone(), number, record.source.host.clone(), record.source.port)
}

#[cfg(test)]
mod tests {
    use proto::wire::v11::body::{Source, Speaks};

    use super::*;

    fn record(size: u64) -> RecordLine {
        RecordLine {
            name: Some("n".into()),
            size: Some(size),
            modified: None,
            hash: None,
            sha256: None,
            rfc: None,
            title: None,
            source: Source::new("h", 1, Speaks::V1_1),
        }
    }

    #[test]
    fn what_two_indexes_tell_is_news_once() {
        let mut known = Known::default();
        let (added, changed, removed) =
            (Change::Added(record(1)), Change::Changed(record(2)), Change::Removed(record(2)));
        assert!(known.is_news(0, &added) && !known.is_news(1, &added));
        assert!(known.is_news(1, &changed) && !known.is_news(0, &changed));
        assert!(!known.is_news(0, &removed) && known.is_news(1, &removed), "gone when it is gone everywhere");
        assert!(known.is_news(0, &added) && known.is_news(0, &removed), "and it comes again");
        assert!(known.is_news(0, &Change::Lost) && known.is_news(1, &Change::Lost));
    }

    #[test]
    fn an_index_that_is_lost_counts_no_more() {
        let mut known = Known::default();
        let (added, removed) = (Change::Added(record(1)), Change::Removed(record(1)));
        assert!(known.is_news(0, &removed) && !known.is_news(1, &removed), "it was there before");
        assert!(known.is_news(0, &added) && !known.is_news(1, &added));
        known.forget(1);
        assert!(!known.is_news(1, &added), "back, with what was told already");
        known.forget(1);
        assert!(known.is_news(0, &removed));
    }
}

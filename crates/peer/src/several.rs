//! Questions to several indexes, answered as one: no source twice, no record twice, and one that is gone is not missed.

mod merge;
mod watch;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use proto::limits::LIST_PAGE_MAX;
use proto::wire::v11::body::RecordLine;
use proto::wire::v11::request::Target;

use self::merge::{NextOf, merged_found, merged_searched};
pub use self::watch::follow;
use crate::indexes::{Indexes, gather};
use crate::link::IndexAddr;
use crate::query::{self, Found, Pages, QueryError, Searched};

/// Asks everybody who has a file: see [`query::find`].
///
/// # Errors
/// [`QueryError`] of the first one, when there is no answer at all.
pub async fn find(indexes: &Indexes, target: &Target, wait: Duration) -> Result<Found, QueryError> {
    let asking = indexes.distinct().await.into_iter().map(|index| {
        let target = target.clone();
        async move { query::find(&index, &target, wait).await }
    });
    answered(gather(asking, Result::is_ok).await).map(merged_found)
}

/// Asks everybody for files and titles by a query: see [`query::search`].
///
/// # Errors
/// As [`find`].
pub async fn search(indexes: &Indexes, query: &str, limit: usize) -> Result<Searched, QueryError> {
    let asking = indexes.distinct().await.into_iter().map(|index| {
        let query = query.to_owned();
        async move { query::search(&index, &query, limit).await }
    });
    let told = answered(gather(asking, Result::is_ok).await)?;
    Ok(merged_searched(told, limit))
}

/// Asks everybody for every record, or for the files whose names begin with `prefix`. `sink` gets them in order and in parts; no
/// more than a part of each index's list is held. Gives the addresses at which indexes were reached.
///
/// # Errors
/// [`QueryError`], when none told its whole list; parts may have been given before.
pub async fn list(
    indexes: &Indexes,
    prefix: Option<&str>,
    sink: &mut (dyn FnMut(Vec<RecordLine>) + Send),
) -> Result<Vec<IpAddr>, QueryError> {
    let distinct = indexes.distinct().await;
    if let [index] = distinct.as_slice() {
        return Ok(query::list(index, prefix, sink).await?.into_iter().collect());
    }
    let opening = distinct.into_iter().map(|index| Run::open(index, prefix.map(str::to_owned)));
    let opened = gather(opening, Result::is_ok).await;
    let (mut runs, mut first) = (Vec::new(), None);
    for (_, run) in opened {
        match run {
            Ok(run) => runs.push(run),
            Err(error) => first = first.or(Some(error)),
        }
    }
    let mut told = Vec::new();
    while let Some(same) = next_of(&mut runs, &mut first).await {
        told.extend(same);
        if told.len() >= LIST_PAGE_MAX {
            sink(std::mem::take(&mut told));
        }
    }
    sink(told);
    let reached: Vec<IpAddr> =
        runs.iter().filter(|run| !run.is_broken).filter_map(|run| run.address).collect();
    match first {
        Some(error) if runs.iter().all(|run| run.is_broken) => Err(error),
        _ => Ok(reached),
    }
}

/// The list of one index, a part at a time.
struct Run {
    address: Option<IpAddr>,
    pages: Option<Pages>,
    waiting: VecDeque<RecordLine>,
    is_broken: bool,
}

impl Run {
    /// With its first records, so that one that hangs is noticed here.
    async fn open(index: IndexAddr, prefix: Option<String>) -> Result<Self, QueryError> {
        let mut pages = Pages::open(&index, prefix.as_deref()).await?;
        let waiting = pages.next().await?.unwrap_or_default().into();
        Ok(Self { address: pages.address(), pages: Some(pages), waiting, is_broken: false })
    }

    /// Has its next record ready, if there is one.
    async fn fill(&mut self) -> Result<(), QueryError> {
        while self.waiting.is_empty()
            && let Some(pages) = &mut self.pages
        {
            match pages.next().await {
                Ok(Some(page)) => self.waiting.extend(page),
                Ok(None) => self.pages = None,
                Err(error) => {
                    self.pages = None;
                    self.is_broken = true;
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// The records of the next name or number, each once; `None` when all lists are over. What one that breaks has still to tell is
/// told by the others or by nobody.
async fn next_of(runs: &mut [Run], first: &mut Option<QueryError>) -> Option<Vec<RecordLine>> {
    let mut next = NextOf::default();
    for run in runs.iter_mut() {
        note(run.fill().await, first);
        if let Some(record) = run.waiting.front() {
            next.begins_with(record);
        }
    }
    for run in runs {
        while let Some(record) = run.waiting.pop_front_if(|record| next.covers(record)) {
            next.take(record);
            note(run.fill().await, first);
        }
    }
    next.records()
}

fn note(filled: Result<(), QueryError>, first: &mut Option<QueryError>) {
    if let Err(error) = filled {
        first.get_or_insert(error);
    }
}

/// The answers, or the first error when there is none.
fn answered<T>(told: Vec<(usize, Result<T, QueryError>)>) -> Result<Vec<T>, QueryError> {
    let (mut answers, mut first) = (Vec::new(), None);
    for (_, told) in told {
        match told {
            Ok(answer) => answers.push(answer),
            Err(error) => first = first.or(Some(error)),
        }
    }
    match first {
        Some(error) if answers.is_empty() => Err(error),
        _ => Ok(answers),
    }
}

//! Many small files: few connections, many requests on their way on each, and one wait for the disk for many files.
//!
//! Files of at most one block are verified whole, so there is no list to ask for and no journal to keep: a file that is not
//! done is begun again, and one that is done is not asked for again. It goes in rounds: each file that is missing is asked of
//! the next of its sources, until it is there or has none left.
//!
//! * [`here`]: what need not be asked for; [`round`]: each missing file is asked of one source.
//! * [`connection`]: requests and answers; [`batch`]: writes them; [`names`]: waits for the disk, and gives them their names.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use proto::limits::SOURCES_MAX;
use proto::transfer::blocks::BLOCK_BYTES;
use proto::value::host::PeerAddr;

use super::{FetchError, Fetched, Outcome, Progress, Request, SourceFault, SourceReport};
use crate::files::on_disk;
use round::Round;

mod batch;
mod connection;
mod here;
mod names;
mod round;

/// Hears what became of each file: its place in the list, and how it ended.
pub type Finished<'a> = &'a mut (dyn FnMut(usize, Result<Fetched, FetchError>) + Send);

/// Fetches many files. Those that are said to have at most one block come together over few connections; the others
/// one after the other, as [`super::fetch`] does. Dropping the future gives up; files that were finished are there.
pub async fn fetch_many(requests: &[Request], progress: &dyn Progress, mut finished: Finished<'_>) {
    let is_small = |request: &Request| request.size.is_some_and(|size| size <= BLOCK_BYTES);
    let small = requests.iter().enumerate().filter(|(_, request)| is_small(request));
    let mut missing = look(small.map(|(at, request)| (at, request.clone())).collect(), &mut finished).await;
    while !missing.is_empty() {
        missing = Round::begin(missing, progress, &mut finished).run().await;
    }
    for (at, request) in requests.iter().enumerate().filter(|(_, request)| !is_small(request)) {
        finished(at, super::fetch(request, progress).await);
    }
}

/// Finds what is there already.
async fn look(small: Vec<(usize, Request)>, finished: &mut Finished<'_>) -> Vec<Job> {
    let looked = on_disk(move || here::look_at_all(small)).await;
    let mut missing = Vec::new();
    for (at, request, there) in looked {
        let job = Job::new(at, request);
        match there {
            Ok(None) => missing.push(job),
            Ok(Some(bytes)) => finished(at, Ok(job.fetched(bytes, Outcome::AlreadyHere, None))),
            Err(error) => finished(at, Err(error)),
        }
    }
    missing
}

/// A small file that is missing.
#[derive(Debug)]
struct Job {
    at: usize,
    request: Arc<Request>,
    /// Sources that were not asked for it.
    untried: VecDeque<PeerAddr>,
    tried: usize,
    /// So far, whoever was asked does not have it.
    not_found: bool,
    last: Option<(PeerAddr, SourceFault)>,
}

impl Job {
    fn new(at: usize, request: Request) -> Self {
        let mut seen = HashSet::new();
        let sources = request.sources.iter().filter(|peer| seen.insert(*peer)).take(SOURCES_MAX);
        let mut untried: VecDeque<PeerAddr> = sources.cloned().collect();
        // So that files with the same sources are spread over them.
        let turn = at.checked_rem(untried.len()).unwrap_or(0);
        untried.rotate_left(turn);
        Self { at, request: Arc::new(request), untried, tried: 0, not_found: true, last: None }
    }

    fn failed_at(&mut self, peer: &PeerAddr, fault: &SourceFault) {
        self.tried += 1;
        self.not_found &= matches!(fault, SourceFault::NotThere);
        self.last = Some((peer.clone(), fault.clone()));
    }

    fn error(self) -> FetchError {
        match self.last {
            Some((peer, fault)) => {
                FetchError::AllFailed { tried: self.tried, peer, fault, not_found: self.not_found }
            }
            None => FetchError::NoSource,
        }
    }

    fn fetched(&self, bytes: u64, outcome: Outcome, source: Option<PeerAddr>) -> Fetched {
        Fetched {
            path: self.request.target.clone(),
            bytes,
            fetched_bytes: if source.is_some() { bytes } else { 0 },
            resumed_bytes: 0,
            outcome,
            sources: source.into_iter().map(|peer| SourceReport { peer, bytes, fault: None }).collect(),
        }
    }
}

//! One round: each missing file is asked of one source.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proto::limits::{SMALL_FILES_CONNECTIONS, SMALL_FILES_IN_FLIGHT};
use proto::value::host::PeerAddr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::batch::{Batcher, Stored};
use super::connection::Connection;
use super::{Finished, Job};
use crate::fetch::{Event, Progress, SourceFault};

/// Connections to one source. A second one is of use when there is more to ask for than fits the first one.
const CONNECTIONS_PER_SOURCE: usize = 2;
/// How long a file that came waits for others before it gets its name.
const FLUSH: Duration = Duration::from_secs(1);

/// What a connection or the disk tells.
pub(super) enum Told {
    /// The source answers.
    Joined(PeerAddr),
    /// Bytes came from a source.
    Bytes(PeerAddr, u64),
    /// A file is not to be had from this source.
    Refused(Job, PeerAddr, SourceFault),
    /// The source failed; these files are still missing.
    Left(Vec<Job>, PeerAddr, SourceFault),
    /// What became of files that came.
    Stored(Vec<(Job, PeerAddr, Stored)>),
}

/// Each missing file is asked of one source.
pub(super) struct Round<'a, 'b> {
    progress: &'a dyn Progress,
    finished: &'a mut Finished<'b>,
    waiting: VecDeque<Connection>,
    running: JoinSet<()>,
    told: UnboundedReceiver<Told>,
    batcher: Option<Batcher>,
    /// Set for a source that lied: what else it would give is not wanted.
    banned: BTreeMap<PeerAddr, Arc<AtomicBool>>,
    missing: Vec<Job>,
}

impl<'a, 'b> Round<'a, 'b> {
    pub(super) fn begin(
        missing: Vec<Job>,
        progress: &'a dyn Progress,
        finished: &'a mut Finished<'b>,
    ) -> Self {
        let mut jobs: BTreeMap<PeerAddr, Vec<Job>> = BTreeMap::new();
        for mut job in missing {
            match job.untried.pop_front() {
                Some(peer) => jobs.entry(peer).or_default().push(job),
                None => finished(job.at, Err(job.error())),
            }
        }
        let (tell, told) = unbounded_channel();
        let batcher = Batcher::start(tell.clone());
        let (mut waiting, mut banned) = (VecDeque::new(), BTreeMap::new());
        for (peer, jobs) in jobs {
            let ban = Arc::new(AtomicBool::new(false));
            banned.insert(peer.clone(), Arc::clone(&ban));
            for some in shares(jobs) {
                waiting.push_back(Connection::new(peer.clone(), some, &batcher, &tell, &ban));
            }
        }
        let running = JoinSet::new();
        Self {
            progress,
            finished,
            waiting,
            running,
            told,
            batcher: Some(batcher),
            banned,
            missing: Vec::new(),
        }
    }

    /// Runs all connections, some at a time; what is still missing then.
    pub(super) async fn run(mut self) -> Vec<Job> {
        let mut flush = tokio::time::interval(FLUSH);
        loop {
            self.connect();
            tokio::select! {
                told = self.told.recv() => match told {
                    Some(told) => self.apply(told),
                    // Every connection and the disk have ended.
                    None => break,
                },
                Some(ended) = self.running.join_next() => {
                    if let Err(Ok(panic)) = ended.map_err(tokio::task::JoinError::try_into_panic) {
                        std::panic::resume_unwind(panic);
                    }
                }
                _ = flush.tick() => self.batcher.iter().for_each(Batcher::flush),
            }
        }
        let is_banned =
            |peer: &PeerAddr| self.banned.get(peer).is_some_and(|ban| ban.load(Ordering::Relaxed));
        for job in &mut self.missing {
            job.untried.retain(|peer| !is_banned(peer));
        }
        self.missing
    }

    fn connect(&mut self) {
        while self.running.len() < SMALL_FILES_CONNECTIONS {
            match self.waiting.pop_front() {
                Some(connection) => {
                    self.running.spawn(connection.run());
                }
                None => break,
            }
        }
        if self.running.is_empty() {
            // The disk ends when nothing more can come, and then nobody is left who tells anything.
            self.batcher = None;
        }
    }

    fn apply(&mut self, told: Told) {
        match told {
            Told::Joined(peer) => self.progress.tell(Event::Joined { peer: &peer }),
            Told::Bytes(peer, bytes) => self.progress.tell(Event::Received { peer: &peer, bytes }),
            Told::Refused(job, peer, fault) => self.miss(job, &peer, &fault),
            Told::Left(jobs, peer, fault) => {
                self.progress.tell(Event::Left { peer: &peer, fault: &fault });
                jobs.into_iter().for_each(|job| self.miss(job, &peer, &fault));
            }
            Told::Stored(files) => {
                files.into_iter().for_each(|(job, peer, stored)| self.stored(job, &peer, stored));
            }
        }
    }

    fn stored(&mut self, job: Job, peer: &PeerAddr, stored: Stored) {
        match stored {
            Stored::Wrong => {
                if let Some(ban) = self.banned.get(peer) {
                    ban.store(true, Ordering::Relaxed);
                }
                self.miss(job, peer, &SourceFault::WrongBlock { block: 0 });
            }
            Stored::Failed(error) => (self.finished)(job.at, Err(error)),
            Stored::Done(bytes, outcome) => {
                self.progress.tell(Event::Verified { peer, bytes });
                (self.finished)(job.at, Ok(job.fetched(bytes, outcome, Some(peer.clone()))));
            }
        }
    }

    fn miss(&mut self, mut job: Job, peer: &PeerAddr, fault: &SourceFault) {
        job.failed_at(peer, fault);
        self.missing.push(job);
    }
}

/// The files of one source, one share for each of its connections; neighbours go to different ones.
fn shares(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let count = jobs.len().div_ceil(SMALL_FILES_IN_FLIGHT).clamp(1, CONNECTIONS_PER_SOURCE);
    let mut shares: Vec<Vec<Job>> = (0..count).map(|_| Vec::new()).collect();
    let mut jobs = jobs.into_iter();
    'all: loop {
        for share in &mut shares {
            match jobs.next() {
                Some(job) => share.push(job),
                None => break 'all shares,
            }
        }
    }
}

/// Where connections and the disk tell what happened. What it holds is bounded by the room for files that came.
pub(super) type Tell = UnboundedSender<Told>;

//! The sources of one transfer: some are connected, others wait for their turn, others were left.

use std::collections::HashSet;

use proto::limits::{SOURCES_AT_ONCE, SOURCES_MAX};
use proto::transfer::plan::SourceId;
use proto::value::host::PeerAddr;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{AbortHandle, JoinSet};

use super::buffers::Buffers;
use super::source::{self, Common, Told, Wish};
use super::{Event, FetchError, Progress, Request, SourceFault, SourceReport};

/// What sources told and the transfer did not take yet.
const TOLD_HELD: usize = 64;
/// Wishes that a source did not take yet: more than it can owe.
const WISHES_HELD: usize = 16;

/// The sources of one transfer. Dropping it ends their tasks.
pub(super) struct Crew<'a> {
    progress: &'a dyn Progress,
    common: Common,
    members: Vec<Member>,
    tasks: JoinSet<()>,
    last_fault: Option<(PeerAddr, SourceFault)>,
    /// So far, whoever failed said that it does not have the file.
    not_found: bool,
}

struct Member {
    peer: PeerAddr,
    state: State,
    bytes: u64,
    fault: Option<String>,
}

enum State {
    Waiting,
    Here {
        wishes: Sender<Wish>,
        task: AbortHandle,
        /// What it says; `None` while it has not answered.
        size: Option<u64>,
    },
    Gone,
}

impl<'a> Crew<'a> {
    /// Connects to the first sources.
    pub(super) fn new(request: &Request, progress: &'a dyn Progress) -> (Self, Receiver<Told>) {
        let (told, heard) = channel(TOLD_HELD);
        let common = Common {
            hash: request.hash,
            timing: request.timing,
            limit: request.limit.clone(),
            buffers: Buffers::new(),
            told,
        };
        let mut seen = HashSet::new();
        let peers = request.sources.iter().filter(|peer| seen.insert(*peer)).take(SOURCES_MAX);
        let members =
            peers.map(|peer| Member { peer: peer.clone(), state: State::Waiting, bytes: 0, fault: None });
        let mut crew = Self {
            progress,
            common,
            members: members.collect(),
            tasks: JoinSet::new(),
            last_fault: None,
            not_found: true,
        };
        crew.connect();
        (crew, heard)
    }

    pub(super) fn is_here(&self, id: SourceId) -> bool {
        self.members.get(id.0 as usize).is_some_and(|member| matches!(member.state, State::Here { .. }))
    }

    /// The sources that said how long the file is, and what they said.
    pub(super) fn sized(&self) -> Vec<(SourceId, u64)> {
        let sized = self.members.iter().zip(0..).filter_map(|(member, id)| match member.state {
            State::Here { size: Some(size), .. } => Some((SourceId(id), size)),
            _ => None,
        });
        sized.collect()
    }

    /// Nobody is connected.
    pub(super) fn is_empty(&self) -> bool {
        !self.members.iter().any(|member| matches!(member.state, State::Here { .. }))
    }

    /// Everybody who could still be of use has said so.
    pub(super) fn is_complete(&self) -> bool {
        !self
            .members
            .iter()
            .any(|member| matches!(member.state, State::Waiting | State::Here { size: None, .. }))
    }

    pub(super) fn set_size(&mut self, id: SourceId, said: u64) {
        if let Some(Member { state: State::Here { size, .. }, .. }) = self.members.get_mut(id.0 as usize) {
            *size = Some(said);
        }
    }

    pub(super) fn wish(&self, id: SourceId, wish: Wish) {
        if let Some(Member { state: State::Here { wishes, .. }, .. }) = self.members.get(id.0 as usize) {
            // A task that ended has told why, or will.
            let _ = wishes.try_send(wish);
        }
    }

    /// The source is of use.
    pub(super) fn joined(&self, id: SourceId) {
        if let Some(member) = self.members.get(id.0 as usize) {
            self.progress.tell(Event::Joined { peer: &member.peer });
        }
    }

    pub(super) fn came(&self, id: SourceId, bytes: u64) {
        if let Some(member) = self.members.get(id.0 as usize) {
            self.progress.tell(Event::Received { peer: &member.peer, bytes });
        }
    }

    /// The source gave this many bytes that count.
    pub(super) fn verified(&mut self, id: SourceId, bytes: u64) {
        if let Some(member) = self.members.get_mut(id.0 as usize) {
            member.bytes += bytes;
            self.progress.tell(Event::Verified { peer: &member.peer, bytes });
        }
    }

    /// Leaves a source, and connects to the next one.
    pub(super) fn leave(&mut self, id: SourceId, fault: SourceFault) {
        let Some(member) = self.members.get_mut(id.0 as usize) else { return };
        let State::Here { task, .. } = std::mem::replace(&mut member.state, State::Gone) else { return };
        task.abort();
        self.progress.tell(Event::Left { peer: &member.peer, fault: &fault });
        member.fault = Some(fault.to_string());
        self.not_found &= matches!(fault, SourceFault::NotThere);
        self.last_fault = Some((member.peer.clone(), fault));
        self.connect();
    }

    /// Why the transfer failed, when nobody is left.
    pub(super) fn failed(&mut self) -> FetchError {
        match self.last_fault.take() {
            Some((peer, fault)) => FetchError::AllFailed {
                tried: self.members.iter().filter(|member| member.fault.is_some()).count(),
                peer,
                fault,
                not_found: self.not_found,
            },
            None => FetchError::NoSource,
        }
    }

    pub(super) fn reports(&self) -> Vec<SourceReport> {
        let asked = self.members.iter().filter(|member| !matches!(member.state, State::Waiting));
        let report = |member: &Member| SourceReport {
            peer: member.peer.clone(),
            bytes: member.bytes,
            fault: member.fault.clone(),
        };
        asked.map(report).collect()
    }

    fn connect(&mut self) {
        let here = self.members.iter().filter(|member| matches!(member.state, State::Here { .. })).count();
        let waiting = self.members.iter_mut().zip(0..).filter(|(m, _)| matches!(m.state, State::Waiting));
        for (member, id) in waiting.take(SOURCES_AT_ONCE.saturating_sub(here)) {
            let (wishes, wished) = channel(WISHES_HELD);
            let run = source::run(SourceId(id), member.peer.clone(), self.common.clone(), wished);
            member.state = State::Here { wishes, task: self.tasks.spawn(run), size: None };
        }
    }
}

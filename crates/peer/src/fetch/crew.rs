//! The sources of one transfer: some are connected, others wait for their turn, others were left.

use std::collections::HashSet;

use proto::limits::{SOURCES_AT_ONCE, SOURCES_MAX};
use proto::transfer::have::Have;
use proto::transfer::plan::SourceId;
use proto::value::host::PeerAddr;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{AbortHandle, JoinSet};

use super::buffers::Buffers;
use super::haves;
use super::source::{self, Common, Told, Wish};
use super::{Event, FetchError, Progress, Request, SourceFault, SourceReport};
use crate::swarm::Other;

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
    /// The number by which others know us; 0 where they do not.
    own: u64,
    /// So far, whoever failed said that it does not have the file.
    not_found: bool,
}

struct Member {
    peer: PeerAddr,
    /// It has only what it tells.
    is_partial: bool,
    /// What it told before anybody could take it in.
    told: Vec<Have>,
    state: State,
    bytes: u64,
    fault: Option<String>,
}

enum State {
    Waiting,
    Here {
        wishes: Sender<Wish>,
        tasks: Vec<AbortHandle>,
        /// What it says; `None` while it has not answered.
        size: Option<u64>,
    },
    Gone,
}

impl Member {
    fn new(peer: PeerAddr, is_partial: bool) -> Self {
        Self { peer, is_partial, told: Vec::new(), state: State::Waiting, bytes: 0, fault: None }
    }
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
            is_swarm: request.joining.is_some(),
            told,
        };
        let mut seen = HashSet::new();
        let known = request.sources.iter().map(|peer| (peer, false));
        let known = known.chain(request.partial.iter().map(|peer| (peer, true)));
        let known = known.filter(|(peer, _)| seen.insert(*peer)).take(SOURCES_MAX);
        let members = known.map(|(peer, is_partial)| Member::new(peer.clone(), is_partial));
        let mut crew = Self {
            progress,
            common,
            members: members.collect(),
            tasks: JoinSet::new(),
            last_fault: None,
            own: request.joining.as_ref().map_or(0, |joining| joining.swarm.offers().peer()),
            not_found: true,
        };
        crew.connect();
        (crew, heard)
    }

    /// The memory of the transfer.
    pub(super) fn buffers(&self) -> &Buffers {
        &self.common.buffers
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

    /// Another source became known.
    pub(super) fn add(&mut self, other: Other) {
        let Other { peer, is_partial } = other;
        if self.members.len() < SOURCES_MAX && !self.members.iter().any(|member| member.peer == peer) {
            self.members.push(Member::new(peer, is_partial));
            self.connect();
        }
    }

    /// The source told what it has, before there is a plan.
    pub(super) fn heard(&mut self, id: SourceId, have: Have) {
        if self.is_own(&have) {
            return self.dismiss(id);
        }
        self.set_size(id, have.size);
        if let Some(member) = self.members.get_mut(id.0 as usize) {
            if have.whole {
                member.told.clear();
            }
            member.told.push(have);
        }
    }

    /// What it told so far, of a source that has only a part.
    pub(super) fn part_of(&mut self, id: SourceId) -> Option<Vec<Have>> {
        let member = self.members.get_mut(id.0 as usize).filter(|member| member.is_partial)?;
        Some(std::mem::take(&mut member.told))
    }

    pub(super) fn size_of(&self, id: SourceId) -> Option<u64> {
        match self.members.get(id.0 as usize)?.state {
            State::Here { size, .. } => size,
            State::Waiting | State::Gone => None,
        }
    }

    /// This is what we tell ourselves.
    pub(super) fn is_own(&self, have: &Have) -> bool {
        self.own != 0 && have.peer == self.own
    }

    /// Leaves a source that is none, without a word.
    pub(super) fn dismiss(&mut self, id: SourceId) {
        let Some(member) = self.members.get_mut(id.0 as usize) else { return };
        if let State::Here { tasks, .. } = std::mem::replace(&mut member.state, State::Gone) {
            tasks.iter().for_each(AbortHandle::abort);
        }
        self.connect();
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

    /// The source has others to serve first.
    pub(super) fn waits(&self, id: SourceId, place: u32) {
        if let Some(member) = self.members.get(id.0 as usize) {
            self.progress.tell(Event::Waiting { peer: &member.peer, place });
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
        let State::Here { tasks, .. } = std::mem::replace(&mut member.state, State::Gone) else { return };
        tasks.iter().for_each(AbortHandle::abort);
        // Who only downloads may go as soon as it has what it wants.
        if !member.is_partial || fault.is_lie() {
            self.progress.tell(Event::Left { peer: &member.peer, fault: &fault });
        }
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
        let was_asked = |member: &&Member| match member.state {
            State::Waiting => false,
            State::Here { .. } => true,
            State::Gone => member.fault.is_some(),
        };
        let asked = self.members.iter().filter(was_asked);
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
            let (id, peer) = (SourceId(id), member.peer.clone());
            let mut tasks = Vec::new();
            if member.is_partial {
                tasks.push(self.tasks.spawn(haves::run(id, peer.clone(), self.common.clone())));
            }
            let run = source::run(id, peer, member.is_partial, self.common.clone(), wished);
            tasks.push(self.tasks.spawn(run));
            member.state = State::Here { wishes, tasks, size: None };
        }
    }
}

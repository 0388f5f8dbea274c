//! A downloader: the plan that the program runs, its sources, and its board for those who ask.

use std::time::Instant;

use proto::limits::SOURCES_AT_ONCE;
use proto::transfer::blocks::Layout;
use proto::transfer::have::Board;
use proto::transfer::plan::{Action, Event, Pace, Plan, SourceId};
use proto::transfer::runs::Runs;

/// A source as the downloader knows it; its number is its place.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) host: usize,
    pub(crate) state: State,
    /// The number of the next change of its board.
    pub(crate) after: Option<u64>,
    /// A question about its board waits there.
    pub(crate) polls: bool,
}

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Here,
    Gone,
}

/// A downloader.
#[derive(Debug)]
pub(crate) struct Downloader {
    pub(crate) host: usize,
    plan: Plan,
    pub(crate) board: Board,
    pub(crate) known: Vec<Known>,
    pub(crate) end: Option<Action>,
    pub(crate) ended_at: f64,
    /// Sources that were banned, and that were too slow.
    pub(crate) banned: Vec<usize>,
    pub(crate) dropped: Vec<usize>,
    /// Who sent a wrong block, once for each such block.
    pub(crate) wrong: Vec<usize>,
    /// Blocks that came although they were there.
    pub(crate) twice: u32,
    start: Instant,
}

impl Downloader {
    pub(crate) fn new(host: usize, layout: Layout, seed: u64, pace: Pace, start: Instant) -> Self {
        let plan_seed = fastrand::Rng::with_seed(seed ^ (host as u64) << 32).u64(..);
        Self {
            host,
            plan: Plan::new(layout, Runs::default(), pace, plan_seed),
            board: Board::new(layout, Runs::default(), plan_seed),
            known: Vec::new(),
            end: None,
            ended_at: 0.0,
            banned: Vec::new(),
            dropped: Vec::new(),
            wrong: Vec::new(),
            twice: 0,
            start,
        }
    }

    pub(crate) fn verified(&self) -> &Runs {
        self.plan.verified()
    }

    /// Learns of a host; whether it is to be connected to now.
    pub(crate) fn learn(&mut self, host: usize) -> bool {
        if host == self.host || self.known.iter().any(|known| known.host == host) {
            return false;
        }
        let here = self.known.iter().filter(|known| known.state == State::Here).count();
        let state = if here < SOURCES_AT_ONCE { State::Here } else { State::Waiting };
        self.known.push(Known { host, state, after: None, polls: false });
        state == State::Here
    }

    pub(crate) fn source(&mut self, host: usize) -> Option<(SourceId, &mut Known)> {
        let found = self.known.iter_mut().zip(0..).find(|(known, _)| known.host == host);
        found.filter(|(known, _)| known.state == State::Here).map(|(known, id)| (SourceId(id), known))
    }

    pub(crate) fn host_of(&self, id: SourceId) -> usize {
        self.known[id.0 as usize].host
    }

    /// Leaves a source; who comes in its place.
    pub(crate) fn leave(&mut self, id: SourceId) -> Option<usize> {
        self.known[id.0 as usize].state = State::Gone;
        let next = self.known.iter_mut().find(|known| known.state == State::Waiting)?;
        next.state = State::Here;
        Some(next.host)
    }

    /// Tells the plan; what is to be done.
    pub(crate) fn on(&mut self, event: Event, now: f64) -> Vec<Action> {
        let actions = self.plan.on(event, self.start + std::time::Duration::from_secs_f64(now));
        let coming: Vec<u32> = self.plan.coming().collect();
        self.board.await_only(coming);
        actions
    }
}

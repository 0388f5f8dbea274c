//! The events of a world, in order, and what follows from them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use fastrand::Rng;
use proto::limits::HAVE_WAIT;
use proto::transfer::blocks::{BLOCK_BYTES, Layout};
use proto::transfer::have::Have;
use proto::transfer::plan::{Action, Event, SourceId};

use super::downloader::Downloader;
use super::scenario::{Nature, Role, Scenario};
use super::serving::{Sent, Serving};

/// How often a downloader looks at the clock, and hears of bytes, in seconds.
const TICK: f64 = 0.1;
/// A world that takes longer than this has come to no end, in seconds.
const ENDLESS: f64 = 100_000.0;
/// How long the program waits for a source that says nothing, in seconds.
const SILENCE: f64 = 10.0;

/// What happens at some time.
#[derive(Debug, Clone, PartialEq)]
enum Happens {
    Starts(usize),
    Killed(usize),
    /// The first hears of the second.
    Learns(usize, usize),
    /// A connection stands.
    Connected {
        from: usize,
        to: usize,
    },
    /// A request is at its source.
    Asked {
        from: usize,
        to: usize,
        block: u32,
    },
    Arrives(Sent),
    /// A question about a board is there.
    Polled {
        from: usize,
        to: usize,
    },
    Told {
        from: usize,
        to: usize,
        have: Have,
    },
    /// The source is given up or fails, as the downloader notices.
    Fails {
        from: usize,
        to: usize,
    },
    Fault,
    Tick(usize),
    /// Only to look again.
    Moves,
}

/// What became of a downloader.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its host.
    pub host: usize,
    /// How it ended; `None` when it was killed before.
    pub end: Option<Action>,
    /// When, in seconds after the world began.
    pub at: f64,
    /// Seconds from its start to its end.
    pub took: f64,
    /// Blocks that it has.
    pub blocks: u32,
    /// Hosts that it banned.
    pub banned: Vec<usize>,
    /// Hosts that it dropped because they were too slow.
    pub dropped: Vec<usize>,
    /// Who sent a wrong block, once for each such block.
    pub wrong: Vec<usize>,
    /// Blocks that came although they were there.
    pub twice: u32,
}

/// What became of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Of each downloader.
    pub outcomes: Vec<Outcome>,
    /// Bytes that each host sent.
    pub sent: Vec<f64>,
    /// A number made of everything that happened: the same world gives the same one.
    pub trace: String,
    /// Events in all.
    pub events: u64,
}

/// A world that runs.
struct World {
    scenario: Scenario,
    layout: Layout,
    rng: Rng,
    now: f64,
    /// By time, and by number among those of one time.
    coming: BinaryHeap<Reverse<(u64, u64)>>,
    happens: std::collections::HashMap<u64, Happens>,
    numbered: u64,
    serving: Serving,
    downloaders: Vec<Downloader>,
    alive: Vec<bool>,
    /// Blocks that each host sent so far.
    given: Vec<u32>,
    trace: blake3::Hasher,
    events: u64,
}

/// Lets a world run until every downloader has ended.
#[must_use]
pub fn run(scenario: &Scenario) -> Report {
    let mut world = World::new(scenario);
    while world.now < ENDLESS && world.step() {}
    world.report()
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let size = u64::from(scenario.blocks) * BLOCK_BYTES - BLOCK_BYTES / 2;
        let mut world = Self {
            layout: Layout::new(size).expect("a small file"),
            rng: Rng::with_seed(scenario.seed),
            now: 0.0,
            coming: BinaryHeap::new(),
            happens: std::collections::HashMap::new(),
            numbered: 0,
            serving: Serving::new(scenario),
            downloaders: Vec::new(),
            alive: vec![true; scenario.hosts.len()],
            given: vec![0; scenario.hosts.len()],
            trace: blake3::Hasher::new(),
            events: 0,
            scenario: scenario.clone(),
        };
        for (at, host) in scenario.hosts.iter().enumerate() {
            if host.role == Role::Downloader {
                world.after(host.starts.as_secs_f64(), Happens::Starts(at));
            }
            if let Some(killed) = host.killed {
                world.after(killed.as_secs_f64(), Happens::Killed(at));
            }
        }
        world.next_fault();
        world
    }

    fn after(&mut self, seconds: f64, happens: Happens) {
        self.numbered += 1;
        let nanos = ((self.now + seconds) * 1e9) as u64;
        self.coming.push(Reverse((nanos, self.numbered)));
        self.happens.insert(self.numbered, happens);
    }

    /// From one host to the other, in seconds.
    fn delay(&self, from: usize, to: usize) -> f64 {
        (self.scenario.hosts[from].delay + self.scenario.hosts[to].delay).as_secs_f64()
    }

    fn next_fault(&mut self) {
        if self.scenario.faults_per_second > 0.0 {
            let pause = self.rng.f64() * 2.0 / self.scenario.faults_per_second;
            self.after(pause, Happens::Fault);
        }
    }

    /// The next event; `false` when there is nothing more to wait for.
    fn step(&mut self) -> bool {
        let layout = self.layout;
        let flows = self.serving.settle(|block| layout.block_len(block), self.now);
        let Some(Reverse((nanos, _))) = self.coming.peek().copied() else { return false };
        let until = flows.min(nanos as f64 / 1e9).max(self.now);
        let sent = self.serving.pass(self.now, until);
        self.now = until;
        sent.into_iter().for_each(|sent| self.leaves(sent));
        // What left may have made something happen that comes before what was next until now.
        if let Some(Reverse((nanos, number))) = self.coming.peek().copied()
            && nanos as f64 / 1e9 <= until
        {
            self.coming.pop();
            let happens = self.happens.remove(&number).expect("each number has its event");
            self.events += 1;
            self.trace.update(&nanos.to_le_bytes()).update(&number.to_le_bytes());
            self.happen(happens);
        }
        self.downloaders.iter().any(|one| one.end.is_none())
            || self.happens.values().any(|one| matches!(one, Happens::Starts(_)))
    }

    fn happen(&mut self, happens: Happens) {
        match happens {
            Happens::Starts(host) => self.start(host),
            Happens::Killed(host) => self.kill(host),
            Happens::Learns(host, other) => {
                if let Some(at) = self.running(host)
                    && self.downloaders[at].learn(other)
                {
                    self.connect(other, host);
                }
            }
            Happens::Connected { from, to } => self.connected(from, to),
            Happens::Asked { from, to, block } => self.asked(from, to, block),
            Happens::Arrives(sent) => self.arrives(sent),
            Happens::Polled { from, to } => self.polled(from, to),
            Happens::Told { from, to, have } => self.told(from, to, have),
            Happens::Fails { from, to } => self.fails(from, to),
            Happens::Fault => self.fault(),
            Happens::Tick(host) => self.tick(host),
            Happens::Moves => {}
        }
    }

    /// The running downloader of a host.
    fn running(&self, host: usize) -> Option<usize> {
        let found = self.downloaders.iter().position(|one| one.host == host)?;
        (self.alive[host] && self.downloaders[found].end.is_none()).then_some(found)
    }

    fn start(&mut self, host: usize) {
        if !self.alive[host] {
            return;
        }
        let downloader =
            Downloader::new(host, self.layout, self.scenario.seed, self.scenario.pace, Instant::now());
        let learnt = self.scenario.learnt_after.as_secs_f64();
        let others: Vec<usize> = (0..self.scenario.hosts.len())
            .filter(|other| {
                let known = &self.scenario.hosts[*other];
                known.role == Role::Seed || self.downloaders.iter().any(|one| one.host == *other)
            })
            .filter(|other| self.alive[*other])
            .collect();
        self.downloaders.push(downloader);
        // The index answers at once, and tells the others soon.
        for other in others {
            self.after(0.001, Happens::Learns(host, other));
            if self.scenario.hosts[other].role == Role::Downloader {
                self.after(learnt, Happens::Learns(other, host));
            }
        }
        self.after(TICK, Happens::Tick(host));
    }

    fn kill(&mut self, host: usize) {
        self.alive[host] = false;
        for other in 0..self.scenario.hosts.len() {
            self.serving.close(host, other);
            self.serving.close(other, host);
            self.after(self.delay(host, other), Happens::Fails { from: host, to: other });
        }
        if let Some(downloader) =
            self.downloaders.iter_mut().find(|one| one.host == host && one.end.is_none())
        {
            downloader.end = Some(Action::Failed);
            downloader.ended_at = f64::NAN;
        }
    }

    fn connect(&mut self, from: usize, to: usize) {
        // A handshake and a first question.
        self.after(self.delay(from, to) * 4.0, Happens::Connected { from, to });
    }

    fn connected(&mut self, from: usize, to: usize) {
        if !self.alive[from] {
            return self.fails(from, to);
        }
        let is_partial = self.scenario.hosts[from].role == Role::Downloader
            || self.scenario.hosts[from].nature == Nature::Announces;
        let Some(at) = self.running(to) else { return };
        let Some((id, _)) = self.downloaders[at].source(from) else { return };
        if is_partial {
            self.on(to, Event::JoinedPartial(id));
            self.polled(from, to);
        } else {
            self.on(to, Event::Joined(id));
        }
    }

    fn asked(&mut self, from: usize, to: usize, block: u32) {
        if !self.alive[from] || self.running(to).is_none() {
            return;
        }
        let back = self.delay(from, to);
        match self.scenario.hosts[from].nature {
            Nature::Claims | Nature::Announces | Nature::OtherBlocks => {
                self.after(back, Happens::Fails { from, to });
            }
            Nature::Silent => self.after(SILENCE, Happens::Fails { from, to }),
            _ => self.serving.ask(from, to, block),
        }
    }

    /// A block left its source.
    fn leaves(&mut self, sent: Sent) {
        self.given[sent.from] += 1;
        self.after(self.delay(sent.from, sent.to), Happens::Arrives(sent));
        if let Nature::Vanishes(after) = self.scenario.hosts[sent.from].nature
            && self.given[sent.from] > after
        {
            self.after(0.0, Happens::Killed(sent.from));
        }
    }

    fn arrives(&mut self, sent: Sent) {
        let Sent { from, to, block } = sent;
        let Some(at) = self.running(to) else { return };
        let Some((id, _)) = self.downloaders[at].source(from) else { return };
        self.tell_bytes(to);
        let is_wrong = match self.scenario.hosts[from].nature {
            Nature::Wrong(one_in) => self.rng.u32(0..one_in) == 0,
            _ => false,
        };
        if is_wrong {
            self.downloaders[at].wrong.push(from);
            return self.on(to, Event::Wrong(id, block));
        }
        let downloader = &mut self.downloaders[at];
        downloader.twice += u32::from(downloader.verified().contains(block));
        downloader.board.verified(block);
        self.on(to, Event::Verified(id, block));
    }

    fn tell_bytes(&mut self, to: usize) {
        for (from, bytes) in self.serving.untold(to) {
            let Some(at) = self.running(to) else { return };
            if let Some((id, _)) = self.downloaders[at].source(from) {
                self.on(to, Event::Bytes(id, bytes));
            }
        }
    }

    /// A question about a board is answered, or waits for news.
    fn polled(&mut self, from: usize, to: usize) {
        let Some(at) = self.running(to) else { return };
        let Some((_, known)) = self.downloaders[at].source(from) else { return };
        let after = known.after;
        if self.scenario.hosts[from].nature == Nature::Announces {
            let coming = (0..self.scenario.blocks).collect();
            let have = Have {
                size: self.layout.size(),
                next: after.unwrap_or(0) + 1,
                whole: true,
                coming,
                ..Have::default()
            };
            return self.after(0.5, Happens::Told { from, to, have });
        }
        known.polls = true;
        self.answer_polls(from);
    }

    /// Whoever waits for news of this host gets it.
    fn answer_polls(&mut self, from: usize) {
        let Some(teller) = self.downloaders.iter().position(|one| one.host == from) else { return };
        for at in 0..self.downloaders.len() {
            let known = self.downloaders[at].source(from).filter(|(_, known)| known.polls);
            let Some(after) = known.map(|(_, known)| known.after) else { continue };
            if !self.downloaders[teller].board.is_news(after) {
                continue;
            }
            let have = self.downloaders[teller].board.since(after);
            let to = self.downloaders[at].host;
            if let Some((_, known)) = self.downloaders[at].source(from) {
                known.polls = false;
            }
            self.after(self.delay(from, to), Happens::Told { from, to, have });
        }
    }

    fn told(&mut self, from: usize, to: usize, have: Have) {
        let Some(at) = self.running(to) else { return };
        let Some((id, known)) = self.downloaders[at].source(from) else { return };
        known.after = Some(have.next);
        let back = self.delay(from, to).min(HAVE_WAIT.as_secs_f64());
        self.on(to, Event::Told(id, have));
        self.after(back, Happens::Polled { from, to });
    }

    fn fails(&mut self, from: usize, to: usize) {
        let Some(at) = self.running(to) else { return };
        let Some((id, _)) = self.downloaders[at].source(from) else { return };
        self.leave(to, id);
        self.on(to, Event::Left(id));
    }

    fn leave(&mut self, to: usize, id: SourceId) {
        let Some(at) = self.downloaders.iter().position(|one| one.host == to) else { return };
        let from = self.downloaders[at].host_of(id);
        self.serving.close(from, to);
        if let Some(next) = self.downloaders[at].leave(id) {
            self.connect(next, to);
        }
    }

    /// A connection breaks, and what was asked on it is asked again; or it stands still for a while.
    fn fault(&mut self) {
        let number = self.rng.usize(..);
        if self.rng.bool() {
            let until = self.now + self.rng.f64() * 8.0;
            self.serving.stall(number, until);
            self.after(until - self.now, Happens::Moves);
        } else if let Some((from, to)) = self.serving.ends(number) {
            let again = self.delay(from, to) * 3.0;
            for block in self.serving.close(from, to) {
                self.after(again, Happens::Asked { from, to, block });
            }
        }
        self.next_fault();
    }

    fn tick(&mut self, host: usize) {
        if self.running(host).is_some() {
            self.tell_bytes(host);
            self.on(host, Event::Tick);
            self.after(TICK, Happens::Tick(host));
        }
    }

    /// Tells a plan, and does what it says.
    fn on(&mut self, host: usize, event: Event) {
        let Some(at) = self.running(host) else { return };
        let actions = self.downloaders[at].on(event, self.now);
        if !actions.is_empty() {
            self.trace.update(format!("{host} {actions:?}\n").as_bytes());
        }
        for action in actions {
            let downloader = &mut self.downloaders[at];
            match action {
                Action::Fetch(id, run) => {
                    let from = downloader.host_of(id);
                    let delay = self.delay(from, host);
                    run.for_each(|block| self.after(delay, Happens::Asked { from, to: host, block }));
                }
                Action::Ban(id) | Action::Drop(id) => {
                    let other = downloader.host_of(id);
                    let list = match action {
                        Action::Ban(_) => &mut downloader.banned,
                        _ => &mut downloader.dropped,
                    };
                    list.push(other);
                    self.leave(host, id);
                }
                end => {
                    (downloader.end, downloader.ended_at) = (Some(end), self.now);
                    // It stays as a source for whoever still asks.
                    let sources: Vec<usize> = downloader.known.iter().map(|known| known.host).collect();
                    sources.into_iter().for_each(|from| drop(self.serving.close(from, host)));
                }
            }
        }
        self.answer_polls(host);
    }

    fn report(self) -> Report {
        let outcome = |one: &Downloader| Outcome {
            host: one.host,
            end: one.end.clone().filter(|_| !one.ended_at.is_nan()),
            at: one.ended_at,
            took: one.ended_at - self.scenario.hosts[one.host].starts.as_secs_f64(),
            blocks: one.verified().count(),
            banned: one.banned.clone(),
            dropped: one.dropped.clone(),
            wrong: one.wrong.clone(),
            twice: one.twice,
        };
        Report {
            outcomes: self.downloaders.iter().map(outcome).collect(),
            trace: self.trace.finalize().to_hex().to_string(),
            events: self.events,
            sent: self.serving.sent,
        }
    }
}

//! Who sends what to whom: requests of a connection in order, those of several in the order in which they came.

use std::collections::VecDeque;

use fastrand::Rng;

use super::flows::{Flow, rates};
use super::scenario::{Nature, Scenario};

/// What a request for a block came to, as it leaves the source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sent {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) block: u32,
}

/// A connection on which blocks are asked for.
#[derive(Debug)]
struct Connection {
    from: usize,
    to: usize,
    /// Blocks, and when the request came, as a number.
    queue: VecDeque<(u32, u64)>,
    /// Bytes of the first that are still to be sent; `None` while it waits for its turn.
    left: Option<f64>,
    /// Bytes of it that the receiver was not told of.
    untold: f64,
    /// Nothing moves until then.
    still_until: f64,
    /// See [`Flow::weight`].
    weight: f64,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Serving {
    connections: Vec<Connection>,
    at_once: usize,
    up: Vec<f64>,
    down: Vec<f64>,
    natures: Vec<Nature>,
    arrivals: u64,
    rng: Rng,
    /// Of each connection, while nothing changes.
    rates: Option<Vec<f64>>,
    /// Bytes that each host sent.
    pub(crate) sent: Vec<f64>,
}

impl Serving {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let hosts = &scenario.hosts;
        Self {
            connections: Vec::new(),
            at_once: scenario.at_once,
            up: hosts.iter().map(|host| host.up).collect(),
            down: hosts.iter().map(|host| host.down).collect(),
            natures: hosts.iter().map(|host| host.nature).collect(),
            arrivals: 0,
            rng: Rng::with_seed(scenario.seed ^ 1),
            rates: None,
            sent: vec![0.0; hosts.len()],
        }
    }

    pub(crate) fn ask(&mut self, from: usize, to: usize, block: u32) {
        self.arrivals += 1;
        let request = (block, self.arrivals);
        match self.connections.iter_mut().find(|one| (one.from, one.to) == (from, to)) {
            Some(connection) => connection.queue.push_back(request),
            None => self.connections.push(Connection {
                from,
                to,
                queue: VecDeque::from([request]),
                left: None,
                untold: 0.0,
                still_until: 0.0,
                weight: 0.6 + self.rng.f64() * 0.8,
            }),
        }
    }

    /// Ends a connection; what was asked on it.
    pub(crate) fn close(&mut self, from: usize, to: usize) -> Vec<u32> {
        let Some(at) = self.connections.iter().position(|one| (one.from, one.to) == (from, to)) else {
            return Vec::new();
        };
        self.rates = None;
        self.connections.remove(at).queue.into_iter().map(|(block, _)| block).collect()
    }

    /// Some connection stands still.
    pub(crate) fn stall(&mut self, number: usize, until: f64) {
        if let Some(at) = number.checked_rem(self.connections.len()) {
            self.connections[at].still_until = until;
            self.rates = None;
        }
    }

    /// Some connection, as its two ends.
    pub(crate) fn ends(&self, number: usize) -> Option<(usize, usize)> {
        let at = number.checked_rem(self.connections.len())?;
        Some((self.connections[at].from, self.connections[at].to))
    }

    /// Lets whoever is next begin, and says when the next body or stillness ends.
    pub(crate) fn settle(&mut self, block_len: impl Fn(u32) -> u64, now: f64) -> f64 {
        for host in 0..self.up.len() {
            self.begin(host, &block_len);
        }
        let rates = self.current_rates(now);
        let ends = self.connections.iter().zip(&rates).filter_map(|(connection, rate)| {
            let left = connection.left.filter(|_| *rate > 0.0)?;
            Some(now + left / rate)
        });
        let moves = self.connections.iter().map(|one| one.still_until).filter(|until| *until > now);
        let next = ends.chain(moves).fold(f64::INFINITY, f64::min);
        self.rates = Some(rates);
        next
    }

    fn begin(&mut self, host: usize, block_len: impl Fn(u32) -> u64) {
        loop {
            let active = self.connections.iter().filter(|one| one.from == host && one.left.is_some()).count();
            if active >= self.at_once {
                return;
            }
            let waiting = self.connections.iter_mut().filter(|one| one.from == host && one.left.is_none());
            let first = waiting.filter(|one| !one.queue.is_empty()).min_by_key(|one| one.queue[0].1);
            let Some(first) = first else { return };
            first.left = Some(block_len(first.queue[0].0) as f64);
            self.rates = None;
        }
    }

    fn current_rates(&mut self, now: f64) -> Vec<f64> {
        if let Some(rates) = self.rates.take() {
            return rates;
        }
        let moving: Vec<usize> = (0..self.connections.len())
            .filter(|at| self.connections[*at].left.is_some() && self.connections[*at].still_until <= now)
            .collect();
        let flow = |at: &usize| {
            let Connection { from, to, weight, .. } = self.connections[*at];
            let at_most = match self.natures[from] {
                Nature::Silent => 0.0,
                Nature::Drips => 1.0,
                _ => f64::INFINITY,
            };
            Flow { from, to, at_most, weight }
        };
        let flows: Vec<Flow> = moving.iter().map(flow).collect();
        let mut all = vec![0.0; self.connections.len()];
        for (at, rate) in moving.iter().zip(rates(&flows, &self.up, &self.down)) {
            all[*at] = rate;
        }
        all
    }

    /// Time passes; what left its source whole meanwhile.
    pub(crate) fn pass(&mut self, now: f64, until: f64) -> Vec<Sent> {
        let rates = self.current_rates(now);
        let mut sent = Vec::new();
        for (connection, rate) in self.connections.iter_mut().zip(&rates) {
            let Some(left) = &mut connection.left else { continue };
            let bytes = (rate * (until - now)).min(*left);
            *left -= bytes;
            connection.untold += bytes;
            self.sent[connection.from] += bytes;
            // A byte is the least that is sent.
            if *left < 0.5 {
                connection.left = None;
                if let Some((block, _)) = connection.queue.pop_front() {
                    sent.push(Sent { from: connection.from, to: connection.to, block });
                }
            }
        }
        let changed = !sent.is_empty() || self.connections.iter().any(|one| one.still_until > now);
        self.rates = Some(rates).filter(|_| !changed);
        sent
    }

    /// Bytes that came to this host since the last time, by source.
    pub(crate) fn untold(&mut self, to: usize) -> Vec<(usize, u64)> {
        let here = self.connections.iter_mut().filter(|one| one.to == to && one.untold >= 1.0);
        here.map(|one| (one.from, std::mem::take(&mut one.untold) as u64)).collect()
    }
}

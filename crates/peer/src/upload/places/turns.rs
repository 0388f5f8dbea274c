//! Whose body travels now, and who waits: a value, told what happens and what time it is.
//!
//! A number of bodies travel at once, and not all: what shares a link with hundreds comes whole too late to be of use to anybody.
//! Nor few: a receiver whom several sources serve at once takes less from each than its link could give, and only others who are
//! served beside it use the rest. More travel as long as more are faster together, which is tried now and then while somebody
//! waits; so slow readers do not keep a fast link idle. Waiting goes in rounds: each network has one turn in a round, however
//! much it asks for.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use proto::limits::{
    UPLOADS_ABREAST, UPLOADS_MAX, UPLOADS_PER_ADDRESS, UPLOADS_WAITING, UPLOADS_WAITING_PER_ADDRESS,
};

/// Pause between two looks at how fast it goes.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// After a try that was not worth it, none for this long.
const REST: Duration = Duration::from_secs(2);
/// A network that was not served for this long comes in beside those that are.
const NEWCOMER: Duration = Duration::from_secs(2);
/// Who waits for longer comes in beside them too, one at each look.
const OVERDUE: Duration = Duration::from_secs(5);
/// From so many networks on those are forgotten of which nothing counts any more.
const NETWORKS_KEPT: usize = 1024;

/// A place in the queue: its round, and a number that no other one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64, u64);

#[derive(Debug)]
struct Waiting {
    network: IpAddr,
    since: Instant,
}

#[derive(Debug, Default)]
struct Network {
    running: usize,
    waiting: usize,
    /// Of its last ticket.
    round: u64,
    served_at: Option<Instant>,
}

/// One more than before, to see whether it is faster.
#[derive(Debug)]
struct Trial {
    abreast: usize,
    rate: f64,
}

/// How many bodies may travel at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) all: usize,
    /// Where more would not be faster together; at most `all`.
    pub(super) abreast: usize,
    pub(super) per_network: usize,
}

impl Room {
    /// That of a process.
    pub(super) const USUAL: Self =
        Self { all: UPLOADS_MAX, abreast: UPLOADS_ABREAST, per_network: UPLOADS_PER_ADDRESS };
}

#[derive(Debug)]
pub(super) struct Turns {
    room: Room,
    /// How many may travel at once at the moment.
    abreast: usize,
    running: usize,
    waiting: BTreeMap<Ticket, Waiting>,
    networks: HashMap<IpAddr, Network>,
    round: u64,
    number: u64,
    looked_at: Instant,
    sent: u64,
    trial: Option<Trial>,
    rest_until: Instant,
    /// One who is overdue may come in before the next look.
    may_exceed: bool,
}

impl Turns {
    pub(super) fn new(room: Room, now: Instant) -> Self {
        Self {
            room,
            abreast: room.abreast,
            running: 0,
            waiting: BTreeMap::new(),
            networks: HashMap::new(),
            round: 0,
            number: 0,
            looked_at: now,
            sent: 0,
            trial: None,
            rest_until: now,
            may_exceed: true,
        }
    }

    /// Begins at once if there is room and nobody who could begin waits for it.
    pub(super) fn begin(&mut self, network: IpAddr, now: Instant) -> bool {
        let is_free = self.running < self.abreast && self.has_room(network);
        let begins = is_free && !self.waiting.values().any(|waiting| self.has_room(waiting.network));
        if begins {
            self.start(network, now);
        }
        begins
    }

    /// Joins the queue; `None` where that is full. `sent` is how many bytes got away so far, of all bodies together.
    pub(super) fn wait(
        &mut self,
        network: IpAddr,
        is_bounded: bool,
        sent: u64,
        now: Instant,
    ) -> Option<Ticket> {
        let own = self.networks.get(&network).map_or(0, |network| network.waiting);
        if is_bounded && (self.waiting.len() >= UPLOADS_WAITING || own >= UPLOADS_WAITING_PER_ADDRESS) {
            return None;
        }
        if self.waiting.is_empty() {
            // What was sent while nobody waited tells nothing.
            (self.looked_at, self.sent, self.trial) = (now, sent, None);
        }
        let entry = self.networks.entry(network).or_default();
        entry.waiting += 1;
        entry.round = self.round.max(entry.round) + 1;
        self.number += 1;
        let ticket = Ticket(entry.round, self.number);
        self.waiting.insert(ticket, Waiting { network, since: now });
        Some(ticket)
    }

    /// How many turns it takes until this one, itself included.
    pub(super) fn place_of(&self, ticket: Ticket) -> usize {
        self.waiting.range(..ticket).count() + 1
    }

    /// Leaves the queue.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        if let Some(Waiting { network, .. }) = self.waiting.remove(&ticket) {
            self.changed(network, |network| network.waiting -= 1);
        }
    }

    /// A body has ended.
    pub(super) fn end(&mut self, network: IpAddr, now: Instant) {
        self.running = self.running.saturating_sub(1);
        self.changed(network, |network| {
            network.running = network.running.saturating_sub(1);
            network.served_at = Some(now);
        });
        if self.waiting.is_empty() {
            self.abreast = self.running.clamp(self.room.abreast, self.room.all);
        }
    }

    /// Whose turn it is, if there is room for one more.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Ticket, IpAddr)> {
        let may_begin = |turns: &Self, waiting: &Waiting| {
            turns.has_room(waiting.network)
                && (turns.running < turns.abreast
                    || turns.running < turns.room.all && turns.is_due(waiting, now))
        };
        let (ticket, waiting) = self.waiting.iter().find(|(_, waiting)| may_begin(self, waiting))?;
        let (ticket, network) = (*ticket, waiting.network);
        self.may_exceed &= self.running < self.abreast;
        self.round = self.round.max(ticket.0);
        self.start(network, now);
        self.leave(ticket);
        Some((ticket, network))
    }

    /// Sees how fast it goes, and whether more at once would be faster. To be called now and then while somebody waits.
    pub(super) fn look(&mut self, sent: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.looked_at);
        if elapsed < LOOK {
            return;
        }
        let rate = sent.saturating_sub(self.sent) as f64 / elapsed.as_secs_f64();
        (self.looked_at, self.sent, self.may_exceed) = (now, sent, true);
        self.networks.retain(|_, network| !network.is_forgotten(now));
        if let Some(before) = self.trial.take() {
            let more = self.abreast as f64 / before.abreast.max(1) as f64;
            if rate < before.rate * (1.0 + (more - 1.0) / 2.0) {
                (self.abreast, self.rest_until) = (before.abreast, now + REST);
            }
        }
        if now >= self.rest_until && self.running >= self.abreast && self.abreast < self.room.all {
            self.trial = Some(Trial { abreast: self.abreast, rate });
            self.abreast = (self.abreast + (self.abreast / 4).max(1)).min(self.room.all);
        }
    }

    fn start(&mut self, network: IpAddr, now: Instant) {
        self.running += 1;
        if self.networks.len() >= NETWORKS_KEPT {
            self.networks.retain(|_, network| !network.is_forgotten(now));
        }
        let entry = self.networks.entry(network).or_default();
        entry.running += 1;
        entry.served_at = Some(now);
    }

    fn has_room(&self, network: IpAddr) -> bool {
        self.networks.get(&network).is_none_or(|network| network.running < self.room.per_network)
    }

    fn is_due(&self, waiting: &Waiting, now: Instant) -> bool {
        let waited = now.saturating_duration_since(waiting.since);
        let served_at = self.networks.get(&waiting.network).and_then(|network| network.served_at);
        let is_new = served_at.is_none_or(|at| now.saturating_duration_since(at) >= NEWCOMER);
        self.may_exceed && (waited >= OVERDUE || (is_new && waited >= LOOK))
    }

    fn changed(&mut self, network: IpAddr, change: impl FnOnce(&mut Network)) {
        if let Some(entry) = self.networks.get_mut(&network) {
            change(entry);
        }
    }

    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        self.running
    }
}

impl Network {
    /// Nothing is known of it that counts any more.
    fn is_forgotten(&self, now: Instant) -> bool {
        let is_old = self.served_at.is_none_or(|at| now.saturating_duration_since(at) >= NEWCOMER);
        self.running == 0 && self.waiting == 0 && is_old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// Turns in which the two that may run at first do.
    fn busy(now: Instant) -> Turns {
        let mut turns = Turns::new(Room { all: 64, abreast: 2, per_network: 16 }, now);
        assert!(turns.begin(address(1), now) && turns.begin(address(1), now));
        assert!(!turns.begin(address(2), now));
        turns
    }

    #[test]
    fn networks_take_turns_however_much_one_asks_for() {
        let now = Instant::now();
        let mut turns = busy(now);
        let greedy: Vec<_> = (0..3).map(|_| turns.wait(address(1), true, 0, now).unwrap()).collect();
        let modest = turns.wait(address(2), true, 0, now).unwrap();
        assert_eq!(
            [greedy[0], modest, greedy[1], greedy[2]].map(|ticket| turns.place_of(ticket)),
            [1, 2, 3, 4]
        );
        assert_eq!(turns.next(now), None);
        let mut order = Vec::new();
        for _ in 0..4 {
            turns.end(address(1), now);
            order.extend(turns.next(now).map(|(ticket, _)| ticket));
        }
        assert_eq!(order, [greedy[0], modest, greedy[1], greedy[2]]);
    }

    #[test]
    fn the_queue_is_bounded_for_all_and_for_each() {
        let now = Instant::now();
        let mut turns = busy(now);
        let mut taken = |last, is_bounded| {
            (0..1000).take_while(|_| turns.wait(address(last), is_bounded, 0, now).is_some()).count()
        };
        assert_eq!(taken(1, true), UPLOADS_WAITING_PER_ADDRESS);
        assert_eq!(
            (2..9).map(|last| taken(last, true)).sum::<usize>(),
            UPLOADS_WAITING - UPLOADS_WAITING_PER_ADDRESS
        );
        assert_eq!(taken(9, false), 1000);
    }

    /// Lets bodies that never end run over a link of this rate, each of them at most at the other one; how many run in the end.
    fn settles_at(link: u64, each: u64, seconds: u32) -> usize {
        let start = Instant::now();
        let mut turns = Turns::new(Room { all: 64, abreast: 2, per_network: 64 }, start);
        let (mut now, mut sent) = (start, 0);
        for last in 0..64 {
            if !turns.begin(address(last), now) {
                turns.wait(address(last), true, sent, now);
            }
        }
        for _ in 0..seconds * 20 {
            now += LOOK / 5;
            sent += (each * turns.running() as u64).min(link) / 20;
            turns.look(sent, now);
            while turns.next(now).is_some() {}
        }
        turns.running()
    }

    #[test]
    fn slow_readers_are_served_together_and_a_full_link_is_not_shared_by_all_at_once() {
        assert_eq!(settles_at(100_000_000, 1_000_000, 10), 64);
        // Whoever comes new is let in beside the others after a while; but not all at once.
        let shared = settles_at(10_000_000, 10_000_000, 1);
        assert!(shared <= 8, "{shared}");
        // Who does not read at all keeps nobody waiting.
        assert_eq!(settles_at(10_000_000, 0, 10), 64);
    }

    #[test]
    fn somebody_new_is_let_in_beside_a_crowd_within_a_second() {
        let start = Instant::now();
        let mut turns = busy(start);
        for _ in 0..60 {
            turns.wait(address(1), true, 0, start);
        }
        let mut now = start + Duration::from_millis(100);
        let new = turns.wait(address(9), true, 0, now).unwrap();
        let came = now;
        let mut sent = 0;
        loop {
            now += LOOK / 5;
            // The link is full whoever runs.
            sent += 1_000_000;
            turns.look(sent, now);
            let next: Vec<_> = std::iter::from_fn(|| turns.next(now)).collect();
            if next.iter().any(|(ticket, _)| *ticket == new) {
                break;
            }
        }
        assert!(now - came < Duration::from_secs(1), "{:?}", now - came);
    }
}

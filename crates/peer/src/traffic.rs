//! Who takes how much from the upload port, for whoever runs this peer and wants to see it.
//!
//! By address, as that is what people know of each other; a host with eight connections is one line. Each connection finds its
//! address once, and from then on counting is a short lock that hardly anybody else wants.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use proto::http::target::Target;
use proto::limits::TAKERS_KEPT;

/// A rate follows what happens with this delay.
const MEMORY: Duration = Duration::from_secs(2);

/// What was handed out since the start.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    takers: HashMap<IpAddr, Arc<Mutex<Taking>>>,
    /// Bytes that those took who are forgotten by now.
    forgotten: u64,
}

/// One address, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Taker {
    /// Where it is.
    pub address: IpAddr,
    /// Connections that it has.
    pub connections: usize,
    /// Bytes of answers that it took since the start.
    pub sent: u64,
    /// Bytes a second now.
    pub rate: f64,
    /// What it asked for last, of what is more than a few KiB.
    pub target: Option<Target>,
}

#[derive(Debug)]
struct Taking {
    connections: usize,
    sent: u64,
    rate: Rate,
    target: Option<Target>,
}

/// An average that forgets: of what was longer ago less counts.
#[derive(Debug, Clone, Copy)]
struct Rate {
    per_second: f64,
    at: Instant,
}

impl Rate {
    fn at(self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        self.per_second * (-age / MEMORY.as_secs_f64()).exp()
    }

    fn add(&mut self, bytes: u64, now: Instant) {
        *self = Self { per_second: self.at(now) + bytes as f64 / MEMORY.as_secs_f64(), at: now };
    }
}

/// One connection, counted as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Mutex<Taking>>);

impl Counted {
    pub(crate) fn sent(&self, bytes: u64) {
        let mut taking = locked(&self.0);
        taking.sent += bytes;
        taking.rate.add(bytes, Instant::now());
    }

    pub(crate) fn takes(&self, target: &Target) {
        locked(&self.0).target = Some(target.clone());
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        locked(&self.0).connections -= 1;
    }
}

impl Traffic {
    /// A connection from this address begins.
    pub(crate) fn connection(&self, address: IpAddr) -> Counted {
        let mut known = locked(&self.0);
        if !known.takers.contains_key(&address) {
            known.make_room();
        }
        let new = || Taking {
            connections: 0,
            sent: 0,
            rate: Rate { per_second: 0.0, at: Instant::now() },
            target: None,
        };
        let taking = known.takers.entry(address).or_insert_with(|| Arc::new(Mutex::new(new())));
        locked(taking).connections += 1;
        Counted(Arc::clone(taking))
    }

    /// Bytes of answers since the start, whoever took them.
    #[must_use]
    pub fn sent(&self) -> u64 {
        let known = locked(&self.0);
        known.forgotten + known.takers.values().map(|taking| locked(taking).sent).sum::<u64>()
    }

    /// Bytes a second now, to everybody; what is next to nothing counts as nothing.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let now = Instant::now();
        let rate: f64 = locked(&self.0).takers.values().map(|taking| locked(taking).rate.at(now)).sum();
        if rate < 1.0 { 0 } else { rate.round() as u64 }
    }

    /// Addresses that are connected.
    #[must_use]
    pub fn connected(&self) -> usize {
        locked(&self.0).takers.values().filter(|taking| locked(taking).connections > 0).count()
    }

    /// Everybody who is remembered, who takes most now first.
    #[must_use]
    pub fn takers(&self) -> Vec<Taker> {
        let now = Instant::now();
        let taker = |(address, taking): (&IpAddr, &Arc<Mutex<Taking>>)| {
            let taking = locked(taking);
            let (connections, sent, rate) = (taking.connections, taking.sent, taking.rate.at(now));
            Taker { address: *address, connections, sent, rate, target: taking.target.clone() }
        };
        let mut takers: Vec<Taker> = locked(&self.0).takers.iter().map(taker).collect();
        takers.sort_by(|one, other| {
            let by_rate = other.rate.round().total_cmp(&one.rate.round());
            by_rate.then(other.sent.cmp(&one.sent)).then(one.address.cmp(&other.address))
        });
        takers
    }
}

impl Known {
    /// Forgets who was there longest ago; those who are connected stay, and their number is bounded by that of connections.
    fn make_room(&mut self) {
        if self.takers.len() < TAKERS_KEPT {
            return;
        }
        let left = self.takers.iter().filter_map(|(address, taking)| {
            let taking = locked(taking);
            (taking.connections == 0).then_some((taking.rate.at, *address))
        });
        if let Some((_, address)) = left.min()
            && let Some(gone) = self.takers.remove(&address)
        {
            self.forgotten += locked(&gone).sent;
        }
    }
}

/// Nothing panics while one of these is held, so a poisoned lock still holds what is true.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    #[test]
    fn a_rate_follows_what_happens_and_fades() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut rate = Rate { per_second: 0.0, at: start };
        (1..=100).for_each(|tenth| rate.add(1000, after(tenth * 100)));
        let steady = rate.at(after(10_000));
        assert!((9_000.0..11_000.0).contains(&steady), "{steady} of 10,000 a second");
        assert!(rate.at(after(30_000)) < 1.0);
    }

    #[test]
    fn those_who_left_longest_ago_are_forgotten_and_their_bytes_are_not() {
        let traffic = Traffic::default();
        let stays = traffic.connection(ip(0));
        for number in 1..TAKERS_KEPT as u32 + 50 {
            let connection = traffic.connection(ip(number));
            connection.sent(10);
            assert_eq!(traffic.connected(), 2);
        }
        stays.sent(1);
        let takers = traffic.takers();
        assert_eq!(takers.len(), TAKERS_KEPT);
        assert_eq!(traffic.sent(), 10 * (TAKERS_KEPT as u64 + 49) + 1);
        let is_there = |number| takers.iter().any(|taker| taker.address == ip(number));
        assert!(is_there(0) && !is_there(1) && is_there(TAKERS_KEPT as u32 + 49));
    }

    #[test]
    fn connections_of_one_address_are_one_taker() {
        let traffic = Traffic::default();
        let (one, two) = (traffic.connection(ip(7)), traffic.connection(ip(7)));
        one.sent(5);
        two.sent(6);
        two.takes(&Target::File("a".into()));
        drop(one);
        let takers = traffic.takers();
        assert_eq!((takers.len(), takers[0].connections, takers[0].sent), (1, 1, 11));
        assert_eq!(takers[0].target, Some(Target::File("a".into())));
    }
}

//! How many connections there are, in all and by source address, and from where no new one is taken for a while.
//!
//! Each connection is counted exactly as long as its [`Permit`] lives, whichever way it ends, and an address is known exactly
//! as long as it has a connection: so neither a leak nor growth is possible.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use proto::penalty::{CUT_OFF, PenaltyBox};

/// The counts; a clone is the same counts.
#[derive(Debug, Clone)]
pub struct Permits(Arc<Shared>);

/// Behind one pointer, as every connection has it.
#[derive(Debug)]
struct Shared {
    counts: Mutex<Counts>,
    penalties: Mutex<PenaltyBox>,
    all_max: usize,
    per_address_max: usize,
}

/// Why there was no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// As many connections in all as there may be.
    All {
        /// How many that is.
        max: usize,
    },
    /// As many connections from this address (IPv6: from its /64) as there may be.
    Address {
        /// How many that is.
        max: usize,
    },
    /// Connections from there were cut off too often of late.
    Penalised {
        /// Until this many seconds are over.
        seconds: u64,
    },
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
}

impl Permits {
    /// Nothing counted yet; at most `all_max` connections, at most `per_address_max` from one address.
    #[must_use]
    pub fn new(all_max: usize, per_address_max: usize) -> Self {
        Self(Arc::new(Shared {
            counts: Mutex::default(),
            penalties: Mutex::default(),
            all_max,
            per_address_max,
        }))
    }

    /// Counts a connection from this address.
    ///
    /// # Errors
    /// [`Denied`] when there are too many; nothing is counted then.
    pub fn acquire(&self, source: IpAddr) -> Result<Permit, Denied> {
        let network = network_of(source);
        if let Some(wait) = self.penalties().wait(network, CUT_OFF, Instant::now()) {
            return Err(Denied::Penalised { seconds: wait.as_secs() + 1 });
        }
        let mut counts = self.counts();
        if counts.all >= self.0.all_max {
            return Err(Denied::All { max: self.0.all_max });
        }
        if counts.by_network.get(&network).copied().unwrap_or(0) >= self.0.per_address_max {
            return Err(Denied::Address { max: self.0.per_address_max });
        }
        counts.all += 1;
        *counts.by_network.entry(network).or_insert(0) += 1;
        drop(counts);
        Ok(Permit { permits: self.clone(), network })
    }

    /// Connections counted now.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.counts().all
    }

    fn release(&self, network: IpAddr) {
        let mut counts = self.counts();
        counts.all -= 1;
        if let Entry::Occupied(mut entry) = counts.by_network.entry(network) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    fn penalties(&self) -> MutexGuard<'_, PenaltyBox> {
        self.0.penalties.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // A standard mutex: it is held for a few instructions and never across an await. Nothing panics while it is held, so a
    // poisoned lock still holds true counts.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct Permit {
    permits: Permits,
    network: IpAddr,
}

impl Permit {
    /// The connection had to be cut off for what only an attacker, or a fault, does again and again: new ones from there are refused for a while
    /// when that happens too often. Those that stand are not touched, and this machine's own are always taken.
    pub fn note_cut_off(&self) {
        if !self.network.is_loopback() {
            self.permits.penalties().note(self.network, CUT_OFF, Instant::now());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.release(self.network);
    }
}

/// An IPv4 address itself, or the /64 of an IPv6 address: one household gets a whole /64, so counting single addresses there
/// would count nothing.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use proto::limits::CUT_OFF_PER_MINUTE;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn counts_return_to_zero_and_addresses_are_forgotten() {
        let permits = Permits::new(10, 10);
        let held: Vec<Permit> =
            (1..=9).map(|n| permits.acquire(ip(&format!("127.0.0.{n}"))).unwrap()).collect();
        assert_eq!((permits.in_use(), permits.counts().by_network.len()), (9, 9));
        drop(held);
        assert_eq!((permits.in_use(), permits.counts().by_network.len()), (0, 0));
    }

    #[test]
    fn one_address_is_limited_and_another_is_not() {
        let permits = Permits::new(10, 2);
        let first = permits.acquire(ip("127.0.0.2")).unwrap();
        let _second = permits.acquire(ip("::ffff:127.0.0.2")).unwrap();
        assert_eq!(permits.acquire(ip("127.0.0.2")).err(), Some(Denied::Address { max: 2 }));
        assert!(permits.acquire(ip("127.0.0.3")).is_ok());
        drop(first);
        assert!(permits.acquire(ip("127.0.0.2")).is_ok());
    }

    #[test]
    fn i8_a_network_that_is_cut_off_too_often_gets_no_new_connection_for_a_while() {
        let permits = Permits::new(1000, 1000);
        let (local, other, drips) = (ip("127.0.0.1"), ip("10.0.0.8"), ip("10.0.0.7"));
        let stands = permits.acquire(drips).unwrap();
        let mut cut_off = 0;
        while let Ok(permit) = permits.acquire(drips) {
            permit.note_cut_off();
            cut_off += 1;
            assert!(cut_off <= CUT_OFF_PER_MINUTE / 2, "half of a minute's are there at once");
        }
        assert_eq!(cut_off, CUT_OFF_PER_MINUTE / 2);
        let denied = permits.acquire(drips).err();
        assert!(matches!(denied, Some(Denied::Penalised { seconds: 1..=6 })), "{denied:?}");
        assert!(permits.acquire(other).is_ok());
        for _ in 0..CUT_OFF_PER_MINUTE {
            permits.acquire(local).unwrap().note_cut_off();
        }
        drop(stands);
    }

    #[test]
    fn ipv6_is_limited_by_its_64() {
        let permits = Permits::new(10, 1);
        let _held = permits.acquire(ip("2001:db8:0:1::1")).unwrap();
        assert_eq!(permits.acquire(ip("2001:db8:0:1:ffff::2")).err(), Some(Denied::Address { max: 1 }));
        assert!(permits.acquire(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn all_together_are_limited() {
        let permits = Permits::new(2, 2);
        let _a = permits.acquire(ip("127.0.0.2")).unwrap();
        let b = permits.acquire(ip("127.0.0.3")).unwrap();
        assert_eq!(permits.acquire(ip("127.0.0.4")).err(), Some(Denied::All { max: 2 }));
        drop(b);
        assert!(permits.acquire(ip("127.0.0.4")).is_ok());
    }
}

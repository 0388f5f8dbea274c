//! In which order the index names the sources of a file.
//!
//! Many programs take the first source that a LOOKUP names. Named in the order of joining, the first peer would serve everybody
//! while all others stand idle. So the index remembers whom it named lately and names those first who were named least, those
//! near the requester before those far away. What a new peer has fetched it offers, and is named first then: downloads form a
//! tree.
//!
//! Pure: who was named when, where everybody is and how late it is are arguments.

use std::net::IpAddr;

/// In which order sources are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// The best for the requester and for the others first; [`crate::limits::SOURCES_MAX`] of them.
    #[default]
    Load,
    /// In the order of joining, all of them in 1.0.
    Added,
}

/// How late it is, in tenths of a second since some moment.
pub type Tick = u32;

/// A time in which what a peer was named for counts half: about as long as a download takes.
pub const HALF_LIFE: Tick = 300;
/// What being named once weighs at first.
const ONCE: u32 = 256;

/// How often a peer was named lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    weight: u32,
    since: Tick,
}

impl Load {
    /// As one number, which can be exchanged at once.
    pub fn to_bits(self) -> u64 {
        (u64::from(self.weight) << 32) | u64::from(self.since)
    }

    /// The other way round.
    pub fn from_bits(bits: u64) -> Self {
        let low = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self { weight: low(bits >> 32), since: low(bits) }
    }

    /// Named once more.
    #[must_use]
    pub fn named(self, now: Tick) -> Self {
        Self { weight: self.weight(now).saturating_add(ONCE), since: now }
    }

    /// What is left of it now: halved in each half-life, evenly between.
    pub fn weight(self, now: Tick) -> u32 {
        let age = now.saturating_sub(self.since);
        let whole = self.weight.checked_shr(age / HALF_LIFE).unwrap_or(0);
        let part = u64::from(whole / 2).saturating_mul(u64::from(age % HALF_LIFE));
        let part = part.checked_div(u64::from(HALF_LIFE)).and_then(|part| u32::try_from(part).ok());
        whole.saturating_sub(part.unwrap_or(0))
    }
}

/// How far two hosts are from each other, as far as their addresses tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// One host.
    SameHost,
    /// One /24 of IPv4, or one /64 of IPv6.
    SameNetwork,
    /// Both in one private range.
    SameRange,
    /// Nothing speaks for their being near.
    Far,
}

impl Distance {
    /// Between these two.
    pub fn between(one: IpAddr, other: IpAddr) -> Self {
        let (one, other) = (one.to_canonical(), other.to_canonical());
        match (one, other) {
            _ if one == other || (one.is_loopback() && other.is_loopback()) => Self::SameHost,
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let (a, b) = (a.to_bits(), b.to_bits());
                // 10/8, 172.16/12, 192.168/16
                let ranges =
                    [(0x0a00_0000, 0xff00_0000), (0xac10_0000, 0xfff0_0000), (0xc0a8_0000, 0xffff_0000)];
                let in_one = |(range, mask): &(u32, u32)| a & mask == *range && b & mask == *range;
                match a >> 8 == b >> 8 {
                    true => Self::SameNetwork,
                    false if ranges.iter().any(in_one) => Self::SameRange,
                    false => Self::Far,
                }
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => match a.to_bits() >> 64 == b.to_bits() >> 64 {
                true => Self::SameNetwork,
                false if a.is_unique_local() && b.is_unique_local() => Self::SameRange,
                false => Self::Far,
            },
            _ => Self::Far,
        }
    }
}

/// A source that may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// How often it was named lately.
    pub load: Load,
    /// Where it is.
    pub source: IpAddr,
    /// It has only some of the blocks.
    pub partial: bool,
    /// It is the requester, who has it already.
    pub own: bool,
}

/// Which place a source gets: the lower, the earlier; among equal ones the order of joining.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    own: bool,
    partial: bool,
    cost: u32,
}

impl Candidate {
    /// Its rank for a requester. A step farther away weighs as much as being named once.
    pub fn rank(&self, requester: IpAddr, now: Tick) -> Rank {
        let steps = match Distance::between(requester, self.source) {
            Distance::SameHost => 0,
            Distance::SameNetwork => 1,
            Distance::SameRange => 2,
            Distance::Far => 3,
        };
        let cost = self.load.weight(now).saturating_add(ONCE.saturating_mul(steps));
        Rank { own: self.own, partial: self.partial, cost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_named_fades() {
        let once = Load::default().named(100);
        assert_eq!((once.weight(100), once.weight(100 + HALF_LIFE)), (ONCE, ONCE / 2));
        let mut last = u32::MAX;
        for now in 100..100 + 12 * HALF_LIFE {
            let weight = once.weight(now);
            assert!(weight <= last, "at {now}");
            last = weight;
        }
        assert_eq!((last, once.weight(u32::MAX), once.weight(0)), (0, 0, ONCE), "a clock may not go back");
        let much = Load { weight: u32::MAX, since: 100 }.named(100);
        assert_eq!(much.weight(100), u32::MAX, "nothing overflows");
        assert_eq!(Load::from_bits(once.to_bits()), once);
    }

    #[test]
    fn distances_go_by_addresses() {
        use Distance::{Far, SameHost, SameNetwork, SameRange};
        for (one, other, distance) in [
            ("10.0.0.7", "10.0.0.7", SameHost),
            ("127.0.0.1", "127.9.9.9", SameHost),
            ("::ffff:10.0.0.7", "10.0.0.7", SameHost),
            ("10.0.0.7", "10.0.0.9", SameNetwork),
            ("10.0.0.7", "10.9.0.7", SameRange),
            ("172.16.0.1", "172.31.0.1", SameRange),
            ("172.16.0.1", "172.32.0.1", Far),
            ("192.168.0.1", "192.168.1.1", SameRange),
            ("10.0.0.7", "192.168.0.7", Far),
            ("8.8.8.8", "8.8.8.9", SameNetwork),
            ("2001:db8::1", "2001:db8::2", SameNetwork),
            ("2001:db8::1", "2001:db8:0:1::1", Far),
            ("fd00::1", "fd00:0:0:1::1", SameRange),
            ("10.0.0.7", "fd00::1", Far),
        ] {
            assert_eq!(Distance::between(ip(one), ip(other)), distance, "{one} {other}");
            assert_eq!(Distance::between(ip(other), ip(one)), distance, "{other} {one}");
        }
    }

    #[test]
    fn least_named_near_complete_sources_come_first_and_the_requester_last() {
        let source = |address: &str, named: usize| Candidate {
            load: (0..named).fold(Load::default(), |load, _| load.named(5)),
            source: ip(address),
            partial: false,
            own: false,
        };
        let candidates = [
            Candidate { own: true, ..source("10.0.0.1", 0) },
            Candidate { partial: true, ..source("10.0.0.2", 0) },
            source("10.0.0.3", 2),
            source("10.9.0.4", 0),
            source("10.0.0.5", 1),
            source("192.168.0.6", 0),
            source("10.0.0.7", 1),
            source("10.0.0.8", 0),
        ];
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_by_key(|at| candidates[*at].rank(ip("10.0.0.1"), 5));
        // 4 is a step farther than 5 and 7, and was named once less.
        let last_parts: Vec<usize> = order.iter().map(|at| at + 1).collect();
        assert_eq!(last_parts, [8, 4, 5, 7, 3, 6, 2, 1]);
    }
}

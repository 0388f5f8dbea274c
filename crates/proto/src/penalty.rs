//! What an offence costs, such as a guessed token or a request that drips: of each kind a network may do so many in a minute, and must pay off
//! what it did before it is looked at again.
//!
//! What is right costs nothing, so whoever shares a network with an offender is kept out only while that one goes on. The memory
//! is bounded: of too many networks the one is forgotten that has paid off the most.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::limits::{CUT_OFF_PER_MINUTE, PENALTY_NETWORKS_MAX, WRONG_TOKENS_PER_MINUTE};

/// Who has offended lately.
#[derive(Debug, Default)]
pub struct PenaltyBox {
    /// Until when each network has to pay off what it did.
    debts: HashMap<IpAddr, Instant>,
}

/// What one wrong token costs.
pub const WRONG_TOKEN: Duration = Duration::from_millis(TWICE / WRONG_TOKENS_PER_MINUTE as u64);
/// What it costs to be cut off for what only an attacker, or a fault, does again and again.
pub const CUT_OFF: Duration = Duration::from_millis(TWICE / CUT_OFF_PER_MINUTE as u64);

/// Half of a minute's are there at once, and half come back within it: milliseconds.
const TWICE: u64 = 2 * 60_000;

/// Beyond this debt nothing is looked at.
const CREDIT: Duration = Duration::from_secs(60);

impl PenaltyBox {
    /// For how long nothing from this network (an IPv4 address, an IPv6 /64) is looked at, where an offence has this price.
    #[must_use]
    pub fn wait(&self, network: IpAddr, price: Duration, now: Instant) -> Option<Duration> {
        let debt = self.debts.get(&network)?.saturating_duration_since(now);
        let over = debt.saturating_add(price).checked_sub(CREDIT)?;
        (!over.is_zero()).then_some(over)
    }

    /// An offence of this price came from there.
    pub fn note(&mut self, network: IpAddr, price: Duration, now: Instant) {
        let debt = self.debts.entry(network).or_insert(now);
        *debt = (*debt).max(now).checked_add(price).unwrap_or(now);
        if self.debts.len() > PENALTY_NETWORKS_MAX {
            self.debts.retain(|_, until| *until > now);
            if self.debts.len() > PENALTY_NETWORKS_MAX
                && let Some(least) =
                    self.debts.iter().min_by_key(|(_, until)| **until).map(|(network, _)| *network)
            {
                self.debts.remove(&least);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i21_of_ten_thousand_guesses_at_most_twenty_a_minute_are_looked_at() {
        let start = Instant::now();
        let (mut penalties, mut looked_at) = (PenaltyBox::default(), Vec::new());
        let guesser: IpAddr = "2001:db8::".parse().unwrap();
        for guess in 0..10_000_u64 {
            let now = start + Duration::from_millis(guess * 60);
            if penalties.wait(guesser, WRONG_TOKEN, now).is_none() {
                looked_at.push(now);
                penalties.note(guesser, WRONG_TOKEN, now);
            }
        }
        for from in &looked_at {
            let minute = looked_at.iter().filter(|at| (*from..*from + Duration::from_secs(60)).contains(at));
            assert!(minute.count() <= WRONG_TOKENS_PER_MINUTE as usize);
        }
        assert!((100..=110).contains(&looked_at.len()), "{}", looked_at.len());
        let end = start + Duration::from_secs(600);
        assert!(
            penalties.wait("2001:db8:0:1::".parse().unwrap(), WRONG_TOKEN, end).is_none(),
            "another network"
        );
        assert!(penalties.wait(guesser, WRONG_TOKEN, end + Duration::from_secs(60)).is_none(), "it decays");
    }

    #[test]
    fn the_networks_that_are_remembered_are_bounded() {
        let now = Instant::now();
        let mut penalties = PenaltyBox::default();
        let guesser: IpAddr = "10.0.0.1".parse().unwrap();
        for _ in 0..WRONG_TOKENS_PER_MINUTE {
            penalties.note(guesser, WRONG_TOKEN, now);
        }
        for at in 0..2 * PENALTY_NETWORKS_MAX as u32 {
            penalties.note(IpAddr::from((0x0b00_0000 + at).to_be_bytes()), WRONG_TOKEN, now);
        }
        assert!(penalties.debts.len() <= PENALTY_NETWORKS_MAX);
        assert!(penalties.wait(guesser, WRONG_TOKEN, now).is_some(), "who owes most is not forgotten");
    }
}

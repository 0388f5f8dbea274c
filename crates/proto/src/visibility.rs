//! Which host of a record a requester is shown.
//!
//! A peer claims a host name; the index knows where the connection really came from. Records are only worth something
//! if the host in them can be reached from where the requester is, and only honest if nobody can name a third party.

use std::net::IpAddr;

/// Which host a record shows (`--record-host`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecordHost {
    /// The claimed name where it is true, else an address that works.
    #[default]
    Auto,
    /// Always the name as it was claimed.
    Claimed,
    /// Always the address that was observed.
    Observed,
}

/// What the index knows about a claimed host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It resolves to the address that the connection came from.
    True,
    /// It does not, or nobody has looked it up yet.
    Unproven,
}

/// The two ends of the connection that added a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// Where it came from.
    pub source: IpAddr,
    /// Whether the claimed name is true.
    pub claim: Claim,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requester {
    /// Where the requester's connection comes from.
    pub source: IpAddr,
    /// The address at which it reached the index.
    pub reached: IpAddr,
}

/// The host that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The name as it was claimed.
    Claimed,
    /// This address.
    Address(IpAddr),
}

/// Decides which host of a record a requester is shown. `own` says that the requester's connection added the record.
pub fn shown_host(policy: RecordHost, record: Provenance, requester: Requester, own: bool) -> Shown {
    let from_here = record.source.is_loopback();
    // A loopback address means another machine to a requester from elsewhere: ours is the one that it already reached.
    let observed = match from_here && !requester.source.is_loopback() {
        true => requester.reached,
        false => record.source,
    };
    match policy {
        RecordHost::Claimed => Shown::Claimed,
        RecordHost::Observed => Shown::Address(observed),
        RecordHost::Auto if own => Shown::Claimed,
        RecordHost::Auto if from_here && requester.source.is_loopback() => Shown::Claimed,
        RecordHost::Auto if !from_here && record.claim == Claim::True => Shown::Claimed,
        RecordHost::Auto => Shown::Address(observed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn shown(policy: RecordHost, source: &str, claim: Claim, requester: &str, own: bool) -> Shown {
        let requester = Requester { source: ip(requester), reached: ip("10.0.0.1") };
        shown_host(policy, Provenance { source: ip(source), claim }, requester, own)
    }

    #[test]
    fn auto_shows_what_can_be_reached_and_is_true() {
        use Claim::{True, Unproven};
        let auto = |source, claim, requester, own| shown(RecordHost::Auto, source, claim, requester, own);
        assert_eq!(auto("10.0.0.7", Unproven, "10.0.0.7", true), Shown::Claimed, "its own words");
        assert_eq!(auto("127.0.0.1", Unproven, "127.0.0.9", false), Shown::Claimed, "both on this machine");
        assert_eq!(
            auto("127.0.0.1", True, "10.0.0.9", false),
            Shown::Address(ip("10.0.0.1")),
            "as it reached the index"
        );
        assert_eq!(auto("10.0.0.7", True, "10.0.0.9", false), Shown::Claimed, "a true name");
        assert_eq!(
            auto("10.0.0.7", Unproven, "10.0.0.9", false),
            Shown::Address(ip("10.0.0.7")),
            "a third party's name"
        );
        assert_eq!(auto("10.0.0.7", Unproven, "127.0.0.1", false), Shown::Address(ip("10.0.0.7")));
    }

    #[test]
    fn claimed_and_observed_mean_what_they_say() {
        assert_eq!(
            shown(RecordHost::Claimed, "10.0.0.7", Claim::Unproven, "10.0.0.9", false),
            Shown::Claimed
        );
        assert_eq!(
            shown(RecordHost::Observed, "10.0.0.7", Claim::True, "10.0.0.9", true),
            Shown::Address(ip("10.0.0.7"))
        );
        assert_eq!(
            shown(RecordHost::Observed, "127.0.0.1", Claim::True, "10.0.0.9", false),
            Shown::Address(ip("10.0.0.1"))
        );
    }
}

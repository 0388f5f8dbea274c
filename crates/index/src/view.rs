//! A record as one requester sees it.

use std::sync::Arc;

use proto::directory::{KeyRef, Record, SaidRef, SessionId};
use proto::schedule::{Candidate, Order, Rank, Tick};
use proto::value::digest::Digest;
use proto::value::number::RfcNumber;
use proto::visibility::{RecordHost, Requester, Shown, shown_host};
use proto::wire::add::Add;
use proto::wire::framing::AnswerFraming;
use proto::wire::record;

use crate::guard::Pass;
use crate::store::Peer;

/// Who looks at records, and under which rule.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) policy: RecordHost,
    pub(crate) order: Order,
    pub(crate) requester: Requester,
    pub(crate) session: SessionId,
    /// The token that was shown.
    pub(crate) pass: Option<Arc<Pass>>,
}

impl View {
    /// Appends the line of a record that has a number.
    pub(crate) fn write(&self, found: &Record<'_, Peer>, framing: AnswerFraming, out: &mut Vec<u8>) {
        let KeyRef::Rfc(number) = found.key else { return };
        let title = match found.said {
            SaidRef::Title(title) => title.as_bytes(),
            SaidRef::File(file) => file.rfc.as_ref().map_or(&*file.name, |(_, title)| title).as_bytes(),
        };
        self.write_line(number, title, found.session, found.peer, framing, out);
    }

    /// Appends the line of a record of the requester's own.
    pub(crate) fn write_own(&self, add: &Add<'_>, peer: &Peer, framing: AnswerFraming, out: &mut Vec<u8>) {
        self.write_line(add.number, add.title.as_str().as_bytes(), self.session, peer, framing, out);
    }

    fn write_line(
        &self,
        number: RfcNumber,
        title: &[u8],
        session: SessionId,
        peer: &Peer,
        framing: AnswerFraming,
        out: &mut Vec<u8>,
    ) {
        match self.shown(session, peer) {
            Shown::Claimed => record::write(number, title, peer.claimed().words(), framing, out),
            Shown::Address(address) => {
                let words = format!("{address} {}", peer.claimed().port());
                record::write(number, title, &words, framing, out);
            }
        }
    }

    /// Whether the requester may know of what this peer has: of what is private only members do.
    pub(crate) fn sees(&self, peer: &Peer) -> bool {
        let Some(groups) = peer.claimed().private() else { return true };
        self.pass.as_ref().is_some_and(|pass| pass.grant().opens(groups.names()))
    }

    /// What opens a content at this peer for the requester.
    pub(crate) fn ticket(&self, hash: Digest, peer: &Peer) -> Option<String> {
        let groups = peer.claimed().private()?;
        self.pass.as_ref()?.ticket(hash, groups)
    }

    /// Which place a peer gets among the sources of a file.
    pub(crate) fn rank(&self, session: SessionId, peer: &Peer, partial: bool, now: Tick) -> Rank {
        let source = peer.provenance().source;
        let candidate = Candidate { load: peer.load(), source, partial, own: session == self.session };
        candidate.rank(self.requester.source, now)
    }

    /// The host of a peer as the requester is shown it.
    pub(crate) fn host(&self, session: SessionId, peer: &Peer) -> String {
        match self.shown(session, peer) {
            Shown::Claimed => peer.claimed().host().to_owned(),
            Shown::Address(address) => address.to_string(),
        }
    }

    fn shown(&self, session: SessionId, peer: &Peer) -> Shown {
        shown_host(self.policy, peer.provenance(), self.requester, session == self.session)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proto::value::host::{Host, PeerAddr};
    use proto::value::number::{Port, RfcNumber};
    use proto::wire::framing::Framing;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// The line that a requester from `requester`, which reached us at 10.0.0.1, sees of a record that came from `source`.
    fn line(requester: &str, source: &str, own: bool, proven: bool) -> String {
        let claimed = PeerAddr::new(Host::parse(b"name").unwrap(), Port::new(5678).unwrap());
        let peer = Peer::new(claimed, ip(source));
        if proven {
            peer.set_proven();
        }
        let requester = Requester { source: ip(requester), reached: ip("10.0.0.1") };
        let view = View {
            policy: RecordHost::Auto,
            order: Order::Load,
            requester,
            session: SessionId(1),
            pass: None,
        };
        let key = KeyRef::Rfc(RfcNumber::new(7).unwrap());
        let session = SessionId(if own { 1 } else { 2 });
        let found = Record { key, session, said: SaidRef::Title("A b".into()), peer: &Arc::new(peer) };
        let mut out = Vec::new();
        view.write(&found, Framing::SPEC.answer(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_requester_sees_what_it_can_reach() {
        assert_eq!(line("10.0.0.9", "10.0.0.7", false, true), "RFC 7 A b name 5678\r\n");
        assert_eq!(line("10.0.0.7", "10.0.0.7", true, false), "RFC 7 A b name 5678\r\n");
        assert_eq!(line("127.0.0.1", "127.0.0.1", false, false), "RFC 7 A b name 5678\r\n");
        assert_eq!(line("10.0.0.9", "127.0.0.1", false, false), "RFC 7 A b 10.0.0.1 5678\r\n");
        assert_eq!(line("10.0.0.9", "2001:db8::7", false, false), "RFC 7 A b 2001:db8::7 5678\r\n");
    }

    #[test]
    fn fault_s9_a_third_party_cannot_be_named() {
        assert_eq!(line("10.0.0.9", "10.0.0.7", false, false), "RFC 7 A b 10.0.0.7 5678\r\n");
    }
}

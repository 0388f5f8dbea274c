//! A record as one requester sees it.

use proto::directory::{Key, SessionId};
use proto::visibility::{RecordHost, Requester, Shown, shown_host};
use proto::wire::framing::AnswerFraming;
use proto::wire::record;

use crate::store::{Entry, Peer};

/// Who looks at records, and under which rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) policy: RecordHost,
    pub(crate) requester: Requester,
    pub(crate) session: SessionId,
}

impl View {
    /// Appends the line of a record.
    pub(crate) fn write(&self, entry: &Entry, framing: AnswerFraming, out: &mut Vec<u8>) {
        let Entry { key, session, title, peer } = entry;
        self.write_parts(*key, *session, title, peer, framing, out);
    }

    /// Appends the line of a record of the requester's own.
    pub(crate) fn write_own(
        &self,
        key: Key,
        title: &str,
        peer: &Peer,
        framing: AnswerFraming,
        out: &mut Vec<u8>,
    ) {
        self.write_parts(key, self.session, title, peer, framing, out);
    }

    fn write_parts(
        &self,
        key: Key,
        session: SessionId,
        title: &str,
        peer: &Peer,
        framing: AnswerFraming,
        out: &mut Vec<u8>,
    ) {
        let Key::Rfc(number) = key;
        let port = peer.claimed().port();
        let own = session == self.session;
        match shown_host(self.policy, peer.provenance(), self.requester, own) {
            Shown::Claimed => record::write(number, title, peer.claimed().host(), port, framing, out),
            Shown::Address(address) => {
                record::write(number, title, &address.to_string(), port, framing, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

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
        let view = View { policy: RecordHost::Auto, requester, session: SessionId(1) };
        let key = Key::Rfc(RfcNumber::new(7).unwrap());
        let session = SessionId(if own { 1 } else { 2 });
        let entry = Entry { key, session, title: "A b".into(), peer: Arc::new(peer) };
        let mut out = Vec::new();
        view.write(&entry, Framing::SPEC.answer(), &mut out);
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

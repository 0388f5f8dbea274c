//! Whether a claimed host name is true: whether it resolves to where the connection comes from.
//!
//! Looked up beside the reply path: until a claim is proven, and when it never is, records show the source address, which
//! works as well. So nothing here can fail, and under load a look-up is left out rather than queued without end.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use proto::limits::{
    RESOLVE, RESOLVED_FOR, RESOLVED_MAX, RESOLVES_AT_ONCE, RESOLVES_MAX, RESOLVES_PER_SESSION,
};
use proto::schedule::Tick;
use proto::value::host::{Host, PeerAddr, Terms};
use proto::value::number::Port;
use tokio::net::lookup_host;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::store::Peer;

/// Peers of one session that are recognised again, beside the first. A session nearly always has one.
const OTHERS_KEPT: usize = 7;

/// The hosts and ports that one session claims.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    first: Option<Arc<Peer>>,
    others: Option<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    kept: Vec<Arc<Peer>>,
    looked_up: usize,
}

impl Peers {
    /// The one peer for a claim; a new one is handed to `claims` to be proven.
    pub(crate) fn of(
        &mut self,
        host: Host<'_>,
        port: Port,
        terms: &Terms,
        source: IpAddr,
        claims: &Arc<Claims>,
    ) -> &Arc<Peer> {
        let is_it = |peer: &Arc<Peer>| {
            let claimed = peer.claimed();
            claimed.port() == port && claimed.host() == host.as_str() && claimed.is_on(terms)
        };
        // Taken out and put back, since most sessions have one and it is nearly always that one.
        match self.first.take() {
            Some(first) if is_it(&first) => self.first.insert(first),
            Some(first) => {
                self.first = Some(first);
                self.others.get_or_insert_default().of(is_it, || new(host, port, terms, source), claims)
            }
            None => {
                let peer = new(host, port, terms, source);
                claims.prove(Arc::clone(&peer));
                self.first.insert(peer)
            }
        }
    }
}

impl Others {
    fn of(
        &mut self,
        is_it: impl Fn(&Arc<Peer>) -> bool,
        new: impl FnOnce() -> Arc<Peer>,
        claims: &Arc<Claims>,
    ) -> &Arc<Peer> {
        let known = self.kept.iter().position(is_it);
        let at = known.unwrap_or_else(|| {
            let peer = new();
            if self.looked_up + 1 < RESOLVES_PER_SESSION {
                self.looked_up += 1;
                claims.prove(Arc::clone(&peer));
            }
            if self.kept.len() >= OTHERS_KEPT {
                self.kept.remove(0);
            }
            self.kept.push(peer);
            self.kept.len() - 1
        });
        &self.kept[at]
    }
}

fn new(host: Host<'_>, port: Port, terms: &Terms, source: IpAddr) -> Arc<Peer> {
    Arc::new(Peer::new(PeerAddr::new(host, port).on(terms.clone()), source))
}

impl Peers {
    /// The session sends so many bytes a second to others.
    pub(crate) fn set_sending(&self, rate: u64, now: Tick) {
        let others = self.others.iter().flat_map(|others| &others.kept);
        self.first.iter().chain(others).for_each(|peer| peer.set_sending(rate, now));
    }
}

/// How a claim can be settled.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<'a> {
    True,
    Stays,
    LookUp(&'a str),
}

/// What can be said without asking anybody.
fn judge(host: &str, source: IpAddr) -> Verdict<'_> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) if address.to_canonical() == source.to_canonical() => Verdict::True,
        Ok(_) => Verdict::Stays,
        // For a peer on this machine no rule asks whether its claim is true.
        Err(_) if source.to_canonical().is_loopback() => Verdict::Stays,
        Err(_) => Verdict::LookUp(host),
    }
}

/// Proves claims, for all sessions.
#[derive(Debug)]
pub(crate) struct Claims {
    resolved: Mutex<Resolved>,
    running: Semaphore,
    places: Arc<Semaphore>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            resolved: Mutex::default(),
            running: Semaphore::new(RESOLVES_AT_ONCE),
            places: Arc::new(Semaphore::new(RESOLVES_MAX)),
        }
    }
}

impl Claims {
    /// Sees to it that a true claim is known to be true, now or soon.
    fn prove(self: &Arc<Self>, peer: Arc<Peer>) {
        match judge(peer.claimed().host(), peer.provenance().source) {
            Verdict::True => peer.set_proven(),
            Verdict::Stays => {}
            Verdict::LookUp(host) => {
                let known = self.resolved().get(host, Instant::now());
                match known {
                    Some(addresses) => settle(&peer, &addresses),
                    None => self.look_up_beside(peer),
                }
            }
        }
    }

    fn look_up_beside(self: &Arc<Self>, peer: Arc<Peer>) {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let claims = Arc::clone(self);
            tokio::spawn(async move { claims.look_up(peer, place).await });
        }
    }

    /// Looks a name up and settles the claim. A look-up cannot be called off, so one that is given up keeps its place until the
    /// system has come back with it: otherwise more than the limit would run.
    async fn look_up(&self, peer: Arc<Peer>, _place: OwnedSemaphorePermit) {
        let Ok(_running) = self.running.acquire().await else { return };
        let host = peer.claimed().host();
        let known = self.resolved().get(host, Instant::now());
        if let Some(addresses) = known {
            // Another connection asked the same while we waited.
            return settle(&peer, &addresses);
        }
        let mut looking = pin!(lookup_host((host, 0)));
        match timeout(RESOLVE, &mut looking).await {
            Ok(found) => {
                let addresses: Arc<[IpAddr]> =
                    found.map(|found| found.map(canonical).collect()).unwrap_or_default();
                settle(&peer, &addresses);
                self.resolved().put(host, addresses, Instant::now());
            }
            Err(_) => {
                self.resolved().put(host, Arc::default(), Instant::now());
                // Too late to count.
                drop(looking.await);
            }
        }
    }

    fn resolved(&self) -> MutexGuard<'_, Resolved> {
        // Nothing panics while it is held.
        self.resolved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn canonical(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn settle(peer: &Peer, addresses: &[IpAddr]) {
    if addresses.contains(&peer.provenance().source.to_canonical()) {
        peer.set_proven();
    }
}

/// The addresses of names, for a while. A name without any is known as well.
#[derive(Debug, Default)]
struct Resolved {
    names: HashMap<Box<str>, (Instant, Arc<[IpAddr]>)>,
}

impl Resolved {
    fn get(&self, host: &str, now: Instant) -> Option<Arc<[IpAddr]>> {
        let (found_at, addresses) = self.names.get(host)?;
        is_fresh(*found_at, now).then(|| Arc::clone(addresses))
    }

    fn put(&mut self, host: &str, addresses: Arc<[IpAddr]>, now: Instant) {
        if self.names.len() >= RESOLVED_MAX {
            self.names.retain(|_, (found_at, _)| is_fresh(*found_at, now));
        }
        if self.names.len() < RESOLVED_MAX {
            self.names.insert(host.into(), (now, addresses));
        }
    }
}

fn is_fresh(found_at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(found_at) < RESOLVED_FOR
}

#[cfg(test)]
mod tests {
    use proto::visibility::Claim;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn peer(host: &str, source: &str) -> Arc<Peer> {
        let claimed = PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(1).unwrap());
        Arc::new(Peer::new(claimed, ip(source)))
    }

    fn is_true(peer: &Peer) -> bool {
        peer.provenance().claim == Claim::True
    }

    #[test]
    fn an_address_is_true_exactly_for_its_own_source() {
        for (host, source, verdict) in [
            ("10.0.0.7", "10.0.0.7", Verdict::True),
            ("10.0.0.8", "10.0.0.7", Verdict::Stays),
            ("::ffff:10.0.0.7", "10.0.0.7", Verdict::True),
            ("[2001:db8::1]", "2001:db8::1", Verdict::True),
            ("victim.example", "127.0.0.1", Verdict::Stays),
            ("victim.example", "10.0.0.7", Verdict::LookUp("victim.example")),
        ] {
            assert_eq!(judge(host, ip(source)), verdict, "{host} from {source}");
        }
    }

    #[test]
    fn a_name_proves_only_a_source_that_it_resolves_to() {
        let (own, foreign) = (peer("a", "10.0.0.7"), peer("a", "10.0.0.8"));
        for peer in [&own, &foreign] {
            settle(peer, &[ip("2001:db8::1"), ip("10.0.0.7")]);
        }
        assert!(is_true(&own) && !is_true(&foreign));
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_remembered() {
        let claims = Claims::default();
        // A loopback source only so that the name of this machine can be taken.
        let (own, foreign) = (peer("localhost", "127.0.0.1"), peer("localhost", "10.0.0.7"));
        for peer in [&own, &foreign] {
            let place = Arc::clone(&claims.places).try_acquire_owned().unwrap();
            claims.look_up(Arc::clone(peer), place).await;
        }
        assert!(is_true(&own) && !is_true(&foreign));
        assert!(claims.resolved().get("localhost", Instant::now()).is_some());
        assert_eq!(claims.places.available_permits(), RESOLVES_MAX);
    }

    #[test]
    fn names_are_forgotten_in_time_and_bounded_in_number() {
        let (mut resolved, now) = (Resolved::default(), Instant::now());
        for name in 0..=RESOLVED_MAX {
            resolved.put(&name.to_string(), Arc::default(), now);
        }
        assert_eq!(resolved.names.len(), RESOLVED_MAX);
        assert!(resolved.get("0", now + RESOLVED_FOR / 2).is_some());
        assert!(resolved.get("0", now + RESOLVED_FOR).is_none());
        resolved.put("new", Arc::default(), now + RESOLVED_FOR);
        assert_eq!(resolved.names.len(), 1);
    }

    #[test]
    fn a_session_has_one_peer_for_each_claim_and_keeps_few() {
        let (claims, mut peers, source) = (Arc::new(Claims::default()), Peers::default(), ip("127.0.0.1"));
        let mut of = |host: &str, port| {
            let (host, port) = (Host::parse(host.as_bytes()).unwrap(), Port::new(port).unwrap());
            Arc::clone(peers.of(host, port, &Terms::default(), source, &claims))
        };
        let first = of("a", 1);
        assert!(Arc::ptr_eq(&first, &of("a", 1)));
        assert!(!Arc::ptr_eq(&first, &of("a", 2)) && !Arc::ptr_eq(&first, &of("b", 1)));
        for port in 1..100 {
            of("c", port);
        }
        assert_eq!(peers.others.map(|others| others.kept.len()), Some(OTHERS_KEPT));
    }
}

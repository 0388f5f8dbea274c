//! Who may do what at this index: the tokens that it knows, and what those may who have none.
//!
//! Only an index that was given tokens has a guard; without one everybody who is let in may do everything, as ever. What a token is for
//! is decided in `proto::access`; here is what is shared by all sessions and changes while they live.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use net::permits::network_of;
use proto::access::Denied;
use proto::access::credential::Credential;
use proto::access::groups::Groups;
use proto::access::penalty::PenaltyBox;
use proto::access::rights::{Right, Rights};
use proto::access::ticket::{Signer, Ticket};
use proto::access::tokens::{Grant, Tokens};
use proto::limits::TICKET_LASTS;
use proto::value::digest::Digest;

/// The guard of an index.
#[derive(Debug)]
pub struct Guard {
    tokens: RwLock<Arc<Tokens>>,
    /// Grows with each change of the tokens.
    generation: AtomicU64,
    /// What may be done without a token.
    anyone: Rights,
    penalties: Mutex<PenaltyBox>,
    signer: Arc<Signer>,
}

/// That somebody has shown a token.
#[derive(Debug)]
pub struct Pass {
    grant: Arc<Grant>,
    /// Of the tokens among which it was found.
    generation: u64,
    signer: Arc<Signer>,
}

impl Pass {
    /// What the token is for.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// What opens a content that is private to these groups.
    pub(crate) fn ticket(&self, hash: Digest, groups: &Groups) -> Option<String> {
        let names = groups.names();
        let own = self.grant.group.as_ref().filter(|own| names.contains(own));
        let group = own.or_else(|| names.first().filter(|_| self.grant.opens(names)))?;
        let expires = seconds_now().saturating_add(TICKET_LASTS.as_secs());
        Some(self.signer.sign(&Ticket { hash, expires, group: Arc::clone(group) }))
    }
}

impl Guard {
    /// Knows these tokens; whoever shows none may do `anyone`. Tickets are signed with the key that comes of `seed`, which is random.
    #[must_use]
    pub fn new(tokens: Tokens, anyone: Rights, seed: &[u8; 32]) -> Self {
        Self {
            tokens: RwLock::new(Arc::new(tokens)),
            generation: AtomicU64::new(0),
            anyone,
            penalties: Mutex::default(),
            signer: Arc::new(Signer::new(seed)),
        }
    }

    /// Knows these tokens from now on. Sessions that showed one that is gone have lost it.
    pub fn replace(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Looks at what somebody shows. `is_private`: nobody on the path can read it.
    ///
    /// # Errors
    /// [`Denied`]
    pub fn admit(&self, shown: &Credential, source: IpAddr, is_private: bool) -> Result<Arc<Pass>, Denied> {
        if !is_private && !source.to_canonical().is_loopback() {
            return Err(Denied::PlainText);
        }
        let (network, now) = (network_of(source), Instant::now());
        // Held to the end, so that many guesses at once are no more than many in a row.
        let mut penalties = self.penalties.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = penalties.wait(network, now) {
            return Err(Denied::Penalised { seconds: wait.as_secs() + 1 });
        }
        let generation = self.generation.load(Ordering::Acquire);
        let found = match shown {
            Credential::Token(secret) => self.tokens().find(secret, seconds_now()).cloned(),
            Credential::Ticket(_) | Credential::Unreadable => Err(Denied::Unknown),
        };
        if found == Err(Denied::Unknown) {
            penalties.note(network, now);
        }
        found.map(|grant| Arc::new(Pass { grant, generation, signer: Arc::clone(&self.signer) }))
    }

    /// Whether somebody with this pass may do something.
    ///
    /// # Errors
    /// [`Denied`]
    pub fn allow(&self, pass: Option<&Pass>, needed: Right) -> Result<(), Denied> {
        let Some(pass) = pass else {
            return if self.anyone.include(needed) { Ok(()) } else { Err(Denied::NoToken { needed }) };
        };
        let is_current = self.generation.load(Ordering::Acquire) == pass.generation;
        if !is_current && !self.tokens().still_have(&pass.grant) {
            return Err(Denied::Unknown);
        }
        if pass.grant.is_over(seconds_now()) {
            return Err(Denied::Expired);
        }
        let has = pass.grant.can;
        if has.include(needed) || self.anyone.include(needed) {
            Ok(())
        } else {
            Err(Denied::Lacks { needed, has })
        }
    }

    /// The public half of the key that signs tickets.
    #[must_use]
    pub fn ticket_key(&self) -> Digest {
        self.signer.public()
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Seconds since 1970: what a token's end is said in.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

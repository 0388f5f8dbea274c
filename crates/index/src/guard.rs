//! Who may do what at this index: the tokens that it knows, and what those may who have none.
//!
//! Only an index that was given tokens has a guard; without one everybody who is let in may do everything, as ever. What a token is for
//! is decided in `proto::access`; here is what is shared by all sessions and changes while they live.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use net::permits::network_of;
use proto::access::Denied;
use proto::access::credential::Credential;
use proto::access::groups::Groups;
use proto::access::rights::{Right, Rights};
use proto::access::ticket::{Signer, Ticket};
use proto::access::tokens::{Grant, Tokens};
use proto::penalty::{PenaltyBox, WRONG_TOKEN};
use proto::value::digest::Digest;
use tokio::sync::watch;
use tokio::time::timeout;

/// The guard of an index.
#[derive(Debug)]
pub struct Guard {
    tokens: RwLock<Arc<Tokens>>,
    /// Grows with each change of the tokens.
    generation: AtomicU64,
    /// Wakes those who wait for such a change.
    changed: watch::Sender<()>,
    /// What may be done without a token.
    anyone: Rights,
    penalties: Mutex<PenaltyBox>,
    issuer: Arc<Issuer>,
}

/// How often the wall clock is looked at for the end of a token.
const CLOCK_LOOKED_AT: Duration = Duration::from_secs(60);

/// That somebody has shown a token.
#[derive(Debug)]
pub struct Pass {
    grant: Arc<Grant>,
    /// Of the tokens among which it was found.
    generation: u64,
    issuer: Arc<Issuer>,
}

/// What tickets are made with.
#[derive(Debug)]
pub struct Issuer {
    /// Signs them.
    pub signer: Signer,
    /// How long one is good.
    pub time: Duration,
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
        let expires = seconds_now().saturating_add(self.issuer.time.as_secs());
        Some(self.issuer.signer.sign(&Ticket { hash, expires, group: Arc::clone(group) }))
    }
}

impl Guard {
    /// Knows these tokens; whoever shows none may do `anyone`.
    #[must_use]
    pub fn new(tokens: Tokens, anyone: Rights, issuer: Issuer) -> Self {
        Self {
            tokens: RwLock::new(Arc::new(tokens)),
            generation: AtomicU64::new(0),
            changed: watch::Sender::default(),
            anyone,
            penalties: Mutex::default(),
            issuer: Arc::new(issuer),
        }
    }

    /// Knows these tokens from now on. Sessions that showed one that is gone have lost it.
    pub fn replace(&self, tokens: Tokens) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tokens);
        self.generation.fetch_add(1, Ordering::Release);
        self.changed.send_replace(());
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
        if let Some(wait) = penalties.wait(network, WRONG_TOKEN, now) {
            return Err(Denied::Penalised { seconds: wait.as_secs() + 1 });
        }
        let generation = self.generation.load(Ordering::Acquire);
        let found = match shown {
            Credential::Token(secret) => self.tokens().find(secret, seconds_now()).cloned(),
            Credential::Ticket(_) | Credential::Unreadable => Err(Denied::Unknown),
        };
        if found == Err(Denied::Unknown) {
            penalties.note(network, WRONG_TOKEN, now);
        }
        found.map(|grant| Arc::new(Pass { grant, generation, issuer: Arc::clone(&self.issuer) }))
    }

    /// Whether somebody with this pass may do something.
    ///
    /// # Errors
    /// [`Denied`]
    pub fn allow(&self, pass: Option<&Pass>, needed: Right) -> Result<(), Denied> {
        let Some(pass) = pass else {
            return if self.anyone.include(needed) { Ok(()) } else { Err(Denied::NoToken { needed }) };
        };
        self.still_good(pass)?;
        let has = pass.grant.can;
        if has.include(needed) || self.anyone.include(needed) {
            Ok(())
        } else {
            Err(Denied::Lacks { needed, has })
        }
    }

    /// Whether a pass is still one: its token was not taken back, and its time is not over.
    fn still_good(&self, pass: &Pass) -> Result<(), Denied> {
        let is_current = self.generation.load(Ordering::Acquire) == pass.generation;
        if !is_current && !self.tokens().still_have(&pass.grant) {
            return Err(Denied::Unknown);
        }
        if pass.grant.is_over(seconds_now()) { Err(Denied::Expired) } else { Ok(()) }
    }

    /// Waits until a pass is none any more, and says why.
    pub async fn lost(&self, pass: &Pass) -> Denied {
        let mut changed = self.changed.subscribe();
        loop {
            // Looked at after listening began, so nothing is missed.
            if let Err(denied) = self.still_good(pass) {
                return denied;
            }
            // A token's end is on the wall clock, which may be set while we wait; so not for longer than a while.
            let end = pass.grant.expires.map(|end| Duration::from_secs(end.saturating_sub(seconds_now())));
            match end {
                Some(left) => _ = timeout(left.min(CLOCK_LOOKED_AT), changed.changed()).await,
                None => _ = changed.changed().await,
            }
        }
    }

    /// The public half of the key that signs tickets.
    #[must_use]
    pub fn ticket_key(&self) -> Digest {
        self.issuer.signer.public()
    }

    fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A session's wait for the loss of a pass.
pub(crate) struct Losing {
    grant: Arc<Grant>,
    lost: Pin<Box<dyn Future<Output = Denied> + Send + Sync>>,
}

impl Losing {
    pub(crate) fn new(guard: Arc<Guard>, pass: Arc<Pass>) -> Self {
        Self { grant: Arc::clone(&pass.grant), lost: Box::pin(async move { guard.lost(&pass).await }) }
    }

    /// Whether it waits for the loss of the same token.
    pub(crate) fn is_of(&self, pass: &Pass) -> bool {
        self.grant == pass.grant
    }

    /// Why it is lost, once it is.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Denied> {
        self.lost.as_mut().poll(context)
    }
}

impl fmt::Debug for Losing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Losing")
    }
}

/// Seconds since 1970: what a token's end is said in.
fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

//! Accepting: who is let in, one task for each connection, and an orderly end.
//!
//! The loop is `Door::next_event`, which does all the waiting, and `Door::apply`, which decides. Nothing that one connection
//! does can hold up the loop: refusals are spoken in tasks of their own, and a handler that panics ends only its own task.

use crate::backoff::BackOff;
use crate::first::{Opening, opening};
use crate::limits::{ABORT_WAIT, HANDSHAKE_WAIT, LAST_WORDS, LINGERING_MAX, REFUSAL_PATIENCE, UNPROVEN_MAX};
use crate::listen::Listeners;
use crate::lists::{AddressLists, Listed};
use crate::permits::{Denied, Permit, Permits};
use crate::protect::is_local_network;
use crate::stop::StopSignal;
use crate::stream::Stream;
use crate::tls::{Acceptor, HandshakeError};
use crate::unproven::{Place, Unproven};
use bytes::BytesMut;
use proto::tongue::Tongue;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, sleep_until, timeout};

/// Whom to let in.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Serve every address; else only those of [`is_local_network`].
    pub public: bool,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one IPv4 address or one IPv6 /64.
    pub per_address_max: usize,
    /// What a refused connection gets to read before it is closed.
    pub refusal: &'static [u8],
    /// How long connections may go on after the stop.
    pub drain: Duration,
    /// Who is let in, or not, whatever network it is in.
    pub lists: AddressLists,
    /// What a connection in TLS is taken with; without it such a connection goes to the handler as it came.
    pub tls: Option<Acceptor>,
}

/// A connection that has said something, for the handler.
#[derive(Debug)]
pub struct Incoming {
    /// The connection, with [`Self::first`] already taken off it, and after the handshake of TLS.
    pub stream: Stream,
    /// What it began with: at least one byte.
    pub first: BytesMut,
    /// When the first byte came.
    pub first_byte_at: Instant,
    /// What it speaks; `None` when that could not be told in time, or before the stream ended.
    pub tongue: Option<Tongue>,
    /// The other side, an IPv4 address as such.
    pub source: SocketAddr,
    /// The address of ours that the other side reached.
    pub local: SocketAddr,
    /// Keeps the connection counted; to be held as long as the stream.
    pub permit: Permit,
}

/// What happens before and beside the handlers.
#[derive(Debug)]
pub enum AcceptNotice {
    /// A connection was let in. Its handler is called when it has said something.
    Connected {
        /// The other side.
        source: SocketAddr,
    },
    /// A connection ended, or was ended by the stop, before its handler was called.
    EndedUnheard {
        /// The other side.
        source: SocketAddr,
    },
    /// A connection was not let in.
    Refused {
        /// The other side.
        source: SocketAddr,
        /// Why.
        reason: RefusedReason,
    },
    /// The system did not let us accept; told at most once a second, and tried again by itself.
    Trouble(io::Error),
    /// There was no handshake of TLS that came to its end.
    HandshakeFailed {
        /// The other side.
        source: SocketAddr,
        /// Why.
        error: HandshakeError,
    },
    /// A handler panicked; only its own connection is lost.
    HandlerPanicked(JoinError),
}

/// Why a connection was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedReason {
    /// Protected mode, and the source is not in our own network.
    NotLocal,
    /// The operator's lists keep it out.
    Denied,
    /// Too many connections from this IPv4 address or IPv6 /64.
    TooManyFromAddress {
        /// How many there may be.
        max: usize,
    },
    /// It had said nothing, and had waited longest of too many such connections.
    MadeRoom {
        /// How many there may be.
        max: usize,
    },
    /// Connections from there were cut off too often of late.
    Penalised {
        /// For how many seconds no new one is taken.
        seconds: u64,
    },
    /// Too many connections in all.
    TooMany {
        /// How many there may be.
        max: usize,
    },
}

impl From<Denied> for RefusedReason {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::All { max } => Self::TooMany { max },
            Denied::Address { max } => Self::TooManyFromAddress { max },
            Denied::Penalised { seconds } => Self::Penalised { seconds },
        }
    }
}

/// Hears what the accept loop does. Called from the loop itself, so it must not wait for anything.
pub trait AcceptObserver: Send + Sync {
    /// Something happened.
    fn notice(&self, notice: AcceptNotice);
}

/// Accepts connections and hands each to `handler`, in a task of its own, once it has said something. A connection that stays
/// silent has no deadline; one that began gets to the handler at the latest 10 s after its first byte.
///
/// Returns after `stop`: listening ends at once, connections that say nothing within [`LAST_WORDS`] are closed, and handlers (which
/// should hear the same stop) have [`Policy::drain`] to end before they are aborted. Dropping this future ends everything at once.
pub async fn serve<H, F>(
    listeners: Listeners,
    policy: Policy,
    observer: Arc<dyn AcceptObserver>,
    handler: H,
    stop: StopSignal,
) where
    H: Fn(Incoming) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let handler = move |incoming| -> Serving { Box::pin(handler(incoming)) };
    serve_boxed(listeners, policy, observer, handler, stop).await;
}

/// A handler at work.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The same as [`serve`] for a handler that has boxes of several kinds, each of which is not to be put into another box.
pub async fn serve_boxed<H>(
    listeners: Listeners,
    policy: Policy,
    observer: Arc<dyn AcceptObserver>,
    handler: H,
    stop: StopSignal,
) where
    H: Fn(Incoming) -> Serving + Clone + Send + Sync + 'static,
{
    let mut door = Door::new(policy, observer, handler, stop);
    loop {
        match door.next_event(&listeners).await {
            Event::Stopped => break,
            event => door.apply(event),
        }
    }
    drop(listeners);
    door.drain().await;
}

enum Event {
    Stopped,
    Accepted(Stream, SocketAddr),
    Trouble(io::Error),
    TaskEnded(Result<(), JoinError>),
}

struct Door<H> {
    policy: Policy,
    observer: Arc<dyn AcceptObserver>,
    handler: H,
    stop: StopSignal,
    permits: Permits,
    unproven: Unproven,
    lingering: Arc<Semaphore>,
    backoff: BackOff,
    tasks: JoinSet<()>,
}

impl<H> Door<H>
where
    H: Fn(Incoming) -> Serving + Clone + Send + Sync + 'static,
{
    fn new(policy: Policy, observer: Arc<dyn AcceptObserver>, handler: H, stop: StopSignal) -> Self {
        Self {
            permits: Permits::new(policy.connections_max, policy.per_address_max),
            // A door that those who are silent could fill would stay shut: they wait without a deadline.
            unproven: Unproven::new(UNPROVEN_MAX.min((policy.connections_max / 2).max(1)), policy.refusal),
            policy,
            observer,
            handler,
            stop,
            lingering: Arc::new(Semaphore::new(LINGERING_MAX)),
            backoff: BackOff::default(),
            tasks: JoinSet::new(),
        }
    }

    async fn next_event(&mut self, listeners: &Listeners) -> Event {
        let pause = self.backoff.until();
        let accepting = async {
            if let Some(until) = pause {
                sleep_until(until).await;
            }
            listeners.accept().await
        };
        tokio::select! {
            () = self.stop.stopped() => Event::Stopped,
            // Ended tasks are taken away as they end, so that the set holds live ones only.
            Some(ended) = self.tasks.join_next() => Event::TaskEnded(ended),
            accepted = accepting => match accepted {
                Ok((stream, source)) => Event::Accepted(stream, source),
                Err(error) => Event::Trouble(error),
            },
        }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Stopped => {}
            Event::Accepted(stream, source) => {
                self.backoff.worked();
                self.receive(stream, source);
            }
            Event::Trouble(error) => {
                if self.backoff.failed(tokio::time::Instant::now()) {
                    self.observer.notice(AcceptNotice::Trouble(error));
                }
            }
            Event::TaskEnded(ended) => self.note_end(ended),
        }
    }

    fn receive(&mut self, stream: Stream, source: SocketAddr) {
        match self.admit(source) {
            Ok(permit) => {
                self.observer.notice(AcceptNotice::Connected { source });
                let arrival = Arrival { stream, source, permit, place: self.unproven.enter() };
                let tls = self.policy.tls.clone();
                let (handler, observer) = (self.handler.clone(), Arc::clone(&self.observer));
                self.tasks.spawn(attend(arrival, tls, handler, observer, self.stop.clone()));
            }
            Err(reason) => {
                self.observer.notice(AcceptNotice::Refused { source, reason });
                self.refuse(stream);
            }
        }
    }

    fn admit(&self, source: SocketAddr) -> Result<Permit, RefusedReason> {
        match self.policy.lists.judge(source.ip()) {
            Listed::Denied => return Err(RefusedReason::Denied),
            Listed::Allowed => {}
            Listed::Nowhere if self.policy.public || is_local_network(source.ip()) => {}
            Listed::Nowhere => return Err(RefusedReason::NotLocal),
        }
        self.permits.acquire(source.ip()).map_err(RefusedReason::from)
    }

    fn refuse(&mut self, mut stream: Stream) {
        let refusal = self.policy.refusal;
        match Arc::clone(&self.lingering).try_acquire_owned() {
            Ok(place) => {
                self.tasks.spawn(async move {
                    if stream.write_all(refusal, REFUSAL_PATIENCE).await.is_ok() {
                        stream.close_lingering(REFUSAL_PATIENCE).await;
                    }
                    drop(place);
                });
            }
            // Under a flood of refusals nobody is waited for.
            Err(_) => drop(stream.send_now(refusal)),
        }
    }

    fn note_end(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.observer.notice(AcceptNotice::HandlerPanicked(error));
        }
    }

    async fn drain(mut self) {
        let drain = self.policy.drain;
        if timeout(drain, self.all_ended()).await.is_err() {
            self.tasks.abort_all();
            // A task that does not come to an await cannot be aborted, and must not keep us.
            let _ = timeout(ABORT_WAIT, self.all_ended()).await;
        }
    }

    async fn all_ended(&mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            self.note_end(ended);
        }
    }
}

struct Arrival {
    stream: Stream,
    source: SocketAddr,
    permit: Permit,
    place: Place,
}

/// One connection from its acceptance to its end. The two halves are in boxes of their own, so that a silent connection does not
/// already hold the room that its handler will need, and one that is served gives back what telling its tongue took.
fn attend<H>(
    arrival: Arrival,
    tls: Option<Acceptor>,
    handler: H,
    observer: Arc<dyn AcceptObserver>,
    stop: StopSignal,
) -> impl Future<Output = ()>
where
    H: Fn(Incoming) -> Serving,
{
    let meeting = Box::pin(meet(arrival, tls, handler, observer, stop));
    async move {
        let serving = meeting.await;
        if let Some(serving) = serving {
            serving.await;
        }
    }
}

/// A connection until it has said something: its handler at work. As long as it is silent this future is nearly all the memory
/// that it takes.
async fn meet<H>(
    mut arrival: Arrival,
    tls: Option<Acceptor>,
    handler: H,
    observer: Arc<dyn AcceptObserver>,
    stop: StopSignal,
) -> Option<Serving>
where
    H: Fn(Incoming) -> Serving,
{
    let source = arrival.source;
    let mut opened = hear(&mut arrival, &*observer, &stop).await;
    if let (Some(Opening { tongue: Some(Tongue::Tls), .. }), Some(tls)) = (&opened, tls) {
        // Boxed, as a plain connection needs no room for it.
        (arrival, opened) = Box::pin(secure(arrival, opened?, tls, &*observer, &stop)).await?;
    }
    drop(arrival.place);
    let (Some(opened), Ok(local)) = (opened, arrival.stream.local_addr()) else {
        observer.notice(AcceptNotice::EndedUnheard { source });
        return None;
    };
    let incoming = Incoming {
        stream: arrival.stream,
        first: opened.bytes,
        first_byte_at: opened.first_byte_at.into_std(),
        tongue: opened.tongue,
        source,
        local,
        permit: arrival.permit,
    };
    Some(handler(incoming))
}

/// Waits until the connection has said something; `None` when it ended before, or had to.
async fn hear(arrival: &mut Arrival, observer: &dyn AcceptObserver, stop: &StopSignal) -> Option<Opening> {
    let mut may_go = true;
    let mut opening = pin!(opening(&arrival.stream));
    loop {
        tokio::select! {
            biased;
            opened = &mut opening => return opened,
            () = too_late(stop) => return None,
            // Of many who come back at once, some may be told to go before they were heard: they have spoken all the same.
            () = arrival.place.told_to_go(), if may_go => may_go = arrival.stream.has_unread(),
        }
        if may_go {
            may_go = false;
            continue;
        }
        let reason = RefusedReason::MadeRoom { max: arrival.place.max() };
        observer.notice(AcceptNotice::Refused { source: arrival.source, reason });
        // It has said nothing, so nothing unread turns this close into a reset.
        drop(arrival.stream.send_now(arrival.place.refusal()));
        return None;
    }
}

/// Waits until whoever has not begun is not waited for any more.
async fn too_late(stop: &StopSignal) {
    stop.stopped().await;
    // Boxed, as those who are silent long before the stop need no room for it.
    Box::pin(sleep(LAST_WORDS)).await;
}

/// Takes the handshake, and waits until something has been said behind it. Until then the connection has proven nothing: it keeps
/// its place among those that may have to go.
async fn secure(
    arrival: Arrival,
    opened: Opening,
    tls: Acceptor,
    observer: &dyn AcceptObserver,
    stop: &StopSignal,
) -> Option<(Arrival, Option<Opening>)> {
    let Arrival { stream, source, permit, mut place } = arrival;
    let left = HANDSHAKE_WAIT.saturating_sub(opened.first_byte_at.elapsed());
    let shaken = tokio::select! {
        shaken = tls.accept(stream, opened.bytes, left) => shaken,
        () = too_late(stop) => return None,
        () = place.told_to_go() => {
            let reason = RefusedReason::MadeRoom { max: place.max() };
            observer.notice(AcceptNotice::Refused { source, reason });
            return None;
        }
    };
    match shaken {
        Ok(stream) => {
            let mut arrival = Arrival { stream, source, permit, place };
            let opened = hear(&mut arrival, observer, stop).await;
            Some((arrival, opened))
        }
        Err(error) => {
            // What is told is the time that it had in all, not what was left of it.
            let error = match error {
                HandshakeError::TimedOut(_) => HandshakeError::TimedOut(HANDSHAKE_WAIT),
                error => error,
            };
            if matches!(error, HandshakeError::TimedOut(_)) {
                permit.note_cut_off();
            }
            observer.notice(AcceptNotice::HandshakeFailed { source, error });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::{ListenSpec, PortChoice};
    use crate::stop::stop_pair;

    fn policy() -> Policy {
        Policy {
            public: false,
            connections_max: 10,
            per_address_max: 10,
            refusal: b"no",
            drain: Duration::from_secs(1),
            lists: AddressLists::default(),
            tls: None,
        }
    }

    struct Deaf;

    impl AcceptObserver for Deaf {
        fn notice(&self, _: AcceptNotice) {}
    }

    fn ignore(_: Incoming) -> Serving {
        Box::pin(async {})
    }

    fn greedy(_: Incoming) -> Serving {
        Box::pin(async {
            let large = std::hint::black_box([0_u8; 64 * 1024]);
            tokio::task::yield_now().await;
            std::hint::black_box(&large);
        })
    }

    #[tokio::test]
    async fn a_stranger_is_served_only_in_public() {
        let (_stopper, stop) = stop_pair();
        let stranger: SocketAddr = "[2001:db8::1]:7".parse().unwrap();
        let neighbour: SocketAddr = "192.168.0.7:7".parse().unwrap();
        let protected = Door::new(policy(), Arc::new(Deaf), ignore, stop.clone());
        assert_eq!(protected.admit(stranger).err(), Some(RefusedReason::NotLocal));
        assert!(protected.admit(neighbour).is_ok());
        let public = Door::new(Policy { public: true, ..policy() }, Arc::new(Deaf), ignore, stop);
        assert!(public.admit(stranger).is_ok() && public.admit(neighbour).is_ok());
    }

    #[tokio::test]
    async fn a_silent_connection_takes_at_most_a_kibibyte_whatever_its_handler_needs() {
        let any = ListenSpec { address: Some([127, 0, 0, 1].into()), ports: PortChoice::Any };
        let listeners = Listeners::bind(any).unwrap();
        let address = ([127, 0, 0, 1], listeners.port()).into();
        let _client = Stream::connect(address, Duration::from_secs(10)).await.unwrap();
        let (stream, source) = listeners.accept().await.unwrap();
        let permit = Permits::new(1, 1).acquire(source.ip()).unwrap();
        let place = Unproven::new(1, b"").enter();
        let arrival = Arrival { stream, source, permit, place };
        let (_stopper, stop) = stop_pair();
        let task = meet(arrival, None, greedy, Arc::new(Deaf), stop);
        let size = size_of_val(&task);
        assert!(size <= 1024, "{size} bytes");
    }
}

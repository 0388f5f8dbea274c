//! Connections between machines, as TCP makes them look: what is sent comes in its order, late, or the connection breaks.
//!
//! A segment that is lost is sent again, so to whoever reads it is only late. Segments wait for each other at their sender's and
//! their receiver's link. What is on its way into a part of the network that is cut off comes when that is over, or never.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use net::limits::{PRESENCE, USER_TIMEOUT};

use crate::ground;

/// The number of a machine.
pub type HostId = usize;

/// Bytes of one direction that are written and not read.
const WINDOW: usize = 256 * 1024;
/// Bytes that travel together.
const SEGMENT: usize = 64 * 1024;
/// What a lost segment costs at least.
const SENT_AGAIN: Duration = Duration::from_millis(200);
/// The first port that connections go out from.
const OWN_PORTS: u16 = 32_768;

/// How a machine is connected.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Bytes a second that it can send, all together.
    pub up: f64,
    /// Bytes a second that it can receive, all together.
    pub down: f64,
    /// From it to the middle of the net.
    pub delay: Duration,
    /// One segment in so many is lost; 0: none.
    pub loss: u32,
}

/// The network. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Network(Arc<Mutex<State>>);

/// When and how the connecting end of a connection went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) at: Duration,
    /// Nobody could say so.
    pub(super) quietly: bool,
}

#[derive(Debug)]
pub(super) struct State {
    rng: Rng,
    hosts: Vec<Host>,
    cuts: Vec<Cut>,
    pub(super) listening: BTreeMap<(HostId, u16), Listening>,
    pub(super) connections: BTreeMap<u64, Connection>,
    coming: BinaryHeap<Reverse<(Duration, u64)>>,
    events: BTreeMap<u64, Event>,
    numbered: u64,
    /// Machines that have something to do.
    woken: BTreeSet<HostId>,
    /// To be woken when nobody holds this any more.
    wakers: Vec<Waker>,
    gone: BTreeMap<SocketAddr, Gone>,
    trace: blake3::Hasher,
    /// What was noted, a line for each.
    pub(super) log: Vec<String>,
    pub(super) handled: u64,
}

#[derive(Debug)]
struct Host {
    link: Link,
    is_on: bool,
    next_port: u16,
    sends_until: Duration,
    receives_until: Duration,
}

/// Nothing passes between these two.
#[derive(Debug)]
struct Cut {
    between: (HostId, HostId),
    until: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Listening {
    pub(super) waiting: VecDeque<u64>,
    pub(super) wakers: Vec<Waker>,
}

#[derive(Debug)]
pub(super) struct Connection {
    /// First the one that connected.
    pub(super) ends: [End; 2],
    pub(super) is_made: bool,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) host: HostId,
    pub(super) address: SocketAddr,
    pub(super) unread: VecDeque<Bytes>,
    pub(super) is_over: bool,
    pub(super) broken: Option<ErrorKind>,
    /// Bytes written here and not read there.
    pub(super) unacknowledged: usize,
    pub(super) wakers: Vec<Waker>,
    pub(super) has_shut: bool,
    pub(super) aborts: bool,
    pub(super) is_gone: bool,
    pub(super) presence: Duration,
    /// When the last of what was sent arrives.
    arrives: Duration,
}

impl End {
    fn new(host: HostId, address: SocketAddr) -> Self {
        Self {
            host,
            address,
            unread: VecDeque::new(),
            is_over: false,
            broken: None,
            unacknowledged: 0,
            wakers: Vec::new(),
            has_shut: false,
            aborts: false,
            is_gone: false,
            presence: PRESENCE,
            arrives: Duration::ZERO,
        }
    }

    pub(super) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unacknowledged).min(SEGMENT)
    }
}

/// What comes to one end of a connection.
#[derive(Debug)]
enum What {
    /// It is asked for, at the machine that should listen.
    Asks,
    Made,
    Bytes(Bytes),
    Over,
    /// So many bytes were read at the other end.
    Read(usize),
    Breaks(ErrorKind),
}

#[derive(Debug)]
struct Event {
    connection: u64,
    side: usize,
    what: What,
}

/// The address of a machine.
pub(super) fn address_of(host: HostId) -> IpAddr {
    let number = u8::try_from(host).unwrap_or(u8::MAX);
    IpAddr::from([10, 0, 0, number.saturating_add(1)])
}

/// The machine of an address.
pub(super) fn host_of(address: IpAddr) -> Option<HostId> {
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [10, 0, 0, number] => HostId::from(number).checked_sub(1),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

impl Network {
    pub(super) fn new(seed: u64, links: impl Iterator<Item = Link>) -> Self {
        let hosts = links.map(|link| Host {
            link,
            is_on: true,
            next_port: OWN_PORTS,
            sends_until: Duration::ZERO,
            receives_until: Duration::ZERO,
        });
        Self(Arc::new(Mutex::new(State {
            rng: Rng::with_seed(seed),
            hosts: hosts.collect(),
            cuts: Vec::new(),
            listening: BTreeMap::new(),
            connections: BTreeMap::new(),
            coming: BinaryHeap::new(),
            events: BTreeMap::new(),
            numbered: 0,
            woken: BTreeSet::new(),
            wakers: Vec::new(),
            gone: BTreeMap::new(),
            trace: blake3::Hasher::new(),
            log: Vec::new(),
            handled: 0,
        })))
    }

    /// Looks at it or changes it. Whoever has to know is woken afterwards.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = look(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When something comes next.
    pub(super) fn next(&self) -> Option<Duration> {
        self.state().coming.peek().map(|Reverse((at, _))| *at)
    }

    /// Lets everything come that is due.
    pub(super) fn deliver(&self) {
        self.with(State::deliver);
    }

    /// The machines that have something to do.
    pub(super) fn take_woken(&self) -> BTreeSet<HostId> {
        std::mem::take(&mut self.state().woken)
    }

    /// Notes something for the trace.
    pub(super) fn note(&self, what: &str) {
        self.with(|state| {
            let now = ground::now();
            state.trace.update(&now.as_nanos().to_le_bytes()).update(what.as_bytes());
            state.log.push(format!("{:12.6} {what}", now.as_secs_f64()));
        });
    }

    /// A number made of everything that happened.
    pub(super) fn trace(&self) -> String {
        self.state().trace.finalize().to_hex().to_string()
    }

    /// How a connection from there went; `None` while it is there.
    pub(super) fn gone(&self, source: SocketAddr) -> Option<Gone> {
        self.state().gone.get(&source).copied()
    }

    /// Nothing passes between two machines until then.
    pub(super) fn cut(&self, between: (HostId, HostId), until: Duration) {
        self.with(|state| state.cut(between, until));
    }

    /// The machine loses its power: nobody hears a word of it.
    pub(super) fn lose_power(&self, host: HostId) {
        self.with(|state| state.lose_power(host));
    }

    /// It is there again, and knows nothing of its connections.
    pub(super) fn regain_power(&self, host: HostId) {
        self.with(|state| state.regain_power(host));
    }
}

impl State {
    fn deliver(&mut self) {
        while let Some(Reverse((at, number))) = self.coming.peek().copied()
            && at <= ground::now()
        {
            self.coming.pop();
            let Some(event) = self.events.remove(&number) else { continue };
            self.handled += 1;
            let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
            self.trace.update(&nanos.to_le_bytes()).update(&event.connection.to_le_bytes());
            self.handle(event);
        }
    }

    fn handle(&mut self, Event { connection: id, side, what }: Event) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let What::Asks = what {
            return self.asked(id);
        }
        let end = &mut connection.ends[side];
        match what {
            What::Asks => {}
            What::Made => connection.is_made = true,
            // A machine answers for a program that has closed: it wants nothing more.
            What::Bytes(_) if end.is_gone => return self.reset_other(id, side),
            What::Bytes(bytes) => end.unread.push_back(bytes),
            What::Over => end.is_over = true,
            What::Read(bytes) => end.unacknowledged = end.unacknowledged.saturating_sub(bytes),
            What::Breaks(kind) => {
                end.broken.get_or_insert(kind);
                end.unread.clear();
            }
        }
        self.wake(id, side);
    }

    fn asked(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else { return };
        let [_, there] = &connection.ends;
        let place = (there.host, there.address.port());
        match self.listening.get_mut(&place) {
            Some(listening) => {
                listening.waiting.push_back(id);
                self.wakers.append(&mut listening.wakers);
                self.woken.insert(place.0);
                self.send(id, 1, 0, What::Made);
            }
            None => self.send(id, 1, 0, What::Breaks(ErrorKind::ConnectionRefused)),
        }
    }

    fn reset_other(&mut self, id: u64, side: usize) {
        self.send(id, side, 0, What::Breaks(ErrorKind::ConnectionReset));
    }

    /// Whoever waits for this end is told.
    pub(super) fn wake(&mut self, id: u64, side: usize) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let end = &mut connection.ends[side];
            self.wakers.append(&mut end.wakers);
            self.woken.insert(end.host);
        }
    }

    fn after(&mut self, at: Duration, event: Event) {
        self.numbered += 1;
        self.coming.push(Reverse((at, self.numbered)));
        self.events.insert(self.numbered, event);
    }

    /// Begins a connection; `None` when the machine has no port left.
    pub(super) fn connect(&mut self, from: HostId, to: SocketAddr) -> u64 {
        self.numbered += 1;
        let id = self.numbered;
        let host = &mut self.hosts[from];
        let own = SocketAddr::new(address_of(from), host.next_port);
        host.next_port = host.next_port.checked_add(1).unwrap_or(OWN_PORTS);
        let there = host_of(to.ip()).filter(|host| *host < self.hosts.len());
        let ends = [End::new(from, own), End::new(there.unwrap_or(from), to)];
        self.gone.remove(&own);
        self.connections.insert(id, Connection { ends, is_made: false });
        match there {
            Some(_) => self.send(id, 0, 0, What::Asks),
            None => {
                let broken = What::Breaks(ErrorKind::HostUnreachable);
                self.after(ground::now(), Event { connection: id, side: 0, what: broken });
            }
        }
        id
    }

    /// Writes what there is room for.
    pub(super) fn write(&mut self, id: u64, side: usize, bytes: &[u8]) -> usize {
        let Some(connection) = self.connections.get_mut(&id) else { return 0 };
        let end = &mut connection.ends[side];
        let taken = bytes.len().min(end.room());
        end.unacknowledged += taken;
        let bytes = Bytes::copy_from_slice(&bytes[..taken]);
        self.send(id, side, taken, What::Bytes(bytes));
        taken
    }

    /// So many bytes were read here.
    pub(super) fn acknowledge(&mut self, id: u64, side: usize, bytes: usize) {
        self.send(id, side, 0, What::Read(bytes));
    }

    /// The program closes its end.
    pub(super) fn close(&mut self, id: u64, side: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &mut connection.ends[side];
        if std::mem::replace(&mut end.is_gone, true) {
            return self.forget_if_over(id);
        }
        let (source, host) = (end.address, end.host);
        let resets = end.aborts || !end.unread.is_empty();
        let says_it = !end.has_shut && end.broken.is_none();
        let has_timed_out = end.broken == Some(ErrorKind::TimedOut);
        let other = connection.ends[1 - side].host;
        if side == 0 {
            let quietly = self.cut_until(host, other).is_some();
            self.gone.insert(source, Gone { at: ground::now(), quietly });
        }
        match (resets, says_it) {
            _ if has_timed_out => self.is_told_when_it_asks(id, 1 - side),
            (true, _) => self.reset_other(id, side),
            (false, true) => self.send(id, side, 0, What::Over),
            (false, false) => {}
        }
        self.forget_if_over(id);
    }

    /// The other end has been given up in silence. Its machine says so when this end's system asks whether somebody is there.
    fn is_told_when_it_asks(&mut self, id: u64, side: usize) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (asker, asked) = (&connection.ends[side], &connection.ends[1 - side]);
        let (now, presence) = (ground::now(), asker.presence);
        let from = self.cut_until(asker.host, asked.host).unwrap_or_default().max(now);
        // It has heard nothing since now at the latest, and without an answer it gives up.
        let at = (from + presence.mul_f64(self.rng.f64())).min(now + presence);
        self.after(at, Event { connection: id, side, what: What::Breaks(ErrorKind::ConnectionReset) });
    }

    fn forget_if_over(&mut self, id: u64) {
        // What is still on its way finds nobody.
        if self.connections.get(&id).is_some_and(|connection| connection.ends.iter().all(|end| end.is_gone)) {
            self.connections.remove(&id);
        }
    }

    /// Nothing more will be written here.
    pub(super) fn shut(&mut self, id: u64, side: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let end = &mut connection.ends[side];
        if !std::mem::replace(&mut end.has_shut, true) && end.broken.is_none() {
            self.send(id, side, 0, What::Over);
        }
    }

    /// From one side to the other: when it comes, if it does.
    fn send(&mut self, id: u64, from_side: usize, length: usize, what: What) {
        let now = ground::now();
        let Some(connection) = self.connections.get(&id) else { return };
        let (from, to) = (&connection.ends[from_side], &connection.ends[1 - from_side]);
        let (sender, receiver, before) = (from.host, to.host, from.arrives);
        if !self.hosts[sender].is_on {
            return;
        }
        let mut at = self.travels(sender, receiver, length);
        if let Some(until) = self.cut_until(sender, receiver) {
            // It is tried ever less often; but the other side asks as well, and hears then that all is over.
            let most = if matches!(what, What::Bytes(_)) { 60 } else { 5 };
            let pause = until.saturating_sub(now).min(Duration::from_secs(most)).mul_f64(self.rng.f64());
            at = at.max(until + SENT_AGAIN + pause);
        }
        let at = at.max(before);
        let given_up = now + USER_TIMEOUT;
        if !self.hosts[receiver].is_on || at > given_up {
            if self.hosts[receiver].is_on
                && self.connections.get(&id).is_some_and(|one| one.ends[from_side].is_gone)
            {
                return self.is_told_when_it_asks(id, 1 - from_side);
            }
            let broken = What::Breaks(ErrorKind::TimedOut);
            return self.after(given_up, Event { connection: id, side: from_side, what: broken });
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ends[from_side].arrives = at;
        }
        self.after(at, Event { connection: id, side: 1 - from_side, what });
    }

    fn travels(&mut self, sender: HostId, receiver: HostId, length: usize) -> Duration {
        let takes = |rate: f64| Duration::from_secs_f64(length as f64 / rate);
        let from = &mut self.hosts[sender];
        let left = ground::now().max(from.sends_until) + takes(from.link.up);
        from.sends_until = left;
        let Link { delay, loss, .. } = from.link;
        let to = &mut self.hosts[receiver];
        let mut at = left + delay + to.link.delay;
        if loss > 0 && self.rng.u32(0..loss) == 0 {
            at += SENT_AGAIN.mul_f64(1.0 + self.rng.f64());
        }
        at = at.max(to.receives_until) + takes(to.link.down);
        to.receives_until = at;
        at
    }

    fn cut_until(&self, one: HostId, other: HostId) -> Option<Duration> {
        let now = ground::now();
        let holds =
            |cut: &&Cut| cut.until > now && (cut.between == (one, other) || cut.between == (other, one));
        self.cuts.iter().filter(holds).map(|cut| cut.until).max()
    }

    fn cut(&mut self, between: (HostId, HostId), until: Duration) {
        let now = ground::now();
        self.cuts.retain(|cut| cut.until > now);
        self.cuts.push(Cut { between, until });
        for (id, side) in self.ends_between(between) {
            self.miss(id, side, until);
        }
    }

    /// An end hears nothing more of the other one until then.
    fn miss(&mut self, id: u64, side: usize, until: Duration) {
        let Some(connection) = self.connections.get(&id) else { return };
        let presence = connection.ends[side].presence;
        // The system asks at its own times, and the last question may be early.
        let asked = ground::now() + presence.mul_f64(0.85 + 0.15 * self.rng.f64());
        if asked < until {
            let broken = What::Breaks(ErrorKind::TimedOut);
            self.after(asked, Event { connection: id, side, what: broken });
        }
    }

    fn ends_between(&self, (one, other): (HostId, HostId)) -> Vec<(u64, usize)> {
        let ends = self.connections.iter().flat_map(|(id, connection)| {
            let [a, b] = &connection.ends;
            let crosses = (a.host, b.host) == (one, other) || (b.host, a.host) == (one, other);
            [0, 1].into_iter().filter(move |_| crosses).map(move |side| (*id, side))
        });
        ends.collect()
    }

    fn lose_power(&mut self, host: HostId) {
        self.hosts[host].is_on = false;
        self.listening.retain(|(at, _), _| *at != host);
        let lost: Vec<(u64, usize)> = self
            .connections
            .iter()
            .flat_map(|(id, connection)| {
                let of = |side: usize| connection.ends[side].host == host && !connection.ends[side].is_gone;
                [0, 1].into_iter().filter(move |side| of(*side)).map(move |side| (*id, side))
            })
            .collect();
        for (id, side) in lost {
            if let Some(connection) = self.connections.get_mut(&id) {
                let end = &mut connection.ends[side];
                end.is_gone = true;
                end.wakers.clear();
                if side == 0 {
                    self.gone.insert(end.address, Gone { at: ground::now(), quietly: true });
                }
            }
            self.miss(id, 1 - side, Duration::MAX);
        }
    }

    fn regain_power(&mut self, host: HostId) {
        let now = ground::now();
        let known = &mut self.hosts[host];
        (known.is_on, known.sends_until, known.receives_until) = (true, now, now);
        let lost: Vec<(u64, usize)> = self
            .connections
            .iter()
            .filter_map(|(id, connection)| {
                let side = connection.ends.iter().position(|end| end.host == host && end.is_gone)?;
                (!connection.ends[1 - side].is_gone).then_some((*id, 1 - side))
            })
            .collect();
        for (id, side) in lost {
            // What was on its way is sent again, and it says that it knows nothing of it.
            if self.connections.get(&id).is_some_and(|connection| connection.ends[side].unacknowledged > 0) {
                let at = now + SENT_AGAIN.mul_f64(1.0 + 20.0 * self.rng.f64());
                self.after(
                    at,
                    Event { connection: id, side, what: What::Breaks(ErrorKind::ConnectionReset) },
                );
            }
        }
    }
}

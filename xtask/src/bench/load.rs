//! The generator: many connections driven by one thread with epoll, so that it costs less than what it measures.
//!
//! Closed loop: each connection has so many requests in flight, and sends the next ones when all are answered. Open loop: requests
//! are due at a fixed rate whatever the server does, and latency counts from when a request was due. So a server that stops for
//! a while pays for every request that it kept waiting, and not for one only ("coordinated omission").

mod numbers;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

pub(crate) use numbers::Numbers;

use super::server::Server;
use super::talk::Talk;

/// A server that says nothing for this long has failed.
const SILENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
const READ: usize = 64 * 1024;
const EVENTS: usize = 256;
/// Peers that join at the same time.
const JOIN_TOGETHER: usize = 500;
/// Requests in one write while records are put in.
const FILL_BATCH: usize = 64;

/// How long is measured, and how long not yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) elapsed: Duration,
    pub(crate) server_cpu: Duration,
    /// When, since the first request, and how long, both in seconds; in a closed loop one for each batch.
    pub(crate) latencies: Vec<(f64, f64)>,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    pub(crate) fn cpu_per_million(&self) -> f64 {
        self.server_cpu.as_secs_f64() / (self.requests as f64 / 1e6)
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    talk: Talk,
    numbers: Numbers,
    /// Answers that are awaited, in bytes.
    awaited: usize,
    /// Bytes of an answer that is not whole yet.
    partial: usize,
    sent_at: Instant,
    due: VecDeque<Instant>,
}

/// Peers that say each at once what they have to say and stay: an index lets only so many be silent that have said nothing.
pub(crate) fn join(
    address: SocketAddr,
    talks: impl IntoIterator<Item = (Talk, Numbers)>,
) -> anyhow::Result<Vec<Load>> {
    let (mut talks, mut joined) = (talks.into_iter().peekable(), Vec::new());
    while talks.peek().is_some() {
        let mut load = Load::connect(address, talks.by_ref().take(JOIN_TOGETHER))?;
        load.fill()?;
        joined.push(load);
    }
    Ok(joined)
}

/// Connections to one server.
#[derive(Debug)]
pub(crate) struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    out: Vec<u8>,
    room: Vec<u8>,
}

impl Load {
    /// Connects once for each talk.
    pub(crate) fn connect(
        address: SocketAddr,
        talks: impl IntoIterator<Item = (Talk, Numbers)>,
    ) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot make an epoll")?;
        let mut connections = Vec::new();
        for (talk, numbers) in talks {
            let stream = TcpStream::connect(address).context("cannot connect")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(connections.len() as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
            let (sent_at, due) = (Instant::now(), VecDeque::new());
            connections.push(Connection { stream, talk, numbers, awaited: 0, partial: 0, sent_at, due });
        }
        Ok(Self { epoll, connections, out: Vec::new(), room: vec![0; READ] })
    }

    /// Says everything that there is to say, and waits for the answers.
    pub(crate) fn fill(&mut self) -> anyhow::Result<()> {
        let mut busy = 0;
        for at in 0..self.connections.len() {
            busy += usize::from(self.send(at, FILL_BATCH)?);
        }
        while busy > 0 {
            for at in self.wait(Some(&SILENCE))? {
                if self.receive(at)? && !self.send(at, FILL_BATCH)? {
                    busy -= 1;
                }
            }
        }
        Ok(())
    }

    /// The closed loop. `tick` is called between events with the time since the start.
    pub(crate) fn closed(
        &mut self,
        batch: usize,
        window: Window,
        server: &Server,
        tick: &mut dyn FnMut(Duration),
    ) -> anyhow::Result<Measured> {
        let started = Instant::now();
        for at in 0..self.connections.len() {
            self.send(at, batch)?;
        }
        let mut meter = Meter::new(started, window);
        while !meter.is_over(server)? {
            tick(started.elapsed());
            for at in self.wait(Some(&SILENCE))? {
                if self.receive(at)? {
                    meter.note(self.connections[at].sent_at, batch as u64);
                    self.send(at, batch)?;
                }
            }
        }
        self.drain()?;
        meter.finish()
    }

    /// The open loop, at so many requests a second in all.
    pub(crate) fn open(&mut self, rate: f64, window: Window, server: &Server) -> anyhow::Result<Measured> {
        let started = Instant::now();
        let mut meter = Meter::new(started, window);
        let mut sent: u64 = 0;
        while !meter.is_over(server)? {
            let due_by_now = (started.elapsed().as_secs_f64() * rate) as u64;
            while sent < due_by_now {
                let due = started + Duration::from_secs_f64(sent as f64 / rate);
                let at = (sent % self.connections.len() as u64) as usize;
                self.send_more(at, due)?;
                sent += 1;
            }
            for at in self.wait(Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? {
                for due in self.receive_some(at)? {
                    meter.note(due, 1);
                }
            }
        }
        meter.finish()
    }

    /// Takes the answers that are still on their way.
    fn drain(&mut self) -> anyhow::Result<()> {
        while self.connections.iter().any(|connection| connection.awaited > 0) {
            for at in self.wait(Some(&SILENCE))? {
                self.receive(at)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, limit: Option<&Timespec>) -> anyhow::Result<Vec<usize>> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), limit) {
            Ok(0) if limit == Some(&SILENCE) => bail!("the server is silent"),
            Ok(_) => Ok(events.iter().map(|event| event.data.u64() as usize).collect()),
            Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
            Err(error) => Err(error).context("cannot wait for answers"),
        }
    }

    /// Sends the next batch in one write; `false` when there is nothing left to say.
    fn send(&mut self, at: usize, batch: usize) -> anyhow::Result<bool> {
        let Self { connections, out, .. } = self;
        let connection = &mut connections[at];
        out.clear();
        let mut count = 0;
        while count < batch
            && let Some(number) = connection.numbers.next()
        {
            connection.talk.request.write(number, out);
            count += 1;
        }
        connection.awaited = count * connection.talk.answer.len();
        connection.sent_at = Instant::now();
        connection.write(out)?;
        Ok(count > 0)
    }

    /// Sends one request although others may be on their way.
    fn send_more(&mut self, at: usize, due: Instant) -> anyhow::Result<()> {
        let Self { connections, out, .. } = self;
        let connection = &mut connections[at];
        out.clear();
        if let Some(number) = connection.numbers.next() {
            connection.talk.request.write(number, out);
            connection.due.push_back(due);
        }
        connection.write(out)
    }

    /// Takes what has come; `true` when all that was awaited is there.
    fn receive(&mut self, at: usize) -> anyhow::Result<bool> {
        let Self { connections, room, .. } = self;
        let connection = &mut connections[at];
        let count = connection.read(room)?;
        ensure!(count <= connection.awaited, "the answers are longer than they should be");
        connection.awaited -= count;
        Ok(count > 0 && connection.awaited == 0)
    }

    /// Takes what has come: when each request that is answered by it was due.
    fn receive_some(&mut self, at: usize) -> anyhow::Result<Vec<Instant>> {
        let Self { connections, room, .. } = self;
        let connection = &mut connections[at];
        connection.partial += connection.read(room)?;
        let answers = connection.partial / connection.talk.answer.len();
        connection.partial %= connection.talk.answer.len();
        ensure!(answers <= connection.due.len(), "there are more answers than requests");
        Ok(connection.due.drain(..answers).collect())
    }
}

impl Connection {
    fn read(&mut self, room: &mut [u8]) -> anyhow::Result<usize> {
        match self.stream.read(room) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(count) => Ok(count),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(error) => Err(error).context("a connection broke"),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        // Requests are far smaller than what the system takes for a reader that reads.
        self.stream.write_all(bytes).context("the server does not read")
    }
}

/// Counts what falls into the window.
struct Meter {
    started: Instant,
    window: Window,
    begun: Option<(Instant, Duration)>,
    ended: Option<(Instant, Duration)>,
    requests: u64,
    latencies: Vec<(f64, f64)>,
}

impl Meter {
    fn new(started: Instant, window: Window) -> Self {
        Self { started, window, begun: None, ended: None, requests: 0, latencies: Vec::new() }
    }

    fn note(&mut self, since: Instant, requests: u64) {
        if self.begun.is_some() {
            self.requests += requests;
            let at = self.started.elapsed().as_secs_f64();
            self.latencies.push((at, since.elapsed().as_secs_f64()));
        }
    }

    fn is_over(&mut self, server: &Server) -> anyhow::Result<bool> {
        let now = Instant::now();
        let since = now.saturating_duration_since(self.started);
        if self.begun.is_none() && since >= self.window.warm_up {
            self.begun = Some((now, server.cpu()?));
        }
        if since >= self.window.warm_up + self.window.measured {
            self.ended = Some((now, server.cpu()?));
        }
        Ok(self.ended.is_some())
    }

    fn finish(self) -> anyhow::Result<Measured> {
        let (begun, ended) = self.begun.zip(self.ended).context("the window was never reached")?;
        Ok(Measured {
            requests: self.requests,
            elapsed: ended.0.saturating_duration_since(begun.0),
            server_cpu: ended.1.saturating_sub(begun.1),
            latencies: self.latencies,
        })
    }
}

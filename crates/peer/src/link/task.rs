//! The task that owns the connection to the index: connects, registers, asks, and begins anew when the connection is lost.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use net::stop::StopSignal;
use proto::limits::LINGER;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::wire::framing::LineEnd;
use proto::wire::status::StatusCode;
use tokio::sync::{mpsc, oneshot, watch};

use super::backoff::Backoff;
use super::connection::{Claim, Connection, Question};
use super::conversation::Pieces;
use super::v11::AskError;
use super::{Answer, LinkConfig, LinkError, Piece, Registration};
use crate::indexes::{Seat, seated};
use crate::notice::{LinkNotice, Notice, Observer};

/// A question from a handle.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) question: Question,
    /// Told when the question is taken up; closed when nobody waits for that any more.
    pub(super) begun: oneshot::Sender<()>,
    pub(super) reply: Reply,
}

/// Where an answer goes.
#[derive(Debug)]
pub(super) enum Reply {
    Held(oneshot::Sender<Result<Answer, LinkError>>),
    Pieces(mpsc::Sender<Piece>, oneshot::Sender<Result<Option<StatusCode>, LinkError>>),
}

/// What the handles see of the link.
#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) claimed: Option<PeerAddr>,
}

/// How the link is.
#[derive(Debug)]
pub(super) enum Phase {
    Down { cause: String },
    Up,
    Registered(Registration),
    Left,
}

/// What ended a wait on a connection.
enum Event {
    Lost(String),
    Command(Command),
    Register,
}

/// What is still to be registered on this connection, and what was.
struct Registering {
    left: VecDeque<(RfcNumber, String)>,
    done: Registration,
    told: bool,
}

/// The connection and everything that outlives it.
pub(super) struct Task {
    config: LinkConfig,
    observer: Arc<dyn Observer>,
    commands: mpsc::Receiver<Command>,
    state: watch::Sender<State>,
    connection: Option<Connection>,
    settled: Option<LineEnd>,
    /// The right to speak with this cluster, as long as the connection lasts.
    seat: Option<Seat>,
    backoff: Backoff,
}

impl Task {
    pub(super) fn new(
        config: LinkConfig,
        observer: Arc<dyn Observer>,
        commands: mpsc::Receiver<Command>,
    ) -> (Self, watch::Receiver<State>) {
        let phase = Phase::Down { cause: "it has not answered yet".to_owned() };
        let (state, seen) = watch::channel(State { phase, claimed: None });
        let task = Self {
            config,
            observer,
            commands,
            state,
            connection: None,
            settled: None,
            seat: None,
            backoff: Backoff::default(),
        };
        (task, seen)
    }

    /// Keeps the link until it is stopped.
    pub(super) async fn run(mut self, stop: StopSignal) {
        tokio::select! {
            () = stop.stopped() => {}
            () = self.keep() => {}
        }
        if let Some(connection) = self.connection.take() {
            connection.into_stream().close_lingering(LINGER).await;
        }
        self.state.send_modify(|state| state.phase = Phase::Left);
    }

    async fn keep(&mut self) {
        loop {
            let began = Instant::now();
            let (why, lasted) = match self.connect().await {
                Ok(()) => (self.live().await, began.elapsed()),
                Err(error) => (cause(error), Duration::ZERO),
            };
            (self.connection, self.seat) = (None, None);
            self.state.send_modify(|state| state.phase = Phase::Down { cause: why.clone() });
            self.tell(LinkNotice::Lost { why });
            self.backoff.ended(lasted);
            let pause = self.backoff.pause(fastrand::f64());
            self.tell(LinkNotice::RetryIn(pause));
            tokio::time::sleep(pause).await;
        }
    }

    async fn connect(&mut self) -> Result<(), LinkError> {
        if let Some(seats) = &self.config.seats {
            // 1.0 cannot say which cluster it is, so that is asked on a connection of its own.
            self.seat = match seated(&self.config.index, seats).await {
                Ok((_, seat)) => seat,
                Err(AskError::NotV11 { .. }) => None,
                Err(AskError::Link(error)) => return Err(error),
            };
        }
        let claim = Claim { host: self.config.host.as_deref(), port: Some(self.config.upload_port) };
        let connection = Connection::open(&self.config.index, claim, self.settled).await?;
        let claimed = connection.claimed().clone();
        if let Ok(index) = connection.stream().peer_addr() {
            self.tell(LinkNotice::Connected { index, host: claimed.host().to_owned() });
        }
        self.connection = Some(connection);
        self.state.send_replace(State { phase: Phase::Up, claimed: Some(claimed) });
        Ok(())
    }

    /// Serves one connection to its end, and says why it ended.
    async fn live(&mut self) -> String {
        let mut registering = self.what_to_register();
        loop {
            if registering.left.is_empty() && !registering.told {
                registering.told = true;
                self.tell_registered(registering.done);
            }
            let event = self.next_event(!registering.left.is_empty()).await;
            let ended = match event {
                Event::Lost(why) => Err(why),
                Event::Command(command) => self.answer(command).await,
                Event::Register => self.register(&mut registering).await,
            };
            if let Err(why) = ended {
                return why;
            }
        }
    }

    async fn next_event(&mut self, more_to_register: bool) -> Event {
        let Some(connection) = &self.connection else {
            return Event::Lost("there is no connection".to_owned());
        };
        tokio::select! {
            // A lost connection is noticed before a request is spent on it, and people go before files.
            biased;
            why = connection.until_lost() => Event::Lost(why),
            Some(command) = self.commands.recv() => Event::Command(command),
            () = std::future::ready(()), if more_to_register => Event::Register,
        }
    }

    fn what_to_register(&self) -> Registering {
        let mut files = BTreeMap::new();
        if self.config.announce {
            files.extend(self.config.shares.list().into_iter().map(|s| (s.number, s.title.to_string())));
        }
        files.extend(self.by_hand().clone());
        let left = files.into_iter().collect();
        Registering { left, done: Registration { files: 0, refused: 0 }, told: false }
    }

    /// Registers one file; a refusal is told and the next one follows.
    async fn register(&mut self, registering: &mut Registering) -> Result<(), String> {
        let Some((number, title)) = registering.left.pop_front() else { return Ok(()) };
        let answer = self.ask_held(&Question::Add { number, title }).await.map_err(cause)?;
        match answer.status {
            Some(StatusCode::OK) => registering.done.files += 1,
            status => {
                registering.done.refused += 1;
                self.tell(LinkNotice::Refused { number, status });
            }
        }
        Ok(())
    }

    /// Answers a handle; an error ends the connection.
    async fn answer(&mut self, command: Command) -> Result<(), String> {
        let Command { question, begun, reply } = command;
        if begun.send(()).is_err() {
            // Whoever asked has given up.
            return Ok(());
        }
        match reply {
            Reply::Held(reply) => {
                let answer = self.ask_held(&question).await;
                self.remember(question, &answer);
                let ended = answer.as_ref().map(drop).map_err(|error| cause(error.clone()));
                // Whoever asked may have given up meanwhile.
                let _ = reply.send(answer);
                ended
            }
            Reply::Pieces(pieces, reply) => {
                let status = self.ask_in_pieces(&question, pieces).await;
                let ended = status.as_ref().map(drop).map_err(|error| cause(error.clone()));
                let _ = reply.send(status);
                ended
            }
        }
    }

    /// What the index took by hand is registered again on the next connection.
    fn remember(&mut self, question: Question, answer: &Result<Answer, LinkError>) {
        let taken = matches!(answer, Ok(Answer { status: Some(StatusCode::OK), .. }));
        if let (Question::Add { number, title }, true) = (question, taken) {
            self.by_hand().insert(number, title);
        }
    }

    fn by_hand(&self) -> MutexGuard<'_, BTreeMap<RfcNumber, String>> {
        self.config.by_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask_held(&mut self, question: &Question) -> Result<Answer, LinkError> {
        let mut answer = Answer::default();
        let connection = self.connection.as_mut().ok_or(LinkError::Closed)?;
        let status = connection.ask(question, &mut answer).await;
        self.settled = connection.settled();
        answer.status = status?;
        Ok(answer)
    }

    async fn ask_in_pieces(
        &mut self,
        question: &Question,
        pieces: mpsc::Sender<Piece>,
    ) -> Result<Option<StatusCode>, LinkError> {
        let connection = self.connection.as_mut().ok_or(LinkError::Closed)?;
        let mut sink = Pieces::new(|piece| {
            let pieces = pieces.clone();
            async move {
                // Whoever asked may be gone; the rest of the answer must still be taken off the connection.
                let _ = pieces.send(piece).await;
            }
        });
        let status = connection.ask(question, &mut sink).await;
        self.settled = connection.settled();
        status
    }

    fn tell_registered(&self, done: Registration) {
        self.state.send_modify(|state| state.phase = Phase::Registered(done));
        self.tell(LinkNotice::Registered { files: done.files, refused: done.refused });
    }

    fn tell(&self, notice: LinkNotice) {
        self.observer.notice(Notice::Link(notice));
    }
}

/// Why a connection ended or was not made, without what everybody knows: which index it was.
fn cause(error: LinkError) -> String {
    match error {
        LinkError::Unreachable { cause, .. } | LinkError::Lost { cause } => cause,
        other => other.to_string(),
    }
}

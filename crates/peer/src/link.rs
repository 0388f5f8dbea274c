//! The connection to the index: kept, renewed and used for questions, or made for a single question.
//!
//! A [`Link`] is a handle to one task that owns the connection, so that requests never overtake each other: existing indexes
//! answer only the first of two requests that come together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use net::stop::{Stopper, stop_pair};
use proto::access::tokens::Secret;
use proto::limits::LINGER;
use proto::value::ValueError;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use proto::wire::answer_decoder::AnswerError;
use proto::wire::record::Record;
use proto::wire::status::StatusCode;
use tokio::sync::{mpsc, oneshot};

use crate::dial::Tls;
use crate::indexes::Seats;
use crate::notice::Observer;
use crate::shares::ShareTable;
use connection::{Claim, Connection, Question};
use conversation::{Pieces, Sink};
use task::{Command, Phase, Reply, State, Task};

pub(crate) mod backoff;
mod connection;
mod conversation;
mod task;
pub(crate) mod v11;
pub mod watch;

/// Questions that wait for their turn; more wait with whoever asks.
const COMMANDS_WAITING: usize = 16;
/// Pieces of an answer that wait for whoever asked; then the index waits.
const PIECES_WAITING: usize = 4;

/// Where the index is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexAddr {
    /// A name or an address (IPv6 without brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
    /// In TLS, or in plain text.
    pub tls: Option<Box<Tls>>,
    /// What is shown to be let in.
    pub token: Option<Arc<Secret>>,
}

impl IndexAddr {
    /// In plain text.
    #[must_use]
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, tls: None, token: None }
    }
}

impl std::fmt::Display for IndexAddr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// What a link needs to know.
#[derive(Debug, Clone)]
pub struct LinkConfig {
    /// Where the index is.
    pub index: IndexAddr,
    /// The host to claim; by default the local address of the connection.
    pub host: Option<String>,
    /// The port of our upload server.
    pub upload_port: Port,
    /// What is shared.
    pub shares: Arc<ShareTable>,
    /// Whether everything of `shares` is registered whenever a connection is made. What was added by hand always is.
    pub announce: bool,
    /// Where there are other links: no two of them are with one cluster.
    pub seats: Option<Arc<Seats>>,
    /// What was added by hand, shared with other links.
    pub by_hand: ByHand,
}

/// Files that were added by hand and taken, with their titles.
pub type ByHand = Arc<Mutex<BTreeMap<RfcNumber, String>>>;

/// An answer of the index, held in memory: at most [`proto::limits::ANSWER_BYTES_MAX`] bytes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status; `None` where the answer had none.
    pub status: Option<StatusCode>,
    /// Its bytes as they came.
    pub raw: Vec<u8>,
    /// Its records, in their order.
    pub records: Vec<OwnedRecord>,
}

/// A piece of an answer that is too long to be held: whole lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes as they came.
    pub raw: Vec<u8>,
    /// Its records, in their order.
    pub records: Vec<OwnedRecord>,
}

/// A record, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The RFC.
    pub number: RfcNumber,
    /// Its title, any characters; what was not UTF-8 is replaced. To be escaped where it is shown.
    pub title: String,
    /// Who has it.
    pub peer: PeerAddr,
}

impl From<Record<'_>> for OwnedRecord {
    fn from(record: Record<'_>) -> Self {
        let title = String::from_utf8_lossy(record.title).into_owned();
        Self { number: record.number, title, peer: record.peer() }
    }
}

/// How a first registration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// Files that the index took.
    pub files: usize,
    /// Files that it refused.
    pub refused: usize,
}

/// Why a question to the index has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LinkError {
    /// There is no connection.
    #[error("the index {index} cannot be reached: {cause}")]
    Unreachable {
        /// Where the index should be.
        index: IndexAddr,
        /// Why, in words.
        cause: String,
    },
    /// It cannot be spoken to in TLS, or is not who it should be.
    #[error("no secure connection to the index {index}: {cause}")]
    Insecure {
        /// Where the index should be.
        index: IndexAddr,
        /// Why, in words, and what to do.
        cause: String,
    },
    /// The index refuses us, whatever we ask.
    #[error("the index {index} refuses us: {reason}")]
    Refused {
        /// Where the index is.
        index: IndexAddr,
        /// In the index's words: any characters.
        reason: String,
    },
    /// The connection broke before the answer was whole.
    #[error("the connection to the index broke: {cause}")]
    Lost {
        /// Why, in words.
        cause: String,
    },
    /// The index does not answer, or its answer cannot be read.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A title that cannot be sent.
    #[error("the title is {0}")]
    Title(ValueError),
    /// A host that cannot be claimed.
    #[error("the host name to claim is {0}")]
    Host(ValueError),
    /// The link was left.
    #[error("the link to the index is closed")]
    Closed,
}

/// A handle to the lasting connection; a clone is the same one. When the last handle is dropped the connection is closed.
#[derive(Debug, Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    index: IndexAddr,
    commands: mpsc::Sender<Command>,
    state: tokio::sync::watch::Receiver<State>,
    /// Dropped with the last handle, which is a stop too.
    stopper: Stopper,
}

impl Link {
    /// Begins to connect, in a task of its own; from then on the link mends itself until [`Self::leave`]. Must be called within
    /// a tokio runtime.
    ///
    /// # Errors
    /// [`LinkError::Host`] when the host to claim is none.
    pub fn start(config: LinkConfig, observer: Arc<dyn Observer>) -> Result<Self, LinkError> {
        if let Some(host) = &config.host {
            Host::parse(host.as_bytes()).map_err(LinkError::Host)?;
        }
        let index = config.index.clone();
        let (commands, to_do) = mpsc::channel(COMMANDS_WAITING);
        let (stopper, stop) = stop_pair();
        let (task, state) = Task::new(config, observer, to_do);
        tokio::spawn(task.run(stop));
        Ok(Self { inner: Arc::new(Inner { index, commands, state, stopper }) })
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    /// [`LinkError::Unreachable`] with the last cause when there is none `within` that time.
    pub async fn connected(&self, within: Duration) -> Result<(), LinkError> {
        self.until(within, |phase| match phase {
            Phase::Up | Phase::Registered(_) => Some(()),
            Phase::Down { .. } | Phase::Left => None,
        })
        .await
    }

    /// Waits until everything that is shared has been registered once on the present connection.
    ///
    /// # Errors
    /// As [`Self::connected`].
    pub async fn registered(&self, within: Duration) -> Result<Registration, LinkError> {
        self.until(within, |phase| match phase {
            Phase::Registered(registration) => Some(*registration),
            Phase::Up | Phase::Down { .. } | Phase::Left => None,
        })
        .await
    }

    /// The host that we claim and our upload port, as the index knows them from us; `None` before the first connection.
    #[must_use]
    pub fn claimed(&self) -> Option<PeerAddr> {
        self.inner.state.borrow().claimed.clone()
    }

    /// Registers a file. What the index took is registered again on each new connection. The time bounds the wait for a
    /// connection; the answer has bounds of its own.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn add(&self, number: RfcNumber, title: &str, within: Duration) -> Result<Answer, LinkError> {
        self.ask(Question::add(number, title)?, within).await
    }

    /// Asks who has a file. The title is only passed on.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn lookup(
        &self,
        number: RfcNumber,
        title: Option<&str>,
        within: Duration,
    ) -> Result<Answer, LinkError> {
        self.ask(Question::lookup(number, title)?, within).await
    }

    /// Asks for every record. `sink` gets the answer in pieces as they come; nothing of it is kept.
    ///
    /// # Errors
    /// [`LinkError`]; pieces may have been given before.
    pub async fn list(
        &self,
        within: Duration,
        sink: &mut (dyn FnMut(Piece) + Send),
    ) -> Result<Option<StatusCode>, LinkError> {
        let deadline = Instant::now() + within;
        let mut again = true;
        loop {
            let (reply, answer) = oneshot::channel();
            let (pieces, mut coming) = mpsc::channel(PIECES_WAITING);
            self.hand_over(Question::List, Reply::Pieces(pieces, reply), deadline).await?;
            while let Some(piece) = coming.recv().await {
                again = false;
                sink(piece);
            }
            match answer.await {
                Ok(Err(LinkError::Lost { .. })) if again && Instant::now() < deadline => again = false,
                answer => return answer.unwrap_or(Err(LinkError::Closed)),
            }
        }
    }

    /// Closes the connection, and with it our records at the index go. Other handles get [`LinkError::Closed`] from now on.
    pub async fn leave(self) {
        self.inner.stopper.stop();
        let mut state = self.inner.state.clone();
        // The task ends by itself soon after; an error means that it is gone already.
        let left = state.wait_for(|state| matches!(state.phase, Phase::Left));
        let _ = tokio::time::timeout(LINGER + LINGER, left).await;
    }

    async fn until<T>(
        &self,
        within: Duration,
        reached: impl Fn(&Phase) -> Option<T>,
    ) -> Result<T, LinkError> {
        let mut state = self.inner.state.clone();
        let over = |state: &State| matches!(state.phase, Phase::Left) || reached(&state.phase).is_some();
        match tokio::time::timeout(within, state.wait_for(over)).await {
            Ok(Ok(state)) => reached(&state.phase).ok_or(LinkError::Closed),
            Ok(Err(_)) => Err(LinkError::Closed),
            Err(_) => Err(self.unreachable()),
        }
    }

    /// A question whose answer is held. All questions may be repeated: one that was lost with its connection is asked once more.
    async fn ask(&self, question: Question, within: Duration) -> Result<Answer, LinkError> {
        let deadline = Instant::now() + within;
        let mut again = true;
        loop {
            let (reply, answer) = oneshot::channel();
            self.hand_over(question.clone(), Reply::Held(reply), deadline).await?;
            match answer.await {
                Ok(Err(LinkError::Lost { .. })) if again && Instant::now() < deadline => again = false,
                answer => return answer.unwrap_or(Err(LinkError::Closed)),
            }
        }
    }

    /// Waits until the task takes the question up.
    async fn hand_over(&self, question: Question, reply: Reply, deadline: Instant) -> Result<(), LinkError> {
        let (begun, has_begun) = oneshot::channel();
        let command = Command { question, begun, reply };
        let handing = async {
            self.inner.commands.send(command).await.map_err(|_| LinkError::Closed)?;
            has_begun.await.map_err(|_| LinkError::Closed)
        };
        let handed = tokio::time::timeout_at(deadline.into(), handing).await;
        handed.unwrap_or_else(|_| Err(self.unreachable()))
    }

    fn unreachable(&self) -> LinkError {
        let cause = match &self.inner.state.borrow().phase {
            Phase::Down { cause } => cause.clone(),
            Phase::Up | Phase::Registered(_) => "it is still busy with earlier requests".to_owned(),
            Phase::Left => return LinkError::Closed,
        };
        LinkError::Unreachable { index: self.inner.index.clone(), cause }
    }
}

/// Asks who has a file, on a connection for this one question: an error comes at once. `host` is claimed; by default the local
/// address of the connection.
///
/// # Errors
/// [`LinkError`].
pub async fn lookup_once(
    index: &IndexAddr,
    host: Option<&str>,
    number: RfcNumber,
) -> Result<Answer, LinkError> {
    let mut answer = Answer::default();
    let question = Question::lookup(number, None)?;
    answer.status = ask_once(index, host, &question, &mut answer).await?;
    Ok(answer)
}

/// Asks for every record, on a connection for this one question: as [`Link::list`], but an error comes at once.
///
/// # Errors
/// [`LinkError`]; pieces may have been given before.
pub async fn list_once(
    index: &IndexAddr,
    host: Option<&str>,
    sink: &mut (dyn FnMut(Piece) + Send),
) -> Result<Option<StatusCode>, LinkError> {
    let mut pieces = Pieces::new(|piece| {
        sink(piece);
        std::future::ready(())
    });
    ask_once(index, host, &Question::List, &mut pieces).await
}

async fn ask_once<S: Sink>(
    index: &IndexAddr,
    host: Option<&str>,
    question: &Question,
    sink: &mut S,
) -> Result<Option<StatusCode>, LinkError> {
    let mut connection = Connection::open(index, Claim { host, port: None }, None).await?;
    connection.ask(question, sink).await
}

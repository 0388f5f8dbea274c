//! The connection to the index: kept, renewed and used for questions, or made for a single question.
//!
//! A [`Link`] is a handle to one task that owns the connection, so that requests never overtake each other: existing indexes
//! answer only the first of two requests that come together.

use std::sync::Arc;
use std::time::Duration;

use proto::value::ValueError;
use proto::value::host::PeerAddr;
use proto::value::number::{Port, RfcNumber};
use proto::wire::answer_decoder::AnswerError;
use proto::wire::record::Record;
use proto::wire::status::StatusCode;

use crate::notice::Observer;
use crate::shares::ShareTable;

/// Where the index is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IndexAddr {
    /// A name or an address (IPv6 without brackets).
    pub host: String,
    /// Its port.
    pub port: u16,
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
}

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
#[derive(Clone)]
pub struct Link {
    _config: Arc<LinkConfig>,
}

impl Link {
    /// Begins to connect, in a task of its own; from then on the link mends itself until [`Self::leave`]. Must be called within
    /// a tokio runtime.
    ///
    /// # Errors
    /// [`LinkError::Host`] when the host to claim is none.
    pub fn start(config: LinkConfig, observer: Arc<dyn Observer>) -> Result<Self, LinkError> {
        let _ = observer;
        Ok(Self { _config: Arc::new(config) })
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    /// [`LinkError::Unreachable`] with the last cause when there is none `within` that time.
    pub async fn connected(&self, within: Duration) -> Result<(), LinkError> {
        let _ = within;
        Err(LinkError::Closed)
    }

    /// Waits until everything that is shared has been registered once on the present connection.
    ///
    /// # Errors
    /// As [`Self::connected`].
    pub async fn registered(&self, within: Duration) -> Result<Registration, LinkError> {
        let _ = within;
        Err(LinkError::Closed)
    }

    /// The host that we claim and our upload port, as other peers get to know them from us; `None` before the first connection.
    #[must_use]
    pub fn claimed(&self) -> Option<PeerAddr> {
        None
    }

    /// Registers a file. What the index took is registered again on each new connection. The time bounds the wait for a
    /// connection; the answer has bounds of its own.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn add(&self, number: RfcNumber, title: &str, within: Duration) -> Result<Answer, LinkError> {
        let _ = (number, title, within);
        Err(LinkError::Closed)
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
        let _ = (number, title, within);
        Err(LinkError::Closed)
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
        let _ = (within, sink);
        Err(LinkError::Closed)
    }

    /// Closes the connection, and with it our records at the index go. Other handles get [`LinkError::Closed`] from now on.
    pub async fn leave(self) {}
}

/// Asks who has a file, on a connection for this one question: an error comes at once.
///
/// # Errors
/// [`LinkError`].
pub async fn lookup_once(
    index: &IndexAddr,
    host: Option<&str>,
    number: RfcNumber,
) -> Result<Answer, LinkError> {
    let _ = (index, host, number);
    Err(LinkError::Closed)
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
    let _ = (index, host, sink);
    Err(LinkError::Closed)
}

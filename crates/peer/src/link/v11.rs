//! A connection to an index that speaks 1.1: requests with bodies, answers in order.

use std::net::IpAddr;
use std::time::Duration;

use bytes::BytesMut;
use net::stream::{Stream, WriteError};
use proto::access::credential::Credential;
use proto::access::tokens::Secret;
use proto::limits::{ANSWER_STALL, LADDER_SILENCE, WRITE_STALL};
use proto::wire::status::StatusCode;
use proto::wire::v11::answer::{AnswerDecoder, Decoded, ReadAnswer};
use proto::wire::v11::body::{Refused, lines, parse_line};
use proto::wire::v11::request::Ask;
use tokio::time::timeout;

use super::{IndexAddr, LinkError};
use crate::dial;

/// The status of what answers nothing.
const WANTED: u16 = 103;
/// Bytes of an answer that are read at once.
const READ: usize = 64 * 1024;

/// An answer of 1.1, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) cursor: Option<String>,
    pub(crate) warming: Option<Duration>,
    pub(crate) incomplete: bool,
    pub(crate) cluster: Option<String>,
    pub(crate) stale: bool,
    pub(crate) body: Vec<u8>,
}

impl Told {
    /// Why it is a refusal, in the index's words.
    pub(crate) fn reason(&self) -> String {
        let told = lines(&self.body).find_map(|(_, line)| parse_line::<Refused>(line).ok());
        told.map_or_else(|| "no reason given".to_owned(), |refused| refused.reason)
    }
}

/// Why there is no answer of 1.1.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum AskError {
    /// The index speaks something older, or nothing at all: 1.0 is to be tried on a new connection.
    #[error("the index does not speak P2P-CI/1.1")]
    NotV11 {
        /// It answered, which an index that is swamped or dies does not.
        answered: bool,
    },
    /// Anything else.
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// A connection on which 1.1 is spoken.
#[derive(Debug)]
pub(crate) struct Connection {
    index: IndexAddr,
    stream: Stream,
    decoder: AnswerDecoder,
    /// What came before an answer and answers nothing.
    wanted: Vec<Told>,
    /// Whether an answer of 1.1 has come: from then on silence is trouble, not an older index.
    settled: bool,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(index: &IndexAddr) -> Result<Self, LinkError> {
        Ok(Self::over(dial::index(index).await?, index))
    }

    /// On a stream on which nothing was said yet.
    pub(crate) fn over(stream: Stream, index: &IndexAddr) -> Self {
        let index = index.clone();
        Self { index, stream, decoder: AnswerDecoder::default(), wanted: Vec::new(), settled: false }
    }

    /// Where the index is.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.stream.peer_addr().ok().map(|address| address.ip())
    }

    /// The connection itself.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Asks, and waits for the answer; `longer` is how long the index may wait on its side. After an error the connection is of no
    /// further use.
    pub(crate) async fn ask(&mut self, ask: &Ask<'_>, longer: Duration) -> Result<Told, AskError> {
        let mut request = Vec::new();
        ask.write(&mut request);
        let written = self.stream.write_all(&request, WRITE_STALL).await;
        // An older index may have closed before it read everything: its answer says so.
        let trouble = written.err().map(|error| match error {
            WriteError::Stalled => lost("the index takes no more bytes"),
            WriteError::Io(error) => lost(&error.to_string()),
        });
        match (self.answer(longer).await, trouble) {
            (Err(AskError::Link(_)), Some(trouble)) => Err(trouble.into()),
            (answer, _) => answer,
        }
    }

    /// Asks something small, which an older index understands to be beyond it, and learns which cluster the index belongs to.
    pub(crate) async fn greet(&mut self) -> Result<Option<String>, AskError> {
        Ok(self.ping(None).await?.cluster)
    }

    /// Shows a token. What it is for the connection has from then on, in whatever version it speaks.
    pub(crate) async fn show(mut self, token: Secret) -> Result<Stream, AskError> {
        self.ping(Some(Credential::Token(token))).await?;
        Ok(self.stream)
    }

    async fn ping(&mut self, token: Option<Credential>) -> Result<Told, AskError> {
        let ping = Ask::Ping { asks_cluster: token.is_none(), sending: None, token };
        let told = self.ask(&ping, Duration::ZERO).await?;
        match told.status.is_error() {
            true => Err(LinkError::Refused { index: self.index.clone(), reason: told.reason() }.into()),
            false => Ok(told),
        }
    }

    /// What the index wants, as far as it came while an answer was waited for.
    pub(crate) fn wanted(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.wanted)
    }

    /// Waits for something that the index tells by itself, as long as the connection lasts. Safe to cancel.
    pub(crate) async fn unasked(&mut self) -> Result<Told, LinkError> {
        let mut piece = BytesMut::new();
        loop {
            match self.decoded() {
                Ok(Some(told)) => return Ok(told),
                Ok(None) => {}
                Err(AskError::NotV11 { .. }) => return Err(lost("its answer cannot be understood")),
                Err(AskError::Link(error)) => return Err(error),
            }
            piece.clear();
            match self.stream.read(&mut piece).await {
                Ok(1..) => self.decoder.push(&piece),
                Ok(0) => return Err(lost("the index closed the connection")),
                Err(error) => return Err(lost(&error.to_string())),
            }
        }
    }

    /// The next answer, if it has come.
    fn decoded(&mut self) -> Result<Option<Told>, AskError> {
        match self.decoder.poll() {
            Decoded::Answer(ReadAnswer { status, cursor, warming, incomplete, cluster, stale, body }) => {
                self.settled = true;
                Ok(Some(Told { status, cursor, warming, incomplete, cluster, stale, body: body.to_vec() }))
            }
            Decoded::NotV11 if !self.settled => Err(AskError::NotV11 { answered: true }),
            Decoded::NotV11 | Decoded::Broken => Err(lost("its answer cannot be understood").into()),
            Decoded::Pending => Ok(None),
        }
    }

    async fn answer(&mut self, longer: Duration) -> Result<Told, AskError> {
        let mut piece = BytesMut::with_capacity(READ);
        loop {
            if let Some(told) = self.decoded()? {
                if told.status.get() != WANTED {
                    return Ok(told);
                }
                self.wanted.push(told);
                continue;
            }
            piece.clear();
            let patience = if self.settled { ANSWER_STALL } else { LADDER_SILENCE } + longer;
            match timeout(patience, self.stream.read(&mut piece)).await {
                Ok(Ok(1..)) => self.decoder.push(&piece),
                Ok(_) if !self.settled => return Err(AskError::NotV11 { answered: false }),
                Ok(Ok(0)) => return Err(lost("the index closed the connection").into()),
                Ok(Err(error)) => return Err(lost(&error.to_string()).into()),
                Err(_) if !self.settled => return Err(AskError::NotV11 { answered: false }),
                Err(_) => return Err(lost("the index does not answer").into()),
            }
        }
    }
}

fn lost(cause: &str) -> LinkError {
    LinkError::Lost { cause: cause.to_owned() }
}

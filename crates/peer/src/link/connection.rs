//! A connection to the index, and the way of writing that the index understands.
//!
//! Requests go out as specified. An index that answers 505 or not at all gets the same request once more on a new connection,
//! in lines that end in LF; what worked is kept.

use std::time::{Duration, Instant};

use net::stream::Stream;
use proto::limits::{ANSWER_BYTES_MAX, ANSWER_STALL, FIRST_ANSWER, LIST_BYTES_MAX, REQUEST_BYTES_MAX};
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use proto::value::title::Title;
use proto::wire::add::Add;
use proto::wire::answer_decoder::{AnswerDecoder, AnswerError, Expected};
use proto::wire::framing::LineEnd;
use proto::wire::list::List;
use proto::wire::lookup::Lookup;
use proto::wire::status::StatusCode;

use super::conversation::{ConversationError, Sink, exchange, until_lost};
use super::{IndexAddr, LinkError};
use crate::dial;

/// What the index is asked. Titles in it are valid: see [`Question::add`] and [`Question::lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Add { number: RfcNumber, title: String },
    Lookup { number: RfcNumber, title: Option<String> },
    List,
}

impl Question {
    pub(super) fn add(number: RfcNumber, title: &str) -> Result<Self, LinkError> {
        let title = Title::parse(title.as_bytes()).map_err(LinkError::Title)?.as_str().to_owned();
        Ok(Self::Add { number, title })
    }

    /// A title of white space alone is none.
    pub(super) fn lookup(number: RfcNumber, title: Option<&str>) -> Result<Self, LinkError> {
        let title = title.map(str::trim).filter(|title| !title.is_empty());
        let title =
            title.map(|title| Title::parse(title.as_bytes()).map_err(LinkError::Title)).transpose()?;
        Ok(Self::Lookup { number, title: title.map(|title| title.as_str().to_owned()) })
    }

    fn decoder(&self) -> AnswerDecoder {
        let (expected, bytes_max) = match self {
            Self::Add { .. } => (Expected::OneRecord, ANSWER_BYTES_MAX),
            Self::Lookup { .. } => (Expected::Records, ANSWER_BYTES_MAX),
            Self::List => (Expected::Records, LIST_BYTES_MAX),
        };
        AnswerDecoder::new(expected, bytes_max, Instant::now())
    }

    fn write(&self, claimed: &PeerAddr, end: LineEnd) -> Vec<u8> {
        let mut out = Vec::with_capacity(REQUEST_BYTES_MAX);
        let host = Host::parse(claimed.host().as_bytes()).expect("a PeerAddr holds a valid host");
        let port = claimed.port();
        match self {
            Self::Add { number, title } => {
                let title = Title::parse(title.as_bytes()).expect("checked when the question was made");
                Add { number: *number, host, port, title }.write(end, &mut out);
            }
            Self::Lookup { number, title } => {
                let title = title.as_ref().and_then(|title| Title::parse(title.as_bytes()).ok());
                Lookup { number: *number, host: Some(host), port: Some(port), title }.write(end, &mut out);
            }
            Self::List => List { host: Some(host), port: Some(port) }.write(end, &mut out),
        }
        out
    }
}

/// Who we say that we are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    /// By default the local address of the connection.
    pub(super) host: Option<&'a str>,
    /// By default the local port of the connection, which means nothing to anybody: for those who serve no files.
    pub(super) port: Option<Port>,
}

/// A connection to the index.
#[derive(Debug)]
pub(super) struct Connection {
    index: IndexAddr,
    stream: Stream,
    claimed: PeerAddr,
    settled: Option<LineEnd>,
}

impl Connection {
    /// Connects. `settled` is the way of writing that worked before, if one did.
    pub(super) async fn open(
        index: &IndexAddr,
        claim: Claim<'_>,
        settled: Option<LineEnd>,
    ) -> Result<Self, LinkError> {
        let stream = dial::index(index).await?;
        let local = stream.local_addr().map_err(|error| lost(&error))?;
        let own_host = local.ip().to_string();
        let host = Host::parse(claim.host.unwrap_or(&own_host).as_bytes()).map_err(LinkError::Host)?;
        let port = claim.port.or_else(|| Port::new(local.port()));
        let port = port.expect("a connected socket has a port");
        Ok(Self { index: index.clone(), stream, claimed: PeerAddr::new(host, port), settled })
    }

    /// Who we say that we are.
    pub(super) fn claimed(&self) -> &PeerAddr {
        &self.claimed
    }

    /// The way of writing that worked, if something did.
    pub(super) fn settled(&self) -> Option<LineEnd> {
        self.settled
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Asks one question. After an error the connection is of no further use.
    pub(super) async fn ask<S: Sink>(
        &mut self,
        question: &Question,
        sink: &mut S,
    ) -> Result<Option<StatusCode>, LinkError> {
        let status = match self.settled {
            Some(end) => self.ask_in(end, ANSWER_STALL, question, sink).await,
            None => self.ask_first(question, sink).await,
        };
        let status = status.map_err(LinkError::from)?;
        sink.flush().await;
        Ok(status)
    }

    async fn ask_first<S: Sink>(
        &mut self,
        question: &Question,
        sink: &mut S,
    ) -> Result<Option<StatusCode>, ConversationError> {
        let first = self.ask_in(LineEnd::CrLf, FIRST_ANSWER, question, sink).await;
        if !not_understood(&first) {
            self.settled = first.is_ok().then_some(LineEnd::CrLf);
            return first;
        }
        sink.reset();
        let again = dial::index(&self.index).await;
        self.stream =
            again.map_err(|error| ConversationError::Lost { cause: error.to_string(), heard: false })?;
        let second = self.ask_in(LineEnd::Lf, FIRST_ANSWER, question, sink).await;
        self.settled = match &second {
            Err(_) => None,
            Ok(Some(StatusCode::VERSION_NOT_SUPPORTED)) => Some(LineEnd::CrLf),
            Ok(_) => Some(LineEnd::Lf),
        };
        second
    }

    async fn ask_in<S: Sink>(
        &mut self,
        end: LineEnd,
        first: Duration,
        question: &Question,
        sink: &mut S,
    ) -> Result<Option<StatusCode>, ConversationError> {
        let request = question.write(&self.claimed, end);
        exchange(&mut self.stream, &request, question.decoder(), first, sink).await
    }

    /// Waits until the idle connection is gone, and says why. Safe to cancel.
    pub(super) async fn until_lost(&self) -> String {
        until_lost(&self.stream).await
    }
}

fn lost(error: &std::io::Error) -> LinkError {
    LinkError::Lost { cause: error.to_string() }
}

/// Whether the index perhaps did not understand how the request was written.
fn not_understood(answer: &Result<Option<StatusCode>, ConversationError>) -> bool {
    matches!(
        answer,
        Ok(Some(StatusCode::VERSION_NOT_SUPPORTED))
            | Err(
                ConversationError::Lost { heard: false, .. } | ConversationError::Answer(AnswerError::Silent)
            )
    )
}

impl From<ConversationError> for LinkError {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::Lost { cause, .. } => Self::Lost { cause },
            ConversationError::Answer(error) => Self::Answer(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::limits::{HOST_BYTES_MAX, TITLE_BYTES_MAX};

    #[test]
    fn the_longest_request_fits_one_read_of_existing_programs() {
        let host = "h".repeat(HOST_BYTES_MAX);
        let claimed = PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(65535).unwrap());
        let title = "t".repeat(TITLE_BYTES_MAX);
        let number = RfcNumber::new(u32::MAX).unwrap();
        for question in [
            Question::add(number, &title).unwrap(),
            Question::lookup(number, Some(&title)).unwrap(),
            Question::List,
        ] {
            let request = question.write(&claimed, LineEnd::CrLf);
            assert!(request.len() <= REQUEST_BYTES_MAX && request.ends_with(b"\r\n\r\n"));
        }
    }

    #[test]
    fn titles_are_checked_before_anything_is_sent() {
        let number = RfcNumber::MIN;
        for bad in ["", "  ", "a\nb", "\x1b[2J"] {
            assert!(matches!(Question::add(number, bad), Err(LinkError::Title(_))), "{bad:?}");
        }
        assert_eq!(Question::lookup(number, Some(" ")).unwrap(), Question::Lookup { number, title: None });
        assert!(Question::lookup(number, Some("a\r\nHost: b")).is_err());
    }
}

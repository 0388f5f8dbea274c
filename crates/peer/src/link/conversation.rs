//! One request and its answer on an open connection.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use net::stream::Stream;
use proto::limits::WRITE_STALL;
use proto::wire::answer_decoder::{AnswerDecoder, AnswerError, Decoded, Line};
use proto::wire::status::StatusCode;

use super::{Answer, Piece};
use crate::words;

/// Bytes read at once.
const READ: usize = 16 * 1024;

/// Why a request has no whole answer; the connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConversationError {
    /// The connection broke.
    #[error("{cause}")]
    Lost {
        cause: String,
        /// A part of the answer had come.
        heard: bool,
    },
    /// What came, or did not come, is no answer.
    #[error(transparent)]
    Answer(AnswerError),
}

/// Takes the lines of an answer.
pub(super) trait Sink: Send {
    /// A line, with its bytes as they came.
    fn line(&mut self, line: Line<'_>, raw: &[u8]);
    /// What was read is used up; a sink that is slow waits here, and the index with it.
    fn flush(&mut self) -> impl Future<Output = ()> + Send;
    /// The lines since the last flush were no answer after all.
    fn reset(&mut self);
}

impl Sink for Answer {
    fn line(&mut self, line: Line<'_>, raw: &[u8]) {
        self.raw.extend_from_slice(raw);
        if let Line::Record(record) = line {
            self.records.push(record.into());
        }
    }

    async fn flush(&mut self) {}

    fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Hands an answer on in pieces.
pub(super) struct Pieces<F> {
    piece: Piece,
    hand_on: F,
}

impl<F> Pieces<F> {
    pub(super) fn new(hand_on: F) -> Self {
        Self { piece: Piece::default(), hand_on }
    }
}

impl<F, W> Sink for Pieces<F>
where
    F: FnMut(Piece) -> W + Send,
    W: Future<Output = ()> + Send,
{
    fn line(&mut self, line: Line<'_>, raw: &[u8]) {
        self.piece.raw.extend_from_slice(raw);
        if let Line::Record(record) = line {
            self.piece.records.push(record.into());
        }
    }

    async fn flush(&mut self) {
        if !self.piece.raw.is_empty() {
            (self.hand_on)(std::mem::take(&mut self.piece)).await;
        }
    }

    fn reset(&mut self) {
        self.piece = Piece::default();
    }
}

/// What ended a wait.
enum Event {
    Bytes(usize),
    EndOfFile,
    Broken(io::Error),
    Wake,
}

/// Sends a request in one write and reads its answer to the end. The first byte must come within `first`.
pub(super) async fn exchange<S: Sink>(
    stream: &mut Stream,
    request: &[u8],
    mut decoder: AnswerDecoder,
    first: Duration,
    sink: &mut S,
) -> Result<Option<StatusCode>, ConversationError> {
    let written = stream.write_all(request, WRITE_STALL).await;
    written.map_err(|error| ConversationError::Lost { cause: words::chain(&error), heard: false })?;
    let mut first_by = Some(Instant::now() + first);
    let mut buffer = vec![0; READ];
    // The time of the last read, not the time: while the sink made us wait, nobody was silent.
    let mut now = Instant::now();
    loop {
        let wake = match decoder.poll(now) {
            Decoded::Line(line, raw) => {
                sink.line(line, raw);
                continue;
            }
            Decoded::End => return Ok(decoder.status()),
            Decoded::Failed(error) => return Err(failed(error, first_by.is_none())),
            Decoded::Pending(wake) => first_by.map_or(wake, |by| wake.min(by)),
        };
        sink.flush().await;
        let event = next_event(stream, &mut buffer, wake).await;
        now = Instant::now();
        match event {
            Event::Bytes(count) => {
                first_by = None;
                decoder.push(buffer.get(..count).unwrap_or_default(), now);
            }
            Event::EndOfFile => decoder.push_end_of_file(),
            Event::Broken(error) => {
                let heard = first_by.is_none();
                return Err(ConversationError::Lost { cause: error.to_string(), heard });
            }
            Event::Wake if first_by.is_some_and(|by| now >= by) => {
                return Err(ConversationError::Answer(AnswerError::Silent));
            }
            Event::Wake => {}
        }
    }
}

fn failed(error: AnswerError, heard: bool) -> ConversationError {
    match error {
        AnswerError::EndOfFile => ConversationError::Lost { cause: error.to_string(), heard },
        error => ConversationError::Answer(error),
    }
}

async fn next_event(stream: &Stream, buffer: &mut [u8], wake: Instant) -> Event {
    loop {
        tokio::select! {
            // What is there counts, even if it is late.
            biased;
            ready = stream.readable() => match ready.and_then(|()| stream.try_read(buffer)) {
                Ok(0) => return Event::EndOfFile,
                Ok(count) => return Event::Bytes(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Event::Broken(error),
            },
            () = tokio::time::sleep_until(wake.into()) => return Event::Wake,
        }
    }
}

/// Waits until an idle connection is gone, and says why. What comes without having been asked for is thrown away: it is the
/// late rest of an earlier answer. Safe to cancel.
pub(super) async fn until_lost(stream: &Stream) -> String {
    loop {
        if let Err(error) = stream.readable().await {
            return error.to_string();
        }
        match discard(stream) {
            Ok(0) => return "the index closed the connection".to_owned(),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return error.to_string(),
        }
    }
}

/// A function of its own, so that the buffer lies on the stack and not in each task.
fn discard(stream: &Stream) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    stream.try_read(&mut buffer)
}

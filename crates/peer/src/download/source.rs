//! One answer from one peer, into a part.
//!
//! All waiting is in [`Source::next_event`]; what the bytes mean is the decoder's to say, how long to wait is
//! [`Patience`]'s.

use std::io;
use std::time::Instant;

use net::stream::Stream;
use proto::limits::RESERVE_MAX;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::wire::file_decoder::{Decoded, FileDecoder, FileError};
use proto::wire::framing::LineEnd;
use proto::wire::get;

use super::part::{Part, Target};
use super::{FetchError, Timing};
use crate::dial;
use crate::files::on_disk;
use crate::limit::RateLimit;
use crate::patience::{GivenUp, Patience};
use crate::words;

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Bytes that wait for the disk together.
const WRITE: usize = 256 * 1024;

/// What is to be fetched.
pub(super) struct Wish<'a> {
    pub(super) peer: &'a PeerAddr,
    pub(super) number: RfcNumber,
    pub(super) target: Target,
    pub(super) timing: &'a Timing,
    pub(super) limit: &'a RateLimit,
}

/// What ended a wait.
enum Event {
    Bytes,
    EndOfFile,
    Broken(io::Error),
    GivenUp(GivenUp),
}

/// What the decoder's state asks for.
enum Step {
    Begin(u64),
    Write,
    Done { before: Vec<u8> },
    Wait,
}

/// Asks the peer and brings its file into a part that is whole.
pub(super) async fn receive(wish: &Wish<'_>, end: LineEnd) -> Result<Part, FetchError> {
    let mut source = Source::ask(wish, end).await?;
    let mut body = None;
    loop {
        match source.step()? {
            Step::Begin(length) => {
                source.patience.body_begins(Instant::now());
                body = Some(Body::begin(wish, length).await?);
            }
            Step::Write => {
                // The decoder hands out bytes only after the head.
                let Some(open) = body.take() else { continue };
                body = Some(open.write(&mut source.pending).await?);
            }
            Step::Done { before } => {
                let Some(open) = body.take() else { continue };
                return open.complete(source.pending, before, wish).await;
            }
            Step::Wait => {
                let event = source.next_event().await;
                source.apply(event)?;
                source.pay().await;
            }
        }
    }
}

/// The conversation with one peer.
struct Source<'a> {
    peer: &'a PeerAddr,
    stream: Stream,
    decoder: FileDecoder,
    patience: Patience,
    buffer: Vec<u8>,
    /// Bytes of the file that are not yet written.
    pending: Vec<u8>,
    heard: bool,
    limit: RateLimit,
    /// Bytes that came and were not yet admitted by the limit.
    unpaid: u64,
    given_up: Option<GivenUp>,
}

impl<'a> Source<'a> {
    async fn ask(wish: &Wish<'a>, end: LineEnd) -> Result<Self, FetchError> {
        let Wish { peer, number, timing, limit, .. } = *wish;
        let Timing { reach, connect_address, connect_total, .. } = *timing;
        let unreachable = |why: String| FetchError::Unreachable { peer: peer.clone(), why };
        let connecting = dial::peer(peer, &reach, connect_address, connect_total);
        let mut stream = connecting.await.map_err(unreachable)?;
        let mut request = Vec::new();
        get::write_request(number, peer.host(), end, &mut request);
        let written = stream.write_all(&request, timing.first_byte).await;
        written.map_err(|error| unreachable(words::chain(&error)))?;
        let limit = stream.peer_addr().map_or_else(|_| limit.clone(), |other| limit.towards(other.ip()));
        let room = limit.step().map_or(READ, |step| usize::try_from(step).unwrap_or(READ).min(READ));
        Ok(Self {
            peer,
            stream,
            decoder: FileDecoder::new(),
            patience: Patience::new(*timing, Instant::now()),
            buffer: vec![0; room],
            pending: Vec::new(),
            heard: false,
            limit,
            unpaid: 0,
            given_up: None,
        })
    }

    /// Takes from the decoder what it has.
    fn step(&mut self) -> Result<Step, FetchError> {
        loop {
            match self.decoder.poll() {
                Decoded::Head(answer) => return Ok(Step::Begin(answer.length)),
                Decoded::Body(bytes) => self.pending.extend_from_slice(bytes),
                Decoded::Done { before } => return Ok(Step::Done { before: before.to_vec() }),
                Decoded::Pending if self.pending.len() >= WRITE => return Ok(Step::Write),
                Decoded::Pending => return Ok(Step::Wait),
                Decoded::Failed(error) => return Err(self.failed(error)),
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let wake = self.patience.wake();
        tokio::select! {
            // What is there counts, even if it is late.
            biased;
            ready = self.stream.readable() => match ready {
                Ok(()) => self.read_now(),
                Err(error) => Event::Broken(error),
            },
            () = tokio::time::sleep_until(wake.into()) => self.judge(),
        }
    }

    fn read_now(&mut self) -> Event {
        match self.stream.try_read(&mut self.buffer) {
            Ok(0) => Event::EndOfFile,
            Ok(count) => {
                self.heard = true;
                self.unpaid += count as u64;
                self.decoder.push(self.buffer.get(..count).unwrap_or_default());
                self.patience.took(count, Instant::now());
                self.judge()
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Event::Bytes,
            Err(error) => Event::Broken(error),
        }
    }

    /// Waits until what came was allowed to; it is not the peer that we wait for.
    async fn pay(&mut self) {
        let unpaid = std::mem::take(&mut self.unpaid);
        if unpaid > 0 && self.limit.step().is_some() {
            let began = Instant::now();
            self.limit.admit(unpaid).await;
            self.patience.pause(began.elapsed());
        }
    }

    fn judge(&mut self) -> Event {
        self.patience.verdict(Instant::now()).map_or(Event::Bytes, Event::GivenUp)
    }

    fn apply(&mut self, event: Event) -> Result<(), FetchError> {
        match event {
            Event::Bytes => Ok(()),
            Event::EndOfFile => {
                self.decoder.push_end_of_file();
                Ok(())
            }
            // A peer that did not understand us and closed before it had read all.
            Event::Broken(_) if !self.heard => Err(self.given_up(GivenUp::Silent)),
            Event::Broken(source) => Err(FetchError::Broken { peer: self.peer.clone(), source }),
            Event::GivenUp(GivenUp::Stalled(silence)) => {
                // The file may be whole: see the decoder on empty lines.
                self.given_up = Some(GivenUp::Stalled(silence));
                self.decoder.push_end_of_file();
                Ok(())
            }
            Event::GivenUp(why) => Err(self.given_up(why)),
        }
    }

    fn failed(&self, error: FileError) -> FetchError {
        match self.given_up {
            Some(why) => self.given_up(why),
            None => FetchError::Answer { peer: self.peer.clone(), error },
        }
    }

    fn given_up(&self, why: GivenUp) -> FetchError {
        let peer = self.peer.clone();
        match why {
            GivenUp::Silent => FetchError::Silent { peer },
            GivenUp::Stalled(silence) => FetchError::Stalled { peer, silence },
            GivenUp::TooSlow => FetchError::TooSlow { peer },
        }
    }
}

/// The file as far as it came.
struct Body {
    part: Part,
    length: u64,
}

impl Body {
    async fn begin(wish: &Wish<'_>, length: u64) -> Result<Self, FetchError> {
        let target = wish.target.clone();
        let (part, reserved) = on_disk(move || {
            let part = Part::begin(&target)?;
            let reserved = part.reserve(length.min(RESERVE_MAX));
            Ok((part, reserved))
        })
        .await?;
        match reserved {
            Ok(()) => Ok(Self { part, length }),
            Err(source) => Err(FetchError::NoRoom { peer: wish.peer.clone(), length, source }),
        }
    }

    /// Writes the bytes and empties their buffer, which is kept.
    async fn write(self, pending: &mut Vec<u8>) -> Result<Self, FetchError> {
        let Self { mut part, length } = self;
        let mut bytes = std::mem::take(pending);
        let (part, mut bytes) =
            on_disk(move || part.write(&bytes).map(|()| (part, std::mem::take(&mut bytes)))).await?;
        bytes.clear();
        *pending = bytes;
        Ok(Self { part, length })
    }

    /// Writes the last bytes, and checks that the file is as long as it was announced.
    async fn complete(self, pending: Vec<u8>, before: Vec<u8>, wish: &Wish<'_>) -> Result<Part, FetchError> {
        let Self { mut part, length } = self;
        let part = on_disk(move || {
            part.write(&pending)?;
            if !before.is_empty() {
                part.put_before(&before)?;
            }
            Ok(part)
        })
        .await?;
        let received = part.written();
        match received == length {
            true => Ok(part),
            false => {
                let error = FileError::Short { received, length };
                Err(FetchError::Answer { peer: wish.peer.clone(), error })
            }
        }
    }
}

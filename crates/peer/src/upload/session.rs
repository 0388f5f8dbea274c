//! One connection to the upload server: one request, one answer, an orderly end.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Instant, SystemTime};

use net::accept::Incoming;
use net::blocking::spawn_blocking;
use net::body::SendFileError;
use net::permits::Permit;
use net::stop::StopSignal;
use net::stream::Stream;
use proto::limits::{GET_HEAD_ALONE, GET_TOGETHER, LINGER, REQUEST_DEADLINE, UPLOAD_STALL, WRITE_STALL};
use proto::value::number::RfcNumber;
use proto::wire::answer;
use proto::wire::decoder::{Decoded, Reading, RequestDecoder};
use proto::wire::framing::Framing;
use proto::wire::get::{Delivery, FileHead};
use proto::wire::refusal::Reason;
use proto::wire::request::Verb;
use proto::wire::status::Status;
use proto::wire::version::Version;

use super::Uploads;
use crate::files;
use crate::limit::RateLimit;
use crate::notice::{Notice, UploadOutcome};
use crate::shares::ToSend;

/// Said to programs that take a peer for the index.
const NOT_THE_INDEX: Reason =
    Reason::NotServedHere("ADD, LOOKUP and LIST are for the index; this is a peer's upload server");

/// What the request comes down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    File {
        number: RfcNumber,
        framing: Framing,
        delivery: Delivery,
    },
    Refuse(Reason, Framing),
    /// Nobody is there to be answered.
    Nothing,
}

/// What ended a wait.
enum Event {
    Bytes,
    Over,
    Wake,
    Stop,
}

/// Answers one connection.
pub(super) async fn run(uploads: &Uploads, incoming: Incoming, stop: StopSignal) {
    let Incoming { stream, first, first_byte_at, source, permit, .. } = incoming;
    let mut session = Session { uploads, source, stop, _permit: permit };
    let mut decoder = RequestDecoder::opened(Reading::Lenient, &first, first_byte_at, Instant::now());
    drop(first);
    match session.wish(&stream, &mut decoder, first_byte_at).await {
        Wish::Nothing => {}
        Wish::Refuse(reason, framing) => session.refuse(stream, reason, framing).await,
        Wish::File { number, framing, delivery } => session.hand_out(stream, number, framing, delivery).await,
    }
}

struct Session<'a> {
    uploads: &'a Uploads,
    source: std::net::SocketAddr,
    stop: StopSignal,
    /// Keeps the connection counted.
    _permit: Permit,
}

impl Session<'_> {
    /// Reads until the first request is whole.
    async fn wish(&mut self, stream: &Stream, decoder: &mut RequestDecoder, began: Instant) -> Wish {
        // For a connection that sends padding only, which is no request that could be late.
        let latest = began + REQUEST_DEADLINE + REQUEST_DEADLINE;
        loop {
            let wake = match decide(decoder.poll(Instant::now())) {
                Ok(wish) => return wish,
                Err(wake) => wake.map_or(latest, |wake| wake.min(latest)),
            };
            match self.next_event(stream, wake, decoder).await {
                Event::Bytes => {}
                Event::Over => decoder.push_end_of_file(),
                Event::Wake if Instant::now() >= latest => return Wish::Nothing,
                Event::Wake => {}
                Event::Stop => return Wish::Nothing,
            }
        }
    }

    async fn next_event(&self, stream: &Stream, wake: Instant, decoder: &mut RequestDecoder) -> Event {
        tokio::select! {
            ready = stream.readable() => match ready {
                Ok(()) => read_now(stream, decoder),
                Err(_) => Event::Over,
            },
            () = tokio::time::sleep_until(wake.into()) => Event::Wake,
            () = self.stop.stopped() => Event::Stop,
        }
    }

    async fn refuse(&self, stream: Stream, reason: Reason, framing: Framing) {
        self.uploads.observer.notice(Notice::UploadRefused { source: self.source, reason });
        say(stream, reason.status(), framing).await;
    }

    async fn hand_out(&self, stream: Stream, number: RfcNumber, framing: Framing, delivery: Delivery) {
        // Whoever stops meanwhile just leaves.
        let place = tokio::select! {
            place = self.uploads.places.acquire(self.source.ip()) => place,
            () = self.stop.stopped() => None,
        };
        let Some(place) = place else { return };
        let shares = Arc::clone(&self.uploads.shares);
        let Some(found) = spawn_blocking(move || shares.open(number)).await.ok().flatten() else {
            drop(place);
            self.tell(number, 0, UploadOutcome::NotFound);
            return say(stream, Status::NotFound, framing).await;
        };
        let (length, name, file) = (found.length, Arc::clone(&found.name), Arc::clone(&found.file));
        let mut stream = stream;
        let limit = self.uploads.places.limit.towards(self.source.ip());
        let sent = send(&mut stream, found, delivery, &limit, &self.uploads.places.moved).await;
        drop(place);
        match sent {
            Ok(()) => {
                self.tell(number, length, UploadOutcome::Done);
                stream.close_lingering(LINGER).await;
            }
            Err(error) => {
                stream.abort();
                if let SendFileError::Read(why) = &error {
                    super::withdraw(&*self.uploads.shares, &*self.uploads.observer, &name, &file, why);
                }
                self.tell(number, length, UploadOutcome::Cut(error));
            }
        }
    }

    fn tell(&self, number: RfcNumber, length: u64, outcome: UploadOutcome) {
        self.uploads.observer.notice(Notice::Upload { source: self.source, number, length, outcome });
    }
}

/// What a decoded request asks for; `Err` says until when nothing will happen by itself.
fn decide(decoded: Decoded<'_>) -> Result<Wish, Option<Instant>> {
    match decoded {
        Decoded::Request(request) => Ok(match request.verb {
            Verb::Get(get) => Wish::File {
                number: get.number,
                framing: request.framing,
                delivery: Delivery::of(request.framing, get.os),
            },
            Verb::Add(_) | Verb::Lookup(_) | Verb::List(_) => Wish::Refuse(NOT_THE_INDEX, request.framing),
            Verb::V11(_) => Wish::Refuse(Reason::Version, request.framing),
        }),
        // Whatever is wrong with it: a newer program must learn that it should fall back.
        Decoded::Refused(refusal) if refusal.version == Version::V1_1 => {
            Ok(Wish::Refuse(Reason::Version, refusal.framing))
        }
        Decoded::Refused(refusal) => Ok(Wish::Refuse(refusal.reason, refusal.framing)),
        Decoded::Ended => Ok(Wish::Nothing),
        Decoded::Pending(wake) => Err(wake),
    }
}

/// A function of its own, so that the buffer lies on the stack and not in each task.
fn read_now(stream: &Stream, decoder: &mut RequestDecoder) -> Event {
    let mut buffer = [0; 4096];
    match stream.try_read(&mut buffer) {
        Ok(0) => Event::Over,
        Ok(count) => {
            decoder.push(buffer.get(..count).unwrap_or_default(), Instant::now());
            Event::Bytes
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Event::Bytes,
        Err(_) => Event::Over,
    }
}

async fn say(mut stream: Stream, status: Status, framing: Framing) {
    let mut out = Vec::new();
    answer::status_only(status, framing.answer(), &mut out);
    if stream.write_all(&out, WRITE_STALL).await.is_ok() {
        stream.close_lingering(LINGER).await;
    }
}

/// Sends head and body as the request's dialect needs them.
async fn send(
    stream: &mut Stream,
    found: ToSend,
    delivery: Delivery,
    limit: &RateLimit,
    moved: &AtomicU64,
) -> Result<(), SendFileError> {
    let ToSend { file, length, modified, .. } = found;
    let mut out = Vec::new();
    FileHead { date: SystemTime::now(), last_modified: modified, length }.write(delivery, &mut out);
    if delivery.head_alone {
        stream.write_all(&out, UPLOAD_STALL).await?;
        if length > 0 {
            tokio::time::sleep(GET_HEAD_ALONE).await;
        }
        return limit.send_file(stream, file, 0, length, UPLOAD_STALL, moved).await;
    }
    let wanted = usize::try_from(length).unwrap_or(GET_TOGETHER).min(GET_TOGETHER);
    let reading = Arc::clone(&file);
    let first = spawn_blocking(move || files::beginning(&reading, wanted)).await;
    let first = first.map_err(std::io::Error::other).and_then(|read| read).map_err(SendFileError::Read)?;
    if first.len() < wanted {
        return Err(SendFileError::Truncated { sent: 0 });
    }
    out.extend_from_slice(&first);
    limit.write_all(stream, &out, UPLOAD_STALL).await?;
    let sent = first.len() as u64;
    drop((first, out));
    limit.send_file(stream, file, sent, length - sent, UPLOAD_STALL, moved).await
}

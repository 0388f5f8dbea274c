//! A connection in HTTP/1.1: requests in order, each answered before the next is read.
//!
//! Answers to requests that came together leave together, as long as they are small. A body that cannot be sent as it was
//! promised ends in a reset, never in a clean end.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use net::accept::Incoming;
use net::blocking::spawn_blocking;
use net::body::SendFileError;
use net::deadline::Deadline;
use net::hear::{Heard, hear};
use net::permits::Permit;
use net::stop::{StopSignal, Stopped};
use net::stream::Stream;
use proto::access::ticket::Invalid;
use proto::http::answer::{self, Failure, Frame};
use proto::http::decoder::{Decoded, RequestDecoder};
use proto::http::host::OwnNames;
use proto::http::refusal::Refusal;
use proto::http::request::Request;
use proto::http::status::Status;
use proto::http::target::Target;
use proto::limits::{
    HAVE_WAIT, HTTP_IDLE, HTTP_TOGETHER, LINGER, UPLOAD_PLACE_AGAIN, UPLOAD_PLACE_TOLD, UPLOAD_STALL,
    UPLOAD_TURN, UPLOAD_WAIT_MAX, WRITE_STALL,
};
use proto::value::digest::Digest;

use self::prepared::{AtOnce, Body, Piece, Prepared};
use super::content::{Content, Opened};
use super::places::{Place, Places};
use crate::gate::Gate;
use crate::limit::RateLimit;
use crate::notice::{HttpAnswer, Notice, Observer};
use crate::shares::KeptOpen;

mod prepared;
mod spare;

/// Seconds after which somebody who found no place is told to come back: not all at the same time.
const RETRY_AFTER: Range<u64> = 2..10;

/// How a connection ends.
enum End {
    /// All that was promised is sent.
    Orderly,
    /// Something is missing.
    Reset,
}

/// How uploads are served.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// How fast all of them together may go.
    pub limit: RateLimit,
    /// The names that it answers to, beside addresses and those of a local network.
    pub names: OwnNames,
    /// Show folders as pages.
    pub browse: bool,
    /// Serve nobody in plain text.
    pub tls_only: bool,
    /// What keeps everything from others than members of some groups.
    pub gate: Option<Arc<Gate>>,
}

/// What all connections in HTTP have in common.
pub struct HttpUploads {
    content: Arc<dyn Content>,
    observer: Arc<dyn Observer>,
    places: Arc<Places>,
    manners: Manners,
}

impl HttpUploads {
    /// Hands out this content, with places of its own for bodies that travel.
    #[must_use]
    pub fn new(content: Arc<dyn Content>, observer: Arc<dyn Observer>) -> Self {
        Self::sharing(content, observer, Arc::new(Places::new(RateLimit::default())), Manners::default())
    }

    /// The same, with places that others use as well.
    pub(super) fn sharing(
        content: Arc<dyn Content>,
        observer: Arc<dyn Observer>,
        places: Arc<Places>,
        manners: Manners,
    ) -> Self {
        Self { content, observer, places, manners }
    }

    /// Answers one connection until either side has had enough, or until `stop`: then the current answer is the last. One that
    /// asks for nothing more is closed after [`HTTP_IDLE`].
    pub async fn run(&self, incoming: Incoming, stop: StopSignal) {
        run(self, incoming, stop).await;
    }
}

async fn run(uploads: &HttpUploads, incoming: Incoming, stop: StopSignal) {
    let Incoming { stream, first, first_byte_at, source, permit, .. } = incoming;
    let mut decoder = RequestDecoder::new();
    decoder.push(&first, first_byte_at);
    drop(first);
    let (out, answered, stopping) = (Vec::new(), Vec::new(), stop.clone());
    let mut session = Session {
        uploads,
        stream,
        source,
        limit: uploads.places.limit.towards(source.ip()),
        stop,
        decoder,
        out,
        answered,
        idle_until: first_byte_at + HTTP_IDLE,
        deadline: Deadline::at(first_byte_at + HTTP_IDLE),
        folder: None,
        _permit: permit,
    };
    match session.converse(stopping.stopped()).await {
        End::Orderly => session.stream.close_lingering(LINGER).await,
        End::Reset => session.stream.abort(),
    }
}

struct Session<'a> {
    uploads: &'a HttpUploads,
    stream: Stream,
    source: std::net::SocketAddr,
    limit: RateLimit,
    stop: StopSignal,
    decoder: RequestDecoder,
    /// Answers that are not yet sent.
    out: Vec<u8>,
    /// What they answer.
    answered: Vec<HttpAnswer>,
    /// Without another request the connection is closed then.
    idle_until: Instant,
    deadline: Deadline,
    /// Where the last file was, for the next one.
    folder: Option<KeptOpen>,
    /// Keeps the connection counted.
    _permit: Permit,
}

impl Session<'_> {
    /// `stopped`: one for the whole conversation, as to begin listening costs more than to be asked again.
    async fn converse(&mut self, mut stopped: Stopped<'_>) -> End {
        loop {
            let step = match self.decoder.poll(Instant::now()) {
                Decoded::Request(request) => self.answer(request).await,
                Decoded::Refused(refusal) => self.refuse(refusal).await,
                Decoded::Ended => self.end().await,
                Decoded::Pending(wake) => self.wait(wake, &mut stopped).await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Sends what is to be sent, then waits for more to do.
    async fn wait(&mut self, wake: Option<Instant>, stopped: &mut Stopped<'_>) -> Result<(), End> {
        self.flush().await?;
        self.deadline.set(wake.unwrap_or(self.idle_until));
        let Self { stream, decoder, deadline, .. } = self;
        match hear(stream, deadline, stopped, |bytes| decoder.push(bytes, Instant::now())).await {
            Heard::Bytes => Ok(()),
            Heard::EndOfFile => {
                self.decoder.push_end_of_file();
                Ok(())
            }
            Heard::Deadline if wake.is_some() => Ok(()),
            Heard::Deadline | Heard::Stop => Err(End::Orderly),
        }
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), End> {
        answer::write_refusal(refusal, SystemTime::now(), &mut self.out);
        self.uploads.observer.notice(Notice::HttpRefused { source: self.source, refusal });
        self.end().await
    }

    /// The last words.
    async fn end(&mut self) -> Result<(), End> {
        self.flush().await?;
        Err(End::Orderly)
    }

    async fn answer(&mut self, request: Request) -> Result<(), End> {
        if self.out.capacity() == 0 {
            self.out = spare::take();
        }
        let frame =
            Frame { date: SystemTime::now(), keep_alive: request.keep_alive && !self.stop.is_stopped() };
        let uploads = self.uploads;
        let meant_for_us = request.host.as_deref().is_none_or(|host| uploads.manners.names.include(host));
        let kept_out = if meant_for_us { self.kept_out(&request) } else { Some(Failure::Misdirected) };
        let at_once = match kept_out {
            None => prepared::at_once(&*uploads.content, &request, frame, &mut self.folder, &mut self.out),
            Some(failure) => Some(AtOnce::Prepared(prepared::failed(failure, &request, frame))),
        };
        match at_once {
            Some(AtOnce::Written(status, length)) => {
                self.answered.push(HttpAnswer::of(request, status, length));
                self.flush_if_much().await?;
            }
            Some(AtOnce::Prepared(prepared)) => self.send(Arc::new(request), frame, prepared).await?,
            None => {
                let request = Arc::new(request);
                if let Target::Have(digest, after) = request.target {
                    self.await_news(&digest, after).await?;
                }
                let prepared = self.prepare(&request, frame).await?;
                self.send(request, frame, prepared).await?;
            }
        }
        self.idle_until = Instant::now() + HTTP_IDLE;
        if frame.keep_alive { Ok(()) } else { self.end().await }
    }

    /// Why what is asked for is not for whoever asks: it is private, and is had by its hash and with a ticket.
    fn kept_out(&self, request: &Request) -> Option<Failure> {
        let hash = match request.target {
            Target::Hash(hash) | Target::Blocks(hash) | Target::End(hash) | Target::Have(hash, _) => {
                Some(hash)
            }
            Target::File(_) | Target::Rfc(_) | Target::Folder(_) | Target::Nothing => None,
        };
        let offered = hash.and_then(|hash| self.uploads.content.offer(&hash)).and_then(|offer| offer.gate());
        let gate = self.uploads.manners.gate.clone().or(offered)?;
        let Some(hash) = hash else { return Some(Failure::Private(Invalid::Missing)) };
        let unread = self.stream.is_secure() || self.source.ip().to_canonical().is_loopback();
        gate.judge(request.credential.as_deref(), hash, unread).err().map(Failure::Private)
    }

    async fn send(&mut self, request: Arc<Request>, frame: Frame, prepared: Prepared) -> Result<(), End> {
        let Prepared { head, body, status } = prepared;
        match body {
            Some(body) if body.is_large() => self.send_large(&request, frame, head, body, status).await,
            body => {
                self.out.extend_from_slice(&head);
                self.out.extend_from_slice(body.as_ref().map_or(&[], Body::in_memory));
                self.answered.push(HttpAnswer::new(&request, status, body.as_ref().map_or(0, Body::len)));
                self.flush_if_much().await
            }
        }
    }

    async fn flush_if_much(&mut self) -> Result<(), End> {
        if self.out.len() >= HTTP_TOGETHER { self.flush().await } else { Ok(()) }
    }

    /// Whoever asks what is new of a download waits until there is something.
    async fn await_news(&mut self, digest: &Digest, after: Option<u64>) -> Result<(), End> {
        let Some(offer) = self.uploads.content.offer(digest) else { return Ok(()) };
        self.flush().await?;
        tokio::select! {
            () = offer.news(after) => Ok(()),
            () = tokio::time::sleep(HAVE_WAIT) => Ok(()),
            () = self.stop.stopped() => Err(End::Orderly),
        }
    }

    async fn prepare(&self, request: &Arc<Request>, frame: Frame) -> Result<Prepared, End> {
        let (content, request) = (Arc::clone(&self.uploads.content), Arc::clone(request));
        let (browse, observer) = (self.uploads.manners.browse, Arc::clone(&self.uploads.observer));
        let prepared = spawn_blocking(move || {
            let unreadable = |found: &Opened, why: &std::io::Error| {
                super::withdraw(&*content, &*observer, &found.name, &found.file, why);
            };
            prepared::prepare(&*content, &request, frame, browse, &unreadable)
        });
        let prepared = prepared.await;
        // It does not panic; it is lost only when the runtime goes down.
        prepared.map_err(|_| End::Reset)
    }

    async fn send_large(
        &mut self,
        request: &Arc<Request>,
        frame: Frame,
        head: Vec<u8>,
        body: Body,
        status: Status,
    ) -> Result<(), End> {
        // Nobody waits for an earlier answer while we wait for a place.
        self.flush().await?;
        self.limit.takes(&request.target);
        let uploads = self.uploads;
        let (place, head, body, status) = match uploads.places.acquire_now(self.source.ip()) {
            Some(place) => (place, head, Some(body), status),
            None => {
                // Those who wait hold no file open.
                drop(body);
                let Some(place) = self.wait_for_place(request).await? else {
                    return self.say_busy(request, frame);
                };
                let again = self.prepare(request, frame).await?;
                (place, again.head, again.body, again.status)
            }
        };
        let answered = HttpAnswer::new(request, status, body.as_ref().map_or(0, Body::len));
        let file = match &body {
            Some(Body::File { file, name, .. }) => Some((Arc::clone(file), Arc::clone(name))),
            _ => None,
        };
        let sent = self.send_body(&head, body, place).await;
        if let (Err(SendFileError::Read(why)), Some((file, name))) = (&sent, &file) {
            super::withdraw(&*uploads.content, &*uploads.observer, name, file, why);
        }
        let done = sent.is_ok();
        self.tell(answered, sent.err());
        if done { Ok(()) } else { Err(End::Reset) }
    }

    /// Waits for a turn; `None` where that takes too long, or the queue is full. Who asked for it is told its place meanwhile.
    async fn wait_for_place(&mut self, request: &Request) -> Result<Option<Place>, End> {
        let Some(mut waiting) = self.uploads.places.queue(self.source.ip(), true) else { return Ok(None) };
        let patience = request.waits.map_or(UPLOAD_TURN, |wish| wish.min(UPLOAD_WAIT_MAX));
        let until = Instant::now() + patience;
        let mut told: Option<(usize, Instant)> = None;
        loop {
            tokio::select! {
                place = waiting.turn() => return Ok(Some(place)),
                () = tokio::time::sleep_until(until.into()) => return Ok(None),
                () = self.stop.stopped() => return Err(End::Orderly),
                () = tokio::time::sleep(UPLOAD_PLACE_TOLD), if request.waits.is_some() => {}
            }
            let (place, now) = (waiting.place(), Instant::now());
            if told.is_none_or(|(before, at)| before != place || now - at >= UPLOAD_PLACE_AGAIN) {
                let mut interim = Vec::new();
                answer::write_place(place, &mut interim);
                self.stream.write_all(&interim, WRITE_STALL).await.map_err(|_| End::Reset)?;
                told = Some((place, now));
            }
        }
    }

    fn say_busy(&mut self, request: &Request, frame: Frame) -> Result<(), End> {
        let busy = Failure::Busy { retry_after: Duration::from_secs(fastrand::u64(RETRY_AFTER)) };
        answer::write_failure(busy, request.method, frame, &mut self.out);
        self.answered.push(HttpAnswer::new(request, busy.status(), 0));
        Ok(())
    }

    async fn send_body(
        &mut self,
        head: &[u8],
        body: Option<Body>,
        _place: Place,
    ) -> Result<(), SendFileError> {
        self.limit.write_all(&mut self.stream, head, UPLOAD_STALL).await?;
        match body {
            None => Ok(()),
            Some(Body::File { file, pieces, .. }) => {
                for Piece { before, bytes } in pieces {
                    self.limit.write_all(&mut self.stream, &before, UPLOAD_STALL).await?;
                    let (file, length) = (Arc::clone(&file), bytes.end.saturating_sub(bytes.start));
                    let moved = &self.uploads.places.moved;
                    let (from, stall) = (bytes.start, UPLOAD_STALL);
                    self.limit.send_file(&mut self.stream, file, from, length, stall, moved).await?;
                }
                Ok(())
            }
            Some(body) => Ok(self.limit.write_all(&mut self.stream, body.in_memory(), UPLOAD_STALL).await?),
        }
    }

    /// Sends all answers that are ready in one write.
    async fn flush(&mut self) -> Result<(), End> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        let written = self.limit.write_all(&mut self.stream, &out, WRITE_STALL).await;
        spare::keep(out);
        let mut answered = std::mem::take(&mut self.answered).into_iter();
        match written {
            Ok(()) => {
                answered.for_each(|answered| self.tell(answered, None));
                Ok(())
            }
            Err(error) => {
                // Which of them got away nobody knows; the first stands for all.
                if let Some(first) = answered.next() {
                    self.tell(first, Some(error.into()));
                }
                Err(End::Reset)
            }
        }
    }

    fn tell(&self, answer: HttpAnswer, cut: Option<SendFileError>) {
        self.uploads.observer.notice(Notice::Http { source: self.source, answer, cut });
    }
}

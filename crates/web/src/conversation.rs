//! A connection in HTTP: requests in order, each answered before the next is read.
//!
//! The loop is that of the upload port, and so is the decoder: where two programs could read a request differently it is refused
//! and the connection closes, so that no request can hide in another one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::body::{Body, HttpBody};
use axum::http::{self, Response, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use index::guard::Pass;
use net::accept::Incoming;
use net::deadline::Deadline;
use net::hear::{Heard, hear};
use net::permits::Permit;
use net::stop::{StopSignal, Stopped};
use net::stream::Stream;
use proto::http::answer as plain;
use proto::http::decoder::{Decoded, RequestDecoder};
use proto::http::refusal::Refusal;
use proto::http::request::{Method, Request};
use proto::limits::{HTTP_IDLE, HTTP_TOGETHER, LINGER, WRITE_STALL};
use proto::visibility::Requester;

use crate::answer::{self, End};
use crate::notice::Notice;
use crate::site::Site;

/// Answers one connection until either side has had enough, or until `stop`: then the current answer is the last. One that asks
/// for nothing more is closed after [`HTTP_IDLE`]. The connection is counted as long as this lasts.
pub(crate) async fn run(site: Site, incoming: Incoming, stop: StopSignal) {
    let Incoming { stream, first, first_byte_at, source, local, permit, tongue: _ } = incoming;
    let mut decoder = RequestDecoder::new();
    decoder.push(&first, first_byte_at);
    let idle_until = first_byte_at + HTTP_IDLE;
    let (out, deadline) = (Vec::new(), Deadline::at(idle_until));
    let (requester, stopping) = (Requester { source: source.ip(), reached: local.ip() }, stop.clone());
    let mut session =
        Session { site, stream, source, requester, stop, decoder, out, idle_until, deadline, permit };
    let Over = session.converse(stopping.stopped()).await;
    let flushed = session.flush().await.is_ok();
    session.site.observer().notice(&Notice::Left { source });
    if flushed {
        session.stream.close_lingering(LINGER).await;
    }
}

/// Nothing more is to be said on this connection.
struct Over;

struct Session {
    site: Site,
    stream: Stream,
    source: SocketAddr,
    requester: Requester,
    stop: StopSignal,
    decoder: RequestDecoder,
    /// Answers that are not yet sent.
    out: Vec<u8>,
    /// Without another request the connection is closed then.
    idle_until: Instant,
    deadline: Deadline,
    permit: Permit,
}

impl Session {
    /// `stopped`: one for the whole conversation, as to begin listening costs more than to be asked again.
    async fn converse(&mut self, mut stopped: Stopped<'_>) -> Over {
        loop {
            let step = match self.decoder.poll(Instant::now()) {
                Decoded::Request(request) => self.answer(request).await,
                Decoded::Refused(refusal) => Err(self.refuse(refusal)),
                Decoded::Ended => Err(Over),
                Decoded::Pending(wake) => self.wait(wake, &mut stopped).await,
            };
            if let Err(over) = step {
                return over;
            }
        }
    }

    async fn wait(&mut self, wake: Option<Instant>, stopped: &mut Stopped<'_>) -> Result<(), Over> {
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
            Heard::Deadline | Heard::Stop => Err(Over),
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> Over {
        if refusal == Refusal::Late {
            self.permit.note_cut_off();
        }
        plain::write_refusal(refusal, SystemTime::now(), &mut self.out);
        self.site.answers().count(refusal.status().code());
        self.site.observer().notice(&Notice::Refused { source: self.source, refusal });
        Over
    }

    async fn answer(&mut self, request: Request) -> Result<(), Over> {
        let (method, keep_alive) = (request.method, request.keep_alive);
        let request = Arc::new(request);
        let response = self.site.respond(&request, self.requester, self.stream.is_secure()).await;
        let status = response.status();
        self.site.answers().count(status.as_u16());
        self.site.observer().notice(&Notice::Answered {
            source: self.source,
            method,
            path: &request.path,
            status: status.as_u16(),
        });
        let keep_alive = keep_alive && !self.stop.is_stopped();
        self.send(response, method, keep_alive).await?;
        self.idle_until = Instant::now() + HTTP_IDLE;
        if keep_alive { Ok(()) } else { Err(Over) }
    }

    async fn send(&mut self, response: Response<Body>, method: Method, keep_alive: bool) -> Result<(), Over> {
        let (parts, mut body) = response.into_parts();
        let http::response::Parts { status, headers, extensions, .. } = parts;
        let length = body.size_hint().exact();
        let end = match (status, length) {
            (StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT, _) => End::Bodiless,
            (_, Some(length)) => End::After(length),
            (_, None) => End::Close,
        };
        answer::write_head(status, &headers, end, keep_alive, &mut self.out);
        match (method, end) {
            (Method::Head, End::Close) => Err(Over),
            (Method::Head, _) | (_, End::Bodiless) => Ok(()),
            (Method::Get, End::Close) => self.stream_out(body, extensions.get::<Arc<Pass>>()).await,
            (Method::Get, End::After(_)) => {
                while let Some(data) = next_data(&mut body).await {
                    self.out.extend_from_slice(&data);
                    if self.out.len() >= HTTP_TOGETHER {
                        self.flush().await?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Sends what has no end of its own, piece by piece as it comes, until either side has had enough or the token that
    /// was shown is none any more.
    async fn stream_out(&mut self, mut body: Body, pass: Option<&Arc<Pass>>) -> Result<(), Over> {
        loop {
            self.flush().await?;
            tokio::select! {
                data = next_data(&mut body) => match data {
                    Some(data) => self.stream.write_all(&data, WRITE_STALL).await.map_err(|_| Over)?,
                    None => return Err(Over),
                },
                () = self.stream.ended() => return Err(Over),
                () = self.stop.stopped() => return Err(Over),
                () = self.site.lost(pass.map(|pass| &**pass)) => return Err(Over),
            }
        }
    }

    /// Sends all answers that are ready in one write.
    async fn flush(&mut self) -> Result<(), Over> {
        if self.out.is_empty() {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        self.stream.write_all(&out, WRITE_STALL).await.map_err(|_| Over)
    }
}

/// The next piece of a body. Our bodies do not fail.
async fn next_data(body: &mut Body) -> Option<Bytes> {
    loop {
        // The other kind of frame are trailers, and nobody sends any.
        if let Ok(data) = body.frame().await?.ok()?.into_data() {
            return Some(data);
        }
    }
}

//! One connection from its first bytes to its end.
//!
//! [`Session::poll_event`] does the waiting and gives one event, [`Session::apply`] takes it in, [`Session::answer_next`] answers one
//! request that is whole, at once where that is possible. Answers are in the order of the requests and leave in one write for all
//! that came together. Requests in the usual shape, which are nearly all, are answered where they were read: they need no decoder.
//!
//! Time passes for the decoder only by events. So bytes that waited in the system while a long answer was written do not look
//! like silence.
//!
//! Records are removed in one place, the destructor of [`Desk`]: at the end of the connection, before anybody lingers, and also
//! when the task panics or is aborted.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use net::accept::Incoming;
use net::limits::PRESENCE;
use net::stop::{StopSignal, Stopped};
use net::stream::WriteError;
use proto::access::Denied;
use proto::limits::{INDEX_READ, INDEX_TURN, LINGER};
use proto::wire::decoder::{Decoded, RequestDecoder};
use proto::wire::refusal::Reason;
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep_until};

use crate::desk::v11::{write_denied, write_wanted};
use crate::desk::{Desk, Step};
use crate::meter::Kind;
use crate::notice::LeftWhy;
use crate::outlet::Outlet;
use crate::server::Shared;

/// Serves a connection until it ends.
///
/// Not an `async fn`: that would hold its arguments as long as the session lives.
pub(crate) fn run(
    shared: Arc<Shared>,
    incoming: Incoming,
    stop: StopSignal,
) -> impl Future<Output = ()> + Send + use<> {
    let Incoming { stream, first, first_byte_at, source, local, permit, tongue: _ } = incoming;
    let presence = shared.settings.presence;
    if presence != PRESENCE {
        stream.set_presence(presence);
    }
    let now = Instant::now();
    let decoder = RequestDecoder::opened(shared.settings.reading, &first, first_byte_at, now);
    let mut session = Session {
        begun: Some(Box::new(Begun { decoder, now })),
        outlet: Outlet::new(stream, shared.settings.write_stall),
        desk: Desk::join(shared, source, local.ip(), stop.clone()),
    };
    async move {
        let why = session.converse(&stop).await;
        if is_offence(&why) {
            permit.note_cut_off();
        }
        let farewell = Farewell::after(&why);
        let Session { desk, outlet, .. } = session;
        desk.leave(why);
        // Boxed, as it is needed once and not while the session is silent.
        Box::pin(close(outlet, farewell)).await;
        drop(permit);
    }
}

/// What the waiting brought.
#[derive(Debug)]
enum Event {
    /// Requests came, and are answered but for sending it.
    Answered,
    /// The decoder has more bytes, which came at this moment.
    Bytes(Instant),
    /// The other side will send nothing more.
    EndOfFile,
    /// It is this late, and nothing came.
    Wake(Instant),
    /// Of these files something is wanted from the other side.
    Wanted(Vec<Arc<str>>),
    /// The token that was shown is none any more.
    LostToken(Denied),
    Stop,
    Failed(io::Error),
}

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// The other side has closed already: the last answers, and gone.
    Close,
    /// The last answers, which must not be taken away by a reset.
    Linger,
    /// With a reset: an answer is cut, and must not be taken for a whole one.
    Abort,
    /// It is gone.
    Drop,
}

impl Farewell {
    fn after(why: &LeftWhy) -> Self {
        match why {
            LeftWhy::EndOfFile => Self::Close,
            LeftWhy::Refused(_) | LeftWhy::LostToken(_) | LeftWhy::Stopping => Self::Linger,
            LeftWhy::Stalled => Self::Abort,
            LeftWhy::Error(_) => Self::Drop,
        }
    }
}

/// What there is to do with a request.
enum Next<'a> {
    /// Nothing more.
    Answered,
    /// The rest of its answer takes its time.
    Wait(Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send + 'a>>),
    /// There is none before more bytes come, or before this moment.
    Pending(Option<Instant>),
}

#[derive(Debug)]
struct Session {
    /// Only while there is something to decode: a silent session holds none.
    begun: Option<Box<Begun>>,
    outlet: Outlet,
    desk: Desk,
}

/// What there is of a request that is not answered yet.
#[derive(Debug)]
struct Begun {
    decoder: RequestDecoder,
    /// How late it is for the decoder.
    now: Instant,
}

impl Begun {
    /// What is there, or a beginning.
    fn within<'a>(place: &'a mut Option<Box<Self>>, desk: &Desk) -> &'a mut Self {
        let new = || Box::new(Self { decoder: RequestDecoder::new(desk.reading()), now: Instant::now() });
        place.get_or_insert_with(new)
    }
}

impl Session {
    async fn converse(&mut self, stop: &StopSignal) -> LeftWhy {
        // One for the whole conversation: to begin listening costs more than to be asked again.
        let mut stopped = stop.stopped();
        loop {
            let wake = match self.is_done_at_once() {
                true => None,
                // Boxed, as most reads are done with at once, and all silent connections would hold the room.
                false => match Box::pin(self.answer_all()).await {
                    Ok(wake) => wake,
                    Err(why) => return why,
                },
            };
            // Boxed too: few connections wait for a moment.
            let mut waking = wake.map(|wake| Box::pin(sleep_until(wake.into())));
            let event = poll_fn(|context| self.poll_event(&mut waking, &mut stopped, context)).await;
            if let Err(why) = self.apply(event) {
                return why;
            }
        }
    }

    /// Whether there is nothing to do but to wait: nothing for the decoder, and what is held went out.
    fn is_done_at_once(&mut self) -> bool {
        self.begun.is_none() && self.outlet.flush_at_once()
    }

    /// Answers every whole request. Says when to look again, or why the connection ends; its last answers may still be held then.
    async fn answer_all(&mut self) -> Result<Option<Instant>, LeftWhy> {
        let mut answered = 0;
        loop {
            let pending = match self.answer_next()? {
                Next::Answered => None,
                Next::Wait(rest) => rest.await.map(|()| None).map_err(broken)?,
                Next::Pending(wake) => Some(wake),
            };
            if let Some(wake) = pending {
                if let Some(begun) = &self.begun
                    && answered > 0
                {
                    self.desk.time(begun.now);
                }
                self.outlet.flush().await.map_err(broken)?;
                self.begun.take_if(|begun| begun.decoder.is_idle());
                return Ok(wake);
            }
            if self.outlet.is_full() {
                self.outlet.flush().await.map_err(broken)?;
            }
            answered += 1;
            if answered % INDEX_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Answers one request, or begins to.
    fn answer_next(&mut self) -> Result<Next<'_>, LeftWhy> {
        let Self { begun: Some(begun), outlet, desk } = self else { return Ok(Next::Pending(None)) };
        match begun.decoder.poll(begun.now) {
            Decoded::Pending(wake) => Ok(Next::Pending(wake)),
            Decoded::Ended => Err(LeftWhy::EndOfFile),
            Decoded::Request(request) => {
                desk.count_one(Kind::of(&request));
                Ok(match desk.answer(request, outlet) {
                    Step::Answered => Next::Answered,
                    Step::Wait(rest) => Next::Wait(rest),
                })
            }
            Decoded::Refused(refusal) => {
                desk.count_one(Kind::Refused);
                desk.refuse(&refusal, outlet);
                if refusal.reason.closes() {
                    Err(LeftWhy::Refused(refusal.reason))
                } else {
                    Ok(Next::Answered)
                }
            }
        }
    }

    /// What the waiting brings. In this order: a flood must not drown the stop, and bytes that are there are not silence.
    fn poll_event(
        &mut self,
        waking: &mut Option<Pin<Box<Sleep>>>,
        stopped: &mut Stopped<'_>,
        context: &mut Context<'_>,
    ) -> Poll<Event> {
        let Self { begun, outlet, desk } = self;
        if Pin::new(stopped).poll(context).is_ready() {
            return Poll::Ready(Event::Stop);
        }
        let taken = poll_take(outlet, context, |outlet, bytes| {
            let answered = if begun.is_none() { desk.answer_at_once(bytes, outlet) } else { 0 };
            match bytes.get(answered..) {
                None | Some([]) => Event::Answered,
                Some(rest) => {
                    let now = Instant::now();
                    Begun::within(begun, desk).decoder.push(rest, now);
                    Event::Bytes(now)
                }
            }
        });
        if taken.is_ready() {
            return taken;
        }
        if let Poll::Ready(names) = desk.poll_wanted(context) {
            return Poll::Ready(Event::Wanted(names));
        }
        if let Poll::Ready(denied) = desk.poll_lost(context) {
            return Poll::Ready(Event::LostToken(denied));
        }
        match waking {
            Some(waking) => waking.as_mut().poll(context).map(|()| Event::Wake(Instant::now())),
            None => Poll::Pending,
        }
    }

    fn apply(&mut self, event: Event) -> Result<(), LeftWhy> {
        match event {
            Event::Answered => {}
            Event::Bytes(now) | Event::Wake(now) => Begun::within(&mut self.begun, &self.desk).now = now,
            Event::Wanted(names) => write_wanted(&names, self.outlet.held()),
            // Whoever holds records by a token that is none has them no longer.
            Event::LostToken(denied) => {
                write_denied(&denied, self.outlet.held());
                return Err(LeftWhy::LostToken(denied));
            }
            Event::EndOfFile => Begun::within(&mut self.begun, &self.desk).decoder.push_end_of_file(),
            Event::Stop => return Err(LeftWhy::Stopping),
            Event::Failed(error) => return Err(LeftWhy::Error(error)),
        }
        Ok(())
    }
}

/// Whether only an attacker, or a fault, ends so again and again.
fn is_offence(why: &LeftWhy) -> bool {
    matches!(why, LeftWhy::Stalled | LeftWhy::Refused(Reason::Incomplete | Reason::BodyIncomplete))
}

async fn close(mut outlet: Outlet, farewell: Farewell) {
    match farewell {
        Farewell::Close | Farewell::Linger => {
            let flushed = outlet.flush().await.is_ok();
            match (flushed, farewell) {
                (true, Farewell::Linger) => outlet.stream.close_lingering(LINGER).await,
                (true, _) => outlet.stream.close(),
                (false, _) => {}
            }
        }
        Farewell::Abort => outlet.stream.abort(),
        Farewell::Drop => {}
    }
}

/// Reads what is there and hands it on. The array lies on the stack, and not in each task.
fn poll_take(
    outlet: &mut Outlet,
    context: &mut Context<'_>,
    mut take: impl FnMut(&mut Outlet, &[u8]) -> Event,
) -> Poll<Event> {
    let mut room = [MaybeUninit::uninit(); INDEX_READ];
    let mut buffer = ReadBuf::uninit(&mut room);
    outlet.stream.poll_read(context, &mut buffer).map(|read| match (read, buffer.filled()) {
        (Err(error), _) => Event::Failed(error),
        (Ok(()), []) => Event::EndOfFile,
        (Ok(()), bytes) => take(outlet, bytes),
    })
}

fn broken(error: WriteError) -> LeftWhy {
    match error {
        WriteError::Stalled => LeftWhy::Stalled,
        WriteError::Io(error) => LeftWhy::Error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_session_is_small() {
        fn size_of_future<F>(_: impl Fn(Arc<Shared>, Incoming, StopSignal) -> F) -> usize {
            size_of::<F>()
        }
        // Thousands of peers are silent most of the time; this is what each of them costs.
        let size = size_of_future(run);
        assert!(size <= 400, "{size} bytes");
    }
}

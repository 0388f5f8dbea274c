//! Where one request is answered: the store is asked, and the answer is written in the request's framing.
//!
//! Nearly every request is an ADD or a LOOKUP with a short answer. Those are answered at once; only what may have to wait is a
//! future, in a box of its own, so that a silent connection does not hold room for it.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use net::stop::StopSignal;
use net::stream::WriteError;
use proto::directory::{Cursor, Key, Record};
use proto::schedule::Order;
use proto::value::host::Terms;
use proto::value::number::RfcNumber;
use proto::visibility::Requester;
use proto::wire::add::Add;
use proto::wire::answer;
use proto::wire::decoder::Reading;
use proto::wire::framing::Framing;
use proto::wire::refusal::{Reason, Refusal};
use proto::wire::request::{Request, Verb};
use proto::wire::status::Status;
use proto::wire::version::Version;

use crate::claims::Peers;
use crate::guard::Losing;
use crate::meter::Kind;
use crate::notice::{LeftWhy, Notice};
use crate::outlet::{Outlet, is_full};
use crate::server::{Settings, Shared};
use crate::store::{Asked, Op, Peer, Range, StoreError};
use crate::view::View;
use crate::wants::Listening;

mod at_once;
mod choice;
mod guarded;
pub(crate) mod v11;
mod watch;

const GET_ELSEWHERE: Reason = Reason::NotServedHere("GET is for peers; this is the index");

/// Answers the requests of one session, which is open in the store as long as this lives: dropping it closes it there.
#[derive(Debug)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
    source: SocketAddr,
    view: View,
    peers: Peers,
    /// In a box, as few sessions have any of it.
    unasked: Option<Box<Unasked>>,
    /// Ends a wait; everything else is short.
    stop: StopSignal,
    /// `None` as long as it stays. A task that is aborted is so because the index stops.
    left: Option<Box<LeftWhy>>,
}

/// What the requester may be told without having asked just now.
#[derive(Debug, Default)]
struct Unasked {
    /// What is wanted of it.
    listening: Option<Listening>,
    /// That the token which it has shown is none any more.
    losing: Vec<Losing>,
}

/// What an answer said, for the notice.
#[derive(Debug)]
struct Said {
    status: Status,
    records: usize,
}

/// How far an answer with records has come.
#[derive(Debug, Default)]
struct Progress {
    records: usize,
    next: Option<Cursor>,
    /// There is a choice, which was not made: nothing of the answer is written.
    chooses: bool,
}

/// How far answering a request has come.
pub(crate) enum Step<'a> {
    Answered,
    /// The rest takes its time. An error means that the connection is of no further use.
    Wait(Pin<Box<dyn Future<Output = Result<(), WriteError>> + Send + 'a>>),
}

impl Desk {
    /// Opens a session for a connection from `source`, which reached the index at `reached`.
    pub(crate) fn join(shared: Arc<Shared>, source: SocketAddr, reached: IpAddr, stop: StopSignal) -> Self {
        let id = shared.store.open();
        shared.observer.notice(&Notice::Joined { id, source });
        let requester = Requester { source: source.ip(), reached };
        let Settings { record_host, order, .. } = shared.settings;
        let view = View { policy: record_host, order, requester, session: id, pass: None };
        Self { shared, source, view, peers: Peers::default(), unasked: None, stop, left: None }
    }

    fn unasked(&mut self) -> &mut Unasked {
        self.unasked.get_or_insert_default()
    }

    /// What is wanted of the requester.
    pub(crate) fn poll_wanted(&self, context: &Context<'_>) -> Poll<Vec<Arc<str>>> {
        let listening = self.unasked.as_ref().and_then(|unasked| unasked.listening.as_ref());
        listening.map_or(Poll::Pending, |listening| listening.poll(context))
    }

    /// Closes the session.
    pub(crate) fn leave(mut self, why: LeftWhy) {
        self.left = Some(Box::new(why));
    }

    /// How strictly requests are read.
    pub(crate) fn reading(&self) -> Reading {
        self.shared.settings.reading
    }

    /// Answers a request, or begins to.
    pub(crate) fn answer<'a>(&'a mut self, request: Request<'a>, outlet: &'a mut Outlet) -> Step<'a> {
        let at_once = self.shared.store.at_once().is_some() && !self.is_guarded();
        match request.verb {
            Verb::Add(add) if at_once => {
                let added = self.added_at_once(&add);
                self.conclude_add(&add, added, request.framing, || request.clone(), outlet);
                Step::Answered
            }
            Verb::Lookup(lookup) if at_once => self.lookup_at_once(lookup.number, request, outlet),
            _ => Step::Wait(Box::pin(self.answer_slowly(request, outlet))),
        }
    }

    async fn answer_slowly(&mut self, request: Request<'_>, outlet: &mut Outlet) -> Result<(), WriteError> {
        if let Some(refused) = self.refuse_unless_allowed(&request, outlet).await {
            return refused;
        }
        match &request.verb {
            Verb::Add(add) => {
                let peer = Arc::clone(self.peer_of(add));
                let added = self.shared.store.apply(self.view.session, op_of(add, &peer)).await;
                self.conclude_add(add, added.map(|_| peer), request.framing, || request.clone(), outlet);
            }
            Verb::Lookup(lookup) => {
                let key = Key::Rfc(lookup.number);
                return match self.view.order {
                    Order::Added => {
                        self.tell(Asked::Holders(&key), Progress::default(), &request, outlet).await
                    }
                    Order::Load => self.tell_chosen(&key, &request, outlet).await,
                };
            }
            Verb::List(_) => {
                let admitted = match self.shared.admission.list() {
                    Ok(admitted) => admitted,
                    Err(busy) => {
                        self.refuse_request(Reason::NotServedHere(busy.reason()), &request, outlet);
                        return Ok(());
                    }
                };
                let all = Asked::Range(&Range::Numbers);
                let told = self.tell(all, Progress::default(), &request, outlet).await;
                drop(admitted);
                return told;
            }
            Verb::Get(_) => self.refuse_request(GET_ELSEWHERE, &request, outlet),
            Verb::V11(ask) => self.answer_v11(&request, ask, outlet).await?,
        }
        Ok(())
    }

    /// One request more was read, whatever comes of it.
    pub(crate) fn count_one(&self, kind: Kind) {
        self.shared.meter.count(kind, 1);
    }

    /// Refuses a request; closing is the session's.
    pub(crate) fn refuse(&self, refusal: &Refusal<'_>, outlet: &mut Outlet) {
        match refusal.version {
            Version::V1_0 => {
                answer::status_only(refusal.reason.status(), refusal.framing.answer(), outlet.held());
            }
            Version::V1_1 => v11::write_refusal(&refusal.reason, outlet.held()),
        }
        self.shared.observer.notice(&Notice::Refused { source: self.source, refusal });
    }

    /// Refuses a request that keeps the rules of the protocol.
    fn refuse_request(&self, reason: Reason, request: &Request<'_>, outlet: &mut Outlet) {
        let refusal =
            Refusal { reason, version: request.version, framing: request.framing, raw: request.raw };
        self.refuse(&refusal, outlet);
    }

    fn peer_of(&mut self, add: &Add<'_>) -> &Arc<Peer> {
        self.peers.of(add.host, add.port, &Terms::default(), self.view.requester.source, &self.shared.claims)
    }

    fn added_at_once(&mut self, add: &Add<'_>) -> Result<Arc<Peer>, StoreError> {
        let Self { shared, peers, view, .. } = self;
        let peer = peers.of(add.host, add.port, &Terms::default(), view.requester.source, &shared.claims);
        let store = &shared.store;
        store.add_title_at_once(view.session, add.number, add.title.as_str(), peer).map(|_| Arc::clone(peer))
    }

    /// `request` is made only for whoever wants to see it.
    fn conclude_add<'a>(
        &self,
        add: &Add<'_>,
        added: Result<Arc<Peer>, StoreError>,
        framing: Framing,
        request: impl FnOnce() -> Request<'a>,
        outlet: &mut Outlet,
    ) {
        match added {
            Ok(peer) => {
                self.shared.tell_news();
                let (framing, out) = (framing.answer(), outlet.held());
                answer::begin(framing, out);
                self.view.write_own(add, &peer, framing, out);
                answer::end(framing, out);
                self.note(request, &Said { status: Status::Ok, records: 1 });
            }
            Err(error) => self.refuse_request(error.reason(), &request(), outlet),
        }
    }

    /// Answers a LOOKUP as far as its answer fits what may be held; only the rest of a longer one must wait for its reader.
    fn lookup_at_once<'a>(
        &'a mut self,
        number: RfcNumber,
        request: Request<'a>,
        outlet: &'a mut Outlet,
    ) -> Step<'a> {
        let desk: &'a Self = self;
        let (key, mut progress) = (Key::Rfc(number), Progress::default());
        let before = outlet.held().len();
        let next = desk.shared.store.at_once().and_then(|store| {
            store.visit(Asked::Holders(&key), None, &mut desk.sources(&mut progress, &request, outlet))
        });
        if progress.chooses {
            outlet.held().truncate(before);
            return Step::Wait(Box::pin(async move { desk.tell_chosen(&key, &request, outlet).await }));
        }
        if next.is_none() {
            desk.end(&progress, &request, outlet);
            return Step::Answered;
        }
        progress.next = next;
        Step::Wait(Box::pin(async move { desk.tell(Asked::Holders(&key), progress, &request, outlet).await }))
    }

    /// Writes the records that are asked for, as many at a time as may be held, so that neither their number nor a slow reader
    /// costs memory.
    async fn tell(
        &self,
        asked: Asked<'_>,
        mut progress: Progress,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        loop {
            outlet.make_room().await?;
            let turn = match asked {
                // It is never closed.
                Asked::Range(_) => self.shared.lists.acquire().await.ok(),
                Asked::Holders(_) => None,
            };
            let after = progress.next.take();
            let next = {
                let mut page = self.page(&mut progress, request, outlet);
                match self.shared.store.at_once() {
                    // Called as what it is, which is half of the time that a record takes.
                    Some(store) => store.visit(asked, after.as_ref(), &mut page),
                    None => self.shared.store.visit(asked, after.as_ref(), &mut page).await,
                }
            };
            if next.is_none() {
                self.end(&progress, request, outlet);
                return Ok(());
            }
            progress.next = next;
            drop(turn);
            // A long answer must not keep the others waiting.
            tokio::task::yield_now().await;
        }
    }

    /// Takes records into an answer until no more may be held.
    fn page(
        &self,
        progress: &mut Progress,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> impl FnMut(&Record<'_, Peer>) -> ControlFlow<()> + Send {
        let (view, framing, out) = (&self.view, request.framing.answer(), outlet.held());
        move |record| {
            if progress.records == 0 {
                answer::begin(framing, out);
            }
            progress.records += 1;
            view.write(record, framing, out);
            if is_full(out) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    /// The same for the answer to a LOOKUP, which breaks off where there is a choice: nearly always there is none.
    fn sources(
        &self,
        progress: &mut Progress,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> impl FnMut(&Record<'_, Peer>) -> ControlFlow<()> + Send {
        let (view, framing, out) = (&self.view, request.framing.answer(), outlet.held());
        move |record| {
            match (progress.records, view.order) {
                (0, _) => answer::begin(framing, out),
                (_, Order::Added) => {}
                (_, Order::Load) => {
                    progress.chooses = true;
                    return ControlFlow::Break(());
                }
            }
            progress.records += 1;
            view.write(record, framing, out);
            if is_full(out) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }

    /// Ends an answer with records, or says that there is none.
    fn end(&self, progress: &Progress, request: &Request<'_>, outlet: &mut Outlet) {
        let (framing, records) = (request.framing.answer(), progress.records);
        let status = if records == 0 { Status::NotFound } else { Status::Ok };
        match status {
            Status::Ok => answer::end(framing, outlet.held()),
            status => answer::status_only(status, framing, outlet.held()),
        }
        self.note(|| request.clone(), &Said { status, records });
    }

    /// Notes how long it took from when requests were read to now, when their answers are written.
    pub(crate) fn time(&self, read: Instant) {
        if self.shared.meter.wants_time() {
            self.shared.meter.time(read.elapsed());
        }
    }

    fn note<'a>(&self, request: impl FnOnce() -> Request<'a>, said: &Said) {
        if self.shared.observer.wants_requests() {
            let (Said { status, records }, request) = (said, &request());
            let (status, records) = (status.as_str(), *records);
            let (source, of_member) = (self.source, self.is_of_member());
            self.shared.observer.notice(&Notice::Request { source, request, status, records, of_member });
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let Self { shared, source, view, left, .. } = self;
        let records = shared.store.close(view.session);
        // The panic may have been the observer's, and a second one would end the process. The accept loop tells of it.
        if !std::thread::panicking() {
            let why = left.as_deref().unwrap_or(&LeftWhy::Stopping);
            shared.observer.notice(&Notice::Left { id: view.session, source: *source, records, why });
        }
    }
}

fn op_of<'a>(add: &Add<'a>, peer: &Arc<Peer>) -> Op<'a> {
    Op::AddTitle { number: add.number, title: add.title.as_str(), peer: Arc::clone(peer) }
}

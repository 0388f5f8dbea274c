//! Where one request is answered: the store is asked, and the answer is written in the request's framing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use net::stream::WriteError;
use proto::directory::{Cursor, Key};
use proto::limits::RECORDS_PAGE;
use proto::wire::add::Add;
use proto::wire::answer;
use proto::wire::framing::AnswerFraming;
use proto::wire::refusal::{Reason, Refusal};
use proto::wire::request::{Request, Verb};
use proto::wire::status::Status;
use proto::wire::version::Version;

use crate::claims::Peers;
use crate::notice::Notice;
use crate::outlet::Outlet;
use crate::server::Shared;
use crate::store::{Op, Page, Range};
use crate::view::View;

mod v11;

const GET_ELSEWHERE: Reason = Reason::NotServedHere("GET is for peers; this is the index");

/// Answers the requests of one session.
#[derive(Debug)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
    source: SocketAddr,
    view: View,
    peers: Peers,
}

/// What an answer said, for the notice.
#[derive(Debug)]
struct Said {
    status: Status,
    records: usize,
}

/// Which records are asked for.
#[derive(Debug)]
enum Asked {
    Of(Key),
    All,
}

impl Desk {
    pub(crate) fn new(shared: Arc<Shared>, source: SocketAddr, view: View) -> Self {
        Self { shared, source, view, peers: Peers::default() }
    }

    /// Answers a request. An error means that the connection is of no further use.
    pub(crate) async fn answer(
        &mut self,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        let framing = request.framing.answer();
        let mut said = Said { status: Status::Ok, records: 0 };
        let written = match &request.verb {
            Verb::Add(add) => match self.add(add, framing, outlet).await {
                Ok(()) => {
                    said.records = 1;
                    Ok(())
                }
                Err(reason) => return self.refuse_request(reason, request, outlet).await,
            },
            Verb::Lookup(lookup) => {
                self.tell(&Asked::Of(Key::Rfc(lookup.number)), framing, outlet, &mut said).await
            }
            Verb::List(_) => self.tell(&Asked::All, framing, outlet, &mut said).await,
            Verb::Get(_) => return self.refuse_request(GET_ELSEWHERE, request, outlet).await,
            Verb::V11(ask) => return self.answer_v11(request, ask, outlet).await,
        };
        self.note(request, &said);
        written?;
        outlet.make_room().await
    }

    /// Refuses a request; closing is the session's.
    pub(crate) async fn refuse(&self, refusal: &Refusal<'_>, outlet: &mut Outlet) -> Result<(), WriteError> {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        match refusal.version {
            Version::V1_0 => {
                answer::status_only(refusal.reason.status(), refusal.framing.answer(), outlet.held());
            }
            Version::V1_1 => v11::write_refusal(&refusal.reason, outlet.held()),
        }
        self.shared.observer.notice(&Notice::Refused { source: self.source, refusal });
        outlet.make_room().await
    }

    /// Refuses a request that keeps the rules of the protocol.
    async fn refuse_request(
        &self,
        reason: Reason,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        let refusal =
            Refusal { reason, version: request.version, framing: request.framing, raw: request.raw };
        self.refuse(&refusal, outlet).await
    }

    async fn add(
        &mut self,
        add: &Add<'_>,
        framing: AnswerFraming,
        outlet: &mut Outlet,
    ) -> Result<(), Reason> {
        let source = self.view.requester.source;
        let peer = self.peers.of(add.host, add.port, source, &self.shared.claims);
        let op = Op::AddTitle { number: add.number, title: add.title.as_str(), peer: Arc::clone(&peer) };
        self.shared.store.apply(self.view.session, op).await.map_err(|error| error.reason())?;
        self.shared.tell_news();
        let out = outlet.held();
        answer::begin(framing, out);
        self.view.write_own(add, &peer, framing, out);
        answer::end(framing, out);
        Ok(())
    }

    /// Writes the records that are asked for, page by page, so that neither their number nor a slow reader costs memory.
    async fn tell(
        &self,
        asked: &Asked,
        framing: AnswerFraming,
        outlet: &mut Outlet,
        said: &mut Said,
    ) -> Result<(), WriteError> {
        let mut page = self.page(asked, None).await;
        if page.entries.is_empty() {
            said.status = Status::NotFound;
            answer::status_only(Status::NotFound, framing, outlet.held());
            return Ok(());
        }
        answer::begin(framing, outlet.held());
        loop {
            for entry in &page.entries {
                outlet.make_room().await?;
                self.view.write(entry, framing, outlet.held());
                said.records += 1;
            }
            let Some(next) = page.next else { break };
            // A long answer must not keep the others waiting.
            tokio::task::yield_now().await;
            page = self.page(asked, Some(next)).await;
        }
        answer::end(framing, outlet.held());
        Ok(())
    }

    async fn page(&self, asked: &Asked, after: Option<Cursor>) -> Page {
        match asked {
            Asked::Of(key) => self.shared.store.lookup(key, after, RECORDS_PAGE).await,
            Asked::All => self.shared.store.list(&Range::Numbers, after, RECORDS_PAGE).await,
        }
    }

    fn note(&self, request: &Request<'_>, said: &Said) {
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        if self.shared.observer.wants_requests() {
            let Said { status, records } = *said;
            let status = status.as_str();
            self.shared.observer.notice(&Notice::Request { source: self.source, request, status, records });
        }
    }
}

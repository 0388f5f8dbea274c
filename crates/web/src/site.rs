//! Everything that connections in HTTP have in common: what is shown, who may ask, the routes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{self, HeaderValue, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use index::guard::{Guard, Pass};
use index::server::Server;
use net::accept::Incoming;
use net::stop::StopSignal;
use proto::access::Denied;
use proto::access::rights::Right;
use proto::http::host::OwnNames;
use proto::http::request::{Asker, Request};
use proto::visibility::Requester;
use tower_service::Service;

use crate::feed::{Feed, Source};
use crate::notice::Observer;
use crate::own::{self, Own};
use crate::page::Kind;
use crate::{api, conversation, files, metrics, page};

/// Who may ask for what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The names under which this machine may be asked, beside those that are everybody's.
    pub names: OwnNames,
    /// Whether the dashboard is served; the rest always is.
    pub page: bool,
}

/// The HTTP face of an index, or of one peer's own shares. Clones are the same face.
#[derive(Clone)]
pub struct Site {
    door: Arc<Door>,
    router: Router,
    /// Where downloads are led to, which needs no router.
    leads: Option<Arc<Shared>>,
    feed: Arc<Feed>,
    source: Arc<dyn Source>,
}

/// Who may come in, and what is told of it.
pub(crate) struct Door {
    names: OwnNames,
    observer: Arc<dyn Observer>,
    /// Whose guard says who may ask for what.
    guarded: Option<Server>,
    pub(crate) answers: Answers,
}

/// What the handlers of an index see.
pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) feed: Arc<Feed>,
    pub(crate) door: Arc<Door>,
}

/// Counts answers by the first digit of their status, from 1.
#[derive(Debug, Default)]
pub(crate) struct Answers([AtomicU64; 5]);

impl Answers {
    pub(crate) fn count(&self, status: u16) {
        let class = usize::from(status / 100).saturating_sub(1);
        if let Some(count) = self.0.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn so_far(&self) -> [u64; 5] {
        self.0.each_ref().map(|count| count.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("names", &self.door.names).finish_non_exhaustive()
    }
}

impl Site {
    /// The face of an index. `feed` must be among the index's observers, and [`Self::keep_fed`] must run.
    #[must_use]
    pub fn of_index(
        settings: Settings,
        server: Server,
        feed: Arc<Feed>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let door = Arc::new(Door {
            names: settings.names,
            observer,
            guarded: Some(server.clone()),
            answers: Answers::default(),
        });
        let source = Arc::new(server.clone());
        let shared = Arc::new(Shared { server, feed: Arc::clone(&feed), door: Arc::clone(&door) });
        let routes = metrics::routes().merge(api::routes()).with_state(Arc::clone(&shared));
        let page = settings.page.then_some(Kind::Index);
        Self::with(door, routes, page, Some(shared), feed, source)
    }

    /// The face of a peer for whoever runs it: what it shares, and who takes it. [`Self::keep_fed`] must run.
    #[must_use]
    pub fn of_peer(names: OwnNames, own: Arc<Own>, observer: Arc<dyn Observer>) -> Self {
        let door = Arc::new(Door { names, observer, guarded: None, answers: Answers::default() });
        let feed = Arc::clone(&own.feed);
        Self::with(door, own::routes(&own), Some(Kind::Peer), None, feed, own)
    }

    fn with(
        door: Arc<Door>,
        routes: Router,
        page: Option<Kind>,
        leads: Option<Arc<Shared>>,
        feed: Arc<Feed>,
        source: Arc<dyn Source>,
    ) -> Self {
        let routes = routes.merge(api::live(&feed));
        let routes = page.into_iter().fold(routes, |routes, kind| routes.merge(page::routes(kind)));
        Self { door, router: routes.fallback(missing), leads, feed, source }
    }

    /// Serves one connection that speaks HTTP until it ends, or until `stop`.
    pub async fn serve_connection(self, incoming: Incoming, stop: StopSignal) {
        conversation::run(self, incoming, stop).await;
    }

    /// Keeps the plots and the event streams going until `stop`.
    pub async fn keep_fed(self, stop: StopSignal) {
        self.feed.run(&*self.source, stop).await;
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.door.answers
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.door.observer
    }

    /// Answers a request whose shape is sound.
    pub(crate) async fn respond(
        &self,
        request: &Arc<Request>,
        requester: Requester,
        is_private: bool,
    ) -> Response<Body> {
        if let Some(refusal) = self.door.turn_away(request) {
            return refusal;
        }
        let pass = match self.door.admit(request, requester, is_private) {
            Ok(pass) => pass,
            Err(denied) => return denied_in_words(&denied),
        };
        // Asked for most, and in need of nothing that a router does.
        if let Some(shared) = self.leads.as_ref().filter(|_| files::is_asked_for(request)) {
            return files::find(shared, request, requester).await;
        }
        let Ok(uri) = request.path.parse::<Uri>() else {
            return refusal(StatusCode::BAD_REQUEST, "the path cannot be read");
        };
        // HEAD is answered like GET, and its body left out where it would be sent.
        let mut asked = http::Request::new(Body::empty());
        *asked.uri_mut() = uri;
        asked.extensions_mut().insert(requester);
        asked.extensions_mut().insert(Arc::clone(request));
        let Ok(mut response) = self.router.clone().call(asked).await;
        if let Some(pass) = pass {
            // For answers that have no end of their own.
            response.extensions_mut().insert(pass);
        }
        response
    }

    /// Waits until a pass that was shown is none any more.
    pub(crate) async fn lost(&self, pass: Option<&Pass>) {
        match (self.door.guard(), pass) {
            (Some(guard), Some(pass)) => _ = guard.lost(pass).await,
            _ => std::future::pending().await,
        }
    }
}

impl Door {
    /// Whether this may be asked, where not everybody may ask everything.
    fn admit(
        &self,
        request: &Request,
        requester: Requester,
        is_private: bool,
    ) -> Result<Option<Arc<Pass>>, Denied> {
        let (Some(guard), Some(needed)) = (self.guard(), needed(&request.path)) else {
            return Ok(None);
        };
        let shown = request.credential.as_deref();
        let pass = shown.map(|shown| guard.admit(shown, requester.source, is_private)).transpose()?;
        guard.allow(pass.as_deref(), needed).map(|()| pass)
    }

    fn guard(&self) -> Option<&Guard> {
        self.guarded.as_ref().and_then(Server::guard)
    }

    /// Threats W1 and W2: a name that can be rebound, and a page of another site that reads the API. Following a link from
    /// elsewhere to the dashboard or to a file is fine.
    fn turn_away(&self, request: &Request) -> Option<Response<Body>> {
        match &request.host {
            None => return Some(refusal(StatusCode::BAD_REQUEST, "a request has a Host header")),
            Some(host) if !self.names.include(host) => {
                let reason = "this machine is not known by that name; --http-host adds one";
                return Some(refusal(StatusCode::MISDIRECTED_REQUEST, reason));
            }
            Some(_) => {}
        }
        let foreign = request.asker == Asker::Foreign && request.path.starts_with("/api/");
        foreign.then(|| refusal(StatusCode::FORBIDDEN, "pages of other sites do not read this"))
    }
}

/// What a path takes; `None` for what everybody may ask: whether the process lives says nothing about files.
fn needed(path: &str) -> Option<Right> {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match path {
        "/healthz" | "/readyz" => None,
        _ if ["/rfc/", "/file/", "/hash/"].iter().any(|begin| path.starts_with(begin)) => Some(Right::Get),
        _ => Some(Right::List),
    }
}

/// Browsers ask people for a name and a password: any name, and the token as password.
fn denied_in_words(denied: &Denied) -> Response<Body> {
    let status = StatusCode::from_u16(denied.code()).unwrap_or(StatusCode::FORBIDDEN);
    let mut response = refusal(status, &denied.to_string());
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"p2pci\""));
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"p2pci\""));
    }
    if let Denied::Penalised { seconds } = denied {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
    }
    response
}

/// A refusal in words.
pub(crate) fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, text, format!("{reason}\n")).into_response()
}

async fn missing() -> Response<Body> {
    refusal(StatusCode::NOT_FOUND, "there is nothing here")
}

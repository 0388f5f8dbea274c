//! Everything that connections in HTTP have in common: what is shown, who may ask, the routes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{self, Response, StatusCode, Uri, header};
use axum::response::IntoResponse;
use index::server::Server;
use net::accept::Incoming;
use net::stop::StopSignal;
use proto::http::host::OwnNames;
use proto::http::request::{Asker, Request};
use proto::visibility::Requester;
use tower_service::Service;

use crate::feed::Feed;
use crate::notice::Observer;
use crate::{api, conversation, files, metrics, page};

/// Who may ask for what.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The names under which this machine may be asked, beside those that are everybody's.
    pub names: OwnNames,
    /// Whether the dashboard is served; the rest always is.
    pub page: bool,
}

/// The HTTP face of one index. Clones are the same face.
#[derive(Clone)]
pub struct Site {
    shared: Arc<Shared>,
    router: Router,
}

/// What the handlers see.
pub(crate) struct Shared {
    pub(crate) server: Server,
    pub(crate) feed: Arc<Feed>,
    pub(crate) answers: Answers,
    names: OwnNames,
    observer: Arc<dyn Observer>,
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
        f.debug_struct("Site").field("names", &self.shared.names).finish_non_exhaustive()
    }
}

impl Site {
    /// A face of this index. `feed` must be among the index's observers, and [`Self::keep_fed`] must run.
    #[must_use]
    pub fn new(settings: Settings, server: Server, feed: Arc<Feed>, observer: Arc<dyn Observer>) -> Self {
        let Settings { names, page: with_page } = settings;
        let shared = Arc::new(Shared { server, feed, answers: Answers::default(), names, observer });
        let routes = files::routes().merge(metrics::routes()).merge(api::routes());
        let routes = if with_page { routes.merge(page::routes()) } else { routes };
        let router = routes.fallback(missing).with_state(Arc::clone(&shared));
        Self { shared, router }
    }

    /// Serves one connection that speaks HTTP until it ends, or until `stop`.
    pub async fn serve_connection(self, incoming: Incoming, stop: StopSignal) {
        conversation::run(self, incoming, stop).await;
    }

    /// Keeps the plots and the event streams going until `stop`.
    pub async fn keep_fed(self, stop: StopSignal) {
        self.shared.feed.run(&self.shared.server, stop).await;
    }

    pub(crate) fn answers(&self) -> &Answers {
        &self.shared.answers
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.shared.observer
    }

    /// Answers a request whose shape is sound.
    pub(crate) async fn respond(&self, request: Request, requester: Requester) -> Response<Body> {
        if let Some(refusal) = self.turn_away(&request) {
            return refusal;
        }
        let Ok(uri) = request.path.parse::<Uri>() else {
            return refusal(StatusCode::BAD_REQUEST, "the path cannot be read");
        };
        // HEAD is answered like GET, and its body left out where it would be sent.
        let mut asked = http::Request::new(Body::empty());
        *asked.uri_mut() = uri;
        asked.extensions_mut().insert(requester);
        asked.extensions_mut().insert(Arc::new(request));
        match self.router.clone().call(asked).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Threats W1 and W2: a name that can be rebound, and a page of another site that reads the API. Following a link from
    /// elsewhere to the dashboard or to a file is fine.
    fn turn_away(&self, request: &Request) -> Option<Response<Body>> {
        match &request.host {
            None => return Some(refusal(StatusCode::BAD_REQUEST, "a request has a Host header")),
            Some(host) if !self.shared.names.include(host) => {
                let reason = "this machine is not known by that name; --http-host adds one";
                return Some(refusal(StatusCode::MISDIRECTED_REQUEST, reason));
            }
            Some(_) => {}
        }
        let foreign = request.asker == Asker::Foreign && request.path.starts_with("/api/");
        foreign.then(|| refusal(StatusCode::FORBIDDEN, "pages of other sites do not read this"))
    }
}

/// A refusal in words.
pub(crate) fn refusal(status: StatusCode, reason: &str) -> Response<Body> {
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, text, format!("{reason}\n")).into_response()
}

async fn missing() -> Response<Body> {
    refusal(StatusCode::NOT_FOUND, "there is nothing here")
}

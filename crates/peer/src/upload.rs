//! Hands shared files to other peers.
//!
//! One door for all tongues: GET of P2P-CI and HTTP are answered here, a connection that speaks something else goes to whoever
//! the caller names.

use std::fs::File;
use std::future::Future;
use std::io;
use std::sync::Arc;

use net::accept::{AcceptNotice, AcceptObserver, Incoming, Policy};
use net::listen::Listeners;
use net::stop::StopSignal;
use proto::tongue::Tongue;

use self::content::Content;
use self::http::{HttpUploads, Manners};
use self::places::Places;
use crate::notice::{Notice, Observer};
use crate::shares::{ShareNotice, ShareTable};

pub mod content;
pub mod http;
mod places;
mod session;

/// What is handed out.
#[derive(Clone)]
pub struct Served {
    /// In P2P-CI/1.0: what has a number.
    pub shares: Arc<ShareTable>,
    /// In HTTP.
    pub content: Arc<dyn Content>,
}

/// What the sessions of one upload server have in common.
struct Uploads {
    shares: Arc<ShareTable>,
    observer: Arc<dyn Observer>,
    /// Bodies that may travel at once, in whatever tongue.
    places: Arc<Places>,
    http: HttpUploads,
}

/// Somebody is sending a file, and the disk does not give it: it is not shared until it can be read again. Does not wait for a disk.
fn withdraw(content: &dyn Content, observer: &dyn Observer, name: &str, file: &File, why: &io::Error) {
    if content.withdraw(name, file) {
        let notice = ShareNotice::Unreadable { name: name.to_owned(), why: why.to_string() };
        observer.notice(Notice::Shares(notice));
    }
}

/// Tells what happens at the door to the same observer as everything else.
struct Door(Arc<dyn Observer>);

impl AcceptObserver for Door {
    fn notice(&self, notice: AcceptNotice) {
        self.0.notice(Notice::Accept(notice));
    }
}

/// Serves until `stop`; running uploads then have [`Policy::drain`] to end. A connection that speaks TLS although there is none, or
/// plain text although there is TLS only, is handed to `fallback`. At most [`proto::limits::UPLOADS_MAX`] files travel at once,
/// [`proto::limits::UPLOADS_PER_ADDRESS`] of them to one address; more wait.
pub async fn serve<H, F>(
    listeners: Listeners,
    policy: Policy,
    manners: Manners,
    served: Served,
    observer: Arc<dyn Observer>,
    fallback: H,
    stop: StopSignal,
) where
    H: Fn(Incoming) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let Served { shares, content } = served;
    let (tls_only, is_private) = (manners.tls_only, manners.gate.is_some());
    let door = Arc::new(Door(Arc::clone(&observer)));
    let places = Arc::new(Places::new(manners.limit.clone()));
    let http = HttpUploads::sharing(content, Arc::clone(&observer), Arc::clone(&places), manners);
    let uploads = Arc::new(Uploads { shares, observer, places, http });
    let stopping = stop.clone();
    let handler = move |incoming: Incoming| {
        let (uploads, fallback, stop) = (Arc::clone(&uploads), fallback.clone(), stopping.clone());
        async move {
            match incoming.tongue {
                _ if tls_only && !incoming.stream.is_secure() => fallback(incoming).await,
                Some(Tongue::Http) => uploads.http.run(incoming, stop).await,
                Some(Tongue::Tls) => fallback(incoming).await,
                // 1.0 has no tickets.
                Some(Tongue::P2pCi) | None if is_private => fallback(incoming).await,
                Some(Tongue::P2pCi) | None => session::run(&uploads, incoming, stop).await,
            }
        }
    };
    net::accept::serve(listeners, policy, door, handler, stop).await;
}

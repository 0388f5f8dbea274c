//! The page of `share --web`: a port of its own, for whoever runs this peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use net::accept::{AcceptNotice, AcceptObserver, Incoming, Policy};
use net::interfaces::host_name;
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::stop::StopSignal;
use peer::indexes::Indexes;
use peer::link::IndexAddr;
use peer::notice::{Notice, Observer};
use peer::shares::ShareTable;
use peer::traffic::Traffic;
use proto::http::host::OwnNames;
use proto::limits::{CONNECTIONS_PER_ADDRESS, PAGE_CONNECTIONS_MAX};
use proto::tongue::Tongue;
use web::notice::Unheard;
use web::own::{Own, UploadPort};
use web::site::Site;

use crate::exit::{Code, Failure};
use crate::settings::{ListenAddr, typed};
use crate::tongues;

/// How long its connections may go on when the peer leaves.
const DRAIN: Duration = Duration::from_secs(1);

/// A page that listens, and is not served yet.
pub(super) struct Page {
    listeners: Listeners,
    own: Arc<Own>,
}

impl Page {
    /// Begins to listen, so that a port that is taken is told before anything is shared.
    pub(super) fn bind(
        listen: &ListenAddr,
        shares: &Arc<ShareTable>,
        traffic: &Arc<Traffic>,
        indexes: &Indexes,
    ) -> Result<Self, Failure> {
        let spec = ListenSpec { address: listen.address, ports: PortChoice::One(listen.port) };
        let listeners = Listeners::bind(spec).map_err(|error| {
            Failure::new(Code::Failed, format!("{error}; --web=ADDR:PORT chooses another place for the page"))
        })?;
        let own = Arc::new(Own::new(Arc::clone(shares), Arc::clone(traffic)));
        indexes.iter().for_each(|index| own.add_index(typed(index)));
        Ok(Self { listeners, own })
    }

    /// Who hears what happens, for the page.
    pub(super) fn hears(&self) -> Hears {
        Hears(Arc::clone(&self.own))
    }

    /// Where a browser on this machine finds it.
    pub(super) fn url(&self) -> String {
        let address = self.listeners.local_addrs().into_iter().next();
        let port = self.listeners.port();
        match address.filter(|address| !address.ip().is_unspecified()) {
            Some(address) => format!("http://{}/", SocketAddr::new(address.ip(), port)),
            None => format!("http://localhost:{port}/"),
        }
    }

    /// Serves it until `stop`, beside uploads there.
    pub(super) async fn serve(self, uploads: UploadPort, stop: StopSignal) {
        let Self { listeners, own } = self;
        own.set_uploads(uploads);
        let name = host_name();
        let site = Site::of_peer(OwnNames::new(name.as_deref()), own, Arc::new(Unheard));
        let policy = Policy {
            public: false,
            connections_max: PAGE_CONNECTIONS_MAX,
            per_address_max: CONNECTIONS_PER_ADDRESS,
            refusal: tongues::REFUSAL,
            drain: DRAIN,
            lists: net::lists::AddressLists::default(),
            tls: None,
        };
        let (fed, stopping) = (site.clone().keep_fed(stop.clone()), stop.clone());
        let handler = move |incoming: Incoming| {
            let (site, stop) = (site.clone(), stopping.clone());
            async move {
                match incoming.tongue {
                    Some(Tongue::Http) => site.serve_connection(incoming, stop).await,
                    _ => tongues::refuse(incoming).await,
                }
            }
        };
        tokio::join!(fed, net::accept::serve(listeners, policy, Arc::new(Quiet), handler, stop));
    }
}

/// What happens at this door is nobody's concern.
struct Quiet;

impl AcceptObserver for Quiet {
    fn notice(&self, _: AcceptNotice) {}
}

/// See [`Page::hears`].
pub(super) struct Hears(Arc<Own>);

impl Hears {
    /// Who hears of an index, and of everything else, beside somebody.
    pub(super) fn beside(&self, index: &IndexAddr, narrator: Arc<dyn Observer>) -> Arc<dyn Observer> {
        Arc::new(Both { own: Arc::clone(&self.0), index: typed(index), narrator })
    }
}

/// The page hears of everything first, as it only looks.
struct Both {
    own: Arc<Own>,
    index: String,
    narrator: Arc<dyn Observer>,
}

impl Observer for Both {
    fn notice(&self, notice: Notice) {
        match &notice {
            Notice::Link(notice) => self.own.hear_of(&self.index, notice),
            notice => self.own.hear(notice),
        }
        self.narrator.notice(notice);
    }
}

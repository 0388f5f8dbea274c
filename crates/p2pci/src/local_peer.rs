//! A peer that runs in this process: a table of shares, an upload server and a link to the index.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::accept::Policy;
use net::listen::{ListenSpec, PortChoice};
use net::lists::AddressLists;
use net::stop::{StopSignal, Stopper, stop_pair};
use net::tls::Acceptor;
use peer::indexes::Indexes;
use peer::limit::RateLimit;
use peer::link::{IndexAddr, LinkConfig};
use peer::links::Links;
use peer::notice::Observer;
use peer::shares::{ShareTable, Shared, Skipped};
use peer::upload::Served;
use peer::upload::content::Content;
use peer::upload::http::Manners;
use proto::http::host::OwnNames;
use proto::limits::{CONNECTIONS_PER_ADDRESS, UPLOAD_CONNECTIONS_MAX};
use proto::value::digest::Digest;
use proto::value::number::Port;
use tokio::task::JoinHandle;

use crate::cli::{OwnKey, Uploads, UseTls};
use crate::exit::{Code, Failure};
use crate::keys::{self, Whose};
use crate::port;
use crate::settings::Rates;
use crate::tongues;

/// How long uploads may go on when the peer leaves.
const DRAIN: Duration = Duration::from_secs(30);

/// What a peer is made of.
#[derive(Debug)]
pub struct Spec {
    /// The indexes.
    pub indexes: Indexes,
    /// The host to claim.
    pub host: Option<String>,
    /// Where and to whom uploads are served.
    pub door: Door,
    /// How fast it may move files.
    pub rates: Rates,
    /// Register everything that is shared, on each connection.
    pub announce: bool,
}

impl Spec {
    /// One for loopback alone, announcing everything.
    pub fn loopback(index: IndexAddr) -> Self {
        let listen = ListenSpec { address: Some(IpAddr::from([127, 0, 0, 1])), ports: PortChoice::Any };
        let door = Door { listen, public: false, tls: None, tls_only: false };
        Self { indexes: index.into(), host: None, door, rates: Rates::default(), announce: true }
    }
}

/// Where uploads are served, and to whom.
#[derive(Debug)]
pub struct Door {
    listen: ListenSpec,
    /// Every address.
    public: bool,
    /// In TLS.
    tls: Option<Secure>,
    /// Nobody in plain text.
    tls_only: bool,
}

/// What uploads in TLS need.
#[derive(Debug)]
struct Secure {
    acceptor: Acceptor,
    fingerprint: Digest,
}

impl Door {
    /// From what was typed; reads the key, or makes one.
    pub fn new(uploads: &Uploads, own: &OwnKey) -> Result<Self, Failure> {
        Self::with(uploads, own, uploads.tls)
    }

    /// The same with TLS as it is decided elsewhere.
    pub fn with(uploads: &Uploads, own: &OwnKey, uses: Option<UseTls>) -> Result<Self, Failure> {
        let ports =
            uploads.upload_port.map_or(PortChoice::Any, |ports| PortChoice::Range(ports.first, ports.last));
        let listen = ListenSpec { address: uploads.upload_listen, ports };
        let clients = uploads.tls_client_ca.as_deref();
        // In plain text nobody can show a certificate.
        let uses = if clients.is_some() { Some(UseTls::Only) } else { uses };
        let secure = |_| {
            let own = keys::own(own, Whose::Peer)?;
            let acceptor = keys::acceptor(&own, clients)?;
            Ok::<_, Failure>(Secure { acceptor, fingerprint: own.fingerprint() })
        };
        let tls = uses.map(secure).transpose()?;
        Ok(Self { listen, public: uploads.public, tls, tls_only: uses == Some(UseTls::Only) })
    }
}

/// How uploads are served by a peer that claims this host.
pub fn manners(host: Option<&str>, limit: RateLimit, browse: bool) -> Manners {
    let own = net::interfaces::host_name();
    let names = OwnNames::new(host.into_iter().chain(own.as_deref()));
    Manners { limit, names, browse, tls_only: false, gate: None }
}

/// A running upload server.
pub struct Uploader {
    /// The port on which it serves.
    pub port: Port,
    /// That of its key, if it speaks TLS.
    pub fingerprint: Option<Digest>,
    stopper: Stopper,
    stop: StopSignal,
    serving: JoinHandle<()>,
}

impl Uploader {
    /// Starts to serve what `shares` holds.
    pub fn start(
        door: Door,
        manners: Manners,
        shares: Arc<ShareTable>,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Failure> {
        let content = Arc::clone(&shares) as Arc<dyn Content>;
        Self::start_with(door, manners, Served { shares, content }, observer)
    }

    /// Starts to serve something else.
    pub fn start_with(
        door: Door,
        manners: Manners,
        served: Served,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Failure> {
        let Door { listen, public, tls, tls_only } = door;
        let listeners = port::open(listen, "--upload-port and --upload-listen choose another place")?;
        let port = Port::new(listeners.port());
        let port = port.ok_or_else(|| Failure::new(Code::Failed, "the system gave no upload port"))?;
        let (stopper, stop) = stop_pair();
        let policy = Policy {
            public,
            connections_max: UPLOAD_CONNECTIONS_MAX,
            per_address_max: CONNECTIONS_PER_ADDRESS,
            refusal: tongues::REFUSAL,
            drain: DRAIN,
            lists: AddressLists::default(),
            tls: tls.as_ref().map(|tls| tls.acceptor.clone()),
        };
        let manners = Manners { tls_only, ..manners };
        let refuse = move |incoming| async move {
            match tls_only {
                true => tongues::refuse_plain_text(incoming).await,
                false => tongues::refuse(incoming).await,
            }
        };
        let serving = peer::upload::serve(listeners, policy, manners, served, observer, refuse, stop.clone());
        let fingerprint = tls.map(|tls| tls.fingerprint);
        Ok(Self { port, fingerprint, stopper, stop, serving: tokio::spawn(serving) })
    }

    /// The signal that [`Self::stop`] gives.
    pub fn stop_signal(&self) -> StopSignal {
        self.stop.clone()
    }

    /// Lets running uploads end, and stops.
    pub async fn stop(self) {
        self.stopper.stop();
        // The task holds nothing that could fail; an error is its own panic, which was shown when it happened.
        let _ = self.serving.await;
    }
}

/// A running peer.
pub struct LocalPeer {
    /// What it shares.
    pub shares: Arc<ShareTable>,
    /// Its links to the indexes.
    pub link: Links,
    /// The port on which it serves uploads.
    pub upload_port: Port,
    /// How fast it may fetch.
    pub download_limit: RateLimit,
    uploader: Uploader,
}

impl LocalPeer {
    /// Starts the upload server and then the link, for what `shares` holds.
    pub fn start(spec: Spec, shares: Arc<ShareTable>, observer: Arc<dyn Observer>) -> Result<Self, Failure> {
        let uploader = Uploader::start(
            spec.door,
            manners(spec.host.as_deref(), spec.rates.upload, false),
            Arc::clone(&shares),
            Arc::clone(&observer),
        )?;
        let config = LinkConfig {
            index: spec.indexes.first().clone(),
            host: spec.host,
            upload_port: uploader.port,
            shares: Arc::clone(&shares),
            announce: spec.announce,
            seats: None,
            by_hand: Arc::default(),
        };
        let link = Links::start(&spec.indexes, &config, move |_| Arc::clone(&observer))
            .map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        Ok(Self { shares, link, upload_port: uploader.port, download_limit: spec.rates.download, uploader })
    }

    /// Leaves the index, lets running uploads end, and stops.
    pub async fn stop(self) {
        self.link.leave().await;
        self.uploader.stop().await;
    }
}

/// Reads a folder into a table, on a thread that may wait for the disk.
pub async fn scan(shares: &Arc<ShareTable>, folder: &Path) -> Result<(Vec<Shared>, Vec<Skipped>), Failure> {
    let (shares, folder) = (Arc::clone(shares), folder.to_owned());
    Ok(tokio::task::spawn_blocking(move || shares.scan(&folder)).await??)
}

/// What was skipped, in words: the first names and how many more.
pub fn skipped_in_words(skipped: &[Skipped]) -> String {
    const NAMED: usize = 3;
    let named: Vec<String> = skipped
        .iter()
        .take(NAMED)
        .map(|skipped| format!("{}: {}", proto::escape::Line(skipped.name.as_bytes()), skipped.why))
        .collect();
    match skipped.len().checked_sub(NAMED) {
        Some(more @ 1..) => format!("{} skipped: {}; and {more} more", skipped.len(), named.join("; ")),
        _ => format!("{} skipped: {}", skipped.len(), named.join("; ")),
    }
}

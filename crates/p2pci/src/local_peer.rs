//! A peer that runs in this process: a table of shares, an upload server and a link to the index.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use net::accept::Policy;
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::stop::{Stopper, stop_pair};
use peer::link::{IndexAddr, Link, LinkConfig};
use peer::notice::Observer;
use peer::shares::{ShareTable, Shared, Skipped};
use proto::limits::{CONNECTIONS_PER_ADDRESS, UPLOAD_CONNECTIONS_MAX};
use proto::value::number::Port;
use tokio::task::JoinHandle;

use crate::cli::Uploads;
use crate::exit::{Code, Failure};
use crate::tongues;

/// How long uploads may go on when the peer leaves.
const DRAIN: Duration = Duration::from_secs(30);

/// What a peer is made of.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The index.
    pub index: IndexAddr,
    /// The host to claim.
    pub host: Option<String>,
    /// Where uploads are served.
    pub listen: ListenSpec,
    /// Serve uploads to every address.
    pub public: bool,
    /// Register everything that is shared, on each connection.
    pub announce: bool,
}

impl Spec {
    /// From what was typed.
    pub fn new(index: &IndexAddr, uploads: &Uploads, announce: bool) -> Self {
        let ports =
            uploads.upload_port.map_or(PortChoice::Any, |ports| PortChoice::Range(ports.first, ports.last));
        Self {
            index: index.clone(),
            host: uploads.host.clone(),
            listen: ListenSpec { address: uploads.upload_listen, ports },
            public: uploads.public,
            announce,
        }
    }

    /// One for loopback alone, announcing everything.
    pub fn loopback(index: IndexAddr) -> Self {
        let listen = ListenSpec { address: Some(IpAddr::from([127, 0, 0, 1])), ports: PortChoice::Any };
        Self { index, host: None, listen, public: false, announce: true }
    }
}

/// A running peer.
pub struct LocalPeer {
    /// What it shares.
    pub shares: Arc<ShareTable>,
    /// Its link to the index.
    pub link: Link,
    /// The port on which it serves uploads.
    pub upload_port: u16,
    stopper: Stopper,
    uploads: JoinHandle<()>,
}

impl LocalPeer {
    /// Starts the upload server and then the link, for what `shares` holds.
    pub fn start(spec: Spec, shares: Arc<ShareTable>, observer: Arc<dyn Observer>) -> Result<Self, Failure> {
        let listeners = Listeners::bind(spec.listen).map_err(|error| {
            Failure::new(
                Code::Failed,
                format!("{error}; --upload-port and --upload-listen choose another place"),
            )
        })?;
        let upload_port = listeners.port();
        let port = Port::new(upload_port)
            .ok_or_else(|| Failure::new(Code::Failed, "the system gave no upload port"))?;
        let (stopper, stop) = stop_pair();
        let policy = Policy {
            public: spec.public,
            connections_max: UPLOAD_CONNECTIONS_MAX,
            per_address_max: CONNECTIONS_PER_ADDRESS,
            refusal: tongues::REFUSAL,
            drain: DRAIN,
        };
        let config = LinkConfig {
            index: spec.index,
            host: spec.host,
            upload_port: port,
            shares: Arc::clone(&shares),
            announce: spec.announce,
        };
        let link = Link::start(config, Arc::clone(&observer))
            .map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        let serving =
            peer::upload::serve(listeners, policy, Arc::clone(&shares), observer, tongues::refuse, stop);
        let uploads = tokio::spawn(serving);
        Ok(Self { shares, link, upload_port, stopper, uploads })
    }

    /// Leaves the index, lets running uploads end, and stops.
    pub async fn stop(self) {
        self.link.leave().await;
        self.stopper.stop();
        // The task holds nothing that could fail; an error is its own panic, which was shown when it happened.
        let _ = self.uploads.await;
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

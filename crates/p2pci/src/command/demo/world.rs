//! The demonstration's index and its two peers.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use index::notice::{Notice as IndexNotice, Observer as IndexObserver};
use index::server::{Server, Settings};
use index::store::{MemoryStore, Store};
use net::accept::{AcceptNotice, AcceptObserver, Policy};
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::lists::AddressLists;
use net::stop::{Stopper, stop_pair};
use peer::link::IndexAddr;
use peer::notice::{Notice as PeerNotice, Observer as PeerObserver};
use peer::shares::{ShareTable, Shared};
use proto::limits::CONNECTIONS_PER_ADDRESS;
use tokio::task::JoinHandle;

use super::ensure;
use crate::command::index_failure;
use crate::exit::Failure;
use crate::local_peer::{LocalPeer, Spec, scan};
use crate::out::Out;
use crate::tongues;

/// How long any one step may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An index, Alice, who has every text, and Bob, who lacks some.
pub(super) struct World {
    pub(super) out: Out,
    pub(super) index: IndexAddr,
    pub(super) server: Server,
    pub(super) alice: LocalPeer,
    pub(super) alice_folder: PathBuf,
    pub(super) texts: Vec<Shared>,
    pub(super) bob: LocalPeer,
    pub(super) bob_folder: PathBuf,
    stopper: Stopper,
    serving: JoinHandle<()>,
}

impl World {
    /// Starts all three. Bob gets copies of the first `bob_has` texts, at most all but one.
    pub(super) async fn start(
        alice_folder: &Path,
        bob_folder: &Path,
        bob_has: usize,
        out: Out,
    ) -> Result<Self, Failure> {
        let (index, server, stopper, serving) = start_index()?;
        out.line(format_args!("index:  listening on {index}"));

        let shares = Arc::new(ShareTable::new());
        let (texts, _) = scan(&shares, alice_folder).await?;
        ensure(!texts.is_empty(), || {
            format!("{} has no rfcN.txt to show anything with", alice_folder.display())
        })?;
        let alice = join("alice", &index, shares, out).await?;

        let copied = bob_has.min(texts.len() - 1);
        for text in &texts[..copied] {
            std::fs::copy(alice_folder.join(&text.file_name), bob_folder.join(&text.file_name))?;
        }
        let shares = Arc::new(ShareTable::new());
        scan(&shares, bob_folder).await?;
        let bob = join("bob", &index, shares, out).await?;

        let records = server.status().records;
        ensure(records == texts.len() + copied, || format!("the index has {records} records"))?;
        let (alice_folder, bob_folder) = (alice_folder.to_owned(), bob_folder.to_owned());
        Ok(Self { out, index, server, alice, alice_folder, texts, bob, bob_folder, stopper, serving })
    }

    /// Stops what still runs.
    pub(super) async fn stop(self) {
        self.stopper.stop();
        // Nothing depends on how the task ends; a panic was shown when it happened.
        let _ = self.serving.await;
    }
}

fn start_index() -> Result<(IndexAddr, Server, Stopper, JoinHandle<()>), Failure> {
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    let listeners = Listeners::bind(ListenSpec { address: Some(address), ports: PortChoice::Any })?;
    let index = IndexAddr::plain(address.to_string(), listeners.port());
    let server = Server::new(
        Settings::default(),
        Store::Memory(MemoryStore::default()),
        Arc::new(Silent),
        Instant::now(),
    );
    let (stopper, stop) = stop_pair();
    let policy = Policy {
        public: false,
        connections_max: CONNECTIONS_PER_ADDRESS,
        per_address_max: CONNECTIONS_PER_ADDRESS,
        refusal: tongues::REFUSAL,
        drain: Duration::from_secs(1),
        lists: AddressLists::default(),
        tls: None,
    };
    let (serving, stopping) = (server.clone(), stop.clone());
    let handler = move |incoming| {
        let (server, stop) = (serving.clone(), stopping.clone());
        async move { server.serve_connection(incoming, stop).await }
    };
    let task = tokio::spawn(net::accept::serve(listeners, policy, Arc::new(Silent), handler, stop));
    Ok((index, server, stopper, task))
}

async fn join(
    name: &str,
    index: &IndexAddr,
    shares: Arc<ShareTable>,
    out: Out,
) -> Result<LocalPeer, Failure> {
    let files = shares.len();
    let peer = LocalPeer::start(Spec::loopback(index.clone()), shares, Arc::new(Silent))?;
    let registration = peer.link.registered(PATIENCE).await.map_err(index_failure)?;
    ensure(registration.files == files && registration.refused == 0, || {
        format!("the index took {} of {name}'s {files} files", registration.files)
    })?;
    out.line(format_args!(
        "{:8}joined, {files} {} added, serving {} on port {}",
        format!("{name}:"),
        if files == 1 { "file" } else { "files" },
        if files == 1 { "it" } else { "them" },
        peer.upload_port
    ));
    Ok(peer)
}

/// The demonstration tells its own story.
struct Silent;

impl IndexObserver for Silent {
    fn notice(&self, _: &IndexNotice<'_>) {}

    fn wants_requests(&self) -> bool {
        false
    }
}

impl AcceptObserver for Silent {
    fn notice(&self, _: AcceptNotice) {}
}

impl PeerObserver for Silent {
    fn notice(&self, _: PeerNotice) {}
}

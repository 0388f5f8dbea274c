//! What runs on a machine: the program's own parts, put together as its commands do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use index::notice::LeftWhy;
use index::server::{Server, Settings};
use index::store::{MemoryStore, Store};
use net::accept::{AcceptNotice, AcceptObserver, Incoming, Policy};
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::lists::AddressLists;
use net::stop::stop_pair;
use peer::choice::{Choice, Content, choose};
use peer::download::Timing;
use peer::fetch::{self, FetchError, Fetched, Progress, fetch};
use peer::indexes::Indexes;
use peer::limit::RateLimit;
use peer::link::IndexAddr;
use peer::notice::{Notice, Observer};
use peer::offer::Offers;
use peer::query::find;
use peer::registrar::{self, RegistrarConfig};
use peer::shares::ShareTable;
use peer::swarm::{Joining, Swarm};
use peer::traffic::Traffic;
use peer::upload::http::Manners;
use peer::upload::{self, Served};
use proto::http::host::OwnNames;
use proto::limits::{CONNECTIONS_PER_ADDRESS, UPLOAD_CONNECTIONS_MAX};
use proto::transfer::blocks::{BLOCK_BYTES, BlockList};
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::Port;
use proto::wire::v11::request::Target;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::machine::OwnMachine;
use super::network::{HostId, address_of};
use super::scenario::{Does, INDEX};

/// Where the index listens.
const INDEX_PORT: u16 = 7734;
/// How long handlers may go on after a stop, which nobody gives here.
const DRAIN: Duration = Duration::from_secs(30);
/// Before somebody whose download failed tries again.
const TRIES_AGAIN: Duration = Duration::from_secs(5);
/// What strangers read.
const REFUSAL: &[u8] = b"P2P-CI/1.0 400 Bad Request\r\n\r\n";

/// A content of the world.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
    pub(super) hash: Digest,
    pub(super) list: BlockList,
}

/// What a machine tells the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// A connection is there at the index.
    Joined { session: u64, source: std::net::SocketAddr },
    /// It is gone, with its records.
    Left { session: u64 },
    /// A file is fetched, or was there.
    Fetched { content: usize },
    /// A download failed, for this kind of reason, and is tried again.
    Failed { why: &'static str },
    /// Whoever sent what cannot be right.
    Banned { who: String },
}

/// What a list says: the name, the host, and whether all of the file is there.
pub(super) type Listed = BTreeSet<(String, String, bool)>;

/// Takes what a machine tells.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    all: Arc<Mutex<Vec<(HostId, Told)>>>,
    host: HostId,
    machine: Arc<OwnMachine>,
}

impl Teller {
    pub(super) fn new(all: &Arc<Mutex<Vec<(HostId, Told)>>>, host: HostId, machine: Arc<OwnMachine>) -> Self {
        Self { all: Arc::clone(all), host, machine }
    }

    fn tell(&self, told: Told) {
        // Nobody hears what is said after the power has failed.
        if !self.machine.is_dead() {
            self.all.lock().unwrap_or_else(PoisonError::into_inner).push((self.host, told));
        }
    }
}

impl index::notice::Observer for Teller {
    fn notice(&self, notice: &index::notice::Notice<'_>) {
        match notice {
            index::notice::Notice::Joined { id, source } => {
                self.tell(Told::Joined { session: id.0, source: *source });
            }
            // Nobody is told of a process that ends.
            index::notice::Notice::Left { why: LeftWhy::Stopping, .. } => {}
            index::notice::Notice::Left { id, .. } => self.tell(Told::Left { session: id.0 }),
            _ => {}
        }
    }

    fn wants_requests(&self) -> bool {
        false
    }
}

impl Observer for Teller {
    fn notice(&self, _: Notice) {}
}

impl AcceptObserver for Teller {
    fn notice(&self, _: AcceptNotice) {}
}

impl Progress for Teller {
    fn tell(&self, event: fetch::Event<'_>) {
        if let fetch::Event::Left { peer, fault } = event
            && fault.is_lie()
        {
            Teller::tell(self, Told::Banned { who: peer.host().to_string() });
        }
    }
}

/// What runs on a machine, from the start of its process on.
pub(super) async fn run(does: Does, contents: Arc<[Known]>, folder: PathBuf, teller: Teller) {
    match does {
        Does::Index => index(teller).await,
        Does::Shares { contents: numbers, .. } => {
            let shares = Arc::new(ShareTable::new());
            for known in numbers.iter().filter_map(|number| contents.get(*number)) {
                share(&shares, known, &folder);
            }
            serve_shares(shares, teller).await;
        }
        Does::Fetches { content, starts } => {
            sleep(starts).await;
            fetch_and_share(content, &contents, folder, teller).await;
        }
    }
}

fn policy(connections_max: usize) -> Policy {
    Policy {
        public: false,
        connections_max,
        per_address_max: CONNECTIONS_PER_ADDRESS,
        refusal: REFUSAL,
        drain: DRAIN,
        lists: AddressLists::default(),
        tls: None,
    }
}

fn listen(ports: PortChoice) -> Listeners {
    Listeners::bind(ListenSpec { address: None, ports }).expect("a machine of its own has its ports free")
}

async fn index(teller: Teller) {
    let listeners = listen(PortChoice::One(INDEX_PORT));
    let (_stopper, stop) = stop_pair();
    let store = Store::Memory(MemoryStore::default());
    let observer = Arc::new(teller);
    let server = Server::new(Settings::default(), store, Arc::<Teller>::clone(&observer), Instant::now());
    let (serving, heard) = (server.clone(), stop.clone());
    let handler = move |incoming: Incoming| serving.serve_connection(incoming, heard.clone());
    let accepting = net::accept::serve(listeners, policy(1000), observer, handler, stop.clone());
    tokio::join!(accepting, server.feel_pulse(stop));
}

fn indexes() -> Indexes {
    IndexAddr::plain(address_of(INDEX).to_string(), INDEX_PORT).into()
}

fn share(shares: &ShareTable, known: &Known, folder: &Path) {
    let blocks: Arc<[u8]> =
        if known.list.layout().blocks() > 1 { known.list.as_bytes().into() } else { [].into() };
    let name = FileName::parse(known.name.as_bytes()).expect("the world's names are names");
    // Somebody may have taken the file away; then it is not shared.
    let _ = shares.add_copy(&folder.join(&known.name), name, known.hash, &blocks);
}

/// Serves uploads as long as the second value is there; the first is the port.
fn serve(served: Served, teller: &Teller) -> (Port, JoinSet<()>) {
    let listeners = listen(PortChoice::Any);
    let port = Port::new(listeners.port()).expect("a machine gives no port 0");
    let manners = Manners {
        limit: RateLimit::default(),
        names: OwnNames::new([]),
        browse: false,
        tls_only: false,
        gate: None,
    };
    let (policy, observer) = (policy(UPLOAD_CONNECTIONS_MAX), Arc::new(teller.clone()));
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let (_stopper, stop) = stop_pair();
        upload::serve(listeners, policy, manners, served, observer, |_| async {}, stop).await;
    });
    (port, serving)
}

async fn serve_shares(shares: Arc<ShareTable>, teller: Teller) {
    let served = Served { shares: Arc::clone(&shares), content: Arc::clone(&shares) as Arc<_> };
    let (upload_port, _serving) = serve(served, &teller);
    let config = RegistrarConfig {
        indexes: indexes(),
        host: None,
        tls: None,
        gate: None,
        upload_port,
        traffic: Arc::<Traffic>::default(),
    };
    let (_stopper, stop) = stop_pair();
    let observer: Arc<dyn Observer> = Arc::new(teller);
    // Without a host to claim there is none that could be wrong.
    let _ = registrar::run(config, shares, |_| Arc::clone(&observer), stop).await;
}

/// What `get --seed-time forever` does, again and again until it succeeds; a file that is there already is shared.
async fn fetch_and_share(content: usize, contents: &[Known], folder: PathBuf, teller: Teller) {
    let Some(known) = contents.get(content) else { return };
    while let Err(error) = fetch_and_seed(content, known, &folder, &teller).await {
        teller.tell(Told::Failed { why: kind(&error) });
        sleep(TRIES_AGAIN).await;
    }
    let shares = Arc::new(ShareTable::new());
    share(&shares, known, &folder);
    serve_shares(shares, teller).await;
}

/// One `get`; it ends when there is nothing that the swarm goes on to tell of.
async fn fetch_and_seed(
    content: usize,
    known: &Known,
    folder: &Path,
    teller: &Teller,
) -> Result<(), FetchError> {
    let offers = Arc::<Offers>::default();
    let nothing = Arc::new(ShareTable::new());
    let (port, _serving) = serve(Served { shares: nothing, content: Arc::clone(&offers) as Arc<_> }, teller);
    let swarm = Swarm::new(indexes(), None, port, None, offers);
    let fetched = fetch_once(known, folder, &swarm, teller).await?;
    teller.tell(Told::Fetched { content });
    // What needed nobody has not joined.
    if fetched.fetched_bytes > 0 && known.list.layout().size() > BLOCK_BYTES {
        std::future::pending::<()>().await;
    }
    Ok(())
}

/// Without names of files, which differ from one run to the next.
fn kind(error: &FetchError) -> &'static str {
    match error {
        FetchError::NoSource => "no source",
        FetchError::AllFailed { .. } => "all sources failed",
        FetchError::Starved => "a part is missing everywhere",
        FetchError::Busy { .. } => "another download writes it",
        FetchError::Exists { .. } => "another file has its name",
        FetchError::Disk { .. } => "the disk",
        _ => "something else",
    }
}

async fn fetch_once(
    known: &Known,
    folder: &Path,
    swarm: &Arc<Swarm>,
    teller: &Teller,
) -> Result<Fetched, FetchError> {
    let index = IndexAddr::plain(address_of(INDEX).to_string(), INDEX_PORT);
    let found = find(&index, &Target::Hash(known.hash), Duration::ZERO).await.unwrap_or_default();
    let (sources, partial) = match choose(&found.variants, Some(known.hash)) {
        Choice::Verified(Content { sources, partial, .. }) => (sources, partial),
        // Whoever has it already needs nobody.
        _ => (Vec::new(), Vec::new()),
    };
    let size = known.list.layout().size();
    let joining = Joining { swarm: Arc::clone(swarm), name: known.name.clone() };
    let request = fetch::Request {
        hash: known.hash,
        size: Some(size),
        sources,
        partial,
        joining: (size > BLOCK_BYTES).then_some(joining),
        target: folder.join(&known.name),
        force: false,
        keep_free_percent: 0,
        timing: Timing::default(),
        limit: RateLimit::default(),
        check: None,
        receipts: None,
    };
    fetch(&request, teller).await
}

/// Every record that the index has.
pub(super) async fn list() -> Result<Listed, String> {
    let index = IndexAddr::plain(address_of(INDEX).to_string(), INDEX_PORT);
    let mut records = Vec::new();
    peer::query::list(&index, None, &mut |page| records.extend(page))
        .await
        .map_err(|error| error.to_string())?;
    let count = records.len();
    let set: Listed = records
        .into_iter()
        .map(|record| (record.name.unwrap_or_default(), record.source.host, !record.source.partial))
        .collect();
    if set.len() == count { Ok(set) } else { Err(format!("{count} records, of which some are there twice")) }
}

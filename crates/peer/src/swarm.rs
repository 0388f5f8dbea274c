//! How others learn of a download, and a download of others: through the index, while both run.
//!
//! A transfer never waits for any of this and never fails by it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use proto::access::groups::Groups;
use proto::value::digest::Digest;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::Port;
use proto::wire::v11::body::{Changed, FileLine, Source, Speaks, lines, parse_line, write_line};
use proto::wire::v11::request::{Ask, Target};
use proto::wire::v11::watch::{Change, Scope};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::gate::Gate;
use crate::indexes::{Indexes, Seats, expanded, seated};
use crate::link::IndexAddr;
use crate::link::backoff::Backoff;
use crate::link::v11::{Connection, Told};
use crate::link::watch::Watch;
use crate::offer::{Offer, Offers};
use crate::query::find;

/// How often an index that tells nothing by itself is asked.
const POLL: Duration = Duration::from_secs(1);

/// Where this process takes part.
#[derive(Debug)]
pub struct Swarm {
    indexes: Indexes,
    host: Option<String>,
    port: Port,
    tls: Option<Digest>,
    offers: Arc<Offers>,
    tasks: Mutex<JoinSet<()>>,
}

/// A download that takes part.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Where.
    pub swarm: Arc<Swarm>,
    /// The name under which it is registered.
    pub name: String,
}

/// Another source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Other {
    pub(crate) peer: PeerAddr,
    pub(crate) is_partial: bool,
}

/// A download that has joined.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) offer: Arc<Offer>,
    /// Who else is there, as it becomes known; nobody twice in a row, but perhaps again.
    pub(crate) others: UnboundedReceiver<Other>,
    complete: watch::Sender<bool>,
}

impl Joined {
    /// Every block is there.
    pub(crate) fn complete(&self) {
        self.complete.send_replace(true);
    }
}

impl Swarm {
    /// At these indexes, with an upload server that serves `offers` on this port. `host` is what to claim; by default the address
    /// towards the index. `tls` is the fingerprint of the key that the upload server has, if it speaks TLS.
    #[must_use]
    pub fn new(
        indexes: Indexes,
        host: Option<String>,
        port: Port,
        tls: Option<Digest>,
        offers: Arc<Offers>,
    ) -> Arc<Self> {
        Arc::new(Self { indexes, host, port, tls, offers, tasks: Mutex::default() })
    }

    pub(crate) fn offers(&self) -> &Offers {
        &self.offers
    }

    /// Registers a download and looks for others with the same content. The registration stays until the swarm is dropped.
    pub(crate) fn join(self: &Arc<Self>, offer: Arc<Offer>, name: &str) -> Joined {
        let (found, others) = unbounded_channel();
        let (complete, is_complete) = watch::channel(false);
        let hash = offer.hash();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let (host, port, tls) = (self.host.clone(), self.port, self.tls);
        let (gate, size) = (offer.gate(), offer.size());
        let (name, of) = (name.to_owned(), Arc::clone(&offer));
        let record = Arc::new(Record { host, port, tls, name, hash, size, gate, offer: of });
        tasks.spawn(take_part(self.indexes.clone(), record, is_complete, found));
        Joined { offer, others, complete }
    }
}

/// What the index is told.
struct Record {
    host: Option<String>,
    port: Port,
    tls: Option<Digest>,
    name: String,
    hash: Digest,
    size: u64,
    /// What keeps it from others than members of some groups.
    gate: Option<Arc<Gate>>,
    /// What it is about.
    offer: Arc<Offer>,
}

/// Registers with each index and looks for others there. Ends when it is aborted.
async fn take_part(
    indexes: Indexes,
    record: Arc<Record>,
    is_complete: watch::Receiver<bool>,
    found: UnboundedSender<Other>,
) {
    let (registering, looking) = (Arc::new(Seats::default()), Arc::new(Seats::default()));
    let mut tasks = JoinSet::new();
    for index in indexes.iter() {
        for index in expanded(index).await {
            let (record, is_complete) = (Arc::clone(&record), is_complete.clone());
            let hash = record.hash;
            tasks.spawn(keep_registered(index.clone(), Arc::clone(&registering), record, is_complete));
            tasks.spawn(find_others(index, Arc::clone(&looking), hash, found.clone()));
        }
    }
    drop(found);
    while tasks.join_next().await.is_some() {}
}

/// Ends when what is offered cannot be read any more, or when it is aborted; the connection, and with it the record, goes then.
async fn keep_registered(
    index: IndexAddr,
    seats: Arc<Seats>,
    record: Arc<Record>,
    is_complete: watch::Receiver<bool>,
) {
    tokio::select! {
        () = record.offer.lost() => {}
        () = register_again_and_again(index, seats, &record, is_complete) => {}
    }
}

async fn register_again_and_again(
    index: IndexAddr,
    seats: Arc<Seats>,
    record: &Record,
    mut is_complete: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::default();
    loop {
        let mut began = Instant::now();
        if let Ok((mut connection, _seat)) = seated(&index, &seats).await {
            began = Instant::now();
            register(&mut connection, record, &mut is_complete).await;
        }
        backoff.ended(began.elapsed());
        sleep(backoff.pause(fastrand::f64())).await;
    }
}

/// Registers, and once more when every block is there; ends with the connection, or when the index refuses.
async fn register(connection: &mut Connection, record: &Record, is_complete: &mut watch::Receiver<bool>) {
    let Ok(local) = connection.stream().local_addr() else { return };
    let host = record.host.clone().unwrap_or_else(|| local.ip().to_string());
    let Ok(host) = Host::parse(host.as_bytes()) else { return };
    loop {
        let complete = *is_complete.borrow_and_update();
        let body = record.line(complete);
        let ask =
            Ask::Add { host, port: record.port, tls: record.tls, private: record.private(), body: &body };
        let Ok(told) = connection.ask(&ask, Duration::ZERO).await else { return };
        record.learn(&told);
        tokio::select! {
            changed = is_complete.changed(), if !complete => if changed.is_err() {
                // The download failed; what it has is still good.
                return connection.stream().ended().await;
            },
            () = connection.stream().ended() => return,
        }
    }
}

impl Record {
    fn private(&self) -> Option<Groups> {
        Some(self.gate.as_ref()?.groups().clone())
    }

    fn learn(&self, told: &Told) {
        let changed = lines(&told.body).find_map(|(_, line)| parse_line::<Changed>(line).ok());
        if let (Some(gate), Some(key)) = (&self.gate, changed.and_then(|changed| changed.ticket_key)) {
            gate.learn(key);
        }
    }

    fn line(&self, is_complete: bool) -> Vec<u8> {
        let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
        let line = FileLine {
            name: self.name.as_str().into(),
            size: self.size,
            modified: i64::try_from(now).unwrap_or(0),
            hash: Some(self.hash),
            rfc: None,
            title: None,
            copied: true,
            partial: !is_complete,
            sha256: None,
            pieces: None,
        };
        let mut body = Vec::new();
        write_line(&line, &mut body);
        body
    }
}

/// Ends when nobody listens any more, or when it is aborted.
async fn find_others(index: IndexAddr, seats: Arc<Seats>, hash: Digest, found: UnboundedSender<Other>) {
    let scope = Scope::One(Target::Hash(hash));
    while !found.is_closed() {
        // First the watch, then the look: what the look does not see is told.
        let watch = tokio::select! {
            watch = Watch::open_seated(&index, &scope, &seats) => watch,
            () = found.closed() => return,
        };
        look(&index, hash, &found).await;
        if let Ok((mut watch, _seat)) = watch {
            tokio::select! {
                () = follow(&mut watch, &index, hash, &found) => {}
                () = found.closed() => return,
            }
        }
        tokio::select! {
            () = sleep(POLL) => {}
            () = found.closed() => return,
        }
    }
}

async fn follow(watch: &mut Watch, index: &IndexAddr, hash: Digest, found: &UnboundedSender<Other>) {
    while let Ok(change) = watch.next().await {
        match change {
            Change::Added(record) | Change::Changed(record) if record.hash == Some(hash) => {
                tell(&record.source, found);
            }
            Change::Lost => look(index, hash, found).await,
            Change::Added(_) | Change::Changed(_) | Change::Removed(_) => {}
        }
    }
}

async fn look(index: &IndexAddr, hash: Digest, found: &UnboundedSender<Other>) {
    let Ok(answer) = find(index, &Target::Hash(hash), Duration::ZERO).await else { return };
    let variants = answer.variants.iter().filter(|variant| variant.hash == Some(hash));
    variants.flat_map(|variant| &variant.sources).for_each(|source| tell(source, found));
}

fn tell(source: &Source, found: &UnboundedSender<Other>) {
    if let Some(peer) = source.peer().filter(|_| source.speaks == Speaks::V1_1) {
        // Whoever does not listen any more is closed.
        let _ = found.send(Other { peer, is_partial: source.partial });
    }
}

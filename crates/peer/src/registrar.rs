//! Keeps the indexes told about everything that is shared: all of it on each new connection, and then each change.
//!
//! Speaks 1.1, in batches. An index that is older gets what 1.0 can say: the files that have a number.

mod outbox;
mod tongue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use net::blocking::spawn_blocking;
use net::stop::StopSignal;
use proto::limits::{REGISTERED_WITHIN, SENDING_TOLD, WANTED_MAX};
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::host::Host;
use proto::value::number::{Port, RfcNumber};
use proto::wire::status::StatusCode;
use proto::wire::v11::body::{Changed, NameLine, lines, parse_line};
use proto::wire::v11::request::Ask;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use self::outbox::{Batch, Outbox};
use self::tongue::Tongue;
use crate::gate::Gate;
use crate::indexes::{Indexes, Seats, expanded, seated};
use crate::link::backoff::Backoff;
use crate::link::v11::{AskError, Connection, Told};
use crate::link::{IndexAddr, Link, LinkConfig, LinkError};
use crate::notice::{LinkNotice, Notice, Observer};
use crate::shares::{Change, Changes, ShareTable, SharedFile};
use crate::traffic::Traffic;

/// What a registrar needs to know.
#[derive(Debug, Clone)]
pub struct RegistrarConfig {
    /// Where the indexes are.
    pub indexes: Indexes,
    /// The host to claim; by default the local address of the connection.
    pub host: Option<String>,
    /// The fingerprint of the key that our upload server has, if it speaks TLS.
    pub tls: Option<Digest>,
    /// What keeps it from others than members of some groups.
    pub gate: Option<Arc<Gate>>,
    /// The port of our upload server.
    pub upload_port: Port,
    /// What it sends: the index is told how fast.
    pub traffic: Arc<Traffic>,
}

/// Files whose digests the index has asked for and not been told yet.
#[derive(Default)]
struct Wanted(BTreeSet<Arc<str>>);

impl Wanted {
    /// An index asks for no more than it may at once; one that does is not listened to.
    fn take(&mut self, told: &Told, shares: &ShareTable) {
        for (_, line) in lines(&told.body) {
            let Ok(NameLine { name }) = parse_line(line) else { continue };
            let Ok(known) = FileName::parse(name.as_bytes()) else { continue };
            if self.0.len() < WANTED_MAX && shares.demand_sums(known) {
                self.0.insert(name.as_ref().into());
            }
        }
    }
}

struct Registrar {
    index: IndexAddr,
    seats: Arc<Seats>,
    entry: Arc<Entry>,
    config: RegistrarConfig,
    shares: Arc<ShareTable>,
    observer: Arc<dyn Observer>,
    outbox: Outbox,
    tongue: Tongue,
    backoff: Backoff,
}

/// What a user named, behind which may be several addresses. That one of them is lost matters when all are.
#[derive(Debug)]
struct Entry {
    addresses: usize,
    down: AtomicUsize,
}

/// Keeps the indexes told until `stop`: one of each cluster. Reconnects by itself, with full jitter, and then tells everything again.
/// `observe` gives whoever hears of one of them.
///
/// # Errors
/// [`LinkError::Host`] when the host to claim is none.
pub async fn run(
    config: RegistrarConfig,
    shares: Arc<ShareTable>,
    observe: impl Fn(&IndexAddr) -> Arc<dyn Observer>,
    stop: StopSignal,
) -> Result<(), LinkError> {
    if let Some(host) = &config.host {
        Host::parse(host.as_bytes()).map_err(LinkError::Host)?;
    }
    let (seats, mut tasks) = (Arc::new(Seats::default()), JoinSet::new());
    for named in config.indexes.iter() {
        let addresses = expanded(named).await;
        let entry = Arc::new(Entry { addresses: addresses.len(), down: AtomicUsize::new(0) });
        for index in addresses {
            let registrar = Registrar {
                index,
                seats: Arc::clone(&seats),
                entry: Arc::clone(&entry),
                config: config.clone(),
                shares: Arc::clone(&shares),
                observer: observe(named),
                outbox: Outbox::default(),
                tongue: Tongue::default(),
                backoff: Backoff::default(),
            };
            tasks.spawn(registrar.keep(shares.changes()));
        }
    }
    stop.stopped().await;
    // With the tasks their connections end, and with these our records go.
    tasks.shutdown().await;
    Ok(())
}

impl Registrar {
    async fn keep(mut self, mut changes: Changes) {
        let mut is_down = false;
        loop {
            let (why, lasted) = match seated(&self.index, &self.seats).await {
                Err(AskError::NotV11 { answered }) if self.tongue.is_old(answered) => {
                    let began = Instant::now();
                    self.is_up(&mut is_down);
                    match self.keep_in_v10(&mut changes, answered).await {
                        Some(why) => (why, began.elapsed()),
                        None => continue,
                    }
                }
                Err(AskError::NotV11 { .. }) => ("the index does not answer".to_owned(), Duration::ZERO),
                Err(AskError::Link(error)) => (cause(error), Duration::ZERO),
                Ok((connection, _seat)) => {
                    let began = Instant::now();
                    self.tongue.spoke_v11();
                    self.is_up(&mut is_down);
                    (self.converse(connection, &mut changes).await, began.elapsed())
                }
            };
            self.backoff.ended(lasted);
            let pause = self.backoff.pause(fastrand::f64());
            if !std::mem::replace(&mut is_down, true) {
                self.entry.down.fetch_add(1, Ordering::Relaxed);
            }
            if self.entry.down.load(Ordering::Relaxed) == self.entry.addresses {
                self.tell(LinkNotice::Lost { why });
                self.tell(LinkNotice::RetryIn(pause));
            }
            sleep(pause).await;
        }
    }

    /// This address counts as one that is there.
    fn is_up(&self, is_down: &mut bool) {
        if std::mem::take(is_down) {
            self.entry.down.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Tells the index everything, and then every change, until the connection ends. Says why it did.
    async fn converse(&mut self, mut connection: Connection, changes: &mut Changes) -> String {
        let Ok(local) = connection.stream().local_addr() else {
            return "the connection broke".to_owned();
        };
        let host = self.config.host.clone().unwrap_or_else(|| local.ip().to_string());
        if let Ok(index) = connection.stream().peer_addr() {
            self.tell(LinkNotice::Connected { index, host: host.clone() });
        }
        self.outbox.begin(self.shares.snapshot());
        let (mut files, mut refused, mut told) = (0, 0, false);
        let mut wanted = Wanted::default();
        let (mut told_rate, mut tell_rate) = (0, Instant::now() + SENDING_TOLD);
        loop {
            while let Some(batch) = self.outbox.next() {
                match self.send(&mut connection, &host, &batch).await {
                    Ok(changed) => {
                        files += changed.taken;
                        refused += changed.refused_in_all;
                    }
                    Err(error) => return ended(error),
                }
            }
            if !told {
                told = true;
                self.tell(LinkNotice::Registered { files, refused });
                // An older index refuses it, and will never want anything.
                if let Err(error) = connection.ask(&Ask::Wants, Duration::ZERO).await {
                    return ended(error);
                }
            }
            for told in connection.wanted() {
                wanted.take(&told, &self.shares);
            }
            let news = tokio::select! {
                news = changes.next() => news,
                () = sleep_until(tell_rate.into()) => {
                    tell_rate = Instant::now() + SENDING_TOLD;
                    if let Err(error) = self.tell_rate(&mut connection, &mut told_rate).await {
                        return ended(error);
                    }
                    continue;
                }
                told = connection.unasked() => match told {
                    Ok(told) => {
                        wanted.take(&told, &self.shares);
                        continue;
                    }
                    Err(error) => return cause(error),
                },
            };
            for change in news {
                self.add_wanted_pieces(&mut wanted, &change).await;
                self.outbox.note(change);
            }
        }
    }

    /// Who sends nothing, and has said so, says nothing.
    async fn tell_rate(&self, connection: &mut Connection, told: &mut u64) -> Result<(), AskError> {
        let rate = self.config.traffic.rate();
        if rate > 0 || *told > 0 {
            *told = rate;
            connection
                .ask(&Ask::Ping { asks_cluster: false, sending: Some(rate), token: None }, Duration::ZERO)
                .await?;
        }
        Ok(())
    }

    /// A file whose SHA-256 is known by now goes with its pieces to an index that asked for it.
    async fn add_wanted_pieces(&mut self, wanted: &mut Wanted, change: &Change) {
        let Change::Put(SharedFile { name, sha256: Some(_), .. }) = change else { return };
        if !wanted.0.remove(name) {
            return;
        }
        let (shares, asked) = (Arc::clone(&self.shares), Arc::clone(name));
        if let Ok(Some(pieces)) = spawn_blocking(move || shares.pieces(&asked)).await {
            self.outbox.add_pieces(Arc::clone(name), pieces);
        }
    }

    async fn send(
        &self,
        connection: &mut Connection,
        host: &str,
        batch: &Batch,
    ) -> Result<Changed, AskError> {
        let host = Host::parse(host.as_bytes()).map_err(|error| AskError::Link(LinkError::Host(error)))?;
        let private = self.config.gate.as_ref().map(|gate| gate.groups().clone());
        let (ask, is_add) = match batch {
            Batch::Add(body, _) => {
                (Ask::Add { host, port: self.config.upload_port, tls: self.config.tls, private, body }, true)
            }
            Batch::Remove(body) => (Ask::Remove { body }, false),
        };
        let told = connection.ask(&ask, Duration::ZERO).await?;
        if matches!(told.status.get(), 401 | 403) {
            let index = self.index.clone();
            return Err(AskError::Link(LinkError::Refused { index, reason: told.reason() }));
        }
        let read = lines(&told.body).find_map(|(_, line)| parse_line::<Changed>(line).ok());
        let none_taken = Changed { refused_in_all: batch.lines(), ..Changed::default() };
        let changed = if told.status.is_error() { none_taken } else { read.unwrap_or_default() };
        if let (Some(gate), Some(key)) = (&self.config.gate, changed.ticket_key) {
            gate.learn(key);
        }
        if let Some(first) = changed.refused.first() {
            self.tell(LinkNotice::NotTaken { why: first.reason.clone(), count: changed.refused_in_all });
        }
        // What the index does not have need not be taken away from it.
        Ok(if is_add { changed } else { Changed::default() })
    }

    /// For an index of 1.0: everything that has a number, and new files as they come, until the connection is lost: then says why. 1.0
    /// cannot take a file back while the connection stands; whoever asks for one that is gone gets a 404 from us. `None`: an index that was
    /// only silent speaks 1.1 by now.
    async fn keep_in_v10(&mut self, changes: &mut Changes, answered: bool) -> Option<String> {
        let config = LinkConfig {
            index: self.index.clone(),
            host: self.config.host.clone(),
            upload_port: self.config.upload_port,
            shares: Arc::clone(&self.shares),
            announce: false,
            seats: None,
            by_hand: Arc::default(),
        };
        let (filter, mut lost) = FirstConnection::new(Arc::clone(&self.observer));
        let link = match Link::start(config, Arc::clone(&filter) as Arc<dyn Observer>) {
            Ok(link) => link,
            Err(error) => return Some(cause(error)),
        };
        tokio::select! {
            why = &mut lost => why.ok(),
            () = self.tell_in_v10(&link, &filter, changes) => None,
            () = self.speaks_v11_after_all(), if !answered => {
                link.leave().await;
                None
            }
        }
    }

    async fn tell_in_v10(&self, link: &Link, filter: &FirstConnection, changes: &mut Changes) {
        let (mut files, mut refused, mut told) = (0, 0, BTreeMap::new());
        for file in self.shares.snapshot() {
            match add_in_v10(link, &file, &mut told).await {
                Some(true) => files += 1,
                Some(false) => refused += 1,
                None => {}
            }
        }
        filter.is_told.store(true, Ordering::Relaxed);
        self.tell(LinkNotice::Registered { files, refused });
        loop {
            for change in changes.next().await {
                if let Change::Put(file) = change {
                    add_in_v10(link, &file, &mut told).await;
                }
            }
        }
    }

    /// Looks again, ever less often, until the index speaks 1.1.
    async fn speaks_v11_after_all(&self) {
        for pause in tongue::pauses() {
            sleep(pause).await;
            if let Ok(mut connection) = Connection::open(&self.index).await
                && connection.greet().await.is_ok()
            {
                return;
            }
        }
    }

    fn tell(&self, notice: LinkNotice) {
        self.observer.notice(Notice::Link(notice));
    }
}

fn ended(error: AskError) -> String {
    match error {
        AskError::Link(error) => cause(error),
        AskError::NotV11 { .. } => "the index changed its tongue".to_owned(),
    }
}

impl Batch {
    fn lines(&self) -> usize {
        match self {
            Self::Add(_, count) => *count,
            Self::Remove(_) => 0,
        }
    }
}

/// Passes on what a link of 1.0 tells about its first connection, except that it has registered before everything was handed to it. Of the
/// end of that connection we are told ourselves: what is spoken on the next one is asked anew.
struct FirstConnection {
    observer: Arc<dyn Observer>,
    is_told: AtomicBool,
    lost: Mutex<Option<oneshot::Sender<String>>>,
}

impl FirstConnection {
    fn new(observer: Arc<dyn Observer>) -> (Arc<Self>, oneshot::Receiver<String>) {
        let (tell, lost) = oneshot::channel();
        let lost_once = Mutex::new(Some(tell));
        (Arc::new(Self { observer, is_told: AtomicBool::new(false), lost: lost_once }), lost)
    }
}

impl Observer for FirstConnection {
    fn notice(&self, notice: Notice) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Link(LinkNotice::Lost { why }) => {
                // Whoever listened may have gone.
                lost.take().map(|lost| lost.send(why));
            }
            Notice::Link(LinkNotice::Registered { .. }) if !self.is_told.load(Ordering::Relaxed) => {}
            notice if lost.is_some() => self.observer.notice(notice),
            _ => {}
        }
    }
}

/// Registers a file that has a number; whether the index took it. What it took is registered again on each new connection.
///
/// Most changes are hashes, of which 1.0 knows nothing: what was told already is not told again, as some indexes would then list it
/// twice.
async fn add_in_v10(
    link: &Link,
    file: &SharedFile,
    told: &mut BTreeMap<RfcNumber, Arc<str>>,
) -> Option<bool> {
    let (number, title) = (file.rfc?, file.title.clone()?);
    if told.get(&number) == Some(&title) {
        return None;
    }
    let answer = link.add(number, &title, REGISTERED_WITHIN).await;
    let taken = answer.is_ok_and(|answer| answer.status == Some(StatusCode::OK));
    if taken {
        told.insert(number, title);
    }
    Some(taken)
}

/// Why a connection ended or was not made, without what everybody knows: which index it was.
fn cause(error: LinkError) -> String {
    match error {
        LinkError::Unreachable { cause, .. } | LinkError::Lost { cause } => cause,
        other => other.to_string(),
    }
}

//! `p2pci server`

mod changing;
mod cluster;
mod needs;

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use index::server::{Server, Settings};
use index::status::Status;
use index::store::{ClusterSettings, ClusterStore, MemoryStore, Quotas, Store};
use net::accept::{AcceptObserver, Incoming, Policy, Serving};
use net::descriptors::raise_open_file_limit;
use net::interfaces::{host_name, reachable_addresses};
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::lists::AddressLists;
use net::stop::{StopSignal, stop_pair};
use net::tls::Acceptor;
use peer::dial;
use peer::link::IndexAddr;
use proto::http::host::OwnNames;
use proto::limits::{DESCRIPTORS_RESERVED, INDEX_PORT};
use proto::schedule::Order;
use proto::tongue::Tongue;
use proto::value::digest::Digest;
use proto::visibility::RecordHost;
use proto::wire::decoder::Reading;
use tokio::signal::unix::Signal;
use web::feed::Feed;
use web::site::Site;

use self::changing::Changing;
pub use self::needs::needs;
use crate::cli::{self, UseTls};
use crate::exit::{Code, Failure};
use crate::keys::{self, Whose};
use crate::observers::Observers;
use crate::out::Out;
use crate::port;
use crate::server_log::{ServerLog, Style};
use crate::service;
use crate::settings::{ListenAddr, typed};
use crate::signals;
use crate::tongues;

/// How long connections may go on when the index stops. Each hears of the stop itself, so this is for those that hang.
const DRAIN: Duration = Duration::from_secs(5);
/// How often the log is settled: hidden lines are told, a changed status is shown.
const TICK: Duration = Duration::from_secs(1);

/// Runs the index until it is stopped.
pub async fn run(args: cli::Server, out: Out) -> Result<(), Failure> {
    let cluster = cluster::settings(&args).await?;
    if let (Some(cluster), true) = (&cluster, args.check) {
        return cluster::tell_fitness(cluster, out).await;
    }
    let tls = Tls::new(&args)?;
    let mut changing = Changing::new(&args)?;
    let style = Style { format: args.log_format, quiet: args.quiet, explain: args.explain };
    let log = Arc::new(ServerLog::new(out, style, Instant::now())?);
    let listen = args.listen.unwrap_or(ListenAddr { address: None, port: INDEX_PORT });
    let spec = ListenSpec { address: listen.address, ports: PortChoice::One(listen.port) };
    let listeners = port::open(spec, "--listen ADDR:PORT chooses another place")?;
    let address = listen.address.or_else(|| listeners.address());
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint);
    let place = Place { address, port: listeners.port(), fingerprint };
    // Before the first line: whoever has read it may stop us, or ask.
    let end = signals::interrupted();
    let mut asked = Asked::from_now();
    for address in announced(&listeners, address) {
        log.listening(
            address,
            fingerprint,
            &welcome(&place, args.public, tls.as_ref().is_some_and(|tls| tls.only)),
        );
    }

    let feed = Arc::new(Feed::default());
    let observers = Observers { log: Arc::clone(&log), feed: (!args.no_http).then(|| Arc::clone(&feed)) };
    let guard = changing.guard.clone();
    let server =
        Server::guarded(settings(&args), store(&args, cluster)?, Arc::new(observers), Instant::now(), guard);
    let (stopper, stop) = stop_pair();
    let site = (!args.no_http).then(|| {
        let own = host_name();
        let names = OwnNames::new(args.http_host.iter().map(String::as_str).chain(own.as_deref()));
        let told = Arc::clone(&log) as Arc<dyn web::notice::Observer>;
        Site::of_index(web::site::Settings { names, page: !args.no_web }, server.clone(), feed, told)
    });
    keep_going(&server, site.as_ref(), &stop);
    let taking_part = tokio::spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move { server.take_part(stop).await }
    });
    let accepting = Arc::clone(&log) as Arc<dyn AcceptObserver>;
    let tls_only = tls.as_ref().is_some_and(|tls| tls.only);
    let handler = handler(server.clone(), site, tls_only, Arc::clone(&log), stop.clone());
    let (tls, lists) = (tls.map(|tls| tls.acceptor), changing.lists.clone());
    let policy = Policy { tls, lists, ..policy(&args) };
    let serving = tokio::spawn(net::accept::serve_boxed(listeners, policy, accepting, handler, stop));
    service::ready(&in_words(&server.status()));
    // It takes the locks that every answer takes.
    let asked_for_status = || _ = server.status();
    tokio::select! {
        () = watch(&server, &log, &mut changing, &mut asked, end) => {}
        () = service::keep_alive(asked_for_status) => {}
    }
    service::stopping();
    log.stopping();
    stopper.stop();
    // A panic of the accept loop was shown when it happened; there is nothing left to save.
    let _ = serving.await;
    let _ = taking_part.await;
    log.settle(Instant::now());
    log.finish();
    Ok(())
}

/// What goes on beside the connections, until `stop`.
fn keep_going(server: &Server, site: Option<&Site>, stop: &StopSignal) {
    if let Some(site) = site.cloned() {
        tokio::spawn(site.keep_fed(stop.clone()));
    }
    let (server, stop) = (server.clone(), stop.clone());
    tokio::spawn(async move { server.feel_pulse(stop).await });
}

fn store(args: &cli::Server, cluster: Option<ClusterSettings>) -> Result<Store, Failure> {
    let cannot = |error| Failure::new(Code::Failed, format!("cannot start a thread for searching: {error}"));
    let store = match args.no_search {
        true => MemoryStore::default(),
        false => MemoryStore::searchable(Quotas::default()).map_err(cannot)?,
    };
    Ok(match cluster {
        None => Store::Memory(store),
        Some(cluster) => Store::Cluster(ClusterStore::new(store, cluster)),
    })
}

fn settings(args: &cli::Server) -> Settings {
    Settings {
        reading: if args.strict { Reading::Strict } else { Reading::Lenient },
        record_host: match args.record_host {
            cli::RecordHost::Auto => RecordHost::Auto,
            cli::RecordHost::Claimed => RecordHost::Claimed,
            cli::RecordHost::Observed => RecordHost::Observed,
        },
        order: match args.order {
            cli::Order::Load => Order::Load,
            cli::Order::Added => Order::Added,
        },
        presence: args.presence,
        warm_up: args.warm_up,
        lists_max: args.max_lists,
        ..Settings::default()
    }
}

/// As many connections as there are descriptors, less a reserve; a system that gives few keeps a quarter of them.
fn policy(args: &cli::Server) -> Policy {
    let descriptors = usize::try_from(raise_open_file_limit().now).unwrap_or(usize::MAX);
    Policy {
        public: args.public,
        connections_max: descriptors - DESCRIPTORS_RESERVED.min(descriptors / 4),
        per_address_max: args.max_per_address,
        refusal: tongues::REFUSAL,
        drain: DRAIN,
        lists: AddressLists::default(),
        tls: None,
    }
}

/// TLS as it was asked for.
struct Tls {
    acceptor: Acceptor,
    fingerprint: Digest,
    /// Nobody is served in plain text.
    only: bool,
}

impl Tls {
    /// A certificate that is given, or asked of clients, is for TLS.
    fn new(args: &cli::Server) -> Result<Option<Self>, Failure> {
        if args.tls.is_none() && args.own.tls_cert.is_none() && args.tls_client_ca.is_none() {
            return Ok(None);
        }
        let own = keys::own(&args.own, Whose::Index)?;
        let acceptor = keys::acceptor(&own, args.tls_client_ca.as_deref())?;
        // In plain text nobody can show a certificate.
        let only = args.tls == Some(UseTls::Only) || args.tls_client_ca.is_some();
        Ok(Some(Self { acceptor, fingerprint: own.fingerprint(), only }))
    }
}

/// Who answers a connection, by its tongue.
fn handler(
    server: Server,
    site: Option<Site>,
    tls_only: bool,
    log: Arc<ServerLog>,
    stop: StopSignal,
) -> impl Fn(Incoming) -> Serving + Clone + Send + Sync + 'static {
    move |incoming| {
        let (server, stop) = (server.clone(), stop.clone());
        let plain_text = tls_only && !incoming.stream.is_secure();
        match (incoming.tongue, &site) {
            (Some(Tongue::P2pCi) | None, _) if !plain_text => {
                Box::pin(server.serve_connection(incoming, stop))
            }
            (Some(Tongue::Http), Some(site)) if !plain_text => {
                Box::pin(site.clone().serve_connection(incoming, stop))
            }
            _ => {
                let log = Arc::clone(&log);
                Box::pin(async move {
                    let source = incoming.source;
                    match plain_text {
                        true => tongues::refuse_plain_text(incoming).await,
                        false => tongues::refuse(incoming).await,
                    }
                    log.turned_away(source, plain_text);
                })
            }
        }
    }
}

/// The signals that ask for something.
struct Asked {
    status: Option<Signal>,
    reload: Option<Signal>,
}

impl Asked {
    /// They count from this call on; before it they end the program.
    fn from_now() -> Self {
        Self { status: signals::status_asked(), reload: signals::reload_asked() }
    }
}

/// Shows the status whenever it has changed, at most once a tick, and whenever it is asked for; until the end.
async fn watch(
    server: &Server,
    log: &ServerLog,
    changing: &mut Changing,
    Asked { status: asked, reload }: &mut Asked,
    end: impl Future<Output = ()>,
) {
    let mut ticks = tokio::time::interval(TICK);
    let mut shown = server.status();
    let mut cluster = None;
    tokio::pin!(end);
    loop {
        let (forced, reloads) = tokio::select! {
            () = &mut end => return,
            _ = ticks.tick() => (false, false),
            Some(()) = async { asked.as_mut()?.recv().await }, if asked.is_some() => (true, false),
            Some(()) = async { reload.as_mut()?.recv().await }, if reload.is_some() => (false, true),
        };
        if reloads {
            service::reloading();
        }
        changing.look_again(reloads, log);
        log.settle(Instant::now());
        cluster::tell_changes(server.cluster(), &mut cluster, log);
        let status = server.status();
        if reloads {
            service::ready(&in_words(&status));
        }
        if forced || changed(&shown, &status) {
            log.status(&status, tokio::runtime::Handle::current().metrics().num_alive_tasks(), forced);
            service::status(&in_words(&status));
            shown = status;
        }
    }
}

/// For whoever asks the service manager.
fn in_words(status: &Status) -> String {
    format!("{} peers, {} records", status.peers, status.records)
}

fn changed(before: &Status, now: &Status) -> bool {
    (before.peers, before.records) != (now.peers, now.records)
}

/// The addresses that the log names: one for all interfaces, as one line is enough for people.
fn announced(listeners: &Listeners, asked: Option<IpAddr>) -> Vec<SocketAddr> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, listeners.port()));
    match asked {
        Some(_) => listeners.local_addrs(),
        None => vec![any],
    }
}

/// Where the index is.
struct Place {
    address: Option<IpAddr>,
    port: u16,
    fingerprint: Option<Digest>,
}

/// The first lines: where the index listens, and what to type elsewhere to reach it.
fn welcome(at: &Place, public: bool, tls_only: bool) -> String {
    let Place { address, port, fingerprint } = *at;
    let place = address.map_or_else(|| "all interfaces".to_owned(), |address| address.to_string());
    let mode = if public {
        "every address is served"
    } else {
        "local networks are served, --public serves everybody"
    };
    let mut lines = format!("Index listening on port {port}, {place}; {mode}");
    let here = address.is_none_or(|address| address.is_loopback() || address.is_unspecified());
    let mut hosts: Vec<String> = match address {
        Some(address) if !address.is_unspecified() => vec![address.to_string()],
        _ => reachable_addresses().iter().map(ToString::to_string).collect(),
    };
    if here && !hosts.iter().any(|host| host == "127.0.0.1" || host == "::1") {
        hosts.push("localhost".to_owned());
    }
    let tls = |host: &String| {
        fingerprint.map(|fingerprint| {
            Box::new(dial::Tls { name: host.clone(), fingerprint: Some(fingerprint), connector: None })
        })
    };
    // Writing to a string cannot fail.
    let _ = match (fingerprint, tls_only) {
        (None, _) => write!(lines, "\nPeers reach it with:"),
        (Some(_), true) => {
            write!(lines, "\nPeers reach it encrypted with (every command takes that as --server):")
        }
        (Some(_), false) => write!(
            lines,
            "\nPeers reach it encrypted with (every command takes that as --server; without encryption by the bare host):"
        ),
    };
    for host in hosts {
        let note = if host == "localhost" { "   (on this machine)" } else { "" };
        let tls = tls(&host);
        let _ = write!(
            lines,
            "\n    p2pci client {}{note}",
            typed(&IndexAddr { tls, ..IndexAddr::plain(host, port) })
        );
    }
    lines.push_str("\nCtrl+C stops it.");
    lines
}

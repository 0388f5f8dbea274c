//! A running index on a loopback port, clients that speak bytes, and an ear for what the index tells.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use index::notice::{Notice, Observer};
use index::server::{Server, Settings};
use index::store::{MemoryStore, Op, Peer, Quotas, Store};
use net::accept::{AcceptNotice, AcceptObserver, Policy, serve};
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::lists::AddressLists;
use net::stop::{Stopper, stop_pair};
use proto::escape;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Bound of every wait: far above what a loaded machine needs.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// The title of a request that makes the [`Ear`] panic.
pub(crate) const PANIC: &str = "panic, please";

fn policy() -> Policy {
    Policy {
        public: false,
        connections_max: 1_000,
        per_address_max: 1_000,
        refusal: b"",
        drain: Duration::from_secs(20),
        lists: AddressLists::default(),
        tls: None,
    }
}

/// Writes down every notice in words.
#[derive(Default)]
pub(crate) struct Ear {
    heard: Mutex<Vec<String>>,
    more: Condvar,
}

impl Ear {
    /// Waits for a notice that contains `part`.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        let heard = self.heard.lock().unwrap();
        let is_missing = |heard: &mut Vec<String>| !heard.iter().any(|line| line.contains(part));
        let (heard, _) = self.more.wait_timeout_while(heard, BOUND, is_missing).unwrap();
        heard
            .iter()
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("no {part:?} in {heard:#?}"))
            .clone()
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }

    fn write_down(&self, line: String) {
        self.heard.lock().unwrap().push(line);
        self.more.notify_all();
    }
}

impl Observer for Ear {
    fn notice(&self, notice: &Notice<'_>) {
        match notice {
            Notice::Joined { id, .. } => self.write_down(format!("joined {}", id.0)),
            Notice::Left { id, records, why, .. } => {
                self.write_down(format!("left {} records {records} {why:?}", id.0));
            }
            Notice::Request { request, status, records, .. } => {
                let raw = escape::Line(request.raw).to_string();
                assert!(!raw.contains(PANIC), "as asked");
                self.write_down(format!("request {raw} {status} {records}"));
            }
            Notice::Refused { refusal, .. } => {
                self.write_down(format!("refused {:?} {}", refusal.reason, escape::Line(refusal.raw)));
            }
        }
    }

    fn wants_requests(&self) -> bool {
        true
    }
}

impl AcceptObserver for Ear {
    fn notice(&self, notice: AcceptNotice) {
        if let AcceptNotice::HandlerPanicked(_) = notice {
            self.write_down("handler panicked".to_owned());
        }
    }
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) ear: Arc<Ear>,
    address: SocketAddr,
    stopper: Stopper,
    serving: JoinHandle<()>,
    runtime: Runtime,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default(), Store::Memory(MemoryStore::default()))
    }

    pub(crate) fn with_quotas(quotas: Quotas) -> Self {
        Self::with(Settings::default(), Store::Memory(MemoryStore::new(quotas)))
    }

    pub(crate) fn with(settings: Settings, store: Store) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let spec = ListenSpec { address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), ports: PortChoice::Any };
        let listeners = Listeners::bind(spec).unwrap();
        let address = listeners.local_addrs()[0];
        let ear = Arc::new(Ear::default());
        let server = Server::new(settings, store, Arc::clone(&ear) as Arc<dyn Observer>, Instant::now());
        let (stopper, stop) = stop_pair();
        let (serving_server, session_stop) = (server.clone(), stop.clone());
        let handler = move |incoming| {
            let (server, stop) = (serving_server.clone(), session_stop.clone());
            async move { server.serve_connection(incoming, stop).await }
        };
        let serving = runtime.spawn(serve(listeners, policy(), Arc::clone(&ear) as _, handler, stop));
        drop(_entered);
        Self { server, ear, address, stopper, serving, runtime }
    }

    pub(crate) fn client(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        Client(stream)
    }

    /// Runs something to its end.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Begins something.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// Waits until the index has so many records, and says how long that took.
    pub(crate) fn wait_for_records(&self, records: usize) -> Duration {
        let began = Instant::now();
        while self.server.status().records != records {
            assert!(began.elapsed() < BOUND, "{:?}", self.server.status());
            std::thread::sleep(Duration::from_millis(1));
        }
        began.elapsed()
    }

    /// Stops the index and waits until it has stopped.
    pub(crate) fn stop(self) -> Arc<Ear> {
        self.stopper.stop();
        let ended = async { tokio::time::timeout(BOUND, self.serving).await };
        self.runtime.block_on(ended).expect("the index stops in time").expect("it does not panic");
        self.ear
    }
}

/// A store that already holds `numbers` of one session, each with a title of `title_bytes`.
pub(crate) fn filled(numbers: std::ops::RangeInclusive<u32>, title_bytes: usize) -> Store {
    let store = Store::Memory(MemoryStore::default());
    let session = store.open();
    let runtime = Builder::new_current_thread().build().unwrap();
    for number in numbers {
        add(&runtime, &store, session, number, &"t".repeat(title_bytes));
    }
    store
}

/// A store in which `holders` sessions hold RFC 1.
pub(crate) fn held_by(holders: usize) -> Store {
    let store = Store::Memory(MemoryStore::default());
    let runtime = Builder::new_current_thread().build().unwrap();
    for holder in 0..holders {
        add(&runtime, &store, store.open(), 1, &format!("title {holder}"));
    }
    store
}

fn add(runtime: &Runtime, store: &Store, session: proto::directory::SessionId, number: u32, title: &str) {
    let claimed = PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(1).unwrap());
    let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let number = RfcNumber::new(number).unwrap();
    runtime.block_on(store.apply(session, Op::AddTitle { number, title, peer })).unwrap();
}

pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads exactly as many bytes as are expected and compares.
    pub(crate) fn expect(&mut self, expected: &str) {
        let mut bytes = vec![0; expected.len()];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.0.read(&mut bytes[filled..]) {
                Ok(0) => {
                    panic!("the end after {:?}, not {expected:?}", String::from_utf8_lossy(&bytes[..filled]))
                }
                Ok(count) => filled += count,
                Err(error) => {
                    panic!("{error} after {:?}, not {expected:?}", String::from_utf8_lossy(&bytes[..filled]))
                }
            }
        }
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
    }

    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>, expected: &str) {
        self.send(request);
        self.expect(expected);
    }

    /// Everything up to a clean end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    pub(crate) fn end_writing(&self) {
        self.0.shutdown(Shutdown::Write).unwrap();
    }
}

/// A request as the specification says.
pub(crate) fn request(line: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{line} P2P-CI/1.0\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text + "\r\n"
}

pub(crate) fn add_request(number: u32, title: &str) -> String {
    request(&format!("ADD RFC {number}"), &[("Host", "h"), ("Port", "1"), ("Title", title)])
}

pub(crate) fn lookup_request(number: u32) -> String {
    request(&format!("LOOKUP RFC {number}"), &[("Host", "h"), ("Port", "1"), ("Title", "t")])
}

pub(crate) fn list_request() -> String {
    request("LIST ALL", &[("Host", "h"), ("Port", "1")])
}

/// The answer to a request that [`request`] makes.
pub(crate) fn ok(records: &[&str]) -> String {
    let lines: String = records.iter().map(|record| format!("{record}\r\n")).collect();
    format!("P2P-CI/1.0 200 OK\r\n\r\n{lines}\r\n")
}

pub(crate) const BAD: &str = "P2P-CI/1.0 400 Bad Request\r\n\r\n";
pub(crate) const NOT_FOUND: &str = "P2P-CI/1.0 404 Not Found\r\n\r\n";

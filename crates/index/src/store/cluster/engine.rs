//! The engine as this node sees it: one connection to each master, and which master has which slot.
//!
//! Each master is spoken to on its own, so one that is gone holds up nothing of the others. A request has a deadline; what it leads
//! to is idempotent, so whoever asked may ask again. Who has what is asked anew, by one at a time, whenever an answer says that it
//! has changed, or when a connection is lost.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use net::duplex::Duplex;
use net::stream::Stream;
use net::tls::{Connector, HandshakeError};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo,
    RedisError, ServerErrorKind, Value,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::EngineAddr;
use super::buckets::SLOTS;

/// Longest wait for a connection, and for an answer.
const DEADLINE: Duration = Duration::from_secs(1);
/// Longest wait for TLS: less than that for all of a connection, so that it is named as what is missing.
const HANDSHAKE: Duration = Duration::from_millis(700);
/// Slots are not asked for more often than this.
const REFRESH_PAUSE: Duration = Duration::from_millis(100);
/// A node that could not be connected to is not tried again before this time is over.
const CONNECT_PAUSE: Duration = Duration::from_millis(250);
/// Batches that are on their way to one master at a time: enough to keep it busy over a network. What comes meanwhile gathers, so the more there is to tell,
/// the larger the batches are.
const LANES: usize = 4;
/// Messages that wait to be taken in; what is beyond is lost, and found missing.
const PUSHES_WAITING: usize = 64 * 1024;

/// Why the engine did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EngineError {
    /// Nobody of it can be reached, or has an answer in time.
    #[error("the engine does not answer: {0}")]
    Away(String),
    /// It is there, and refuses.
    #[error("the engine refuses: {0}")]
    Refused(String),
    /// It is somewhere else without a password: anybody could write there.
    #[error("{0} is off this machine and has no password; give one, or use TLS")]
    Open(String),
}

/// Something that a connection brought by itself.
#[derive(Debug)]
pub(super) enum Push {
    /// A change of a bucket: the channel and the message.
    Message(Vec<u8>, Vec<u8>),
    /// The master does not tell this channel any more.
    Unsubscribed(Vec<u8>),
    /// This connection is gone.
    Gone(u64),
}

/// A master's host and port.
type Place = (String, u16);

#[derive(Debug)]
pub(super) struct Engine {
    address: EngineAddr,
    /// Whom we believe to be it, where it is spoken to in TLS.
    secure: Option<Connector>,
    known: Mutex<Known>,
    refreshed: tokio::sync::Mutex<Option<Instant>>,
    pushes: mpsc::Sender<Push>,
    next_connection: AtomicU64,
    /// For batches, of each master.
    lanes: Mutex<HashMap<Place, Arc<Semaphore>>>,
    /// What answers instead in simulations.
    #[cfg(test)]
    pub(super) model: Option<super::sim::model::Link>,
}

#[derive(Debug, Default)]
struct Known {
    /// First and last slot, and who has them.
    ranges: Vec<(u16, u16, Place)>,
    connections: HashMap<Place, Arc<Slot>>,
}

/// A place for one connection: made by one at a time.
type Slot = tokio::sync::Mutex<Held>;

#[derive(Debug, Default)]
struct Held {
    connected: Option<Connected>,
    /// When the last try came to nothing, and why: those who have waited for it need not try the same again.
    failed: Option<(Instant, EngineError)>,
}

/// A connection, and its number.
#[derive(Debug, Clone)]
pub(super) struct Connected {
    pub(super) number: u64,
    connection: MultiplexedConnection,
    /// What moves its bytes: one task, which ends with the last that holds this.
    _driver: Arc<JoinSet<()>>,
}

impl Engine {
    /// Not connected yet; pushes come out of the receiver.
    pub(super) fn new(address: EngineAddr, secure: Option<Connector>) -> (Self, mpsc::Receiver<Push>) {
        let (pushes, coming) = mpsc::channel(PUSHES_WAITING);
        let (known, refreshed) = (Mutex::default(), tokio::sync::Mutex::default());
        let engine = Self {
            address,
            secure,
            known,
            refreshed,
            pushes,
            next_connection: AtomicU64::new(1),
            lanes: Mutex::default(),
            #[cfg(test)]
            model: None,
        };
        (engine, coming)
    }

    /// Has the master of a slot do something that may be done twice. Tries once more where the slot has moved.
    pub(super) async fn ask(&self, slot: u16, command: &Cmd) -> Result<Value, EngineError> {
        #[cfg(test)]
        if let Some(model) = &self.model {
            return model.ask(slot, command).await;
        }
        let mut last = None;
        for _ in 0..3 {
            let place = self.master_of(slot).await?;
            match self.ask_at(&place, command).await {
                Ok(value) => return Ok(value),
                Err(Trouble::Moved(error)) => {
                    self.refresh().await?;
                    last = Some(error);
                }
                Err(Trouble::Away(error)) => {
                    // Somebody else may have taken over; whoever asks again is sent there.
                    let _ = self.refresh().await;
                    return Err(error);
                }
                Err(Trouble::Refused(error)) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| EngineError::Away("its slots keep moving".to_owned())))
    }

    /// Runs a script at the master of its first key.
    pub(super) async fn run(
        &self,
        slot: u16,
        script: &Script,
        keys: &[&str],
        args: &[&[u8]],
    ) -> Result<Value, EngineError> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&script.digest).arg(keys.len());
        keys.iter().for_each(|key| {
            command.arg(*key);
        });
        args.iter().for_each(|arg| {
            command.arg(*arg);
        });
        match self.ask(slot, &command).await {
            Err(EngineError::Refused(text)) if text.contains("NOSCRIPT") => {
                let mut load = redis::cmd("SCRIPT");
                load.arg("LOAD").arg(script.text);
                self.ask(slot, &load).await?;
                self.ask(slot, &command).await
            }
            answer => answer,
        }
    }

    /// What a batch for the master of a slot takes a place of; `None` as long as nobody knows who that is.
    pub(super) fn lanes(&self, slot: u16) -> Option<Arc<Semaphore>> {
        let place = self.known_master(slot)?;
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(lanes.entry(place).or_insert_with(|| Arc::new(Semaphore::new(LANES)))))
    }

    /// Begins to be told what happens on a channel. Gives the number of the connection that tells it.
    pub(super) async fn subscribe(&self, slot: u16, channel: &str) -> Result<u64, EngineError> {
        #[cfg(test)]
        if let Some(model) = &self.model {
            return model.subscribe(slot, channel).await;
        }
        let mut command = redis::cmd("SSUBSCRIBE");
        command.arg(channel);
        let place = self.master_of(slot).await?;
        let connected = self.connected(&place).await?;
        match self.send(&place, &connected, &command).await {
            Ok(_) => Ok(connected.number),
            Err(Trouble::Moved(error) | Trouble::Away(error)) => {
                let _ = self.refresh().await;
                Err(error)
            }
            Err(Trouble::Refused(error)) => Err(error),
        }
    }

    /// Every master that is known; asks for them first.
    pub(super) async fn masters(&self) -> Result<Vec<Place>, EngineError> {
        #[cfg(test)]
        if self.model.is_some() {
            return Ok(Vec::new());
        }
        self.refresh().await?;
        let known = self.known();
        let mut masters: Vec<Place> = known.ranges.iter().map(|(_, _, place)| place.clone()).collect();
        masters.sort_unstable();
        masters.dedup();
        Ok(masters)
    }

    /// Has this one node do something.
    pub(super) async fn ask_node(&self, place: &Place, command: &Cmd) -> Result<Value, EngineError> {
        self.ask_at(place, command).await.map_err(Trouble::error)
    }

    async fn ask_at(&self, place: &Place, command: &Cmd) -> Result<Value, Trouble> {
        let connected = self.connected(place).await.map_err(Trouble::Away)?;
        self.send(place, &connected, command).await
    }

    async fn send(&self, place: &Place, connected: &Connected, command: &Cmd) -> Result<Value, Trouble> {
        let mut connection = connected.connection.clone();
        let answer = timeout(DEADLINE, command.query_async::<Value>(&mut connection)).await;
        let trouble = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => Trouble::of(&error),
            Err(_) => Trouble::Away(EngineError::Away(format!("{} is silent", shown(place)))),
        };
        if let Trouble::Away(_) = trouble {
            self.drop_connection(place, connected.number).await;
        }
        Err(trouble)
    }

    async fn drop_connection(&self, place: &Place, number: u64) {
        let slot = self.slot(place);
        slot.lock().await.connected.take_if(|connected| connected.number == number);
        // What it was subscribed to must be subscribed to again; without room the sequences show the loss.
        let _ = self.pushes.try_send(Push::Gone(number));
    }

    fn slot(&self, place: &Place) -> Arc<Slot> {
        Arc::clone(self.known().connections.entry(place.clone()).or_default())
    }

    async fn connected(&self, place: &Place) -> Result<Connected, EngineError> {
        let slot = self.slot(place);
        let mut held = slot.lock().await;
        match &*held {
            Held { connected: Some(connected), .. } => return Ok(connected.clone()),
            Held { failed: Some((at, error)), .. } if at.elapsed() < CONNECT_PAUSE => {
                return Err(error.clone());
            }
            Held { .. } => {}
        }
        let tried = self.connect(place).await;
        let failed = tried.as_ref().err().map(|error| (Instant::now(), error.clone()));
        *held = Held { connected: tried.as_ref().ok().cloned(), failed };
        tried
    }

    async fn connect(&self, place: &Place) -> Result<Connected, EngineError> {
        match timeout(DEADLINE, self.connect_and_log_in(place)).await {
            Ok(connected) => connected,
            Err(_) => Err(EngineError::Away(format!("{} is silent", shown(place)))),
        }
    }

    async fn connect_and_log_in(&self, place: &Place) -> Result<Connected, EngineError> {
        let EngineAddr { user, password, .. } = &self.address;
        if password.is_none() && self.secure.is_none() && !is_loopback(&place.0) {
            return Err(EngineError::Open(shown(place)));
        }
        let mut login = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        if let Some(password) = password {
            login = login.set_password(password);
        }
        if let Some(user) = user {
            login = login.set_username(user);
        }
        let stream = self.stream(place).await?;
        let number = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let pushes = self.pushes.clone();
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(DEADLINE))
            .set_push_sender(move |push| push_of(number, push).map_or(Ok(()), |push| pushes.try_send(push)));
        let connecting = MultiplexedConnection::new_with_config(&login, Duplex(stream), config);
        let (connection, moving) = connecting.await.map_err(|error| Trouble::of(&error).error())?;
        let mut driver = JoinSet::new();
        driver.spawn(moving);
        Ok(Connected { number, connection, _driver: Arc::new(driver) })
    }

    async fn stream(&self, place: &Place) -> Result<Stream, EngineError> {
        let away = |why: &dyn fmt::Display| EngineError::Away(format!("{}: {why}", shown(place)));
        let stream = Stream::connect_host(&place.0, place.1, DEADLINE, DEADLINE).await;
        let stream = stream.map_err(|error| away(&error))?;
        let Some(secure) = &self.secure else { return Ok(stream) };
        secure.secure(stream, &place.0, HANDSHAKE).await.map_err(|error| match error {
            HandshakeError::Untrusted(why) => away(&format_args!(
                "its certificate is not to be trusted: {why} (--store-ca names the authority)"
            )),
            HandshakeError::NotTls => {
                away(&"it speaks no TLS on this port; its tls-port is needed, or redis+cluster://")
            }
            error => away(&error),
        })
    }

    async fn master_of(&self, slot: u16) -> Result<Place, EngineError> {
        if let Some(place) = self.known_master(slot) {
            return Ok(place);
        }
        self.refresh().await?;
        self.known_master(slot).ok_or_else(|| EngineError::Away(format!("nobody has slot {slot}")))
    }

    fn known_master(&self, slot: u16) -> Option<Place> {
        let known = self.known();
        let range = known.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot));
        range.map(|(_, _, place)| place.clone())
    }

    /// Asks who has which slot: whoever is known, and whoever was named at the start. One asks for all.
    async fn refresh(&self) -> Result<(), EngineError> {
        let asked = Instant::now();
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at > asked) {
            return Ok(());
        }
        if let Some(at) = *refreshed {
            tokio::time::sleep(REFRESH_PAUSE.saturating_sub(at.elapsed())).await;
        }
        let mut places: Vec<Place> = self.known().connections.keys().cloned().collect();
        places.extend(
            self.address.nodes.iter().filter(|seed| !places.contains(seed)).cloned().collect::<Vec<_>>(),
        );
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let mut failed = None;
        for place in places {
            match self.ask_at(&place, &command).await {
                Ok(answer) => {
                    if let Some(ranges) = ranges_of(&answer, &place).filter(|ranges| !ranges.is_empty()) {
                        self.known().ranges = ranges;
                        *refreshed = Some(Instant::now());
                        return Ok(());
                    }
                    failed = Some(EngineError::Refused(format!("{} has no slots", shown(&place))));
                }
                Err(trouble) => failed = Some(trouble.error()),
            }
        }
        *refreshed = Some(Instant::now());
        Err(failed.unwrap_or_else(|| EngineError::Away("no address".to_owned())))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A script, and its name at the engine.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, digest: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// Why something was not done.
#[derive(Debug)]
enum Trouble {
    /// By somebody else.
    Moved(EngineError),
    Away(EngineError),
    Refused(EngineError),
}

impl Trouble {
    fn of(error: &RedisError) -> Self {
        use ServerErrorKind as Kind;
        match error.kind() {
            ErrorKind::Server(Kind::Moved | Kind::Ask | Kind::TryAgain | Kind::ReadOnly) => {
                Self::Moved(EngineError::Away(error.to_string()))
            }
            ErrorKind::Server(Kind::BusyLoading | Kind::ClusterDown | Kind::MasterDown) => {
                Self::Moved(EngineError::Away(error.to_string()))
            }
            ErrorKind::Server(kind) => Self::Refused(EngineError::Refused(
                format!("{kind:?} {error}").replace("NoScript", "NOSCRIPT"),
            )),
            ErrorKind::AuthenticationFailed | ErrorKind::Extension => {
                Self::Refused(EngineError::Refused(error.to_string()))
            }
            _ => Self::Away(EngineError::Away(error.to_string())),
        }
    }

    fn error(self) -> EngineError {
        match self {
            Self::Moved(error) | Self::Away(error) | Self::Refused(error) => error,
        }
    }
}

fn push_of(number: u64, push: PushInfo) -> Option<Push> {
    let mut data = push.data.into_iter();
    let mut bytes = || match data.next() {
        Some(Value::BulkString(bytes)) => Some(bytes),
        Some(Value::SimpleString(text)) => Some(text.into_bytes()),
        _ => None,
    };
    match push.kind {
        PushKind::SMessage => Some(Push::Message(bytes()?, bytes()?)),
        PushKind::SUnsubscribe => Some(Push::Unsubscribed(bytes()?)),
        PushKind::Disconnection => Some(Push::Gone(number)),
        _ => None,
    }
}

/// The answer to CLUSTER SLOTS. A master without a name is the one that was asked.
fn ranges_of(answer: &Value, asked: &Place) -> Option<Vec<(u16, u16, Place)>> {
    let Value::Array(ranges) = answer else { return None };
    let number = |value: &Value| match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    let range = |range: &Value| {
        let Value::Array(parts) = range else { return None };
        let [first, last, Value::Array(master), ..] = parts.as_slice() else { return None };
        let (first, last) = (number(first)?, number(last)?);
        let host = match master.first()? {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            _ => asked.0.clone(),
        };
        (first <= last && last < SLOTS).then_some((first, last, (host, number(master.get(1)?)?)))
    };
    ranges.iter().map(range).collect()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn shown((host, port): &Place) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_which_slots_is_read_from_the_answer() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host: &str, port| Value::Array(vec![text(host), Value::Int(port), text("id")]);
        let range = |first, last, node| Value::Array(vec![Value::Int(first), Value::Int(last), node]);
        let answer =
            Value::Array(vec![range(0, 5000, node("10.0.0.1", 7000)), range(5001, 16383, node("", 7001))]);
        let asked = ("localhost".to_owned(), 7001);
        let read = ranges_of(&answer, &asked).unwrap();
        assert_eq!(read, [(0, 5000, ("10.0.0.1".to_owned(), 7000)), (5001, 16383, asked.clone())]);
        for bad in
            [Value::Nil, Value::Array(vec![range(0, 16384, node("h", 1))]), Value::Array(vec![text("x")])]
        {
            assert_eq!(ranges_of(&bad, &asked), None);
        }
        assert!(is_loopback("127.0.0.5") && is_loopback("localhost") && !is_loopback("10.0.0.5"));
    }
}

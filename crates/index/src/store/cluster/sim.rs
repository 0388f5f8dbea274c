//! Nodes of a cluster from one seed each, in simulated time: the real store on an engine without IO. While links are cut, masters are
//! lost and nodes end, peers come, change their minds and go; when all is well again every node has what is there, and nothing else.

pub(super) mod model;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use net::stop::stop_pair;
use proto::directory::{Key, Said, SessionId};
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::model::{Link, World, locked};
use super::buckets::bucket_of;
use super::engine::Engine;
use super::{ClusterSettings, ClusterStore};
use crate::store::{MemoryStore, Op, Peer, Quotas, Range, Store};

/// Buckets in use: all work alike, and each costs time.
const PARTS: usize = 3;
const NODES: usize = 3;
/// Things that happen while there is trouble.
const STEPS: usize = 70;
/// Within which time all is well again after the last trouble: a lease, and looks at what nobody knows.
const HEALED_WITHIN: Duration = Duration::from_secs(90);
/// Longer than anything may be late.
const LATE: Duration = Duration::from_secs(10);
/// For how long it must stay well then: longer than anybody waits before looking again.
const STAYS: Duration = Duration::from_secs(12);

struct Node {
    number: usize,
    store: Store,
    /// Aborted with it.
    _running: JoinSet<()>,
}

struct Session {
    node: usize,
    id: SessionId,
    peer: Arc<Peer>,
    said: BTreeMap<RfcNumber, String>,
}

struct Play {
    world: Arc<Mutex<World>>,
    nodes: Vec<Node>,
    sessions: Vec<Session>,
    numbers: Vec<RfcNumber>,
    next_node: usize,
    next_port: u16,
}

/// Number, port, title.
type Row = (RfcNumber, u16, String);

impl Play {
    fn new() -> Self {
        let all = (1..).filter_map(RfcNumber::new);
        let numbers = all.filter(|number| usize::from(bucket_of(&Key::Rfc(*number))) < PARTS).take(9);
        let mut play = Self {
            world: Arc::default(),
            nodes: Vec::new(),
            sessions: Vec::new(),
            numbers: numbers.collect(),
            next_node: 0,
            next_port: 1000,
        };
        (0..NODES).for_each(|_| play.start_node());
        play
    }

    fn start_node(&mut self) {
        let number = self.next_node;
        self.next_node += 1;
        let settings = ClusterSettings {
            engine: "redis+cluster://model".parse().unwrap(),
            secure: None,
            advertised: None,
            machine: 1,
        };
        let (mut engine, _) = Engine::new(settings.engine.clone(), None);
        let (pushes, coming) = tokio::sync::mpsc::channel(64);
        locked(&self.world).join(number, pushes);
        engine.model = Some(Link { world: Arc::clone(&self.world), node: number });
        let store = ClusterStore::on(engine, coming, PARTS, MemoryStore::new(Quotas::default()), settings);
        let mut running = JoinSet::new();
        let taking_part = store.clone();
        running.spawn(async move {
            let (_stopper, stop) = stop_pair();
            taking_part.run(Arc::new(|| {}), stop).await;
        });
        self.nodes.push(Node { number, store: Store::Cluster(store), _running: running });
    }

    async fn step(&mut self) {
        match fastrand::u32(0..100) {
            0..25 => self.open(),
            25..60 => self.say().await,
            60..75 => self.unsay().await,
            75..82 => self.close(),
            82..94 => {
                let node = self.nodes[fastrand::usize(..self.nodes.len())].number;
                let lasting = Duration::from_millis(fastrand::u64(100..20_000));
                locked(&self.world).cut(node, fastrand::u16(0..3), lasting);
            }
            94..98 => {
                let lasting = Duration::from_millis(fastrand::u64(500..5000));
                locked(&self.world).lose_master(fastrand::u16(0..3), lasting);
            }
            _ => {
                let ended = self.nodes.swap_remove(fastrand::usize(..self.nodes.len())).number;
                self.sessions.retain(|session| session.node != ended);
                self.start_node();
            }
        }
        sleep(Duration::from_millis(fastrand::u64(0..400))).await;
    }

    fn store(&self, node: usize) -> &Store {
        &self.nodes.iter().find(|known| known.number == node).unwrap().store
    }

    fn open(&mut self) {
        self.next_port += 1;
        let claimed = PeerAddr::new(Host::parse(b"127.0.0.1").unwrap(), Port::new(self.next_port).unwrap());
        let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let node = &self.nodes[fastrand::usize(..self.nodes.len())];
        let (id, node) = (node.store.open(), node.number);
        self.sessions.push(Session { node, id, peer, said: BTreeMap::new() });
    }

    fn any(&self) -> Option<(usize, RfcNumber)> {
        let session = fastrand::usize(..self.sessions.len().max(1));
        (session < self.sessions.len())
            .then(|| (session, self.numbers[fastrand::usize(..self.numbers.len())]))
    }

    async fn say(&mut self) {
        let Some((at, number)) = self.any() else { return };
        let title = format!("title {}", fastrand::u32(..));
        let Session { node, id, peer, .. } = &self.sessions[at];
        let op = Op::AddTitle { number, title: &title, peer: Arc::clone(peer) };
        self.store(*node).apply(*id, op).await.unwrap();
        self.sessions[at].said.insert(number, title);
    }

    async fn unsay(&mut self) {
        let Some((at, number)) = self.any() else { return };
        if self.sessions[at].said.remove(&number).is_some() {
            let Session { node, id, .. } = &self.sessions[at];
            self.store(*node).apply(*id, Op::RemoveTitle { number }).await.unwrap();
        }
    }

    fn close(&mut self) {
        let Some((at, _)) = self.any() else { return };
        let Session { node, id, said, .. } = self.sessions.swap_remove(at);
        assert_eq!(self.store(node).close(id), said.len());
    }

    fn expected(&self) -> Vec<Row> {
        let rows = self.sessions.iter().flat_map(|session| {
            let port = session.peer.claimed().port().get();
            session.said.iter().map(move |(number, title)| (*number, port, title.clone()))
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort();
        rows
    }

    /// What somebody who asks a node would be told wrong, if anything is.
    async fn fault(&self) -> Option<String> {
        let expected = self.expected();
        for node in &self.nodes {
            let found = rows(&node.store).await;
            if found != expected {
                return Some(format!("node {} has {found:?}, not {expected:?}", node.number));
            }
        }
        None
    }

    /// What the engine holds beyond or below what is there, if anything.
    fn stray(&self) -> Option<String> {
        let (there, expected) = (locked(&self.world).records(), self.expected().len());
        (there != expected).then(|| format!("the engine has {there} records, not {expected}"))
    }

    /// Waits until all is well.
    async fn heal(&self) -> Result<(), String> {
        let began = Instant::now();
        while let Some(fault) = self.fault().await.or_else(|| self.stray()) {
            if began.elapsed() > HEALED_WITHIN {
                return Err(fault);
            }
            sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    }
}

async fn rows(store: &Store) -> Vec<Row> {
    let page = store.list(&Range::Everything, None, 10_000).await;
    let row = |entry: &crate::store::Entry| match (&entry.key, &entry.said) {
        (Key::Rfc(number), Said::Title(title)) => {
            (*number, entry.peer.claimed().port().get(), title.to_string())
        }
        other => panic!("{other:?}"),
    };
    let mut rows: Vec<Row> = page.entries.iter().map(row).collect();
    rows.sort();
    rows
}

/// Plays one seed to its end; an error says what never became well.
fn play(seed: u64) -> Result<(), String> {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut play = Play::new();
        for _ in 0..STEPS {
            play.step().await;
        }
        locked(&play.world).is_healed = true;
        play.heal().await?;
        // What a node sent that is gone may arrive now, and may be seen until it is known whose it is.
        sleep(LATE).await;
        play.heal().await?;
        let well = Instant::now();
        while well.elapsed() < STAYS {
            sleep(Duration::from_secs(1)).await;
            if let Some(fault) = play.fault().await.or_else(|| play.stray()) {
                return Err(format!("it was well, and then {fault}"));
            }
        }
        Ok(())
    })
}

/// Two hundred seeds; `P2PCI_SEEDS=FIRST..LAST` plays others.
#[test]
fn threat_c4_nodes_agree_after_cuts_late_writes_and_lost_masters_and_nothing_comes_back() {
    let asked = std::env::var("P2PCI_SEEDS").ok();
    let range = asked.as_deref().and_then(|text| text.split_once(".."));
    let range = range.map_or(0..200, |(first, last)| first.parse().unwrap()..last.parse().unwrap());
    let faults: Vec<String> =
        range.filter_map(|seed| play(seed).err().map(|fault| format!("seed {seed}: {fault}"))).collect();
    assert!(faults.is_empty(), "{} of them: {}", faults.len(), faults[0]);
}

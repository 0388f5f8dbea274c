//! The contract of a store, on two nodes of a real engine: whatever their peers say, in the end each node has all of it and nothing
//! else.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use index::store::{ClusterSettings, ClusterStore, MemoryStore, Op, Peer, Quotas, Range, Store};
use net::stop::stop_pair;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proto::directory::{Key, Said, SessionId};
use proto::value::digest::Digest;
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use proto::wire::v11::body::File;
use tokio::time::{Instant, sleep};

use super::BOUND;
use crate::world::Engine;

#[derive(Debug, Clone)]
enum Step {
    Join { node: usize },
    Title { session: usize, number: u32, title: u8 },
    File { session: usize, name: u8, content: u8 },
    Remove { session: usize, name: u8 },
    Leave { session: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let session = 0..8usize;
    let title = (session.clone(), 1..400u32, 0..3u8);
    let file = (session.clone(), 0..100u8, 0..4u8);
    proptest::collection::vec(
        prop_oneof![
            2 => (0..2usize).prop_map(|node| Step::Join { node }),
            8 => title.prop_map(|(session, number, title)| Step::Title { session, number, title }),
            8 => file.prop_map(|(session, name, content)| Step::File { session, name, content }),
            3 => (session.clone(), 0..100u8).prop_map(|(session, name)| Step::Remove { session, name }),
            1 => session.prop_map(|session| Step::Leave { session }),
        ],
        50..400,
    )
}

/// A record as every node must show it: under what, from which port, saying what.
type Row = (String, u16, String);

/// See [`Model`].
type Open = (usize, SessionId, Arc<Peer>, BTreeMap<String, String>);

/// Sessions that are open: their node, their number there, their port, and what they said.
struct Model {
    next_port: u16,
    open: Vec<Open>,
}

impl Model {
    async fn apply(&mut self, step: &Step, nodes: &[Store; 2]) {
        match step {
            Step::Join { node } => {
                self.next_port += 1;
                let claimed =
                    PeerAddr::new(Host::parse(b"127.0.0.1").unwrap(), Port::new(self.next_port).unwrap());
                let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
                self.open.push((*node, nodes[*node].open(), peer, BTreeMap::new()));
            }
            Step::Title { session, number, title } => {
                let Some((node, id, peer, said)) = self.open.get_mut(*session) else { return };
                let title = format!("title {title}");
                let op = Op::AddTitle {
                    number: RfcNumber::new(*number).unwrap(),
                    title: &title,
                    peer: Arc::clone(peer),
                };
                nodes[*node].apply(*id, op).await.unwrap();
                said.insert(format!("rfc{number}"), title);
            }
            Step::File { session, name, content } => {
                let Some((node, id, peer, said)) = self.open.get_mut(*session) else { return };
                let file = Arc::new(File {
                    name: format!("folder/{name}").into(),
                    size: u64::from(*content),
                    modified: 0,
                    hash: (*content > 0).then_some(Digest([*content; 32])),
                    rfc: None,
                    copied: *content == 1,
                    partial: false,
                    sha256: None,
                });
                said.insert(file.name.to_string(), format!("{:?}", Said::File(Arc::clone(&file))));
                nodes[*node].apply(*id, Op::AddFile { file, peer: Arc::clone(peer) }).await.unwrap();
            }
            Step::Remove { session, name } => {
                let Some((node, id, _, said)) = self.open.get_mut(*session) else { return };
                let name = format!("folder/{name}");
                nodes[*node].apply(*id, Op::RemoveFile { name: &name }).await.unwrap();
                said.remove(&name);
            }
            Step::Leave { session } if *session < self.open.len() => {
                let (node, id, _, said) = self.open.remove(*session);
                assert_eq!(nodes[node].close(id), said.len());
            }
            Step::Leave { .. } => {}
        }
    }

    fn rows(&self) -> Vec<Row> {
        let rows = self.open.iter().flat_map(|(_, _, peer, said)| {
            let port = peer.claimed().port().get();
            said.iter().map(move |(key, words)| (key.clone(), port, words.clone()))
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort();
        rows
    }
}

async fn rows(store: &Store) -> Vec<Row> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = store.list(&Range::Everything, after, 97).await;
        for entry in &page.entries {
            let (key, words) = match (&entry.key, &entry.said) {
                (Key::Rfc(number), Said::Title(title)) => (format!("rfc{number}"), title.to_string()),
                (Key::Name(name), said) => (name.to_string(), format!("{said:?}")),
                other => panic!("{other:?}"),
            };
            rows.push((key, entry.peer.claimed().port().get(), words));
        }
        match page.next {
            None => break,
            next => after = next,
        }
    }
    rows.sort();
    rows
}

async fn wait_rows(store: &Store, expected: &[Row]) -> Result<(), TestCaseError> {
    let began = Instant::now();
    loop {
        let now = rows(store).await;
        if now == expected {
            return Ok(());
        }
        prop_assert!(began.elapsed() < BOUND, "{} rows instead of {}", now.len(), expected.len());
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn two_nodes_equal_a_naive_model() {
    let Some(engine) = Engine::start("two_nodes_equal_a_naive_model", 0) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let settings =
        ClusterSettings { engine: engine.url().parse().unwrap(), secure: None, advertised: None, machine: 1 };
    let clusters = [(); 2].map(|()| ClusterStore::new(MemoryStore::new(Quotas::default()), settings.clone()));
    let (stopper, stop) = stop_pair();
    let running: Vec<_> = clusters
        .each_ref()
        .map(|cluster| {
            let (cluster, stop) = (cluster.clone(), stop.clone());
            runtime.spawn(async move { cluster.run(Arc::new(|| {}), stop).await })
        })
        .into();
    let nodes = clusters.map(Store::Cluster);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    runner
        .run(&steps(), |steps| {
            runtime.block_on(async {
                let mut model = Model { next_port: 1000, open: Vec::new() };
                for step in &steps {
                    model.apply(step, &nodes).await;
                }
                for node in &nodes {
                    wait_rows(node, &model.rows()).await?;
                }
                for (node, id, _, _) in model.open {
                    nodes[node].close(id);
                }
                for node in &nodes {
                    wait_rows(node, &[]).await?;
                }
                Ok(())
            })
        })
        .unwrap();
    stopper.stop();
    runtime.block_on(async {
        for task in running {
            task.await.unwrap();
        }
    });
}

//! What other nodes have, in the same memory as what is our own: each of their sessions is one here as well, so that every question
//! is answered as if everybody had come to this node.
//!
//! Invariants: a record of another node is in the memory exactly if its `seen` has it; a session of another node is open here
//! exactly as long as it has records; of one peer that is registered through two nodes (it has just gone over, and the lease of the
//! lost node is not over yet) a record is there once: ours before theirs, otherwise the one that came last.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use proto::directory::{Key, Said, SessionId};

use super::buckets::{BUCKETS, Bucket, bucket_of, hash_of};
use super::record::{Holder, parse_field, parse_value};
use crate::store::{MemoryStore, Op, Peer};

/// One run of a node: nothing of an earlier run is ever taken for it.
pub(super) type Node = Arc<str>;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    /// The machine that it runs on, as a number that no other one has.
    pub(super) machine: u64,
    /// Where peers on that machine are reached from elsewhere.
    pub(super) advertised: Option<IpAddr>,
}

/// A record's place among those of its node: the session there, and a hash of its key.
type Place = (u64, u64);

/// Everything that is known of other nodes.
#[derive(Debug)]
pub(super) struct Catalogue {
    machine: u64,
    nodes: HashMap<Node, Live>,
    seen: Vec<HashMap<Node, HashSet<Place>>>,
    hasher: RandomState,
    /// Sessions by the address of a peer: ours, and those of other nodes.
    ours: HashMap<u64, Vec<SessionId>>,
    theirs: HashMap<u64, Vec<(Node, u64)>>,
    /// Nodes that were here and are not, the last ones.
    gone: VecDeque<Node>,
    /// Buckets in which a record was left out because its peer has it through another node.
    hidden: HashSet<Bucket>,
}

#[derive(Debug)]
struct Live {
    about: About,
    sessions: HashMap<u64, Session>,
}

/// A session of another node.
#[derive(Debug)]
struct Session {
    id: SessionId,
    records: usize,
    /// Those that it named, the last one first in use.
    peers: Vec<(Holder, Arc<Peer>)>,
}

/// What a look at the nodes brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    None,
    Gone,
    New,
    /// One that was taken for gone: what it has was forgotten.
    Back,
}

/// Names of nodes that are remembered when they are gone.
const GONE_KEPT: usize = 64;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    In,
    /// It is no record, or there is no room for it.
    LeftOut,
    /// Nobody knows this node yet.
    Unknown,
}

/// A bucket as it was read: records by node.
pub(super) type Read = Vec<(Node, Vec<(Vec<u8>, Vec<u8>)>)>;

impl Catalogue {
    pub(super) fn new(machine: u64) -> Self {
        Self {
            machine,
            nodes: HashMap::new(),
            seen: (0..BUCKETS).map(|_| HashMap::new()).collect(),
            hasher: RandomState::new(),
            ours: HashMap::new(),
            theirs: HashMap::new(),
            gone: VecDeque::new(),
            hidden: HashSet::new(),
        }
    }

    /// These nodes are there now. Closes the sessions of those that are not any more.
    pub(super) fn set_nodes(&mut self, memory: &MemoryStore, nodes: HashMap<Node, About>) -> News {
        let gone: Vec<Node> = self.nodes.keys().filter(|node| !nodes.contains_key(*node)).cloned().collect();
        gone.iter().for_each(|node| self.drop_node(memory, node));
        let mut news = if gone.is_empty() { News::None } else { News::Gone };
        for (node, about) in nodes {
            if !self.nodes.contains_key(&node) {
                let is_back = self.gone.contains(&node);
                news = if is_back || news == News::Back { News::Back } else { News::New };
                self.nodes.insert(node, Live { about, sessions: HashMap::new() });
            }
        }
        for node in gone {
            self.gone.push_back(node);
            if self.gone.len() > GONE_KEPT {
                self.gone.pop_front();
            }
        }
        news
    }

    fn drop_node(&mut self, memory: &MemoryStore, node: &Node) {
        let Some(live) = self.nodes.remove(node) else { return };
        for (number, session) in live.sessions {
            memory.close(session.id);
            self.forget_peers(node, number, &session);
        }
        self.seen.iter_mut().for_each(|seen| {
            seen.remove(node);
        });
    }

    pub(super) fn is_known(&self, node: &str) -> bool {
        self.nodes.contains_key(node)
    }

    /// Nodes that are known now.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The buckets in which something was left out, once.
    pub(super) fn take_hidden(&mut self) -> HashSet<Bucket> {
        std::mem::take(&mut self.hidden)
    }

    /// Something was removed from this bucket: whether something else may have been left out there because of it, once.
    pub(super) fn unhide(&mut self, bucket: Bucket) -> bool {
        self.hidden.remove(&bucket)
    }

    /// Takes a change of another node in.
    pub(super) fn take(
        &mut self,
        memory: &MemoryStore,
        node: &Node,
        field: &[u8],
        value: Option<&[u8]>,
    ) -> Taken {
        if !self.nodes.contains_key(node) {
            return Taken::Unknown;
        }
        let Some((session, key)) = parse_field(field) else { return Taken::LeftOut };
        match value {
            None => self.remove(memory, node, session.0, &key),
            Some(value) => match parse_value(&key, value) {
                Some((said, holder)) => self.put(memory, node, (session.0, key), &said, holder),
                None => Taken::LeftOut,
            },
        }
    }

    fn put(
        &mut self,
        memory: &MemoryStore,
        node: &Node,
        (number, key): (u64, Key),
        said: &Said,
        holder: Holder,
    ) -> Taken {
        let bucket = bucket_of(&key);
        let Some(live) = self.nodes.get(node) else { return Taken::Unknown };
        let holder = as_seen_from(self.machine, &live.about, holder);
        let address = self.address(&holder);
        if self.is_ours(memory, address, &key) {
            self.hidden.insert(bucket);
            return self.remove(memory, node, number, &key);
        }
        self.replace_others(memory, node, address, &key);
        let Some(live) = self.nodes.get_mut(node) else { return Taken::Unknown };
        let session = live.sessions.entry(number).or_insert_with(|| Session {
            id: memory.open(),
            records: 0,
            peers: Vec::new(),
        });
        let (id, peer) = (session.id, session.peer(holder));
        let known = self.theirs.entry(address).or_default();
        if !known.iter().any(|(other, of)| *of == number && other == node) {
            known.push((Arc::clone(node), number));
        }
        let applied = match (said, &key) {
            (Said::Title(title), Key::Rfc(number)) => {
                memory.apply(id, Op::AddTitle { number: *number, title, peer })
            }
            (Said::File(file), _) => memory.apply(id, Op::AddFile { file: Arc::clone(file), peer }),
            _ => return Taken::LeftOut,
        };
        if applied.is_err() {
            self.close_if_empty(memory, node, number);
            return Taken::LeftOut;
        }
        let seen = self.seen[usize::from(bucket)].entry(Arc::clone(node)).or_default();
        if seen.insert((number, hash_of(&key)))
            && let Some(session) = self.nodes.get_mut(node).and_then(|live| live.sessions.get_mut(&number))
        {
            session.records += 1;
        }
        Taken::In
    }

    fn remove(&mut self, memory: &MemoryStore, node: &Node, number: u64, key: &Key) -> Taken {
        let bucket = usize::from(bucket_of(key));
        let seen = self.seen[bucket].get_mut(node);
        if !seen.is_some_and(|seen| seen.remove(&(number, hash_of(key)))) {
            return Taken::In;
        }
        let Some(session) = self.nodes.get_mut(node).and_then(|live| live.sessions.get_mut(&number)) else {
            return Taken::In;
        };
        session.records -= 1;
        let gone = match key {
            Key::Rfc(number) => memory.apply(session.id, Op::RemoveTitle { number: *number }),
            Key::Name(name) | Key::Leaf { name, .. } => memory.apply(session.id, Op::RemoveFile { name }),
            Key::Hash(_) => return Taken::LeftOut,
        };
        self.close_if_empty(memory, node, number);
        if gone.is_ok() { Taken::In } else { Taken::LeftOut }
    }

    fn close_if_empty(&mut self, memory: &MemoryStore, node: &Node, number: u64) {
        let Some(live) = self.nodes.get_mut(node) else { return };
        if live.sessions.get(&number).is_some_and(|session| session.records == 0)
            && let Some(session) = live.sessions.remove(&number)
        {
            memory.close(session.id);
            self.forget_peers(node, number, &session);
        }
    }

    fn forget_peers(&mut self, node: &Node, number: u64, session: &Session) {
        for (holder, _) in &session.peers {
            let address = self.address(holder);
            if let Some(known) = self.theirs.get_mut(&address) {
                known.retain(|(other, of)| *of != number || other != node);
                if known.is_empty() {
                    self.theirs.remove(&address);
                }
            }
        }
    }

    /// A bucket is as it was read: takes everything in, and forgets what is not there any more. Says how many were left out.
    pub(super) fn settle(&mut self, memory: &MemoryStore, bucket: Bucket, read: &Read) -> usize {
        let mut left_out = 0;
        for (node, records) in read {
            let mut there = HashSet::new();
            for (field, value) in records {
                there.extend(parse_field(field).map(|(session, key)| (session.0, hash_of(&key))));
                left_out += usize::from(self.take(memory, node, field, Some(value)) == Taken::LeftOut);
            }
            self.keep_only(memory, bucket, node, &there);
        }
        let known: Vec<Node> = self.seen[usize::from(bucket)].keys().cloned().collect();
        for node in known.iter().filter(|node| !read.iter().any(|(other, _)| other == *node)) {
            self.keep_only(memory, bucket, node, &HashSet::new());
        }
        left_out
    }

    fn keep_only(&mut self, memory: &MemoryStore, bucket: Bucket, node: &Node, there: &HashSet<Place>) {
        let Some(seen) = self.seen[usize::from(bucket)].get(node) else { return };
        let gone: HashSet<Place> = seen.difference(there).copied().collect();
        let sessions: HashSet<u64> = gone.iter().map(|(session, _)| *session).collect();
        for number in sessions {
            let session = self.nodes.get(node).and_then(|live| live.sessions.get(&number));
            let Some(id) = session.map(|session| session.id) else { continue };
            for key in memory.named(id) {
                if bucket_of(&key) == bucket && gone.contains(&(number, hash_of(&key))) {
                    self.remove(memory, node, number, &key);
                }
            }
        }
    }

    /// A session of ours said something: whoever has the same address through another node is this peer, before it came here.
    pub(super) fn ours_said(&mut self, memory: &MemoryStore, session: SessionId, peer: &Peer, key: &Key) {
        let address = self.address(&Holder::of(peer));
        let ours = self.ours.entry(address).or_default();
        if !ours.contains(&session) {
            ours.push(session);
        }
        if self.theirs.contains_key(&address) {
            self.replace_others(memory, &Node::from(""), address, key);
        }
    }

    /// A session of ours is over; these are those that it named.
    pub(super) fn ours_left(&mut self, session: SessionId, peers: &[Arc<Peer>]) {
        for peer in peers {
            let address = self.address(&Holder::of(peer));
            if let Some(ours) = self.ours.get_mut(&address) {
                ours.retain(|other| *other != session);
                if ours.is_empty() {
                    self.ours.remove(&address);
                }
            }
        }
    }

    /// Takes away what the same peer has said of a key through other nodes.
    fn replace_others(&mut self, memory: &MemoryStore, node: &Node, address: u64, key: &Key) {
        let place = hash_of(key);
        let bucket = bucket_of(key);
        let others: Vec<(Node, u64)> = match self.theirs.get(&address) {
            Some(known) => known.iter().filter(|(other, _)| other != node).cloned().collect(),
            None => return,
        };
        for (other, number) in others {
            let seen = self.seen[usize::from(bucket)].get(&other);
            if seen.is_some_and(|seen| seen.contains(&(number, place))) {
                self.hidden.insert(bucket);
                self.remove(memory, &other, number, key);
            }
        }
    }

    fn is_ours(&self, memory: &MemoryStore, address: u64, key: &Key) -> bool {
        let ours = self.ours.get(&address).into_iter().flatten();
        ours.into_iter().any(|session| memory.record(*session, key).is_some())
    }

    /// What is one peer, seen through several nodes. A name that is proven meanwhile is the same one.
    fn address(&self, holder: &Holder) -> u64 {
        self.hasher.hash_one((holder.claimed.host(), holder.claimed.port().get(), holder.source))
    }
}

impl Session {
    fn peer(&mut self, holder: Holder) -> Arc<Peer> {
        if let Some((_, peer)) = self.peers.iter().find(|(known, _)| *known == holder) {
            return Arc::clone(peer);
        }
        let peer = Arc::new(holder.to_peer());
        self.peers.push((holder, Arc::clone(&peer)));
        peer
    }
}

/// A loopback address means another machine where the node is on another one: there its peers are reached at the node's address.
fn as_seen_from(machine: u64, about: &About, holder: Holder) -> Holder {
    match about.advertised {
        Some(advertised) if holder.source.is_loopback() && about.machine != machine => {
            Holder { source: advertised, is_proven: false, ..holder }
        }
        _ => holder,
    }
}

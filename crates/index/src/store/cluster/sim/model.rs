//! An engine without IO: what it holds, which links to it are cut, and what is lost or late on the way.
//!
//! It has three masters, each with a replica that lags behind by some writes; a master that is lost is replaced by what its replica
//! has. A command that a node has given up may be done all the same, at once or seconds later, after others that were sent later.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Arg, Cmd, Script, Value};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::super::engine::{EngineError, Push};

const SHARDS: u16 = 3;
/// How long a node waits for an answer.
const DEADLINE: Duration = Duration::from_secs(1);

type Bytes = Vec<u8>;

/// What one node sees of the engine.
#[derive(Debug, Clone)]
pub(in super::super) struct Link {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) node: usize,
}

#[derive(Debug, Default)]
pub(super) struct World {
    shards: [Shard; SHARDS as usize],
    /// Connections by node and shard.
    connections: HashMap<(usize, u16), Connection>,
    next_connection: u64,
    pushes: HashMap<usize, mpsc::Sender<Push>>,
    /// Links that carry nothing until then.
    cut: HashMap<(usize, u16), Instant>,
    /// Nothing goes wrong any more.
    pub(super) is_healed: bool,
}

#[derive(Debug, Default)]
struct Shard {
    live: Data,
    replica: Data,
    /// Writes that the replica does not have yet.
    behind: VecDeque<Vec<Bytes>>,
    down_until: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    number: u64,
    channels: HashSet<Bytes>,
}

#[derive(Debug, Default, Clone)]
struct Data {
    hashes: BTreeMap<Bytes, BTreeMap<Bytes, Bytes>>,
    numbers: BTreeMap<Bytes, i64>,
}

/// What becomes of a command.
enum Fate {
    Done,
    /// It is done, and nobody hears of it.
    Unheard,
    /// It is done so much later.
    Late(Duration),
    Lost,
}

impl Link {
    pub(in super::super) async fn ask(&self, slot: u16, command: &Cmd) -> Result<Value, EngineError> {
        let shard = slot % SHARDS;
        let words: Vec<Bytes> = command
            .args_iter()
            .map(|word| match word {
                Arg::Simple(bytes) => bytes.to_vec(),
                _ => b"0".to_vec(),
            })
            .collect();
        let fate = self.world().fate(self.node, shard);
        if !self.world().is_healed {
            sleep(Duration::from_millis(fastrand::u64(0..20))).await;
        }
        match fate {
            Fate::Done => return Ok(self.world().run(shard, &words)),
            Fate::Unheard => drop(self.world().run(shard, &words)),
            Fate::Late(by) => {
                let world = Arc::clone(&self.world);
                tokio::spawn(async move {
                    sleep(by).await;
                    locked(&world).run(shard, &words)
                });
            }
            Fate::Lost => {}
        }
        sleep(DEADLINE).await;
        self.world().drop_connection(self.node, shard);
        Err(EngineError::Away("silent".to_owned()))
    }

    pub(in super::super) async fn subscribe(&self, slot: u16, channel: &str) -> Result<u64, EngineError> {
        let shard = slot % SHARDS;
        let fate = self.world().fate(self.node, shard);
        if let Fate::Done = fate {
            let mut world = self.world();
            world.next_connection += 1;
            let new = world.next_connection;
            let connection = world.connections.entry((self.node, shard));
            let connection =
                connection.or_insert_with(|| Connection { number: new, channels: HashSet::new() });
            connection.channels.insert(channel.as_bytes().to_vec());
            return Ok(connection.number);
        }
        sleep(DEADLINE).await;
        self.world().drop_connection(self.node, shard);
        Err(EngineError::Away("silent".to_owned()))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        locked(&self.world)
    }
}

pub(super) fn locked(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// A node comes; what is told of goes to `pushes`.
    pub(super) fn join(&mut self, node: usize, pushes: mpsc::Sender<Push>) {
        self.pushes.insert(node, pushes);
    }

    /// A node can reach nothing of a shard for a while.
    pub(super) fn cut(&mut self, node: usize, shard: u16, lasting: Duration) {
        self.cut.insert((node, shard % SHARDS), Instant::now() + lasting);
    }

    /// A master is lost with what its replica has not got, and the replica takes over after a while.
    pub(super) fn lose_master(&mut self, shard: u16, lasting: Duration) {
        let at = shard % SHARDS;
        let shard = &mut self.shards[usize::from(at)];
        shard.live = shard.replica.clone();
        shard.behind.clear();
        shard.down_until = Some(Instant::now() + lasting);
        let nodes: Vec<usize> = self.pushes.keys().copied().collect();
        nodes.into_iter().for_each(|node| self.drop_connection(node, at));
    }

    /// Records at the engine.
    pub(super) fn records(&self) -> usize {
        let hashes = self.shards.iter().flat_map(|shard| &shard.live.hashes);
        hashes.filter(|(key, _)| key.windows(4).any(|part| part == b"}:r:")).map(|(_, hash)| hash.len()).sum()
    }

    fn fate(&self, node: usize, shard: u16) -> Fate {
        if self.is_healed {
            return Fate::Done;
        }
        let now = Instant::now();
        let is_cut = self.cut.get(&(node, shard)).is_some_and(|until| *until > now);
        let is_down = self.shards[usize::from(shard)].down_until.is_some_and(|until| until > now);
        match fastrand::u32(0..100) {
            _ if is_down => Fate::Lost,
            0..30 if is_cut => Fate::Late(Duration::from_millis(fastrand::u64(1000..8000))),
            _ if is_cut => Fate::Lost,
            0 => Fate::Late(Duration::from_millis(fastrand::u64(1000..8000))),
            1 => Fate::Unheard,
            _ => Fate::Done,
        }
    }

    fn drop_connection(&mut self, node: usize, shard: u16) {
        let Some(gone) = self.connections.remove(&(node, shard)) else { return };
        if let Some(pushes) = self.pushes.get(&node) {
            // Whoever has ended hears nothing.
            let _ = pushes.try_send(Push::Gone(gone.number));
        }
    }

    fn run(&mut self, at: u16, words: &[Bytes]) -> Value {
        let shard = &mut self.shards[usize::from(at)];
        if words[0] == b"WAIT" {
            let is_heard = self.is_healed || fastrand::u32(0..4) > 0;
            if is_heard {
                shard.behind.drain(..).for_each(|words| drop(shard.replica.run(&words)));
            }
            return Value::Int(i64::from(is_heard));
        }
        let (answer, told) = shard.live.run(words);
        shard.behind.push_back(words.to_vec());
        let lag = if self.is_healed { 0 } else { fastrand::usize(0..8) };
        while shard.behind.len() > lag {
            let Some(next) = shard.behind.pop_front() else { break };
            shard.replica.run(&next);
        }
        if let Some((channel, message)) = told {
            for ((node, of), connection) in &self.connections {
                // A message in a hundred is lost at the node's own queue.
                let is_lost = !self.is_healed && fastrand::u32(0..100) == 0;
                if *of == at && connection.channels.contains(&channel) && !is_lost {
                    let pushes = self.pushes.get(node);
                    pushes.map(|pushes| pushes.try_send(Push::Message(channel.clone(), message.clone())));
                }
            }
        }
        answer
    }
}

/// A message of a channel.
type Told = Option<(Bytes, Bytes)>;

impl Data {
    fn run(&mut self, words: &[Bytes]) -> (Value, Told) {
        let word = |at: usize| words.get(at).cloned().unwrap_or_default();
        let key = word(1);
        let answer = match words[0].as_slice() {
            b"EVALSHA" => return self.script(words),
            b"GET" => self.numbers.get(&key).map_or(Value::Nil, |number| bulk(number.to_string())),
            b"HGET" => self.field(&key, &word(2)).map_or(Value::Nil, Value::BulkString),
            b"HSETNX" => {
                self.hashes.entry(key).or_default().entry(word(2)).or_insert(word(3));
                Value::Int(1)
            }
            b"ROLE" => {
                Value::Array(vec![bulk("master".to_owned()), Value::Int(0), Value::Array(vec![Value::Nil])])
            }
            b"EXISTS" => Value::Int(i64::from(self.hashes.contains_key(&key))),
            b"HLEN" => Value::Int(self.len(&key)),
            b"HKEYS" => {
                let hash = self.hashes.get(&key).into_iter().flatten();
                Value::Array(hash.map(|(field, _)| Value::BulkString(field.clone())).collect())
            }
            b"HSCAN" => Value::Array(vec![bulk("0".to_owned()), self.all(&key)]),
            b"HDEL" => {
                self.remove(&key, &words[2..]);
                Value::Int(1)
            }
            b"UNLINK" => {
                self.hashes.remove(&key);
                Value::Int(1)
            }
            other => panic!("the model knows no {}", other.escape_ascii()),
        };
        (answer, None)
    }

    /// What the scripts beside the store do.
    fn script(&mut self, words: &[Bytes]) -> (Value, Told) {
        let is = |text: &str| Script::new(text).get_hash().as_bytes() == words[1];
        let count: usize = text(&words[2]).parse().unwrap();
        let (keys, args) = words[3..].split_at(count);
        if is(include_str!("../put.lua")) {
            return self.put(keys, args);
        }
        if is(include_str!("../bury.lua")) {
            if self.field(&keys[0], &args[0]).as_ref() == Some(&args[1]) {
                self.remove(&keys[0], &args[..1]);
            }
            return (Value::Int(1), None);
        }
        assert!(is(include_str!("../beat.lua")), "the model knows no other script");
        let beats: u64 = text(&args[1]).parse().unwrap();
        let is_known = beats == 0 || self.field(&keys[0], &args[0]).is_some();
        if is_known {
            let word = format!("{}|{}", beats + 1, text(&args[2])).into_bytes();
            self.hashes.entry(keys[0].clone()).or_default().insert(args[0].clone(), word);
        }
        (Value::Array(vec![Value::Int(i64::from(is_known)), self.all(&keys[0])]), None)
    }

    fn put(&mut self, keys: &[Bytes], args: &[Bytes]) -> (Value, Told) {
        let number = |bytes: &Bytes| text(bytes).parse::<usize>().unwrap();
        if self.field(&keys[1], &args[0]).is_some_and(|latest| number(&latest) >= number(&args[1])) {
            return (Value::Int(-1), None);
        }
        self.hashes.entry(keys[1].clone()).or_default().insert(args[0].clone(), args[1].clone());
        let (put, gone) = args[4..].split_at(2 * number(&args[2]));
        for pair in put.chunks(2) {
            self.hashes.entry(keys[2].clone()).or_default().insert(pair[0].clone(), pair[1].clone());
        }
        self.remove(&keys[2], gone);
        let sequence = self.numbers.entry(keys[0].clone()).or_default();
        *sequence += 1;
        let head = format!("{sequence}:{}:", text(&args[0])).into_bytes();
        (Value::Int(self.len(&keys[2])), Some((keys[3].clone(), [head, args[3].clone()].concat())))
    }

    fn field(&self, key: &[u8], field: &[u8]) -> Option<Bytes> {
        self.hashes.get(key)?.get(field).cloned()
    }

    fn len(&self, key: &[u8]) -> i64 {
        self.hashes.get(key).map_or(0, |hash| i64::try_from(hash.len()).unwrap())
    }

    fn all(&self, key: &[u8]) -> Value {
        let hash = self.hashes.get(key).into_iter().flatten();
        Value::Array(hash.flat_map(|(field, value)| [field, value]).cloned().map(Value::BulkString).collect())
    }

    fn remove(&mut self, key: &[u8], fields: &[Bytes]) {
        let Some(hash) = self.hashes.get_mut(key) else { return };
        fields.iter().for_each(|field| drop(hash.remove(field)));
        if hash.is_empty() {
            self.hashes.remove(key);
        }
    }
}

fn bulk(text: String) -> Value {
    Value::BulkString(text.into_bytes())
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

//! Who is there: each node says so every second, and whoever has not for a while is buried by the others.
//!
//! No clock is compared with another one. A node counts its beats at the engine; the others count how long, by their own clock and
//! only while they could look, a count stood still. To bury somebody is to take them out of the list unless they have said something
//! since; so it is known in one place, and one who was only slow learns of it with the next beat, and begins anew under another name.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, sleep, timeout};

use super::Inner;
use super::buckets::{Bucket, META, NODES, owners, records, slot_of};
use super::catalogue::{About, News, Node};
use super::engine::{EngineError, Script};

/// How often a node says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// A node that was silent for this long is gone. Well above the time in which an engine replaces a master.
const LEASE: Duration = Duration::from_secs(12);
/// Looks that are further apart say nothing about what was between them.
const BLIND: Duration = Duration::from_secs(3);
/// How long a replica may take to say that it has heard whose the engine is: less than an answer may take.
const HEARD_MS: u32 = 500;
/// How often a node asks that before it goes on without: about ten seconds.
const DOUBTS: u32 = 10;
/// Longest description of a node that is read, in bytes.
const ABOUT_MAX: usize = 128;

static BEATING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("beat.lua")));
static BURYING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("bury.lua")));

/// What is known of this node's own beats, and of others'.
struct Lease {
    node: Node,
    beats: u64,
    watched: Watched,
    /// How often no replica had heard in time whose the engine is.
    doubts: u32,
}

/// How long each of the others has been silent.
#[derive(Debug, Default)]
struct Watched {
    looked: Option<Instant>,
    silent: HashMap<Node, (String, Duration)>,
}

impl Watched {
    /// Takes in what the nodes say at this moment; gives those who are gone, with what they said last.
    fn look(&mut self, said: &BTreeMap<Node, String>, now: Instant) -> Vec<(Node, String)> {
        let passed = self.looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        let passed = if passed > BLIND { Duration::ZERO } else { passed };
        self.looked = Some(now);
        self.silent.retain(|node, _| said.contains_key(node));
        let mut gone = Vec::new();
        for (node, word) in said {
            let (last, silent) =
                self.silent.entry(Arc::clone(node)).or_insert_with(|| (word.clone(), Duration::ZERO));
            if last == word {
                *silent += passed;
            } else {
                (*last, *silent) = (word.clone(), Duration::ZERO);
            }
            if *silent >= LEASE {
                gone.push((Arc::clone(node), word.clone()));
            }
        }
        gone
    }
}

fn new_node() -> Node {
    format!("{:016x}", fastrand::u64(..)).into()
}

/// Says that this node is there, for as long as it runs.
pub(super) async fn keep(inner: Arc<Inner>) {
    let mut lease = Lease { node: new_node(), beats: 0, watched: Watched::default(), doubts: 0 };
    loop {
        if let Err(error) = lease.beat(&inner).await {
            inner.health.is_troubled(error.to_string());
        }
        // Woken when somebody unknown has written something, but not all the time.
        sleep(BEAT / 20).await;
        let _ = timeout(BEAT - BEAT / 20, inner.look.notified()).await;
    }
}

impl Lease {
    async fn beat(&mut self, inner: &Inner) -> Result<(), EngineError> {
        let cluster = belongs_to_us(inner).await.inspect_err(|error| {
            if let EngineError::Refused(_) = error {
                inner.writing.send_replace(None);
            }
        })?;
        if inner.health.cluster().is_none() {
            self.is_kept(inner).await?;
        }
        let about =
            about_in_words(&About { machine: inner.settings.machine, advertised: inner.settings.advertised });
        let args: [&[u8]; 3] = [self.node.as_bytes(), &self.beats.to_string().into_bytes(), about.as_bytes()];
        let answer = inner.engine.run(slot_of(NODES), &BEATING, &[NODES], &args).await?;
        let Some((is_known, mut said)) = read_nodes(&answer) else {
            return Err(EngineError::Refused("it holds something else than nodes".to_owned()));
        };
        if !is_known {
            self.begin_anew(inner);
            return Ok(());
        }
        self.beats += 1;
        said.remove(&self.node);
        for (node, word) in self.watched.look(&said, Instant::now()) {
            let args: [&[u8]; 2] = [node.as_bytes(), word.as_bytes()];
            inner.engine.run(slot_of(NODES), &BURYING, &[NODES], &args).await?;
            // Whether it was we or somebody else who did is seen with the next look.
            inner.look.notify_one();
        }
        self.take_in(inner, &said);
        inner.health.is_well(&cluster);
        inner.writing.send_if_modified(|writing| {
            let is_new = writing.as_ref() != Some(&self.node);
            *writing = Some(Arc::clone(&self.node));
            is_new
        });
        Ok(())
    }

    /// Whose the engine is must be known to a replica before it is relied on, or else the loss of one master leaves nodes that believe
    /// in two clusters. An engine without replicas is believed at once, one whose replicas hang after a while.
    async fn is_kept(&mut self, inner: &Inner) -> Result<(), EngineError> {
        let slot = slot_of(META);
        // Also the last word before the waiting, on the same connection: what was there by then is what is waited for.
        let Value::Array(role) = inner.engine.ask(slot, &redis::cmd("ROLE")).await? else { return Ok(()) };
        if !matches!(role.get(2), Some(Value::Array(replicas)) if !replicas.is_empty()) {
            return Ok(());
        }
        let mut wait = redis::cmd("WAIT");
        wait.arg(1).arg(HEARD_MS);
        if matches!(inner.engine.ask(slot, &wait).await?, Value::Int(1..)) || self.doubts >= DOUBTS {
            return Ok(());
        }
        self.doubts += 1;
        Err(EngineError::Away("no replica has heard yet which cluster this is".to_owned()))
    }

    fn take_in(&self, inner: &Inner, said: &BTreeMap<Node, String>) {
        let read = |(node, word): (&Node, &String)| {
            let (_, about) = word.split_once('|')?;
            Some((Arc::clone(node), about_of_words(about)?))
        };
        let nodes: HashMap<Node, About> = said.iter().filter_map(read).collect();
        inner.health.note_left_out(said.len() - nodes.len());
        let mut catalogue = inner.catalogue();
        match catalogue.set_nodes(&inner.memory, nodes) {
            News::None => {}
            News::Gone => inner.reread().extend(catalogue.take_hidden()),
            // What a new one has written before we knew it was left out.
            News::New => {
                inner.reread().extend(catalogue.take_hidden());
                inner.reread().extend(std::mem::take(&mut *inner.waiting()));
            }
            News::Back => inner.reread().extend(inner.buckets()),
        }
    }

    /// The others took us for gone: everything that we have said was forgotten, and is said again under another name.
    fn begin_anew(&mut self, inner: &Inner) {
        *self = Self { node: new_node(), beats: 0, watched: Watched::default(), doubts: 0 };
        inner.writing.send_replace(None);
        inner.buckets().for_each(|bucket| inner.told(bucket).clear());
        inner.tell_again(|_| true);
        inner.look.notify_one();
    }
}

/// Which cluster the engine is for. An empty engine is claimed; one that holds something else, or is not the one that it was, is
/// not written to.
async fn belongs_to_us(inner: &Inner) -> Result<String, EngineError> {
    let ours = inner.health.cluster();
    let mut get = redis::cmd("HGET");
    get.arg(META).arg("cluster");
    let slot = slot_of(META);
    if let Some(found) = text(&inner.engine.ask(slot, &get).await?) {
        return match ours {
            Some(ours) if ours != found => {
                Err(EngineError::Refused(format!("this is cluster {found}, and not {ours} as before")))
            }
            _ => Ok(found),
        };
    }
    if !may_claim(inner, ours.is_some()).await? {
        let words = "it holds other data; an empty engine, or one of this system, is needed";
        return Err(EngineError::Refused(words.to_owned()));
    }
    let mut claim = redis::cmd("HSETNX");
    claim.arg(META).arg("cluster").arg(ours.unwrap_or_else(|| new_node().to_string()));
    inner.engine.ask(slot, &claim).await?;
    // Somebody else may have been faster.
    text(&inner.engine.ask(slot, &get).await?).ok_or_else(|| EngineError::Away("it forgets".to_owned()))
}

/// An engine is claimed when it is empty; or when it was ours and lost the mark, but still has our nodes.
async fn may_claim(inner: &Inner, was_ours: bool) -> Result<bool, EngineError> {
    if was_ours {
        let mut exists = redis::cmd("EXISTS");
        exists.arg(NODES);
        if inner.engine.ask(slot_of(NODES), &exists).await? == Value::Int(1) {
            return Ok(true);
        }
    }
    for master in inner.engine.masters().await? {
        if inner.engine.ask_node(&master, &redis::cmd("DBSIZE")).await? != Value::Int(0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Says goodbye: the others forget our records at once, and nothing of them stays at the engine.
pub(super) async fn leave(inner: &Inner) {
    let Some(node) = inner.node() else { return };
    let mut bury = redis::cmd("HDEL");
    bury.arg(NODES).arg(&*node);
    // What fails is found and cleaned by the others.
    let _ = inner.engine.ask(slot_of(NODES), &bury).await;
    for bucket in inner.buckets() {
        if forget(inner, bucket, &node).await.is_err() {
            return;
        }
    }
}

/// Takes away everything that a node has in a bucket.
pub(super) async fn forget(inner: &Inner, bucket: Bucket, node: &str) -> Result<(), EngineError> {
    let (key, slot) = (records(bucket, node), super::slot(bucket));
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(key);
    inner.engine.ask(slot, &unlink).await?;
    let mut leave = redis::cmd("HDEL");
    leave.arg(owners(bucket)).arg(node);
    inner.engine.ask(slot, &leave).await.map(drop)
}

/// The answer of `beat.lua`.
fn read_nodes(answer: &Value) -> Option<(bool, BTreeMap<Node, String>)> {
    let Value::Array(parts) = answer else { return None };
    let [Value::Int(is_known), nodes] = parts.as_slice() else { return None };
    let flat: Vec<String> = match nodes {
        Value::Array(flat) => flat.iter().filter_map(text).collect(),
        Value::Map(pairs) => {
            pairs.iter().flat_map(|(node, word)| [text(node), text(word)]).flatten().collect()
        }
        _ => return None,
    };
    let pair = |pair: &[String]| match pair {
        [node, word] if node.len() <= 32 && word.len() <= ABOUT_MAX => {
            Some((node.as_str().into(), word.clone()))
        }
        _ => None,
    };
    Some((*is_known != 0, flat.chunks(2).filter_map(pair).collect()))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

fn about_in_words(about: &About) -> String {
    let advertised = about.advertised.map_or_else(|| "-".to_owned(), |address| address.to_string());
    format!("{:016x} {advertised}", about.machine)
}

fn about_of_words(words: &str) -> Option<About> {
    let (machine, advertised) = words.split_once(' ')?;
    let advertised: Option<IpAddr> = if advertised == "-" { None } else { Some(advertised.parse().ok()?) };
    Some(About { machine: u64::from_str_radix(machine, 16).ok()?, advertised })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[(&str, &str)]) -> BTreeMap<Node, String> {
        words.iter().map(|(node, word)| ((*node).into(), (*word).to_owned())).collect()
    }

    #[test]
    fn who_stands_still_while_we_look_is_gone_and_nobody_else() {
        let (mut watched, begin) = (Watched::default(), Instant::now());
        let at = |second: u64| begin + Duration::from_secs(second);
        for second in 0..LEASE.as_secs() {
            let beating = second.to_string();
            let gone = watched.look(&said(&[("still", "1"), ("beating", &beating)]), at(second));
            assert!(gone.is_empty(), "after {second} s");
        }
        let gone = watched.look(&said(&[("still", "1"), ("beating", "x")]), at(LEASE.as_secs()));
        assert_eq!(gone, [("still".into(), "1".to_owned())]);
    }

    #[test]
    fn nobody_dies_while_nobody_can_look() {
        let (mut watched, begin) = (Watched::default(), Instant::now());
        let words = said(&[("node", "1")]);
        for hour in 0..5 {
            assert!(watched.look(&words, begin + Duration::from_secs(3600 * hour)).is_empty());
        }
    }

    #[test]
    fn what_a_node_says_of_itself_reads_back() {
        for advertised in [None, Some("10.0.0.1".parse().unwrap()), Some("::1".parse().unwrap())] {
            let about = About { machine: u64::MAX - 7, advertised };
            assert_eq!(about_of_words(&about_in_words(&about)), Some(about));
        }
        for bad in ["", "x -", "12", "12 h"] {
            assert_eq!(about_of_words(bad), None, "{bad}");
        }
    }
}

//! Keeps up with the engine, bucket by bucket: subscribes, reads all of it once, and takes every change in order.
//!
//! A change has the next number of its bucket. Whenever a number is missing, or a connection was lost, that one bucket is read again;
//! what is told meanwhile waits. And every few seconds a bucket's number is compared, for the case that the last change was lost.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proto::limits::SEARCHES_AT_ONCE;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use super::buckets::{BUCKETS, Bucket, bucket_of_channel, channel};
use super::catalogue::{Node, Taken};
use super::engine::{EngineError, Push};
use super::load::{Loaded, Outline, load, outline};
use super::record::parse_deltas;
use super::{Inner, lease, slot};

/// How often it is looked for what is to be done.
const TICK: Duration = Duration::from_millis(100);
/// Pause after something failed.
const AGAIN: Duration = Duration::from_millis(300);
/// How often a bucket's number is compared.
const CHECK: Duration = Duration::from_secs(5);
/// Looks at a bucket after which records of an unknown node are garbage.
const GARBAGE_AFTER: u32 = 4;
/// Buckets that are read at once.
const READS: usize = 8 * SEARCHES_AT_ONCE;
/// Changes that wait while their bucket is read; with more it is read again.
const HELD: usize = 16 * 1024;

/// What a task has to say about a bucket.
enum Done {
    Subscribed(Result<u64, EngineError>),
    Loaded(Result<Loaded, EngineError>),
    Checked(Result<Outline, EngineError>),
}

/// A change that was not taken in yet: its number, and its message.
type Held = (u64, Vec<u8>);

#[derive(Debug)]
struct State {
    stage: Stage,
    /// The number of the last change that was taken in.
    sequence: Option<u64>,
    held: VecDeque<Held>,
    /// When something is to be done.
    due: Instant,
    is_busy: bool,
    /// What the last comparison saw, if it saw something wrong.
    suspect: Option<(u64, Outline)>,
    /// Nodes that nobody knows, and how often they were seen.
    strangers: HashMap<Node, u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not subscribed.
    Deaf,
    /// Subscribed on this connection; to be read.
    Unread(u64),
    /// Followed.
    Follows(u64),
}

struct Follower {
    inner: Arc<Inner>,
    buckets: Vec<State>,
    tasks: JoinSet<(Bucket, Done)>,
    places: Arc<Semaphore>,
    /// Connections that were lost, for those who were subscribed on them a moment too late.
    lost: HashSet<u64>,
    on_news: Arc<dyn Fn() + Send + Sync>,
}

/// Follows all buckets for as long as it runs.
pub(super) async fn follow(
    inner: Arc<Inner>,
    mut pushes: mpsc::Receiver<Push>,
    on_news: Arc<dyn Fn() + Send + Sync>,
) {
    let new = || State {
        stage: Stage::Deaf,
        sequence: None,
        held: VecDeque::new(),
        due: Instant::now(),
        is_busy: false,
        suspect: None,
        strangers: HashMap::new(),
    };
    let buckets = (0..BUCKETS).map(|_| new()).collect();
    let places = Arc::new(Semaphore::new(READS));
    let (tasks, lost) = (JoinSet::new(), HashSet::new());
    let mut follower = Follower { inner, buckets, tasks, places, lost, on_news };
    let mut ticks = interval(TICK);
    loop {
        tokio::select! {
            Some(push) = pushes.recv() => follower.heard(push),
            Some(Ok((bucket, done))) = follower.tasks.join_next() => follower.done(bucket, done),
            _ = ticks.tick() => follower.tick(),
        }
    }
}

impl Follower {
    fn tick(&mut self) {
        let reread = std::mem::take(&mut *self.inner.reread());
        for bucket in reread {
            let state = &mut self.buckets[usize::from(bucket)];
            match state.stage {
                Stage::Follows(connection) => {
                    state.stage = Stage::Unread(connection);
                    state.due = Instant::now();
                }
                // What is being read at this moment may not have it yet.
                Stage::Unread(_) if state.is_busy => {
                    self.inner.reread().insert(bucket);
                }
                Stage::Unread(_) | Stage::Deaf => {}
            }
        }
        let now = Instant::now();
        for bucket in self.inner.buckets() {
            let state = &self.buckets[usize::from(bucket)];
            if !state.is_busy && state.due <= now {
                self.begin(bucket);
            }
        }
        let is_behind =
            |bucket: &Bucket| !matches!(self.buckets[usize::from(*bucket)].stage, Stage::Follows(_));
        self.inner.health.set_followed(BUCKETS - self.inner.buckets().filter(is_behind).count());
    }

    /// Begins what is due.
    fn begin(&mut self, bucket: Bucket) {
        let state = &mut self.buckets[usize::from(bucket)];
        let (inner, places) = (Arc::clone(&self.inner), Arc::clone(&self.places));
        // Nothing is followed that may be somebody else's.
        if inner.node().is_none() {
            return;
        }
        state.is_busy = true;
        match state.stage {
            Stage::Deaf => {
                self.tasks.spawn(async move {
                    (bucket, Done::Subscribed(inner.engine.subscribe(slot(bucket), &channel(bucket)).await))
                });
            }
            Stage::Unread(_) => {
                state.held.clear();
                state.sequence = None;
                self.tasks.spawn(async move {
                    let _place = places.acquire().await;
                    (bucket, Done::Loaded(load(&inner, bucket).await))
                });
            }
            Stage::Follows(_) => {
                self.tasks.spawn(async move {
                    let _place = places.acquire().await;
                    (bucket, Done::Checked(outline(&inner, bucket).await))
                });
            }
        }
    }

    fn done(&mut self, bucket: Bucket, done: Done) {
        let state = &mut self.buckets[usize::from(bucket)];
        state.is_busy = false;
        state.due = Instant::now() + AGAIN;
        match done {
            Done::Subscribed(Ok(connection)) if !self.lost.contains(&connection) => {
                state.stage = Stage::Unread(connection);
                state.due = Instant::now();
                self.begin(bucket);
            }
            Done::Loaded(Ok(loaded)) => self.loaded(bucket, &loaded),
            Done::Checked(Ok(outline)) => self.checked(bucket, &outline),
            Done::Subscribed(_) | Done::Loaded(Err(_)) | Done::Checked(Err(_)) => {}
        }
    }

    fn loaded(&mut self, bucket: Bucket, loaded: &Loaded) {
        let state = &mut self.buckets[usize::from(bucket)];
        // A connection that was lost meanwhile means to begin again.
        let Stage::Unread(connection) = state.stage else { return };
        state.stage = Stage::Follows(connection);
        state.sequence = Some(loaded.sequence);
        state.due = Instant::now() + CHECK.mul_f64(0.5 + fastrand::f64());
        let left_out = {
            let mut catalogue = self.inner.catalogue();
            if loaded.unknown.iter().any(|node| catalogue.is_known(node)) {
                self.inner.reread().insert(bucket);
            } else if !loaded.unknown.is_empty() {
                self.inner.waiting().insert(bucket);
                self.inner.look.notify_one();
            }
            catalogue.settle(&self.inner.memory, bucket, &loaded.read)
        };
        self.inner.health.note_read(left_out);
        let held = std::mem::take(&mut self.buckets[usize::from(bucket)].held);
        for (sequence, message) in held {
            self.change(bucket, sequence, message);
        }
        (self.on_news)();
    }

    fn heard(&mut self, push: Push) {
        match push {
            Push::Gone(connection) => {
                self.lost.insert(connection);
                for state in &mut self.buckets {
                    if matches!(state.stage, Stage::Unread(on) | Stage::Follows(on) if on == connection) {
                        (state.stage, state.due) = (Stage::Deaf, Instant::now());
                    }
                }
            }
            Push::Unsubscribed(channel) => {
                if let Some(bucket) = bucket_of_channel(&channel) {
                    let state = &mut self.buckets[usize::from(bucket)];
                    (state.stage, state.due) = (Stage::Deaf, Instant::now());
                }
            }
            Push::Message(channel, message) => {
                let bucket = bucket_of_channel(&channel);
                let number = message.iter().position(|byte| *byte == b':');
                let number =
                    number.and_then(|at| Some((at, str::from_utf8(message.get(..at)?).ok()?.parse().ok()?)));
                match (bucket, number) {
                    (Some(bucket), Some((at, sequence))) => {
                        self.change(bucket, sequence, message.get(at + 1..).unwrap_or_default().to_vec());
                    }
                    _ => self.inner.health.note_left_out(1),
                }
            }
        }
    }

    fn change(&mut self, bucket: Bucket, sequence: u64, message: Vec<u8>) {
        let state = &mut self.buckets[usize::from(bucket)];
        match (state.stage, state.sequence) {
            (Stage::Deaf, _) => {}
            (Stage::Unread(_), _) | (_, None) => {
                if state.held.len() >= HELD {
                    state.held.pop_front();
                }
                state.held.push_back((sequence, message));
            }
            // What came before the reading began is in it already.
            (Stage::Follows(_), Some(last)) if sequence <= last => {}
            (Stage::Follows(_), Some(last)) if sequence == last + 1 => {
                state.sequence = Some(sequence);
                self.take(bucket, &message);
            }
            // One is missing.
            (Stage::Follows(connection), Some(_)) => {
                (state.stage, state.due) = (Stage::Unread(connection), Instant::now());
                if !state.is_busy {
                    self.begin(bucket);
                }
            }
        }
    }

    /// Takes in what one node did.
    fn take(&mut self, bucket: Bucket, message: &[u8]) {
        let node = message.iter().position(|byte| *byte == b':').and_then(|at| {
            let node: Node = str::from_utf8(message.get(..at)?).ok()?.into();
            Some((node, message.get(at + 1..)?))
        });
        let Some((node, deltas)) = node else { return self.inner.health.note_left_out(1) };
        if self.inner.node().as_ref() == Some(&node) {
            return;
        }
        let Some(deltas) = parse_deltas(deltas) else { return self.inner.health.note_left_out(1) };
        let (mut left_out, mut has_new, mut has_left) = (0, false, false);
        {
            let mut catalogue = self.inner.catalogue();
            for (field, value) in deltas {
                match catalogue.take(&self.inner.memory, &node, field, value) {
                    Taken::In => has_new |= value.is_some(),
                    Taken::LeftOut => left_out += 1,
                    Taken::Unknown => {
                        self.inner.waiting().insert(bucket);
                        self.inner.look.notify_one();
                        break;
                    }
                }
                has_left |= value.is_none();
            }
            if has_left && catalogue.unhide(bucket) {
                self.inner.reread().insert(bucket);
            }
        }
        self.inner.health.note_left_out(left_out);
        if has_new {
            (self.on_news)();
        }
    }

    /// What seems wrong twice, and has not moved between, is read again.
    fn checked(&mut self, bucket: Bucket, outline: &Outline) {
        let told = self.inner.told(bucket).len();
        let waits = self.inner.outbox.count(bucket) > 0;
        let state = &mut self.buckets[usize::from(bucket)];
        let Stage::Follows(connection) = state.stage else { return };
        state.due = Instant::now() + CHECK.mul_f64(0.5 + fastrand::f64());
        let sequence = state.sequence.unwrap_or_default();
        let is_wrong = outline.sequence != sequence || (outline.ours != told && !waits);
        let seen = (sequence, outline.clone());
        if is_wrong && state.suspect.as_ref() == Some(&seen) {
            (state.stage, state.suspect) = (Stage::Unread(connection), None);
            state.due = Instant::now();
        } else {
            state.suspect = is_wrong.then_some(seen);
        }
        self.clean(bucket, &outline.owners);
    }

    /// Takes away what nodes have left that nobody has known for a while.
    fn clean(&mut self, bucket: Bucket, owners: &[Node]) {
        let own = self.inner.node();
        let state = &mut self.buckets[usize::from(bucket)];
        let catalogue = self.inner.catalogue();
        let is_stranger = |node: &&Node| own.as_ref() != Some(*node) && !catalogue.is_known(node);
        let strangers: Vec<Node> = owners.iter().filter(is_stranger).cloned().collect();
        drop(catalogue);
        if self.inner.health.is_stale() {
            return;
        }
        state.strangers.retain(|node, _| strangers.contains(node));
        for node in strangers {
            let times = state.strangers.entry(Arc::clone(&node)).or_default();
            *times += 1;
            if *times >= GARBAGE_AFTER {
                let inner = Arc::clone(&self.inner);
                // Whatever fails is found again.
                tokio::spawn(async move { lease::forget(&inner, bucket, &node).await });
            }
        }
    }
}

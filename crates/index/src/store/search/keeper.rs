//! The thread that takes changes into the search.
//!
//! A thread and no task: what it does is computing, and an index with one worker must go on answering meanwhile. It sleeps until
//! something changes, lets changes gather for a moment, and takes them in by turns, so that neither searches nor ADDs wait long.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use proto::directory::News;
use proto::limits::SEARCH_GATHER;
use proto::search::TextKey;

use super::Finder;
use super::found::{Facts, key_of};
use crate::store::memory::{Shard, Shards, read, write};

/// Keys that are taken in before others get their turn.
const TURN: usize = 64;
/// Keys that a search takes in by itself: well below a millisecond.
const LITTLE: usize = 256;
/// How long a search waits for the thread to have done so, in milliseconds.
const PATIENCE_MS: usize = 10;

/// Whoever holds this keeps the thread going.
#[derive(Debug)]
pub(in crate::store) struct Keeper {
    finder: Arc<Finder>,
    signal: Arc<Signal>,
}

impl Keeper {
    /// Starts the thread.
    pub(in crate::store) fn start(shards: Arc<Shards>) -> io::Result<Self> {
        let keeper = Self { finder: Arc::new(Finder::new(shards)), signal: Arc::default() };
        let (finder, signal) = (Arc::clone(&keeper.finder), Arc::clone(&keeper.signal));
        thread::Builder::new().name("search".to_owned()).spawn(move || {
            while signal.wait() {
                finder.catch_up();
            }
        })?;
        Ok(keeper)
    }

    pub(in crate::store) fn finder(&self) -> &Arc<Finder> {
        &self.finder
    }

    /// Says that something has changed.
    pub(in crate::store) fn tell(&self) {
        self.signal.tell();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.signal.state().is_closed = true;
        self.signal.changed.notify_all();
    }
}

/// Wakes the thread.
#[derive(Debug, Default)]
struct Signal {
    /// Whether it was told since it last looked, so that nearly every change costs one look at this.
    is_told: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    has_news: bool,
    is_closed: bool,
}

impl Signal {
    /// Must be called after the change, while its shard is held: then the thread either has not looked there yet, or is told again.
    fn tell(&self) {
        if !self.is_told.load(Ordering::Relaxed) && !self.is_told.swap(true, Ordering::AcqRel) {
            self.state().has_news = true;
            self.changed.notify_one();
        }
    }

    /// Waits for something to change, and a moment longer for what comes together with it; `false`: it is over.
    fn wait(&self) -> bool {
        let idle = |state: &mut State| !state.has_news && !state.is_closed;
        let mut state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        state.has_news = false;
        let open = |state: &mut State| !state.is_closed;
        let gathered = self.changed.wait_timeout_while(state, SEARCH_GATHER, open);
        let (state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        self.is_told.store(false, Ordering::Release);
        !state.is_closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Finder {
    /// Takes in what has changed, if that is little and nobody is at it for long: who was told that something was added finds it.
    pub(super) fn catch_up_a_little(&self) {
        let changed = self.shards.iter().map(|shard| read(shard).news());
        if changed.sum::<usize>() > LITTLE {
            return;
        }
        for _ in 0..PATIENCE_MS {
            match self.taking_in.try_lock() {
                Ok(_alone) => return self.take_in_everything(),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn catch_up(&self) {
        let _alone = self.taking_in.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_in_everything();
    }

    fn take_in_everything(&self) {
        for shard in self.shards.iter() {
            if read(shard).news() > 0 {
                let News { numbers, names } = write(shard).take_news();
                self.take_in(shard, numbers.into_iter().map(TextKey::Number).collect());
                self.take_in(shard, names.into_iter().map(TextKey::Name).collect());
            }
        }
        let is_worn = self.read().is_worn();
        if is_worn {
            // Whoever takes in is alone, so searches go on in the old one meanwhile.
            let renewed = self.read().renewed();
            let old = std::mem::replace(&mut *self.write(), renewed);
            drop(old);
        }
    }

    /// Reads what a shard has under each of these keys now, whatever it was that changed.
    fn take_in(&self, shard: &RwLock<Shard>, mut keys: Vec<TextKey>) {
        keys.sort_unstable();
        keys.dedup();
        for turn in keys.chunks(TURN) {
            let mut index = self.write();
            let shard = read(shard);
            for key in turn {
                let place = key_of(key);
                let facts = Facts::read(&shard, &place);
                match facts.is_empty() {
                    true => index.remove(key),
                    false => facts.describe(key, |text| index.set(key, text)),
                }
            }
            drop((index, shard));
            // A lock that is taken again at once would keep out those who wait for it.
            thread::yield_now();
        }
    }
}

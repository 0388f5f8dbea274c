//! Hashes in the background: a queue in which a demand goes to the front, and threads that work it off.
//!
//! Small files are hashed each by one thread. Of a large file every thread takes the next block, so that one file keeps all
//! cores busy. Each reads a little and hashes it while it is in its cache.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use proto::limits::QUIET_FILE;
use proto::transfer::blocks::{BLOCK_BYTES, BlockHasher, BlockList, Layout, VALUE_BYTES};
use proto::value::digest::Digest;
use rustix::fs::Advice;

use super::file::Stamp;
use super::notice::ShareNotice;
use super::sums;
use super::table::Table;
use crate::files::read_full;
use crate::notice::{Notice, Observer};

/// Most files that are demanded at once; further ones keep their place in the queue.
const DEMANDS_MAX: usize = 1024;

/// Bytes that are read and hashed at once.
const PIECE: usize = 64 * 1024;

/// Files that wait for hashing.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    demanded: VecDeque<Arc<str>>,
    /// Files whose SHA-256 somebody waits for.
    sums: VecDeque<Arc<str>>,
    normal: VecDeque<Arc<str>>,
    /// Files that were modified just now, by when they may be quiet.
    later: BTreeMap<Instant, Vec<Arc<str>>>,
    /// What is in `normal` or `later`.
    waiting: HashSet<Arc<str>>,
    /// Large files of which blocks are left to be taken.
    jobs: VecDeque<Arc<Job>>,
    /// Files that were taken from the queue and are not done.
    busy: usize,
    done: Done,
}

/// What was hashed since the queue was last empty.
#[derive(Debug, Default, Clone, Copy)]
struct Done {
    files: u64,
    bytes: u64,
}

/// What a thread is to do next.
enum Work {
    File {
        name: Arc<str>,
        demanded: bool,
    },
    Block(Arc<Job>, u32),
    Sums(Arc<str>),
    /// Everything is hashed.
    RanDry(Done),
    Stop,
}

/// A large file whose blocks are hashed.
#[derive(Debug)]
struct Job {
    name: Arc<str>,
    stamp: Stamp,
    file: File,
    layout: Layout,
    next: AtomicU32,
    left: AtomicU32,
    failed: AtomicBool,
    values: Mutex<Vec<[u8; VALUE_BYTES]>>,
}

impl Queue {
    pub(super) fn push(&self, name: Arc<str>) {
        let mut state = self.lock();
        if state.job_of(&name).is_none() && state.waiting.insert(Arc::clone(&name)) {
            state.normal.push_back(name);
            self.wake.notify_one();
        }
    }

    pub(super) fn demand(&self, name: Arc<str>) {
        let mut state = self.lock();
        if let Some(job) = state.job_of(&name).and_then(|at| state.jobs.remove(at)) {
            state.jobs.push_front(job);
        } else if state.demanded.len() < DEMANDS_MAX && !state.demanded.contains(&name) {
            state.demanded.push_back(name);
            self.wake.notify_one();
        }
    }

    pub(super) fn demand_sums(&self, name: Arc<str>) {
        let mut state = self.lock();
        if state.sums.len() < DEMANDS_MAX && !state.sums.contains(&name) {
            state.sums.push_back(name);
            self.wake.notify_one();
        }
    }

    pub(super) fn wake_all(&self) {
        // With the lock, so that nobody is between looking and falling asleep.
        let _state = self.lock();
        self.wake.notify_all();
    }

    fn push_later(&self, name: Arc<str>, pause: Duration) {
        let mut state = self.lock();
        if state.waiting.insert(Arc::clone(&name)) {
            state.later.entry(Instant::now() + pause).or_default().push(name);
        }
        self.wake.notify_one();
    }

    fn add_job(&self, job: Arc<Job>, demanded: bool) {
        let mut state = self.lock();
        if demanded {
            state.jobs.push_front(job);
        } else {
            state.jobs.push_back(job);
        }
        self.wake.notify_all();
    }

    /// A file is done with, hashed or not.
    fn done(&self, hashed_bytes: Option<u64>) {
        let mut state = self.lock();
        state.busy -= 1;
        if let Some(bytes) = hashed_bytes {
            state.done.files += 1;
            state.done.bytes += bytes;
        }
        self.wake.notify_one();
    }

    fn next(&self, stop: &AtomicBool) -> Work {
        let mut state = self.lock();
        loop {
            if stop.load(Ordering::Relaxed) {
                return Work::Stop;
            }
            if let Some(work) = state.next(Instant::now()) {
                return work;
            }
            let pause = state.later.keys().next().map(|due| due.saturating_duration_since(Instant::now()));
            state = match pause {
                Some(pause) => self.wake.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Where a large file is among those whose blocks are being hashed.
    fn job_of(&self, name: &str) -> Option<usize> {
        self.jobs.iter().position(|job| &*job.name == name)
    }

    fn next(&mut self, now: Instant) -> Option<Work> {
        if let Some(name) = self.demanded.pop_front() {
            self.busy += 1;
            return Some(Work::File { name, demanded: true });
        }
        if let Some(name) = self.sums.pop_front() {
            return Some(Work::Sums(name));
        }
        while let Some(job) = self.jobs.front() {
            let block = job.next.fetch_add(1, Ordering::Relaxed);
            if block < job.layout.blocks() {
                return Some(Work::Block(Arc::clone(job), block));
            }
            self.jobs.pop_front();
        }
        while let Some(due) = self.later.first_entry().filter(|due| *due.key() <= now) {
            self.normal.extend(due.remove());
        }
        if let Some(name) = self.normal.pop_front() {
            self.waiting.remove(&name);
            self.busy += 1;
            return Some(Work::File { name, demanded: false });
        }
        let ran_dry = self.busy == 0 && self.later.is_empty() && self.done.files > 0;
        ran_dry.then(|| Work::RanDry(std::mem::take(&mut self.done)))
    }
}

/// Works the queue off until the table is stopped.
pub(super) fn work(table: &Table, observer: &dyn Observer) {
    let mut hasher = Hasher { table, observer, buffer: Vec::new() };
    loop {
        match table.queue.next(&table.stop) {
            Work::File { name, demanded } => hasher.file(&name, demanded),
            Work::Block(job, block) => hasher.block(&job, block),
            Work::Sums(name) => hasher.sums(&name),
            Work::RanDry(Done { files, bytes }) => {
                table.lists.flush();
                hasher.buffer = Vec::new();
                observer.notice(Notice::Shares(ShareNotice::Hashed { files, bytes }));
            }
            Work::Stop => return,
        }
    }
}

struct Hasher<'a> {
    table: &'a Table,
    observer: &'a dyn Observer,
    buffer: Vec<u8>,
}

impl Hasher<'_> {
    fn file(&mut self, name: &Arc<str>, demanded: bool) {
        let hashed = self.begin(name, demanded);
        if !matches!(hashed, Begun::Blocks) {
            self.table.queue.done(match hashed {
                Begun::Hashed(bytes) => Some(bytes),
                Begun::Blocks | Begun::Nothing => None,
            });
        }
    }

    fn begin(&mut self, name: &Arc<str>, demanded: bool) -> Begun {
        let table = self.table;
        let Some((stamp, hash)) = table.read().get(name).map(|(_, entry)| (entry.stamp, entry.hash)) else {
            return Begun::Nothing;
        };
        if let Some(pause) = stamp.unquiet_for(SystemTime::now(), QUIET_FILE) {
            table.queue.push_later(Arc::clone(name), pause);
            return Begun::Nothing;
        }
        match hash {
            Some(hash) if table.lists.blocks(&hash, stamp).is_some() => return Begun::Nothing,
            // Its block list was let go of.
            Some(_) => {}
            None => {
                if let Some(known) = table.lists.recall(stamp) {
                    table.set_hash(name, stamp, known);
                    if let Some(sums) = table.lists.sums(stamp) {
                        table.set_sha256(name, stamp, sums.whole);
                    }
                    return Begun::Hashed(0);
                }
            }
        }
        let Some((_, entry, file, found)) = table.open_raw(name) else { return Begun::Nothing };
        if entry.stamp != found {
            table.found_changed(name, found);
            return Begun::Nothing;
        }
        match found.size <= BLOCK_BYTES {
            true => self.small(name, &file, found),
            false => self.large(name, file, found, demanded),
        }
    }

    /// SHA-256 of a file, if that is not known yet. It counts only when the file stayed the same all the while.
    fn sums(&self, name: &Arc<str>) {
        let table = self.table;
        let Some((_, entry, file, stamp)) = table.open_raw(name) else { return };
        if entry.stamp != stamp {
            table.found_changed(name, stamp);
            return;
        }
        if let Some(known) = table.lists.sums(stamp) {
            return table.set_sha256(name, stamp, known.whole);
        }
        let stop = || table.stop.load(Ordering::Relaxed);
        // One that cannot be read is told of when its other hash is due.
        let Ok(Some(sums)) = sums::of_file(&file, stamp.size, stop) else { return };
        if file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == stamp) {
            let whole = sums.whole;
            table.lists.keep_sums(stamp, sums);
            table.set_sha256(name, stamp, whole);
        }
    }

    fn small(&mut self, name: &Arc<str>, file: &File, stamp: Stamp) -> Begun {
        let mut hasher = blake3::Hasher::new();
        match self.read(file, 0, stamp.size, &mut |piece| {
            hasher.update(piece);
        }) {
            Ok(()) => {
                let hash = Digest(*hasher.finalize().as_bytes());
                self.conclude(name, file, stamp, hash, &Arc::default())
            }
            Err(error) => self.failed(name, file, stamp, &error),
        }
    }

    fn large(&self, name: &Arc<str>, file: File, stamp: Stamp, demanded: bool) -> Begun {
        let Some(layout) = Layout::new(stamp.size) else { return Begun::Nothing };
        // Advice only: the file is read all the same.
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
        let blocks = layout.blocks();
        let job = Job {
            name: Arc::clone(name),
            stamp,
            file,
            layout,
            next: AtomicU32::new(0),
            left: AtomicU32::new(blocks),
            failed: AtomicBool::new(false),
            values: Mutex::new(vec![[0; VALUE_BYTES]; usize::try_from(blocks).unwrap_or_default()]),
        };
        self.table.queue.add_job(Arc::new(job), demanded);
        Begun::Blocks
    }

    fn block(&mut self, job: &Job, block: u32) {
        if !job.failed.load(Ordering::Relaxed) {
            match self.value(job, block) {
                Ok(Some(value)) => job.set(block, value),
                Ok(None) => job.failed.store(true, Ordering::Relaxed),
                Err(error) => {
                    if !job.failed.swap(true, Ordering::Relaxed) {
                        self.failed(&job.name, &job.file, job.stamp, &error);
                    }
                }
            }
        }
        if job.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let hashed = self.finish(job);
            self.table.queue.done(hashed);
        }
    }

    fn value(&mut self, job: &Job, block: u32) -> io::Result<Option<[u8; VALUE_BYTES]>> {
        let Some(mut hasher) = BlockHasher::new(&job.layout, block) else { return Ok(None) };
        let (at, size) = (u64::from(block) * BLOCK_BYTES, job.layout.block_len(block));
        self.read(&job.file, at, size, &mut |piece| hasher.update(piece))?;
        Ok(hasher.finish())
    }

    fn finish(&self, job: &Job) -> Option<u64> {
        if job.failed.load(Ordering::Relaxed) {
            return None;
        }
        let values = std::mem::take(&mut *job.values.lock().unwrap_or_else(PoisonError::into_inner));
        let list = BlockList::of_values(job.layout, values)?;
        match self.conclude(&job.name, &job.file, job.stamp, list.root(), &list.as_bytes().into()) {
            Begun::Hashed(bytes) => Some(bytes),
            Begun::Blocks | Begun::Nothing => None,
        }
    }

    /// The hash counts only when the file stayed the same all the while.
    fn conclude(&self, name: &str, file: &File, stamp: Stamp, hash: Digest, blocks: &Arc<[u8]>) -> Begun {
        match file.metadata().map(|metadata| Stamp::of(&metadata)) {
            Ok(now) if now == stamp => {
                // First the list: whoever sees the hash may ask for it.
                self.table.lists.keep(stamp, hash, blocks);
                self.table.set_hash(name, stamp, hash);
                Begun::Hashed(stamp.size)
            }
            Ok(now) => {
                self.table.found_changed(name, now);
                Begun::Nothing
            }
            Err(error) => self.failed(name, file, stamp, &error),
        }
    }

    fn failed(&self, name: &str, file: &File, stamp: Stamp, error: &io::Error) -> Begun {
        match file.metadata().map(|metadata| Stamp::of(&metadata)) {
            // It got shorter under our hands.
            Ok(now) if now != stamp => {
                self.table.found_changed(name, now);
            }
            _ => {
                self.table.withdraw(name, stamp);
                let notice = ShareNotice::Unreadable { name: name.to_owned(), why: error.to_string() };
                self.observer.notice(Notice::Shares(notice));
            }
        }
        Begun::Nothing
    }

    /// Hands out exactly so many bytes, piece by piece.
    fn read(&mut self, file: &File, at: u64, size: u64, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        self.buffer.resize(PIECE, 0);
        let mut read = 0;
        while read < size {
            let wanted = usize::try_from(size - read).unwrap_or(PIECE).min(PIECE);
            let piece = self.buffer.get_mut(..wanted).unwrap_or_default();
            if read_full(file, piece, at + read)? < wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(piece);
            read += wanted as u64;
        }
        Ok(())
    }
}

/// What became of a file that was taken from the queue.
enum Begun {
    /// It has its hash; this many bytes were read.
    Hashed(u64),
    /// Its blocks wait to be taken.
    Blocks,
    /// It is gone, not quiet, another one by now, or hashed already.
    Nothing,
}

impl Job {
    fn set(&self, block: u32, value: [u8; VALUE_BYTES]) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = usize::try_from(block).ok().and_then(|block| values.get_mut(block)) {
            *place = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(queue: &Queue) -> Vec<String> {
        let mut state = queue.lock();
        let taken = std::iter::from_fn(|| match state.next(Instant::now()) {
            Some(Work::File { name, .. }) => Some(name.to_string()),
            _ => None,
        });
        taken.collect()
    }

    #[test]
    fn a_demand_goes_to_the_front() {
        let queue = Queue::default();
        for name in ["a", "b", "c", "b"] {
            queue.push(name.into());
        }
        queue.demand("c".into());
        queue.demand("c".into());
        assert_eq!(names(&queue), ["c", "a", "b", "c"]);
    }

    #[test]
    fn what_is_not_quiet_waits() {
        let queue = Queue::default();
        queue.push_later("a".into(), Duration::from_secs(3600));
        queue.push("a".into());
        assert!(names(&queue).is_empty());
        queue.push_later("b".into(), Duration::ZERO);
        assert_eq!(names(&queue), ["b"]);
    }

    #[test]
    fn an_empty_queue_is_told_once() {
        let queue = Queue::default();
        queue.push("a".into());
        assert!(matches!(queue.next(&AtomicBool::new(false)), Work::File { .. }));
        queue.done(Some(5));
        assert!(matches!(queue.next(&AtomicBool::new(false)), Work::RanDry(Done { files: 1, bytes: 5 })));
        assert!(queue.lock().next(Instant::now()).is_none());
        assert!(matches!(queue.next(&AtomicBool::new(true)), Work::Stop));
    }
}

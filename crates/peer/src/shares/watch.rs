//! Keeps the table true: hears of changes beneath the roots, waits a moment, looks, and looks at everything from time to time.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Config, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher};
use proto::limits::{QUIET_FILE, WATCH_DEBOUNCE, WATCH_PATHS_MAX};

use super::catalog::Taken;
use super::notice::ShareNotice;
use super::roots::Base;
use super::rules::{IGNORE_FILE, Skip};
use super::scan::{self, Found, Look, Met, Walked};
use super::table::Table;
use crate::notice::{Notice, Observer};

/// What a watcher heard and nobody looked at yet.
#[derive(Debug, Default)]
pub(super) struct Signals {
    heard: Mutex<Heard>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    paths: BTreeSet<PathBuf>,
    /// Something was missed, or there is too much to look at one by one.
    everything: bool,
    /// When the first of it was heard.
    since: Option<Instant>,
    stop: bool,
}

impl Signals {
    fn hear(&self, event: notify::Result<notify::Event>) {
        let mut heard = self.lock();
        match event {
            Ok(event) if event.need_rescan() => heard.everything = true,
            Ok(event) if is_reading(&event.kind) => return,
            Ok(event) => heard.paths.extend(event.paths),
            Err(_) => heard.everything = true,
        }
        if heard.paths.len() > WATCH_PATHS_MAX {
            heard.everything = true;
        }
        if heard.everything {
            heard.paths.clear();
        }
        heard.since.get_or_insert_with(Instant::now);
        self.wake.notify_one();
    }

    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits until something was heard, and a moment longer, or until a time; `None` at the end.
    fn wait(&self, until: Instant) -> Option<Heard> {
        let mut heard = self.lock();
        loop {
            let now = Instant::now();
            let due = heard.since.map_or(until, |since| until.min(since + WATCH_DEBOUNCE));
            if heard.stop {
                return None;
            }
            if now >= due {
                return Some(std::mem::take(&mut *heard));
            }
            heard = self.wake.wait_timeout(heard, due - now).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is heard of at all: with files that are only opened, each upload would wake a thread.
fn what_changes() -> Config {
    Config::default().with_event_kinds(EventKindMask::CORE | EventKindMask::ACCESS_CLOSE)
}

/// Whether an event says only that somebody reads: we do so ourselves all the time.
fn is_reading(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    }
}

/// What a scan found.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) skipped: super::rules::Skips,
}

impl Tally {
    pub(super) fn skip(&mut self, skip: Skip) {
        *self.skipped.entry(skip).or_default() += 1;
    }

    fn take(&mut self, taken: Taken, size: u64) {
        match taken {
            Taken::New | Taken::Known => {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(size);
            }
            Taken::SameName => self.skip(Skip::SameName),
            Taken::Full => self.skip(Skip::TooMany),
        }
    }
}

/// Looks after some roots of a table.
pub(super) struct Keeper {
    table: Arc<Table>,
    roots: Vec<Kept>,
    signals: Arc<Signals>,
    watches: Watches,
    /// Files that were modified just now, by when to look again.
    postponed: BTreeMap<PathBuf, Instant>,
    rescan: Duration,
}

#[derive(Clone)]
struct Kept {
    number: u32,
    base: Arc<Base>,
    /// Device and inode of its folder.
    id: Option<(u64, u64)>,
}

impl Keeper {
    pub(super) fn new(
        table: Arc<Table>,
        bases: Vec<(u32, Arc<Base>)>,
        observer: Arc<dyn Observer>,
        watched: bool,
        rescan: Duration,
    ) -> Self {
        let signals = Arc::new(Signals::default());
        let watches = Watches::new(&signals, watched, observer);
        let roots = bases.into_iter().map(|(number, base)| Kept { number, base, id: None }).collect();
        Self { table, roots, signals, watches, postponed: BTreeMap::new(), rescan }
    }

    pub(super) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&self.signals)
    }

    /// Looks at everything of all roots.
    pub(super) fn scan_all(&mut self) -> Tally {
        let mut tally = Tally::default();
        for at in 0..self.roots.len() {
            self.scan_root(at, &mut tally);
        }
        tally
    }

    /// Keeps on until the table is stopped.
    pub(super) fn run(mut self) {
        let mut next_scan = Instant::now() + self.rescan;
        loop {
            let until = self.postponed.values().min().map_or(next_scan, |due| next_scan.min(*due));
            let Some(heard) = self.signals.wait(until) else { return };
            let now = Instant::now();
            if heard.everything || now >= next_scan || self.postponed.len() > WATCH_PATHS_MAX {
                self.postponed.clear();
                self.scan_all();
                next_scan = Instant::now() + self.rescan;
            }
            let due = self.postponed.extract_if(.., |_, due| *due <= now).map(|(path, _)| path);
            let paths: BTreeSet<PathBuf> = due.chain(heard.paths).collect();
            self.examine_all(paths);
        }
    }

    fn scan_root(&mut self, at: usize, tally: &mut Tally) {
        let Some(kept) = self.roots.get_mut(at) else { return };
        let id = std::fs::metadata(&kept.base.folder).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if kept.id != id {
            // Another folder has that path by now: what is watched is the old one.
            self.watches.remove_below(&kept.base.folder);
            kept.id = id;
        }
        let (number, base, table) = (kept.number, Arc::clone(&kept.base), Arc::clone(&self.table));
        let (watches, scan) = (&mut self.watches, table.next_scan());
        let walked = scan::walk(&base, &table.stop, &mut |met| match met {
            Met::File(found) => tally.take(table.take_in(number, &base, &found, scan), found.stamp.size),
            Met::Folder(path) => watches.add(base.folder.join(path)),
            Met::Skipped(skip) => tally.skip(skip),
        });
        if walked == Walked::Whole {
            table.remove_unseen(number, &base.prefix, scan);
        }
    }

    fn examine_all(&mut self, paths: BTreeSet<PathBuf>) {
        // First what is gone: a folder that was moved is watched under its old name.
        let (there, gone): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|path| path.symlink_metadata().is_ok());
        for path in gone.into_iter().chain(there) {
            for at in 0..self.roots.len() {
                self.examine(at, &path);
            }
        }
    }

    fn examine(&mut self, at: usize, path: &Path) {
        let Some(Kept { number, base, .. }) = self.roots.get(at).cloned() else { return };
        let Some(below) = base.beneath(path) else { return };
        if below.rsplit('/').next().is_none_or(|leaf| leaf.is_empty() || leaf == IGNORE_FILE) {
            return self.scan_root(at, &mut Tally::default());
        }
        let name = base.name_of(below);
        match scan::look(&base, below) {
            Ok(Look::File(found)) => self.file(number, &base, &found, path),
            Ok(Look::Folder(level)) => {
                self.watches.remove_below(path);
                self.table.remove_of(number, &name);
                self.folder(number, &base, below, level);
            }
            Ok(Look::Nothing) => {
                self.watches.remove_below(path);
                self.table.remove_of(number, &name);
                self.table.remove_unseen(number, &format!("{name}/"), self.table.next_scan());
            }
            Err(_) => drop(self.postponed.insert(path.to_owned(), Instant::now() + QUIET_FILE)),
        }
    }

    fn file(&mut self, number: u32, base: &Base, found: &Found, path: &Path) {
        self.table.remove_unseen(number, &format!("{}/", found.name), self.table.next_scan());
        let scan = self.table.next_scan();
        let Some(pause) = found.stamp.unquiet_for(SystemTime::now(), QUIET_FILE) else {
            self.table.take_in(number, base, found, scan);
            return;
        };
        self.postponed.insert(path.to_owned(), Instant::now() + pause);
        let is_outdated = self.table.read().get(&found.name).is_some_and(|(_, entry)| entry.hash.is_some());
        if is_outdated {
            // The old content is not there any more, so it is not offered while the new one is being written.
            self.table.take_in(number, base, found, scan);
        }
    }

    fn folder(&mut self, number: u32, base: &Base, below: &str, level: Arc<super::rules::Level>) {
        let (table, watches) = (Arc::clone(&self.table), &mut self.watches);
        let scan = table.next_scan();
        let walked = scan::walk_below(base, below, level, &table.stop, &mut |met| match met {
            Met::File(found) => drop(table.take_in(number, base, &found, scan)),
            Met::Folder(path) => watches.add(base.folder.join(path)),
            Met::Skipped(_) => {}
        });
        if walked == Walked::Whole {
            table.remove_unseen(number, &format!("{}/", base.name_of(below)), scan);
        }
    }
}

/// The folders that are watched, each by itself: what is left out of a share is not watched either.
struct Watches {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
    /// The system watches no more.
    is_full: bool,
    observer: Arc<dyn Observer>,
}

impl Watches {
    fn new(signals: &Arc<Signals>, watched: bool, observer: Arc<dyn Observer>) -> Self {
        let mut watches = Self { watcher: None, folders: BTreeSet::new(), is_full: false, observer };
        if watched {
            let signals = Arc::clone(signals);
            match RecommendedWatcher::new(move |event| signals.hear(event), what_changes()) {
                Ok(watcher) => watches.watcher = Some(watcher),
                Err(error) => watches.tell(&error),
            }
        }
        watches
    }

    fn add(&mut self, folder: PathBuf) {
        let is_done = self.is_full || self.folders.contains(&folder);
        let Some(watcher) = self.watcher.as_mut().filter(|_| !is_done) else { return };
        match watcher.watch(&folder, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.folders.insert(folder)),
            // It went away meanwhile, or cannot be read: neither is there anything to be watched.
            Err(error)
                if matches!(error.kind, notify::ErrorKind::PathNotFound | notify::ErrorKind::Io(_)) => {}
            Err(error) => {
                // What is watched stays so; the rest is found by looking again.
                self.is_full = true;
                self.tell(&error);
            }
        }
    }

    /// Lets go of a folder and of all below it.
    fn remove_below(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        let below = self.folders.range(path.to_owned()..).take_while(|folder| folder.starts_with(path));
        for folder in below.cloned().collect::<Vec<_>>() {
            // The system lets go by itself of what was removed.
            let _ = watcher.unwatch(&folder);
            self.folders.remove(&folder);
        }
    }

    fn tell(&self, error: &notify::Error) {
        self.observer.notice(Notice::Shares(ShareNotice::NotWatched { why: error.to_string() }));
    }
}

//! Publishing: from what somebody asks to share to a table that is kept true by threads of its own.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, SystemTime};

use proto::limits::RESCAN;

use super::cache::{self, Cache};
use super::hashing;
use super::notice::ShareNotice;
use super::receipts::Receipts;
use super::roots::{Base, Guard, PublishError, Root};
use super::rules::{Rules, Skip, Skips};
use super::scan::{self, Met};
use super::table::Table;
use super::watch::{Keeper, Signals, Tally};
use crate::notice::{Notice, Observer};

/// Where hashes are kept over a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CacheFolder {
    /// `$XDG_CACHE_HOME/p2pci`, else `~/.cache/p2pci`.
    #[default]
    Default,
    /// This folder, which is made if it is not there.
    At(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// How roots are shared.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is shared, in the syntax of gitignore, relative to each root; with `!`, what is not. The last match has the word;
    /// with a glob that is not a `!`, only what matches one is shared.
    pub globs: Vec<String>,
    /// Hidden files as well.
    pub hidden: bool,
    /// Relative links below a root as well, as long as they lead to something beneath it.
    pub follow_links: bool,
    /// Whole homes and whole systems as well.
    pub allow_root: bool,
    /// The home folder of whoever shares.
    pub home: Option<PathBuf>,
    /// Where hashes are kept. That of the first call for a table counts.
    pub cache: CacheFolder,
    /// Whether changes are heard of at once.
    pub watch: bool,
    /// Pause between two looks at everything.
    pub rescan: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            globs: Vec::new(),
            hidden: false,
            follow_links: false,
            allow_root: false,
            home: std::env::var_os("HOME").map(PathBuf::from),
            cache: CacheFolder::default(),
            watch: true,
            rescan: RESCAN,
        }
    }
}

/// What is shared now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What is left out.
    pub skipped: Skips,
}

/// What would be shared.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preview {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The largest: its name and its size in bytes.
    pub largest: Option<(String, u64)>,
    /// The one that was modified last, and when.
    pub newest: Option<(String, SystemTime)>,
    /// What would be left out.
    pub skipped: Skips,
}

/// Looks at what would be shared, without sharing or hashing any of it. Blocks.
///
/// # Errors
/// [`PublishError`] for the first root that cannot be shared.
pub fn preview(roots: &[Root], options: &Options) -> Result<Preview, PublishError> {
    let (mut preview, mut names, mut tally) = (Preview::default(), HashSet::new(), Tally::default());
    for base in bases(roots, options)? {
        scan::walk(&base, &AtomicBool::new(false), &mut |met| match met {
            Met::Folder(_) => {}
            Met::Skipped(skip) => tally.skip(skip),
            Met::File(found) if !names.insert(found.name.clone()) => tally.skip(Skip::SameName),
            Met::File(found) => preview.count(found.name, found.stamp.size, found.stamp.modified_at()),
        });
    }
    Ok(Preview { skipped: tally.skipped, ..preview })
}

impl Preview {
    fn count(&mut self, name: String, size: u64, modified: SystemTime) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.largest.as_ref().is_none_or(|(_, largest)| size > *largest) {
            self.largest = Some((name.clone(), size));
        }
        if self.newest.as_ref().is_none_or(|(_, newest)| modified > *newest) {
            self.newest = Some((name, modified));
        }
    }
}

/// The threads behind a table, which end with it.
#[derive(Debug, Default)]
pub(super) struct Threads {
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    hashing: bool,
    threads: Vec<JoinHandle<()>>,
    signals: Vec<Arc<Signals>>,
}

impl Threads {
    pub(super) fn publish(
        &self,
        table: &Arc<Table>,
        roots: &[Root],
        options: &Options,
        observer: &Arc<dyn Observer>,
    ) -> Result<Published, PublishError> {
        let bases = bases(roots, options)?;
        self.start_hashing(table, options, observer)?;
        let bases = bases.into_iter().map(|base| table.add_base(base)).collect();
        let mut keeper =
            Keeper::new(Arc::clone(table), bases, Arc::clone(observer), options.watch, options.rescan);
        let Tally { files, bytes, skipped } = keeper.scan_all();
        let signals = keeper.signals();
        self.start("watch".to_owned(), move || keeper.run())?;
        self.running().signals.push(signals);
        Ok(Published { files, bytes, skipped })
    }

    fn start_hashing(
        &self,
        table: &Arc<Table>,
        options: &Options,
        observer: &Arc<dyn Observer>,
    ) -> Result<(), PublishError> {
        if std::mem::replace(&mut self.running().hashing, true) {
            return Ok(());
        }
        use_cache(table, &options.cache, observer.as_ref());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for number in 0..cores {
            let (table, observer) = (Arc::clone(table), Arc::clone(observer));
            self.start(format!("hash-{number}"), move || hashing::work(&table, observer.as_ref()))?;
        }
        Ok(())
    }

    fn start(&self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), PublishError> {
        let thread = Builder::new().name(name).spawn(work).map_err(PublishError::Threads)?;
        self.running().threads.push(thread);
        Ok(())
    }

    /// Ends the threads, at the latest after the block that each is at, and writes what the cache has not yet.
    pub(super) fn stop(&self, table: &Table) {
        table.stop.store(true, Ordering::Relaxed);
        table.queue.wake_all();
        let Running { threads, signals, .. } = std::mem::take(&mut *self.running());
        signals.iter().for_each(|signals| signals.stop());
        // A panic of one was shown when it happened.
        threads.into_iter().for_each(|thread| drop(thread.join()));
        table.lists.flush();
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bases(roots: &[Root], options: &Options) -> Result<Vec<Base>, PublishError> {
    let guard = Guard { allow_root: options.allow_root, home: options.home.clone() };
    let rules =
        || Rules::new(&options.globs, options.hidden).map_err(|error| PublishError::Glob(error.to_string()));
    roots.iter().map(|root| Base::new(root, &guard, options.follow_links, rules()?)).collect()
}

fn use_cache(table: &Table, folder: &CacheFolder, observer: &dyn Observer) {
    let tell = |notice| observer.notice(Notice::Shares(notice));
    if let Some(receipts) = Receipts::of_user().filter(|_| *folder != CacheFolder::Nowhere) {
        table.lists.use_receipts(receipts);
    }
    let folder = match folder {
        CacheFolder::Nowhere => return,
        CacheFolder::At(folder) => Some(folder.clone()),
        CacheFolder::Default => cache::default_folder(),
    };
    let Some(folder) = folder else {
        return tell(ShareNotice::NoCache {
            why: "no folder for caches is known: neither XDG_CACHE_HOME nor HOME".to_owned(),
        });
    };
    match Cache::open(&folder) {
        Ok((cache, renewed)) => {
            table.lists.use_cache(cache);
            if renewed {
                tell(ShareNotice::CacheRenewed);
            }
        }
        Err(error) => tell(ShareNotice::NoCache { why: format!("'{}': {error}", folder.display()) }),
    }
}

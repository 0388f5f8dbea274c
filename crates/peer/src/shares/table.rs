//! The table with its files: what a name, a hash or a number asks for is opened here, and checked against what is known of it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use proto::http::listing::{self, Child};
use proto::http::target::Target;
use proto::rfc_text::{self, HEADING_BYTES};
use proto::value::digest::Digest;
use proto::value::number::RfcNumber;
use proto::value::pieces::Pieces;

use super::beneath;
use super::catalog::{Catalog, Entry, Place, Rfc, Taken};
use super::changes::Dirty;
use super::file::{AtOnce, Change, KeptOpen, Opened, SharedFile, Stamp};
use super::hashing::Queue;
use super::lists::Lists;
use super::roots::Base;
use super::scan::Found;
use crate::files;

/// Everything that the threads behind a table of shares have in common.
#[derive(Debug, Default)]
pub(super) struct Table {
    catalog: RwLock<Catalog>,
    bases: RwLock<Vec<Arc<Base>>>,
    scans: AtomicU32,
    pub(super) queue: Queue,
    pub(super) lists: Lists,
    /// Raised once: every thread comes to its end.
    pub(super) stop: AtomicBool,
}

impl Table {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a root in; its number ranks it among all.
    pub(super) fn add_base(&self, base: Base) -> (u32, Arc<Base>) {
        let base = Arc::new(base);
        let mut bases = self.bases.write().unwrap_or_else(PoisonError::into_inner);
        bases.push(Arc::clone(&base));
        let number = u32::try_from(bases.len() - 1).expect("nobody names four billion roots");
        (number, base)
    }

    fn base(&self, number: u32) -> Option<Arc<Base>> {
        let bases = self.bases.read().unwrap_or_else(PoisonError::into_inner);
        bases.get(usize::try_from(number).ok()?).cloned()
    }

    pub(super) fn next_scan(&self) -> u32 {
        self.scans.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Takes in a file that a scan met; a new or changed one is queued for hashing.
    pub(super) fn take_in(&self, root: u32, base: &Base, found: &Found, scan: u32) -> Taken {
        let place = Place::Root(root);
        let rfc = found.number.and_then(|number| self.rfc(base, found, number));
        let entry = Entry { stamp: found.stamp, place, hash: None, sha256: None, rfc, seen: scan };
        let taken = self.write().put(&found.name, entry);
        if matches!(taken, Taken::New | Taken::Known) {
            self.enqueue(&found.name);
        }
        taken
    }

    fn rfc(&self, base: &Base, found: &Found, number: RfcNumber) -> Option<Box<Rfc>> {
        let known = self.read().get(&found.name).and_then(|(_, entry)| {
            entry.rfc.clone().filter(|rfc| entry.stamp == found.stamp && rfc.number == number)
        });
        known.or_else(|| {
            let file = base.open(base.path_of(&found.name)?).ok()?;
            let title = rfc_text::title_of(&files::beginning(&file, HEADING_BYTES).ok()?, number).into();
            Some(Box::new(Rfc { number, title }))
        })
    }

    pub(super) fn remove_unseen(&self, root: u32, prefix: &str, scan: u32) -> usize {
        self.write().remove_unseen(root, prefix, scan)
    }

    /// Takes a name out, when it belongs to this root.
    pub(super) fn remove_of(&self, root: u32, name: &str) -> bool {
        let mut catalog = self.write();
        let is_there = catalog.get(name).is_some_and(|(_, entry)| entry.place == Place::Root(root));
        is_there && catalog.remove(name)
    }

    pub(super) fn set_hash(&self, name: &str, stamp: Stamp, hash: Digest) -> bool {
        self.write().set_hash(name, stamp, hash)
    }

    pub(super) fn set_sha256(&self, name: &str, stamp: Stamp, sha256: Digest) {
        self.write().set_sha256(name, stamp, sha256);
    }

    /// Queues a file whose SHA-256 somebody wants; whether there is such a file.
    pub(super) fn demand_sums(&self, name: &str) -> bool {
        let catalog = self.read();
        let found = catalog.get(name).map(|(name, _)| Arc::clone(name));
        drop(catalog);
        found.map(|name| self.queue.demand_sums(name)).is_some()
    }

    pub(super) fn pieces(&self, name: &str) -> Option<Pieces> {
        let stamp = self.read().get(name)?.1.stamp;
        self.lists.sums(stamp).map(|sums| sums.pieces)
    }

    /// Puts a fetched file into the table, over an older copy of that name.
    pub(super) fn add_copy(&self, path: &Path, name: &str, hash: Digest) -> io::Result<(Taken, Stamp)> {
        let path = std::path::absolute(path)?;
        let stamp = Stamp::of(&beneath::regular_at(&path)?.metadata()?);
        let place = Place::Copy(path.into());
        let entry = Entry { stamp, place, hash: Some(hash), sha256: None, rfc: None, seen: 0 };
        Ok((self.write().put(name, entry), stamp))
    }

    /// Queues a file that has no hash.
    fn enqueue(&self, name: &str) {
        if let Some((name, _)) = self.read().get(name).filter(|(_, entry)| entry.hash.is_none()) {
            self.queue.push(Arc::clone(name));
        }
    }

    /// Moves a file that is not hashed yet to the front; whether there is such a file.
    pub(super) fn demand(&self, name: &str) -> bool {
        let catalog = self.read();
        let Some((name, _)) = catalog.get(name).filter(|(_, entry)| entry.hash.is_none()) else {
            return false;
        };
        self.queue.demand(Arc::clone(name));
        true
    }

    /// Opens a file as it is now, whatever is known of it.
    pub(super) fn open_raw(&self, name: &str) -> Option<(Arc<str>, Entry, File, Stamp)> {
        // Copied out: no lock is held while the disk works.
        let (name, entry) = self.read().get(name).map(|(name, entry)| (Arc::clone(name), entry.clone()))?;
        let file = match &entry.place {
            Place::Root(number) => {
                let base = self.base(*number)?;
                base.open(base.path_of(&name)?)
            }
            Place::Copy(path) => beneath::regular_at(path),
        };
        match file.and_then(|file| file.metadata().map(|metadata| (file, metadata))) {
            Ok((file, metadata)) => Some((name, entry, file, Stamp::of(&metadata))),
            Err(error) if is_gone(&error) => {
                self.write().remove(&name);
                None
            }
            Err(_) => None,
        }
    }

    pub(super) fn open_name(&self, name: &str) -> Option<Opened> {
        let (name, entry, file, stamp) = self.open_raw(name)?;
        let (hash, sha256) = match entry.stamp == stamp {
            true => (entry.hash, entry.sha256),
            false => (self.found_changed(&name, stamp), None),
        };
        if hash.is_none() {
            self.demand(&name);
        }
        Some(Opened {
            file: Arc::new(file),
            size: stamp.size,
            modified: stamp.modified_at(),
            hash,
            sha256,
            name,
        })
    }

    /// A hashed file that is as it was, where it can be opened without waiting for a disk.
    pub(super) fn open_cached(&self, target: &Target) -> Option<AtOnce> {
        let (name, known, hash, sha256, number) = {
            let catalog = self.read();
            let (name, entry) = match target {
                Target::File(name) => catalog.get(name)?,
                Target::Rfc(number) => catalog.get(catalog.numbered(*number)?)?,
                Target::Hash(hash) => catalog.get(catalog.first_named(hash)?)?,
                Target::Blocks(_)
                | Target::End(_)
                | Target::Have(..)
                | Target::Folder(_)
                | Target::Nothing => return None,
            };
            let Place::Root(number) = entry.place else { return None };
            (Arc::clone(name), entry.stamp, entry.hash?, entry.sha256, number)
        };
        let base = self.base(number)?;
        let kept = base.kept().ok()?;
        let (file, stamp) = kept.file(base.path_of(&name)?, base.follow_links).ok()?;
        if stamp != known {
            return None;
        }
        let (size, modified, hash) = (stamp.size, stamp.modified_at(), Some(hash));
        let opened = Opened { file: Arc::new(file), size, modified, hash, sha256, name };
        Some(AtOnce { opened, never_waits: kept.never_waits(stamp), folder: KeptOpen::new(kept) })
    }

    /// What is in a folder of names; an empty one is the uppermost.
    pub(super) fn children(&self, folder: &str) -> Option<Vec<Child>> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let catalog = self.read();
        let below = catalog.below(&prefix).map(|(name, entry)| {
            let path = name.get(prefix.len()..).unwrap_or_default();
            (path, entry.stamp.size, entry.stamp.modified_at())
        });
        let children = listing::children(below);
        (folder.is_empty() || !children.is_empty()).then_some(children)
    }

    pub(super) fn open_hash(&self, hash: &Digest) -> Option<Opened> {
        let names = self.read().named(hash);
        names.iter().find_map(|name| self.open_name(name).filter(|opened| opened.hash.as_ref() == Some(hash)))
    }

    pub(super) fn open_number(&self, number: RfcNumber) -> Option<Opened> {
        let name = self.read().numbered(number).cloned()?;
        self.open_name(&name)
    }

    /// Withdraws what is known of a file that is another one by now, and queues it again.
    pub(super) fn found_changed(&self, name: &str, stamp: Stamp) -> Option<Digest> {
        self.write().set_stamp(name, stamp);
        self.enqueue(name);
        None
    }

    pub(super) fn blocks(&self, hash: &Digest) -> Option<Arc<[u8]>> {
        let (name, stamp) = {
            let catalog = self.read();
            let name = catalog.named(hash).into_iter().next()?;
            let stamp = catalog.get(&name)?.1.stamp;
            (name, stamp)
        };
        let blocks = self.lists.blocks(hash, stamp);
        if blocks.is_none() {
            // It was let go of for want of room: hashing the file again finds it.
            self.queue.demand(name);
        }
        blocks
    }

    /// Takes out a file that cannot be read; whether it was there, and as it is now. A later scan finds it again, and it has a hash
    /// once it could be read.
    pub(super) fn withdraw(&self, name: &str, stamp: Stamp) -> bool {
        let mut catalog = self.write();
        let is_there = catalog.get(name).is_some_and(|(_, entry)| entry.stamp == stamp);
        if is_there {
            self.lists.doubt(stamp);
        }
        is_there && catalog.remove(name)
    }

    pub(super) fn changes_of(&self, names: Vec<Arc<str>>) -> Vec<Change> {
        let catalog = self.read();
        let change = |name: Arc<str>| catalog.shown(&name).map_or(Change::Gone { name }, Change::Put);
        names.into_iter().map(change).collect()
    }

    pub(super) fn snapshot(&self) -> Vec<SharedFile> {
        self.read().all()
    }

    pub(super) fn listen(&self) -> Arc<Dirty> {
        let dirty = Arc::new(Dirty::default());
        self.write().listen(&dirty);
        dirty
    }
}

/// Whether a failure to open says that the file is not shared any more, and not that the system has trouble.
fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    error.kind() == io::ErrorKind::InvalidInput
        || matches!(
            errno,
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::ACCESS)
        )
}

//! The table itself, as a value: names, and the ways to them by hash and by number. No files and no clock in here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Weak};

use proto::limits::SHARED_FILES_MAX;
use proto::value::digest::Digest;
use proto::value::number::RfcNumber;

use super::changes::Dirty;
use super::file::{SharedFile, Stamp};

/// Where a file is found on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Beneath the root of this number: the name says where.
    Root(u32),
    /// A file by itself that was fetched.
    Copy(Arc<Path>),
}

/// The RFC that a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rfc {
    pub(super) number: RfcNumber,
    pub(super) title: Arc<str>,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) stamp: Stamp,
    pub(super) place: Place,
    pub(super) hash: Option<Digest>,
    /// Of the same content.
    pub(super) sha256: Option<Digest>,
    pub(super) rfc: Option<Box<Rfc>>,
    /// The scan that saw it last.
    pub(super) seen: u32,
}

/// What became of a file that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is as it was.
    Known,
    /// It is new or changed: its hash is not known.
    New,
    /// A root that comes first has a file of that name.
    SameName,
    /// The table is full.
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Catalog {
    files: BTreeMap<Arc<str>, Entry>,
    hashes: BTreeSet<(Digest, Arc<str>)>,
    /// The first of a number is the one that is served.
    numbers: BTreeSet<(RfcNumber, u32, Arc<str>)>,
    listeners: Vec<Weak<Dirty>>,
    /// How often something was told.
    revision: u64,
}

impl Catalog {
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<(&Arc<str>, &Entry)> {
        self.files.get_key_value(name)
    }

    /// A file that was found beneath a root. What is already known of a file that is as it was is kept.
    pub(super) fn put(&mut self, name: &str, entry: Entry) -> Taken {
        let name = match self.files.get_key_value(name) {
            Some((_, old)) if rank(&old.place) < rank(&entry.place) => return Taken::SameName,
            Some((_, old)) if old.place == entry.place && old.stamp == entry.stamp => {
                if let Some(old) = self.files.get_mut(name) {
                    old.seen = entry.seen;
                }
                return Taken::Known;
            }
            Some((name, _)) => Arc::clone(name),
            None if self.files.len() >= SHARED_FILES_MAX => return Taken::Full,
            None => name.into(),
        };
        self.unlink(&name);
        self.link(&name, entry);
        Taken::New
    }

    /// The hash of the content that had this stamp; `false` when the file is another one by now.
    pub(super) fn set_hash(&mut self, name: &str, stamp: Stamp, hash: Digest) -> bool {
        let Some((name, _)) = self.get(name).filter(|(_, entry)| entry.stamp == stamp) else { return false };
        let name = Arc::clone(name);
        let Some(entry) = self.files.get_mut(&name) else { return false };
        let old = entry.hash.replace(hash);
        if old == Some(hash) {
            return true;
        }
        if let Some(old) = old {
            self.hashes.remove(&(old, Arc::clone(&name)));
        }
        self.hashes.insert((hash, Arc::clone(&name)));
        self.tell(&name);
        true
    }

    /// The SHA-256 of the content that had this stamp, told whether it is news or not: somebody waits for it.
    pub(super) fn set_sha256(&mut self, name: &str, stamp: Stamp, sha256: Digest) {
        let Some((name, _)) = self.get(name).filter(|(_, entry)| entry.stamp == stamp) else { return };
        let name = Arc::clone(name);
        if let Some(entry) = self.files.get_mut(&name) {
            entry.sha256 = Some(sha256);
        }
        self.tell(&name);
    }

    /// The file of a name is found to be another one: what was known of it is withdrawn.
    pub(super) fn set_stamp(&mut self, name: &str, stamp: Stamp) {
        let Some((name, entry)) = self.get(name).filter(|(_, entry)| entry.stamp != stamp) else { return };
        let (name, changed) = (Arc::clone(name), Entry { stamp, hash: None, sha256: None, ..entry.clone() });
        self.unlink(&name);
        self.link(&name, changed);
    }

    pub(super) fn remove(&mut self, name: &str) -> bool {
        let Some((name, _)) = self.get(name) else { return false };
        let name = Arc::clone(name);
        self.unlink(&name);
        self.tell(&name);
        true
    }

    /// Removes the files of a root whose names begin with `prefix` and that the scan of this number did not see.
    pub(super) fn remove_unseen(&mut self, root: u32, prefix: &str, seen: u32) -> usize {
        let gone: Vec<_> = self
            .files
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(name, _)| name.starts_with(prefix))
            .filter(|(_, entry)| entry.place == Place::Root(root) && entry.seen != seen)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        gone.iter().filter(|name| self.remove(name)).count()
    }

    /// The names that hold a content.
    pub(super) fn named(&self, hash: &Digest) -> Vec<Arc<str>> {
        self.hashes
            .range((*hash, Arc::default())..)
            .take_while(|(other, _)| other == hash)
            .map(|(_, name)| Arc::clone(name))
            .collect()
    }

    /// One of them, the first.
    pub(super) fn first_named(&self, hash: &Digest) -> Option<&Arc<str>> {
        let (first, name) = self.hashes.range((*hash, Arc::default())..).next()?;
        (first == hash).then_some(name)
    }

    /// The files whose names begin so, in the order of names.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a Arc<str>, &'a Entry)> {
        let from = self.files.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(name, _)| name.starts_with(prefix))
    }

    /// The name that is served as an RFC.
    pub(super) fn numbered(&self, number: RfcNumber) -> Option<&Arc<str>> {
        let (first, _, name) = self.numbers.range((number, 0, Arc::default())..).next()?;
        (*first == number).then_some(name)
    }

    /// The names that are served by number, in the order of numbers.
    pub(super) fn all_numbered(&self) -> impl Iterator<Item = (RfcNumber, &Arc<str>)> {
        let mut last = None;
        self.numbers.iter().filter_map(move |(number, _, name)| {
            (last.replace(*number) != Some(*number)).then_some((*number, name))
        })
    }

    pub(super) fn shown(&self, name: &str) -> Option<SharedFile> {
        let (name, entry) = self.get(name)?;
        Some(self.show(name, entry))
    }

    pub(super) fn all(&self) -> Vec<SharedFile> {
        self.files.iter().map(|(name, entry)| self.show(name, entry)).collect()
    }

    /// Files whose names begin so, in the order of names, from after one.
    pub(super) fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<SharedFile> {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        let range = self.files.range::<str, _>((from, Bound::Unbounded));
        let range = range.take_while(|(name, _)| name.starts_with(prefix));
        range.take(limit).map(|(name, entry)| self.show(name, entry)).collect()
    }

    /// See [`super::ShareTable::revision`].
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn listen(&mut self, listener: &Arc<Dirty>) {
        self.listeners.retain(|listener| listener.strong_count() > 0);
        self.listeners.push(Arc::downgrade(listener));
    }

    fn show(&self, name: &Arc<str>, entry: &Entry) -> SharedFile {
        let rfc = entry.rfc.as_ref().filter(|rfc| self.numbered(rfc.number) == Some(name));
        SharedFile {
            name: Arc::clone(name),
            size: entry.stamp.size,
            modified: entry.stamp.modified_at(),
            hash: entry.hash,
            sha256: entry.sha256,
            rfc: rfc.map(|rfc| rfc.number),
            title: rfc.map(|rfc| Arc::clone(&rfc.title)),
            copied: matches!(entry.place, Place::Copy(_)),
        }
    }

    fn link(&mut self, name: &Arc<str>, entry: Entry) {
        if let Some(hash) = entry.hash {
            self.hashes.insert((hash, Arc::clone(name)));
        }
        if let Some(rfc) = &entry.rfc {
            let before = self.numbered(rfc.number).cloned();
            self.numbers.insert((rfc.number, rank(&entry.place), Arc::clone(name)));
            if let Some(before) = before {
                self.tell(&before);
            }
        }
        self.files.insert(Arc::clone(name), entry);
        self.tell(name);
    }

    fn unlink(&mut self, name: &Arc<str>) {
        let Some(entry) = self.files.remove(name) else { return };
        if let Some(hash) = entry.hash {
            self.hashes.remove(&(hash, Arc::clone(name)));
        }
        if let Some(rfc) = &entry.rfc {
            self.numbers.remove(&(rfc.number, rank(&entry.place), Arc::clone(name)));
            // The next file of that number is now the one that is served by it.
            if let Some(next) = self.numbered(rfc.number).cloned() {
                self.tell(&next);
            }
        }
    }

    fn tell(&mut self, name: &Arc<str>) {
        self.revision += 1;
        self.listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener.mark(name));
    }
}

/// Of two files with one name or number, the one of lower rank is shared.
fn rank(place: &Place) -> u32 {
    match place {
        Place::Root(number) => *number,
        Place::Copy(_) => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(root: u32, inode: u64, rfc: Option<u32>) -> Entry {
        Entry {
            stamp: Stamp { device: 1, inode, size: 3, modified: 0 },
            place: Place::Root(root),
            hash: None,
            sha256: None,
            rfc: rfc.and_then(RfcNumber::new).map(|number| Box::new(Rfc { number, title: "t".into() })),
            seen: 1,
        }
    }

    #[test]
    fn the_first_root_has_the_name_and_the_number() {
        let mut catalog = Catalog::default();
        let five = RfcNumber::new(5).unwrap();
        assert_eq!(catalog.put("b/rfc5.txt", entry(1, 10, Some(5))), Taken::New);
        assert_eq!(catalog.shown("b/rfc5.txt").unwrap().rfc, Some(five));
        assert_eq!(catalog.put("a/rfc5.txt", entry(0, 11, Some(5))), Taken::New);
        assert_eq!(catalog.numbered(five).map(|name| &**name), Some("a/rfc5.txt"));
        assert_eq!(catalog.shown("b/rfc5.txt").unwrap().rfc, None);
        assert_eq!(catalog.all_numbered().count(), 1);
        assert_eq!(catalog.put("a/rfc5.txt", entry(1, 12, Some(5))), Taken::SameName);
        assert!(catalog.remove("a/rfc5.txt"));
        assert_eq!(catalog.shown("b/rfc5.txt").unwrap().rfc, Some(five));
    }

    #[test]
    fn a_hash_belongs_to_the_content_that_was_hashed() {
        let mut catalog = Catalog::default();
        let (hash, other) = (Digest([7; 32]), Digest([8; 32]));
        catalog.put("a", entry(0, 1, None));
        catalog.put("b", entry(0, 2, None));
        let stamp = catalog.get("a").unwrap().1.stamp;
        assert!(!catalog.set_hash("b", stamp, hash) && !catalog.set_hash("c", stamp, hash));
        assert!(catalog.set_hash("a", stamp, other) && catalog.set_hash("a", stamp, hash));
        assert!(catalog.set_hash("b", Stamp { inode: 2, ..stamp }, hash));
        assert_eq!((catalog.named(&hash).len(), catalog.named(&other).len()), (2, 0));
        assert_eq!(catalog.put("a", entry(0, 1, None)), Taken::Known);
        assert_eq!(catalog.put("a", entry(0, 9, None)), Taken::New);
        assert_eq!(catalog.named(&hash), [Arc::from("b")]);
        catalog.set_stamp("b", stamp);
        assert!(catalog.named(&hash).is_empty() && catalog.shown("b").unwrap().hash.is_none());
    }

    #[test]
    fn a_digest_of_sha_256_goes_with_its_content() {
        let mut catalog = Catalog::default();
        let (hash, sha256) = (Digest([7; 32]), Digest([8; 32]));
        catalog.put("a", entry(0, 1, None));
        let stamp = catalog.get("a").unwrap().1.stamp;
        catalog.set_hash("a", stamp, hash);
        catalog.set_sha256("a", Stamp { inode: 9, ..stamp }, sha256);
        assert_eq!(catalog.shown("a").unwrap().sha256, None);
        catalog.set_sha256("a", stamp, sha256);
        assert_eq!(catalog.shown("a").unwrap().sha256, Some(sha256));
        catalog.set_stamp("a", Stamp { modified: 1, ..stamp });
        assert_eq!(catalog.shown("a").unwrap().sha256, None);
    }

    #[test]
    fn what_a_scan_did_not_see_is_gone() {
        let mut catalog = Catalog::default();
        for (name, root, seen) in [("a/1", 0, 1), ("a/2", 0, 2), ("a/3", 1, 1), ("b/1", 0, 1)] {
            catalog.put(name, Entry { seen, ..entry(root, 1, None) });
        }
        assert_eq!(catalog.remove_unseen(0, "a/", 2), 1);
        let left: Vec<_> = catalog.all().into_iter().map(|file| file.name.to_string()).collect();
        assert_eq!(left, ["a/2", "a/3", "b/1"]);
    }
}

//! What of a folder would survive if the power failed now.
//!
//! The files are real ones. Whenever the program makes one durable, or the names of the folder, a copy is taken; after a loss of
//! power the folder is made of these copies and of any pages, and any names, of what has changed since. That is harsher than the
//! file systems in use, which keep the order of changes to names.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;

/// What is written at once, in bytes.
const PAGE: usize = 4096;

/// The number of a file's content.
type Inode = u64;

/// Files by name: which one it is, and what is in it.
pub(super) type Files = BTreeMap<String, (Inode, Vec<u8>)>;

/// When a file was last changed, in nanoseconds.
type Changed = i128;

/// What a loss of power leaves of a file: its bytes, and the time of its last change, which may be from before or after they were.
pub(super) type Remains = (Vec<u8>, Changed);

/// A machine's folder.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    /// What the names of the folder mean.
    names: BTreeMap<String, Inode>,
    contents: BTreeMap<Inode, Arc<[u8]>>,
    /// Files that a loss of power has left: since when they lie there, and what their last change is said to be.
    remains: BTreeMap<Inode, (Changed, Changed)>,
}

impl Disk {
    /// Takes a folder as it is for durable.
    pub(super) fn new(folder: PathBuf) -> io::Result<Self> {
        let (names, contents, remains) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut disk = Self { folder, names, contents, remains };
        disk.settle()?;
        Ok(disk)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything is durable.
    fn settle(&mut self) -> io::Result<()> {
        self.names = names(&self.folder)?;
        self.contents.clear();
        for (name, inode) in &self.names {
            self.contents.insert(*inode, fs::read(self.folder.join(name))?.into());
        }
        Ok(())
    }

    /// What is in the file is durable.
    pub(super) fn synced(&mut self, file: BorrowedFd<'_>) -> io::Result<()> {
        let file = File::from(file.try_clone_to_owned()?);
        let metadata = file.metadata()?;
        let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
        self.contents.insert(metadata.ino(), bytes.into());
        Ok(())
    }

    /// The names in a folder are durable.
    pub(super) fn folder_synced(&mut self, folder: BorrowedFd<'_>) -> io::Result<()> {
        let synced = File::from(folder.try_clone_to_owned()?).metadata()?.ino();
        if synced == fs::metadata(&self.folder)?.ino() {
            self.names = names(&self.folder)?;
        }
        Ok(())
    }

    /// What would be left if the power failed now.
    pub(super) fn left(&self, rng: &mut Rng) -> io::Result<BTreeMap<String, Remains>> {
        let now = names(&self.folder)?;
        let mut left = BTreeMap::new();
        for name in self.names.keys().chain(now.keys()) {
            let (durable, changed) = (self.names.get(name), now.get(name));
            let kept = if durable == changed || rng.bool() { durable } else { changed };
            if let Some(inode) = kept {
                left.insert(name.clone(), *inode);
            }
        }
        let mut current = BTreeMap::new();
        for (name, inode) in &now {
            let path = self.folder.join(name);
            current.insert(*inode, (fs::read(&path)?, self.changed(&fs::metadata(&path)?)));
        }
        let torn = left.into_iter().map(|(name, inode)| {
            let durable = self.contents.get(&inode).map_or(&[][..], |bytes| bytes);
            let (changed, time) = current.get(&inode).map_or((durable, 0), |(bytes, time)| (bytes, *time));
            (name, (torn(durable, changed, rng), time))
        });
        Ok(torn.collect())
    }

    /// Replaces everything in the folder; all of it is durable.
    pub(super) fn replace(&mut self, files: BTreeMap<String, Remains>) -> io::Result<()> {
        for name in names(&self.folder)?.keys() {
            fs::remove_file(self.folder.join(name))?;
        }
        self.remains.clear();
        for (name, (bytes, said)) in files {
            let path = self.folder.join(name);
            fs::write(&path, bytes)?;
            let metadata = fs::metadata(&path)?;
            self.remains.insert(metadata.ino(), (change_time(&metadata), said));
        }
        self.settle()
    }

    /// When a file was last changed, as it says itself.
    pub(super) fn change_time(&self, file: BorrowedFd<'_>) -> io::Result<Changed> {
        Ok(self.changed(&File::from(file.try_clone_to_owned()?).metadata()?))
    }

    fn changed(&self, metadata: &Metadata) -> Changed {
        let real = change_time(metadata);
        match self.remains.get(&metadata.ino()) {
            Some((since, said)) if *since == real => *said,
            _ => real,
        }
    }

    /// Every file as it is, durable or not.
    pub(super) fn files(&self) -> io::Result<Files> {
        let read = |(name, inode): (String, Inode)| {
            fs::read(self.folder.join(&name)).map(|bytes| (name, (inode, bytes)))
        };
        names(&self.folder)?.into_iter().map(read).collect()
    }

    /// Takes back what was done to the folder since these were its files. What of them is durable stays so.
    pub(super) fn take_back(&mut self, files: Files) -> io::Result<()> {
        let now = names(&self.folder)?;
        for (name, inode) in &now {
            let is_same = |(kept, bytes): &(Inode, Vec<u8>)| {
                kept == inode && fs::read(self.folder.join(name)).is_ok_and(|now| now == *bytes)
            };
            if !files.get(name).is_some_and(is_same) {
                fs::remove_file(self.folder.join(name))?;
            }
        }
        for (name, (inode, bytes)) in files {
            let path = self.folder.join(&name);
            if path.exists() {
                continue;
            }
            fs::write(&path, bytes)?;
            let new = fs::metadata(&path)?.ino();
            self.names.values_mut().filter(|known| **known == inode).for_each(|known| *known = new);
            if let Some(durable) = self.contents.remove(&inode) {
                self.contents.insert(new, durable);
            }
        }
        Ok(())
    }
}

fn change_time(metadata: &Metadata) -> Changed {
    Changed::from(metadata.ctime()) * 1_000_000_000 + Changed::from(metadata.ctime_nsec())
}

/// Some pages of the one and some of the other.
fn torn(durable: &[u8], changed: &[u8], rng: &mut Rng) -> Vec<u8> {
    // Often everything was written, or nothing.
    let one_in = *[1, 2, 8, u32::MAX].get(rng.usize(0..4)).unwrap_or(&1);
    let length = if rng.u32(0..one_in) == 0 { changed.len() } else { durable.len() };
    let mut bytes = durable.to_vec();
    bytes.resize(length, 0);
    for (at, page) in changed.chunks(PAGE).enumerate() {
        let start = at * PAGE;
        let end = (start + page.len()).min(length);
        if start < end && rng.u32(0..one_in) == 0 {
            bytes[start..end].copy_from_slice(&page[..end - start]);
        }
    }
    bytes
}

fn names(folder: &Path) -> io::Result<BTreeMap<String, Inode>> {
    let entries = fs::read_dir(folder)?.map(|entry| {
        let entry = entry?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.ino()))
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn open(path: PathBuf) -> File {
        File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap()
    }

    #[test]
    fn what_was_synced_survives_and_the_rest_may() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("old"), b"old").unwrap();
        let mut disk = Disk::new(place.path().to_owned()).unwrap();
        let file = open(place.path().join("new"));
        file.write_all_at(&[1; 3 * PAGE], 0).unwrap();
        disk.synced(file.as_fd()).unwrap();
        disk.folder_synced(File::open(place.path()).unwrap().as_fd()).unwrap();
        fs::rename(place.path().join("old"), place.path().join("renamed")).unwrap();
        let fail = |disk: &mut Disk, seed| {
            let left = disk.left(&mut Rng::with_seed(seed)).unwrap();
            disk.replace(left).unwrap();
        };
        fail(&mut disk, 1);
        assert_eq!(fs::read(place.path().join("new")).unwrap(), [1; 3 * PAGE]);
        // Contents that no sync covered can be anything between nothing and all.
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let file = open(place.path().join("torn"));
            file.write_all_at(&[2; 2 * PAGE], 0).unwrap();
            fail(&mut disk, seed);
            let left = fs::read(place.path().join("torn")).ok();
            seen.insert(left.map(|bytes| bytes.iter().filter(|byte| **byte == 2).count()));
            let _ = fs::remove_file(place.path().join("torn"));
            disk.settle().unwrap();
        }
        assert!(
            seen.contains(&None) && seen.contains(&Some(0)) && seen.contains(&Some(2 * PAGE)),
            "{seen:?}"
        );
    }
}

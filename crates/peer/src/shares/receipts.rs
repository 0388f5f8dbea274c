//! What a download found out about a file, left for a share that covers its folder: that takes the file over unread.
//!
//! The cache of hashes belongs to one process at a time, and that is the share. So this is a folder of receipts beside it, one for each
//! file: a download leaves one just before the file gets its name, and the share that hashes the file looks there first and takes
//! it away. A receipt is believed only of the very file that it names (device, inode, size, time of modification), and only where nobody
//! but this user could have written it. One that is lost, late or damaged costs the share one reading of the file.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use proto::limits::{RECEIPT_KEPT, RECEIPTS_BYTES_MAX, RECEIPTS_MAX};
use proto::transfer::blocks::{BlockList, Layout};
use proto::value::digest::Digest;
use rustix::fs::OFlags;

use super::cache::{self, KEY_BYTES, Known};
use super::file::Stamp;
use crate::files;

/// Its place in the folder of caches.
const FOLDER: &str = "receipts";
/// What the name of a receipt ends in that is not written to its end.
const UNFINISHED: &str = "new";
/// Bytes of a BLAKE3 hash.
const HASH_BYTES: usize = 32;

/// A folder of receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipts {
    folder: PathBuf,
}

impl Receipts {
    /// Those of this user; `None` where no folder for caches is known.
    #[must_use]
    pub fn of_user() -> Option<Self> {
        Some(Self::at(&cache::default_folder()?))
    }

    /// Those in this folder of caches.
    #[must_use]
    pub fn at(caches: &Path) -> Self {
        Self { folder: caches.join(FOLDER) }
    }

    /// Leaves a receipt for a file that is verified and does not change any more. Older ones make room. Blocks.
    ///
    /// # Errors
    /// What the system said; `PermissionDenied` where others could write receipts too.
    pub(crate) fn leave(&self, file: &File, list: &BlockList) -> io::Result<()> {
        let stamp = Stamp::of(&file.metadata()?);
        let bytes = write(&cache::key(stamp), list);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        if !is_private(&fs::symlink_metadata(&self.folder)?, 0o022) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.make_room(bytes.len() as u64)?;
        let path = self.path(stamp);
        let unfinished = path.with_extension(UNFINISHED);
        // That of a download which died here.
        let _ = fs::remove_file(&unfinished);
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        out.write_all(&bytes).and_then(|()| fs::rename(&unfinished, &path)).inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })
    }

    /// What a receipt says about this very file. It is taken away: whoever asks remembers it. Blocks.
    pub(super) fn take(&self, stamp: Stamp) -> Option<Known> {
        let path = self.path(stamp);
        let known = self.read(&path, stamp);
        if known.is_some() {
            // One that stays is none the worse: it names its file.
            let _ = fs::remove_file(&path);
        }
        known
    }

    fn read(&self, path: &Path, stamp: Stamp) -> Option<Known> {
        let layout = Layout::new(stamp.size)?;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let metadata = file.metadata().ok()?;
        let length = (2 * HASH_BYTES + KEY_BYTES) as u64 + layout.list_bytes();
        if !metadata.is_file()
            || metadata.len() != length
            || !is_private(&metadata, 0o077)
            || is_old(&metadata)
        {
            return None;
        }
        if !is_private(&fs::symlink_metadata(&self.folder).ok()?, 0o022) {
            return None;
        }
        let bytes = files::beginning(&file, usize::try_from(length).ok()?).ok()?;
        parse(&bytes, &cache::key(stamp), layout)
    }

    /// Removes what nobody took for too long, and the oldest where there are too many.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut there = Vec::new();
        // Not the standard library's: it panics where closing a folder fails.
        for name in files::Folder::open(&self.folder)?.names()? {
            let path = self.folder.join(name);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            there.push((metadata.modified()?, metadata.len(), is_old(&metadata), path));
        }
        there.sort();
        let mut count = there.len();
        let mut all = there.iter().map(|(_, bytes, ..)| bytes).sum::<u64>();
        for (_, length, is_old, path) in there {
            if is_old || count >= RECEIPTS_MAX || all.saturating_add(bytes) > RECEIPTS_BYTES_MAX {
                let _ = fs::remove_file(path);
                (count, all) = (count - 1, all - length);
            }
        }
        Ok(())
    }

    fn path(&self, stamp: Stamp) -> PathBuf {
        self.folder.join(blake3::hash(&cache::key(stamp)).to_hex().as_str())
    }
}

/// A check over all that follows; the file's key; its root; its block list.
fn write(key: &[u8; KEY_BYTES], list: &BlockList) -> Vec<u8> {
    let rest = [key, &list.root().0, list.as_bytes()].concat();
    [blake3::hash(&rest).as_bytes(), &*rest].concat()
}

fn parse(bytes: &[u8], key: &[u8; KEY_BYTES], layout: Layout) -> Option<Known> {
    let (check, rest) = bytes.split_at_checked(HASH_BYTES)?;
    let (of, rest_of) = rest.split_at_checked(KEY_BYTES)?;
    let (root, blocks) = rest_of.split_at_checked(HASH_BYTES)?;
    if blake3::hash(rest).as_bytes() != check || of != key {
        return None;
    }
    let hash = Digest(*root.first_chunk()?);
    BlockList::check(hash, layout, blocks).ok()?;
    Some(Known { hash, blocks: Arc::from(blocks) })
}

/// It is ours, and nobody else has any of these rights to it.
fn is_private(metadata: &Metadata, rights: u32) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & rights == 0
}

fn is_old(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
    age.is_some_and(|age| age > RECEIPT_KEPT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use proto::transfer::blocks::{BLOCK_BYTES, TreeHasher};

    struct World {
        folder: tempfile::TempDir,
        receipts: Receipts,
        file: File,
        list: BlockList,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let receipts = Receipts::at(&folder.path().join("caches"));
            let bytes = vec![7; 2 * BLOCK_BYTES as usize + 9];
            let path = folder.path().join("file");
            fs::write(&path, &bytes).unwrap();
            let mut hasher = TreeHasher::new();
            hasher.update(&bytes);
            let (_, list) = hasher.finish();
            Self { receipts, file: File::open(path).unwrap(), list, folder }
        }

        fn stamp(&self) -> Stamp {
            Stamp::of(&self.file.metadata().unwrap())
        }

        fn leave(&self) -> PathBuf {
            self.receipts.leave(&self.file, &self.list).unwrap();
            self.receipts.path(self.stamp())
        }
    }

    #[test]
    fn a_receipt_is_taken_once_and_of_the_very_file_only() {
        let world = World::new();
        let (stamp, path) = (world.stamp(), world.leave());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let others = [
            Stamp { inode: stamp.inode + 1, ..stamp },
            Stamp { modified: stamp.modified + 1, ..stamp },
            Stamp { size: stamp.size - 1, ..stamp },
        ];
        for other in others {
            // Even under the other one's name.
            fs::copy(&path, world.receipts.path(other)).unwrap();
            assert!(world.receipts.take(other).is_none(), "{other:?}");
        }
        let known = world.receipts.take(stamp).unwrap();
        assert_eq!((known.hash, &*known.blocks), (world.list.root(), world.list.as_bytes()));
        assert!(world.receipts.take(stamp).is_none() && !path.exists());
    }

    #[test]
    fn what_others_could_have_written_or_the_disk_has_changed_is_not_believed() {
        let world = World::new();
        let (stamp, path) = (world.stamp(), world.leave());
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&path, 0o620);
        assert!(world.receipts.take(stamp).is_none());
        mode(&path, 0o600);
        mode(&world.receipts.folder, 0o770);
        assert!(world.receipts.take(stamp).is_none());
        assert!(world.receipts.leave(&world.file, &world.list).is_err());
        mode(&world.receipts.folder, 0o700);
        let whole = fs::read(&path).unwrap();
        for at in [0, 40, 70, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            assert!(world.receipts.take(stamp).is_none(), "{at}");
        }
        fs::write(&path, &whole[..50]).unwrap();
        assert!(world.receipts.take(stamp).is_none());
        fs::remove_file(&path).unwrap();
        let elsewhere = world.folder.path().join("elsewhere");
        fs::write(&elsewhere, &whole).unwrap();
        mode(&elsewhere, 0o600);
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(world.receipts.take(stamp).is_none(), "a link");
        fs::remove_file(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        assert!(world.receipts.take(stamp).is_some(), "all of it was about what was changed");
    }

    #[test]
    fn there_are_never_too_many_and_old_ones_go() {
        let world = World::new();
        let path = world.leave();
        for number in 0..RECEIPTS_MAX + 10 {
            fs::write(world.receipts.folder.join(number.to_string()), "").unwrap();
        }
        fs::remove_file(&path).unwrap();
        world.leave();
        assert_eq!(fs::read_dir(&world.receipts.folder).unwrap().count(), RECEIPTS_MAX);
        let long_ago = SystemTime::now() - RECEIPT_KEPT * 2;
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        assert!(world.receipts.take(world.stamp()).is_none());
        fs::remove_dir_all(&world.receipts.folder).unwrap();
        world.leave();
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        let other = world.folder.path().join("other");
        fs::write(&other, "").unwrap();
        world.receipts.leave(&File::open(other).unwrap(), &world.list).unwrap();
        assert!(!path.exists());
    }
}

//! Hashes that survive a restart: a small database of what was hashed, keyed by what tells contents apart without reading.
//!
//! Nothing depends on it. A cache that another process holds, that cannot be written or that is damaged is done without.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use proto::value::digest::Digest;
use proto::value::pieces::Pieces;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
    TableDefinition,
};

use super::file::Stamp;
use super::sums::Sums;

/// Its file, in the folder of caches.
const FILE: &str = "hashes.redb";
/// Most contents that are kept.
const ENTRIES_MAX: u64 = 1_000_000;
/// Of these, how many go at once when there are more.
const ENTRIES_DROPPED: usize = 100_000;
/// Contents that wait for one transaction.
const BATCH_ENTRIES: usize = 8192;
/// Bytes of block lists that wait for one transaction.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Memory for pages of the database, in bytes.
const PAGES_BYTES: usize = 4 * 1024 * 1024;

pub(super) const KEY_BYTES: usize = 32;
const CHECK_BYTES: usize = 8;
/// Root hash, and a check over key and hash.
const VALUE_BYTES: usize = 40;

const HASHES: TableDefinition<'_, [u8; KEY_BYTES], [u8; VALUE_BYTES]> = TableDefinition::new("hashes");
const BLOCKS: TableDefinition<'_, [u8; KEY_BYTES], &[u8]> = TableDefinition::new("blocks");
/// As [`HASHES`], of SHA-256, and then the digests of the pieces.
const SUMS: TableDefinition<'_, [u8; KEY_BYTES], &[u8]> = TableDefinition::new("sums");

/// What was found out about a content.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) hash: Digest,
    /// Empty for a file of at most one block.
    pub(super) blocks: Arc<[u8]>,
}

/// Why hashes are not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    /// Another process has it.
    #[error("another process uses it")]
    InUse,
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The database did not work.
    #[error("{0}")]
    Database(String),
}

/// The open cache.
pub(super) struct Cache {
    database: Database,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    entries: HashMap<[u8; KEY_BYTES], Known>,
    bytes: usize,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// Where caches of this user lie.
pub(super) fn default_folder() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(caches.join("p2pci"))
}

impl Cache {
    /// Opens the cache in a folder, which is made; `true` with one that was damaged and begins anew. Blocks.
    pub(super) fn open(folder: &Path) -> Result<(Self, bool), CacheError> {
        make_private(folder)?;
        let path = folder.join(FILE);
        let (database, renewed) = match database(&path) {
            Err(DatabaseError::Storage(StorageError::Corrupted(_)) | DatabaseError::UpgradeRequired(_)) => {
                std::fs::remove_file(&path)?;
                (database(&path), true)
            }
            Err(DatabaseError::Storage(StorageError::Io(error)))
                if error.kind() == io::ErrorKind::InvalidData =>
            {
                std::fs::remove_file(&path)?;
                (database(&path), true)
            }
            opened => (opened, false),
        };
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => CacheError::InUse,
            DatabaseError::Storage(StorageError::Io(error)) => CacheError::Io(error),
            other => CacheError::Database(other.to_string()),
        })?;
        let cache = Self { database, waiting: Mutex::default() };
        cache.prepare(ENTRIES_MAX).map_err(|error| CacheError::Database(error.to_string()))?;
        Ok((cache, renewed))
    }

    /// Makes the tables, and room in them. What is dropped is any of the keys: they have no order that means anything.
    fn prepare(&self, entries_max: u64) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut hashes = transaction.open_table(HASHES)?;
            let mut blocks = transaction.open_table(BLOCKS)?;
            let mut sums = transaction.open_table(SUMS)?;
            if hashes.len()? > entries_max {
                let keys: Vec<_> = hashes
                    .iter()?
                    .take(ENTRIES_DROPPED)
                    .filter_map(|entry| Some(entry.ok()?.0.value()))
                    .collect();
                for key in keys {
                    hashes.remove(key)?;
                    blocks.remove(key)?;
                    sums.remove(key)?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// The hash of a content.
    pub(super) fn hash(&self, stamp: Stamp) -> Option<Digest> {
        let key = key(stamp);
        if let Some(known) = self.waiting().entries.get(&key) {
            return Some(known.hash);
        }
        let table = self.database.begin_read().ok()?.open_table(HASHES).ok()?;
        let value = table.get(key).ok()??.value();
        let hash = Digest(*value.first_chunk()?);
        (self::value(&key, hash) == value).then_some(hash)
    }

    /// The block list of a content; it is for the caller to check that it belongs to the hash.
    pub(super) fn blocks(&self, stamp: Stamp) -> Option<Arc<[u8]>> {
        let key = key(stamp);
        if let Some(known) = self.waiting().entries.get(&key) {
            return Some(Arc::clone(&known.blocks));
        }
        let table = self.database.begin_read().ok()?.open_table(BLOCKS).ok()?;
        Some(table.get(key).ok()??.value().into())
    }

    /// What SHA-256 says about a content.
    pub(super) fn sums(&self, stamp: Stamp) -> Option<Sums> {
        let key = key(stamp);
        let table = self.database.begin_read().ok()?.open_table(SUMS).ok()?;
        let found = table.get(key).ok()??;
        let (check, digests) = found.value().split_at_checked(CHECK_BYTES)?;
        if check != sums_check(&key, digests) {
            return None;
        }
        let mut digests = digests.chunks_exact(32).filter_map(|one| Some(Digest(*one.first_chunk()?)));
        let whole = digests.next()?;
        let pieces = Pieces { size: Pieces::size_for(stamp.size), digests: digests.collect() };
        pieces.fit(stamp.size).then_some(Sums { whole, pieces })
    }

    /// Keeps what SHA-256 says. At once: it is asked for seldom, and takes long to find out again.
    pub(super) fn put_sums(&self, stamp: Stamp, sums: &Sums) {
        let key = key(stamp);
        let digests: Vec<u8> =
            [&sums.whole].into_iter().chain(&*sums.pieces.digests).flat_map(|one| one.0).collect();
        let value = [&sums_check(&key, &digests)[..], &digests].concat();
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.open_table(SUMS)?.insert(key, &*value)?;
            Ok(transaction.commit()?)
        };
        // What cannot be written is forgotten: it can be found out again.
        let _ = write();
    }

    /// Keeps what was found out; it is on the disk after the next flush.
    pub(super) fn put(&self, stamp: Stamp, known: Known) {
        let mut waiting = self.waiting();
        waiting.bytes += known.blocks.len();
        waiting.entries.insert(key(stamp), known);
        let full = waiting.entries.len() >= BATCH_ENTRIES || waiting.bytes >= BATCH_BYTES;
        drop(waiting);
        if full {
            self.flush();
        }
    }

    /// Writes what waits. What cannot be written is forgotten: it can be found out again.
    pub(super) fn flush(&self) {
        let batch = std::mem::take(&mut *self.waiting());
        if !batch.entries.is_empty() {
            let _ = self.write(batch);
        }
    }

    fn write(&self, batch: Waiting) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut hashes = transaction.open_table(HASHES)?;
            let mut blocks = transaction.open_table(BLOCKS)?;
            for (key, known) in batch.entries {
                hashes.insert(key, value(&key, known.hash))?;
                if !known.blocks.is_empty() {
                    blocks.insert(key, &*known.blocks)?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn database(path: &Path) -> Result<Database, DatabaseError> {
    Builder::new().set_cache_size(PAGES_BYTES).set_check_integrity_on_open(true).create(path)
}

/// Names of contents are nobody else's business.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// What tells a content of a file from all others, in bytes.
pub(super) fn key(stamp: Stamp) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let words = [
        stamp.device.to_be_bytes(),
        stamp.inode.to_be_bytes(),
        stamp.size.to_be_bytes(),
        stamp.modified.to_be_bytes(),
    ];
    for (place, word) in key.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word);
    }
    key
}

fn sums_check(key: &[u8; KEY_BYTES], digests: &[u8]) -> [u8; CHECK_BYTES] {
    let check = blake3::Hasher::new().update(key).update(digests).finalize();
    *check.as_bytes().first_chunk().expect("a hash is longer than a check")
}

/// A hash and a check, so that a bit lost on the disk never makes us tell a wrong hash.
fn value(key: &[u8; KEY_BYTES], hash: Digest) -> [u8; VALUE_BYTES] {
    let check = blake3::Hasher::new().update(key).update(&hash.0).finalize();
    let mut value = [0; VALUE_BYTES];
    let both = hash.0.iter().chain(check.as_bytes());
    value.iter_mut().zip(both).for_each(|(place, byte)| *place = *byte);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(inode: u64) -> Stamp {
        Stamp { device: 1, inode, size: 2 << 20, modified: -5 }
    }

    fn known(byte: u8) -> Known {
        Known { hash: Digest([byte; 32]), blocks: vec![byte; 64].into() }
    }

    #[test]
    fn what_was_found_out_survives() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("a/b");
        let (cache, renewed) = Cache::open(&place).unwrap();
        assert!(!renewed);
        cache.put(stamp(1), known(7));
        assert_eq!(cache.hash(stamp(1)), Some(Digest([7; 32])), "before it is on the disk");
        assert!(matches!(Cache::open(&place), Err(CacheError::InUse)));
        cache.flush();
        drop(cache);
        let (cache, renewed) = Cache::open(&place).unwrap();
        assert!(!renewed);
        assert_eq!((cache.hash(stamp(1)), cache.hash(stamp(2))), (Some(Digest([7; 32])), None));
        assert_eq!(cache.blocks(stamp(1)).as_deref(), Some(&[7; 64][..]));
        assert_eq!(cache.hash(Stamp { modified: -4, ..stamp(1) }), None);
    }

    #[test]
    fn a_damaged_cache_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        for damage in [&b"this is no database at all, not even a long one"[..], &[0; 8192], b"redb"] {
            std::fs::write(&path, damage).unwrap();
            let (cache, renewed) = Cache::open(folder.path()).unwrap();
            assert!(renewed);
            for inode in 0..1000 {
                cache.put(stamp(inode), known(1));
            }
            cache.flush();
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes.iter_mut().skip(4096).step_by(97).take(half).for_each(|byte| *byte ^= 0x55);
        std::fs::write(&path, bytes).unwrap();
        let (cache, _) = Cache::open(folder.path()).unwrap();
        assert!(cache.hash(stamp(5)).is_none_or(|hash| hash == Digest([1; 32])));
    }

    #[test]
    fn sums_survive_and_belong_to_their_content() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = Cache::open(folder.path()).unwrap();
        let pieces = Pieces { size: 1 << 20, digests: [Digest([2; 32]), Digest([3; 32])].into() };
        let sums = Sums { whole: Digest([1; 32]), pieces };
        cache.put_sums(stamp(1), &sums);
        drop(cache);
        let (cache, _) = Cache::open(folder.path()).unwrap();
        assert_eq!(cache.sums(stamp(1)), Some(sums));
        assert_eq!((cache.sums(stamp(2)), cache.sums(Stamp { size: 9, ..stamp(1) })), (None, None));
    }

    #[test]
    fn too_many_entries_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let (cache, _) = Cache::open(folder.path()).unwrap();
        for inode in 0..100 {
            cache.put(stamp(inode), known(1));
        }
        cache.flush();
        cache.prepare(100).unwrap();
        assert!(cache.hash(stamp(0)).is_some() && cache.blocks(stamp(0)).is_some());
        cache.prepare(99).unwrap();
        assert!(cache.hash(stamp(0)).is_none() && cache.blocks(stamp(0)).is_none());
    }

    #[test]
    fn a_cache_that_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Cache::open(&file), Err(CacheError::Io(_))));
    }
}

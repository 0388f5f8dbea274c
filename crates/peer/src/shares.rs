//! Which files are shared: the one table of names, hashes and numbers, and the threads that keep it true.
//!
//! What a request names is looked up here, and only this table turns it into a file: there is no path to be joined, so there
//! is none to be escaped from. Files are opened beneath the root that they were found in, and what is known of a file holds only
//! as long as its device, inode, size and time of modification stay as they are. Nothing is ever written into a shared folder.
//!
//! A root is walked by `scan`, under the rules of `rules`; `hashing` works behind it, with `lists` and `cache` for what it
//! finds out, and `receipts` for what a download found out before it; `watch` looks again at what changes; `changes` tells an index about it.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, io};

use proto::http::listing::Child;
use proto::http::target::Target;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;
use proto::value::pieces::Pieces;

use crate::files;
use crate::notice::Observer;

mod beneath;
mod cache;
mod catalog;
mod changes;
mod file;
mod hashing;
mod lists;
mod look;
mod notice;
mod numbers;
mod publish;
mod receipts;
mod roots;
mod rules;
mod scan;
mod sums;
mod table;
mod watch;

pub use self::changes::Changes;
pub use self::file::{AtOnce, Change, KeptOpen, Opened, SharedFile};
pub use self::notice::ShareNotice;
pub use self::numbers::{ScanError, ShareError, Shared, SkipReason, Skipped};
pub use self::publish::{CacheFolder, Options, Preview, Published, preview};
pub use self::receipts::Receipts;
pub use self::roots::{Prefix, PublishError, Root};
pub use self::rules::{IGNORE_FILE, Skip, Skips};

use self::catalog::Taken;
use self::numbers::Numbers;
use self::publish::Threads;
use self::table::Table;

/// The files that are shared: texts with a number that were named by hand or by their folder, and published trees. To be kept
/// in an `Arc`; all methods that touch files block. Dropping it ends its threads, which takes as long as one block of a file.
#[derive(Default)]
pub struct ShareTable {
    numbers: Numbers,
    table: Arc<Table>,
    threads: Threads,
}

/// A numbered file, open.
#[derive(Debug)]
pub(crate) struct ToSend {
    pub(crate) file: Arc<std::fs::File>,
    pub(crate) length: u64,
    pub(crate) modified: std::time::SystemTime,
    pub(crate) name: Arc<str>,
}

/// Why a fetched file is not shared.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A published file has that name.
    #[error("another file is shared under that name")]
    SameName,
    /// The table is full.
    #[error("too many files are shared")]
    TooMany,
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes a folder to be shared, and those above it; `true` when it was not there before. Blocks.
///
/// # Errors
/// What the system said.
pub fn make_folder(path: &Path) -> io::Result<bool> {
    files::make_folders([path]).map_err(|(_, error)| error)
}

impl ShareTable {
    /// Nothing shared yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Shares folders and files with everything in them, and keeps doing so: hashing goes on behind, and changes are found.
    /// The table is usable at once. May be called again for more; the roots that come first win where names or numbers are the
    /// same. Blocks while the folders are walked.
    ///
    /// # Errors
    /// [`PublishError`] for the first root that cannot be shared; none is then.
    pub fn publish(
        &self,
        roots: &[Root],
        options: &Options,
        observer: &Arc<dyn Observer>,
    ) -> Result<Published, PublishError> {
        self.threads.publish(&self.table, roots, options, observer)
    }

    /// Shares a file that was fetched: by its hash, which is not computed again, and by its name unless something published has
    /// it. `blocks` is its block list, 32 bytes for each block, empty for a file of at most one block. Blocks.
    ///
    /// # Errors
    /// [`CopyError`]; the table is unchanged then.
    pub fn add_copy(
        &self,
        path: &Path,
        name: FileName<'_>,
        hash: Digest,
        blocks: &Arc<[u8]>,
    ) -> Result<(), CopyError> {
        let (taken, stamp) = self.table.add_copy(path, name.as_str(), hash)?;
        match taken {
            Taken::SameName => Err(CopyError::SameName),
            Taken::Full => Err(CopyError::TooMany),
            Taken::New | Taken::Known => {
                self.table.lists.keep(stamp, hash, blocks);
                Ok(())
            }
        }
    }

    /// The changes from now on. Take this first and [`Self::snapshot`] then, and nothing is missed.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::new(Arc::clone(&self.table), self.table.listen())
    }

    /// Every file that has a name, in the order of names.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SharedFile> {
        self.table.snapshot()
    }

    /// Opens the file of a name, whether it is hashed or not; asking for one that is not moves it to the front. `None` when
    /// nothing of that name is shared, or it cannot be opened. Blocks.
    #[must_use]
    pub fn open_name(&self, name: FileName<'_>) -> Option<Opened> {
        self.table.open_name(name.as_str())
    }

    /// Opens a file with this content. Blocks.
    #[must_use]
    pub fn open_hash(&self, hash: &Digest) -> Option<Opened> {
        self.table.open_hash(hash)
    }

    /// Opens the file of a number. Blocks.
    #[must_use]
    pub fn open_number(&self, number: RfcNumber) -> Option<Opened> {
        self.table.open_number(number).or_else(|| {
            let files::OpenFile { file, length, modified } = self.numbers.open(number)?;
            let name = proto::rfc_text::file_name_of(number).into();
            Some(Opened { file: Arc::new(file), size: length, modified, hash: None, sha256: None, name })
        })
    }

    /// Opens a hashed file that is as it was, if that takes no wait for a disk; `None` says nothing. Does not block.
    #[must_use]
    pub fn open_cached(&self, target: &Target) -> Option<AtOnce> {
        self.table.open_cached(target)
    }

    /// What is in a folder of names, and how much is below each folder in it; the uppermost has an empty name. `None` when nothing
    /// is shared beneath that name.
    #[must_use]
    pub fn children(&self, folder: &str) -> Option<Vec<Child>> {
        self.table.children(folder)
    }

    /// The block list of a file with this content: 32 bytes for each block, empty for a file of at most one block. `None` when
    /// there is no such file, or when the list has to be computed again, which begins with the question. Blocks.
    #[must_use]
    pub fn blocks(&self, hash: &Digest) -> Option<Arc<[u8]>> {
        self.table.blocks(hash)
    }

    /// Moves a file to the front of those that wait to be hashed; whether there is such a file and it has no hash yet.
    pub fn demand(&self, name: FileName<'_>) -> bool {
        self.table.demand(name.as_str())
    }

    /// Sees to it that the SHA-256 of a file and of its pieces is known soon: when it is, and also when it already was, the file is
    /// among the changes. Whether there is such a file.
    pub fn demand_sums(&self, name: FileName<'_>) -> bool {
        self.table.demand_sums(name.as_str())
    }

    /// The SHA-256 of a file's pieces, if they are known. Blocks.
    #[must_use]
    pub fn pieces(&self, name: &str) -> Option<Pieces> {
        self.table.pieces(name)
    }

    /// Shares each `rfcN.txt` that is a regular file of the folder itself, and tells what was skipped. Of two names for one
    /// number the first in sorted order is shared. What is in the table already stays, or is replaced number by number. Blocks.
    ///
    /// # Errors
    /// [`ScanError`] when the folder as a whole cannot be read; nothing is shared then.
    pub fn scan(&self, folder: &Path) -> Result<(Vec<Shared>, Vec<Skipped>), ScanError> {
        self.numbers.scan(folder)
    }

    /// Shares one file of a folder, whatever the case of its name. The title is tamed for the wire; without one, or with
    /// nothing left of it, the title comes from the text itself. Blocks.
    ///
    /// # Errors
    /// [`ShareError`]; the table is unchanged then.
    pub fn add_number(
        &self,
        folder: &Path,
        number: RfcNumber,
        title: Option<&str>,
    ) -> Result<Shared, ShareError> {
        self.numbers.add_number(folder, number, title)
    }

    /// Everything that has a number, by number; a published file comes before one that was named by hand.
    #[must_use]
    pub fn list(&self) -> Vec<Shared> {
        let mut all: std::collections::BTreeMap<_, _> =
            self.numbers.list().into_iter().map(|shared| (shared.number, shared)).collect();
        let catalog = self.table.read();
        for (number, name) in catalog.all_numbered() {
            if let Some(SharedFile { size, modified, title: Some(title), .. }) = catalog.shown(name) {
                let file_name = name.rsplit('/').next().unwrap_or(name).to_owned();
                all.insert(number, Shared { number, title, file_name, length: size, modified });
            }
        }
        all.into_values().collect()
    }

    /// Takes out a published file that was opened and cannot be read, so that nobody is told of it any more; whether it was there.
    /// It comes back when it was read from end to end.
    pub fn withdraw(&self, name: &str, file: &std::fs::File) -> bool {
        let stamp = file.metadata().map(|metadata| file::Stamp::of(&metadata));
        stamp.is_ok_and(|stamp| self.table.withdraw(name, stamp))
    }

    /// How many files are shared.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len() + self.table.read().len()
    }

    /// Whether nothing is shared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens the file of a number; `None` when it is not shared or no longer a readable regular file. Blocks.
    pub(crate) fn open(&self, number: RfcNumber) -> Option<ToSend> {
        let Opened { file, size, modified, name, .. } = self.open_number(number)?;
        Some(ToSend { file, length: size, modified, name })
    }
}

impl fmt::Debug for ShareTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShareTable").field("files", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for ShareTable {
    fn drop(&mut self) {
        self.threads.stop(&self.table);
    }
}

//! A shared file as others see it, and as it is known from the disk.

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::value::digest::Digest;
use proto::value::number::RfcNumber;

use super::beneath::Kept;

/// A shared file, as it is told to an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedFile {
    /// Its name, valid as a `FileName`.
    pub name: Arc<str>,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last modified.
    pub modified: SystemTime,
    /// Its BLAKE3 root; `None` while it is not hashed yet.
    pub hash: Option<Digest>,
    /// The SHA-256 of the same content, once somebody has asked for it.
    pub sha256: Option<Digest>,
    /// The RFC that it is, when it is the one that is served by that number.
    pub rfc: Option<RfcNumber>,
    /// The title of that RFC, valid for the wire.
    pub title: Option<Arc<str>>,
    /// Whether it was fetched from elsewhere, and not published here.
    pub copied: bool,
}

/// What changed about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The file is new, or something about it is; this is all that is known now.
    Put(SharedFile),
    /// Nothing has this name any more.
    Gone {
        /// The name.
        name: Arc<str>,
    },
}

/// A shared file, open for reading.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The regular file.
    pub file: Arc<File>,
    /// Its size in bytes when it was opened.
    pub size: u64,
    /// When it was last modified.
    pub modified: SystemTime,
    /// Its BLAKE3 root; `None` while it is not hashed, or when it is not the file that was hashed.
    pub hash: Option<Digest>,
    /// The SHA-256 of the same content, once somebody has asked for it.
    pub sha256: Option<Digest>,
    /// Its name.
    pub name: Arc<str>,
}

/// A shared file that was opened without a wait.
#[derive(Debug)]
pub struct AtOnce {
    /// The file.
    pub opened: Opened,
    /// Reading it never waits, also where the system cannot be asked.
    pub never_waits: bool,
    /// See [`KeptOpen`].
    pub folder: KeptOpen,
}

/// The folder of a root: as long as somebody has this, files beneath it are opened with one call.
#[derive(Debug, Clone)]
pub struct KeptOpen(#[expect(dead_code, reason = "what counts is how long it lives")] Arc<Kept>);

impl KeptOpen {
    pub(super) fn new(folder: Arc<Kept>) -> Self {
        Self(folder)
    }
}

/// What tells one content of one file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i64,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    #[allow(clippy::useless_conversion, reason = "the width of these fields depends on the system")]
    #[allow(clippy::cast_sign_loss, reason = "no regular file has a negative size")]
    pub(super) fn of_stat(stat: &rustix::fs::Stat) -> Self {
        Self {
            device: u64::from(stat.st_dev),
            inode: u64::from(stat.st_ino),
            size: stat.st_size as u64,
            modified: nanoseconds(
                i64::from(stat.st_mtime),
                i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
            ),
        }
    }

    pub(super) fn modified_at(&self) -> SystemTime {
        let distance = Duration::from_nanos(self.modified.unsigned_abs());
        let time = if self.modified < 0 {
            UNIX_EPOCH.checked_sub(distance)
        } else {
            UNIX_EPOCH.checked_add(distance)
        };
        time.unwrap_or(UNIX_EPOCH)
    }

    /// How much longer the file has to stay as it is before it counts as quiet: something that was modified just now may be
    /// modified again without its time showing it. `None` when it is quiet.
    pub(super) fn unquiet_for(&self, now: SystemTime, quiet: Duration) -> Option<Duration> {
        // A time in the future says nothing about now.
        let age = now.duration_since(self.modified_at()).ok()?;
        quiet.checked_sub(age).filter(|left| !left.is_zero())
    }
}

fn nanoseconds(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_modified_just_now_is_unquiet() {
        let quiet = Duration::from_millis(100);
        let stamp = Stamp { device: 0, inode: 0, size: 0, modified: 5_000_000_000 };
        let at = |millis| UNIX_EPOCH + Duration::from_millis(millis);
        assert_eq!(stamp.modified_at(), at(5000));
        assert_eq!(stamp.unquiet_for(at(5040), quiet), Some(Duration::from_millis(60)));
        assert_eq!(stamp.unquiet_for(at(5100), quiet), None);
        assert_eq!(stamp.unquiet_for(at(4000), quiet), None, "from the future");
        let before_1970 = Stamp { modified: -1_000_000_000, ..stamp };
        assert_eq!(before_1970.modified_at(), UNIX_EPOCH - Duration::from_secs(1));
    }
}

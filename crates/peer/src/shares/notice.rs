//! What the threads behind a table of shares tell.

/// Something happened to what is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareNotice {
    /// Everything that waited is hashed.
    Hashed {
        /// Files that got their hash.
        files: u64,
        /// Bytes that were read for it; what the cache knew was not read.
        bytes: u64,
    },
    /// Hashes are not kept on the disk; everything else goes on.
    NoCache {
        /// In words.
        why: String,
    },
    /// The kept hashes were damaged and are gathered anew.
    CacheRenewed,
    /// Not everything can be watched; changes are found by looking again from time to time.
    NotWatched {
        /// In words.
        why: String,
    },
    /// A file cannot be read, and is not shared any more.
    Unreadable {
        /// Its name.
        name: String,
        /// In words.
        why: String,
    },
}

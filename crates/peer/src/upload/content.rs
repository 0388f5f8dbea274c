//! What the upload server can hand out, whoever knows it.
//!
//! Requests name a content, a name or a number; only an implementation of [`Content`] turns that into an open file. The server
//! itself knows no path.

use std::sync::Arc;

use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;

use crate::shares::ShareTable;

pub use crate::shares::Opened;

/// Finds and opens what is shared. All methods may block: they are called where that harms nobody.
pub trait Content: Send + Sync {
    /// The file with this BLAKE3 root.
    fn by_hash(&self, digest: &Digest) -> Option<Opened>;
    /// The file of this name; one that is not hashed yet is wanted now.
    fn by_name(&self, name: FileName<'_>) -> Option<Opened>;
    /// The text of this number.
    fn by_number(&self, number: RfcNumber) -> Option<Opened>;
    /// The block list of the file with this root: 32 bytes for each block of 1 MiB, in order; empty for a file of one block.
    fn blocks(&self, digest: &Digest) -> Option<Arc<[u8]>>;
}

impl Content for ShareTable {
    fn by_hash(&self, digest: &Digest) -> Option<Opened> {
        self.open_hash(digest)
    }

    fn by_name(&self, name: FileName<'_>) -> Option<Opened> {
        self.open_name(name)
    }

    fn by_number(&self, number: RfcNumber) -> Option<Opened> {
        self.open_number(number)
    }

    fn blocks(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.blocks(digest)
    }
}

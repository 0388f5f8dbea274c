//! What the upload server can hand out, whoever knows it.
//!
//! Requests name a content, a name or a number; only an implementation of [`Content`] turns that into an open file. The server
//! itself knows no path.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use proto::http::listing::Child;
use proto::http::target::Target;
use proto::transfer::blocks::Layout;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;

use crate::offer::{Offer, end_of};
use crate::shares::ShareTable;

pub use crate::shares::{AtOnce, Opened};

/// Finds and opens what is shared. All methods but [`Self::at_once`] may block: they are called where that harms nobody.
pub trait Content: Send + Sync {
    /// The file with this BLAKE3 root.
    fn by_hash(&self, digest: &Digest) -> Option<Opened>;
    /// The file of this name; one that is not hashed yet is wanted now.
    fn by_name(&self, name: FileName<'_>) -> Option<Opened>;
    /// The text of this number.
    fn by_number(&self, number: RfcNumber) -> Option<Opened>;
    /// The block list of the file with this root: 32 bytes for each block of 1 MiB, in order; empty for a file of one block.
    fn blocks(&self, digest: &Digest) -> Option<Arc<[u8]>>;
    /// The file of a target where that can be found and opened without waiting for a disk; `None` says nothing.
    fn at_once(&self, _target: &Target) -> Option<AtOnce> {
        None
    }
    /// A file that was opened under this name cannot be read: nobody is told of it any more. Whether it was shared until now.
    fn withdraw(&self, _name: &str, _file: &File) -> bool {
        false
    }
    /// What is in a folder; `None` where there is none of that name, or where folders are not told.
    fn children(&self, _folder: &str) -> Option<Vec<Child>> {
        None
    }
    /// Whether these bytes of a file that [`Self::by_hash`] gives are there.
    fn holds(&self, _digest: &Digest, _bytes: &Range<u64>) -> bool {
        true
    }
    /// What proves the length of the file with this root; `None` also for one of at most one block.
    fn end(&self, digest: &Digest) -> Option<Vec<u8>> {
        let opened = self.by_hash(digest)?;
        end_of(&opened.file, &Layout::new(opened.size)?)
    }
    /// The download of the file with this root, while not all of it is known to be there. Does not block.
    fn offer(&self, _digest: &Digest) -> Option<Arc<Offer>> {
        None
    }
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

    fn at_once(&self, target: &Target) -> Option<AtOnce> {
        self.open_cached(target)
    }

    fn withdraw(&self, name: &str, file: &File) -> bool {
        self.withdraw(name, file)
    }

    fn children(&self, folder: &str) -> Option<Vec<Child>> {
        self.children(folder)
    }
}

//! What the upload server can hand out, whoever knows it.
//!
//! Requests name a content, a name or a number; only an implementation of [`Content`] turns that into an open file. The server
//! itself knows no path.

use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;

use crate::shares::{ShareTable, ToSend};

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

/// A shared file, open: a regular one.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The file.
    pub file: Arc<File>,
    /// Its length in bytes when it was opened.
    pub size: u64,
    /// When it was last modified, when it was opened.
    pub modified: SystemTime,
    /// Its BLAKE3 root, where that is known of this very state.
    pub hash: Option<Digest>,
    /// Its name, as in [`FileName`].
    pub name: Arc<str>,
}

impl Content for ShareTable {
    fn by_hash(&self, _: &Digest) -> Option<Opened> {
        None
    }

    fn by_name(&self, _: FileName<'_>) -> Option<Opened> {
        None
    }

    fn by_number(&self, number: RfcNumber) -> Option<Opened> {
        let ToSend { file, length, modified } = self.open(number)?;
        let name = proto::rfc_text::file_name_of(number).into();
        Some(Opened { file: Arc::new(file), size: length, modified, hash: None, name })
    }

    fn blocks(&self, _: &Digest) -> Option<Arc<[u8]>> {
        None
    }
}

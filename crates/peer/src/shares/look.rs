//! What is shared, for whoever only looks: nothing is opened here.

use std::sync::Arc;

use proto::value::digest::Digest;
use proto::wire::v11::request::Target;

use super::{ShareTable, SharedFile};

impl ShareTable {
    /// Files in the order of names: at most `limit` of those that begin so, from the first or from after a name.
    #[must_use]
    pub fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<SharedFile> {
        self.table.read().page(prefix, after, limit)
    }

    /// What is known of one file; by its name, its number or its content.
    #[must_use]
    pub fn about(&self, target: &Target) -> Option<SharedFile> {
        let catalog = self.table.read();
        match target {
            Target::File(name) => catalog.shown(name),
            Target::Rfc(number) => catalog.shown(catalog.numbered(*number)?),
            Target::Hash(hash) => catalog.shown(catalog.first_named(hash)?),
        }
    }

    /// A name of a content.
    #[must_use]
    pub fn name_of(&self, hash: &Digest) -> Option<Arc<str>> {
        self.table.read().first_named(hash).cloned()
    }

    /// Another number than before whenever something about a file is.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.table.read().revision()
    }
}

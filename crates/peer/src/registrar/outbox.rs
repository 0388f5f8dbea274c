//! What the index has still to be told, as a value: the last word about each name, cut into batches.
//!
//! However often a file changes while the index is slow or away, it is in here once.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::limits::BATCH_BYTES;
use proto::value::pieces::Pieces;
use proto::wire::v11::body::{FileLine, NameLine, PiecesLine, write_line};

use crate::shares::{Change, SharedFile};

/// Names that the index has still to be told about.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<Arc<str>, Option<SharedFile>>,
    /// Files whose pieces go with the next line about them.
    pieces: BTreeMap<Arc<str>, Pieces>,
}

/// A body for the index.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// `ADD FILES`, of this many lines.
    Add(Vec<u8>, usize),
    /// `REMOVE FILES`.
    Remove(Vec<u8>),
}

impl Outbox {
    /// A new connection: the index knows nothing, so everything is to be told and nothing to be taken back.
    pub(super) fn begin(&mut self, everything: Vec<SharedFile>) {
        self.pieces.clear();
        self.waiting = everything.into_iter().map(|file| (Arc::clone(&file.name), Some(file))).collect();
    }

    /// The next line about a file has these.
    pub(super) fn add_pieces(&mut self, name: Arc<str>, pieces: Pieces) {
        self.pieces.insert(name, pieces);
    }

    /// Something changed.
    pub(super) fn note(&mut self, change: Change) {
        match change {
            Change::Put(file) => self.waiting.insert(Arc::clone(&file.name), Some(file)),
            Change::Gone { name } => self.waiting.insert(name, None),
        };
    }

    /// The next body, of one kind and at most [`BATCH_BYTES`] and one line; `None` when everything was told.
    pub(super) fn next(&mut self) -> Option<Batch> {
        let removing = self.waiting.first_key_value()?.1.is_none();
        let (mut body, mut count) = (Vec::new(), 0);
        while let Some(entry) = self.waiting.first_entry() {
            if entry.get().is_none() != removing || body.len() >= BATCH_BYTES {
                break;
            }
            match entry.remove_entry() {
                (name, Some(file)) => write_line(&line(&file, self.pieces.remove(&name).as_ref()), &mut body),
                (name, None) => write_line(&NameLine { name: (*name).into() }, &mut body),
            }
            count += 1;
        }
        Some(if removing { Batch::Remove(body) } else { Batch::Add(body, count) })
    }
}

fn line<'a>(file: &'a SharedFile, pieces: Option<&Pieces>) -> FileLine<'a> {
    FileLine {
        name: (*file.name).into(),
        size: file.size,
        modified: seconds(file.modified),
        hash: file.hash,
        rfc: file.rfc.map(proto::value::number::RfcNumber::get),
        title: file.title.as_deref().map(Into::into),
        copied: file.copied,
        partial: false,
        sha256: file.sha256,
        pieces: pieces.map(PiecesLine::from),
    }
}

/// Whole seconds since 1970, before it as negative numbers.
fn seconds(time: std::time::SystemTime) -> i64 {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(std::time::SystemTime::UNIX_EPOCH) {
        Ok(since) => signed(since.as_secs()),
        Err(before) => -signed(before.duration().as_secs()),
    }
}

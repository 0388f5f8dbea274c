//! Small files on their way to the disk, on a thread of its own: verified and written, then handed on to those that wait for the
//! disk together.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::limits::{BLOCKS_HELD, SMALL_FILES_BATCH};
use proto::transfer::blocks::BLOCK_BYTES;
use proto::value::digest::Digest;
use proto::value::host::PeerAddr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::Job;
use super::names::{Names, Together, Written};
use super::round::{Tell, Told};
use crate::fetch::{FetchError, Outcome, Request};
use crate::files::{Folder, OPEN_FILES};
use crate::landing::{Landing, LandingError};

/// Bytes for which one permit of [`Room`] stands. An empty file takes one too.
const ROOM_UNIT: usize = 1024;

/// What became of a file that came.
#[derive(Debug)]
pub(super) enum Stored {
    /// It has its name, and is this long.
    Done(u64, Outcome),
    /// It is not what it should be.
    Wrong,
    /// The fault is ours.
    Failed(FetchError),
}

/// A file that came and was not looked at yet.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) job: Job,
    pub(super) bytes: Vec<u8>,
}

/// The thread. It ends when this and all that it handed out are dropped.
pub(super) struct Batcher {
    room: Room,
    store: Store,
}

/// Room in memory for files that came and are not written yet.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// Where files that came are handed in.
#[derive(Debug, Clone)]
pub(super) struct Store(UnboundedSender<Message>);

#[derive(Debug)]
enum Message {
    /// Several at once: a hand-over to another thread costs more than a small file.
    Files { peer: PeerAddr, files: Vec<Came>, _room: Option<OwnedSemaphorePermit> },
    /// Nothing came for a while, or will.
    Flush,
}

impl Room {
    /// Room that is there now.
    pub(super) fn try_take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(units(bytes)).ok()
    }

    pub(super) async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let permits = Arc::clone(&self.0).acquire_many_owned(units(bytes));
        permits.await.expect("the semaphore is never closed")
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(ROOM_UNIT).max(1)).unwrap_or(u32::MAX)
}

impl Store {
    pub(super) fn store(&self, peer: PeerAddr, files: Vec<Came>, room: Option<OwnedSemaphorePermit>) {
        // The thread takes until nobody can send any more.
        let _ = self.0.send(Message::Files { peer, files, _room: room });
    }
}

impl Batcher {
    pub(super) fn start(tell: Tell) -> Self {
        let (store, messages) = unbounded_channel();
        spawn_blocking(move || Writer::new(tell).run(messages));
        let units = BLOCKS_HELD * (usize::try_from(BLOCK_BYTES).unwrap_or(0) / ROOM_UNIT);
        Self { room: Room(Arc::new(Semaphore::new(units))), store: Store(store) }
    }

    pub(super) fn room(&self) -> Room {
        self.room.clone()
    }

    pub(super) fn store(&self) -> Store {
        self.store.clone()
    }

    /// Files that came get their names now, although they are few.
    pub(super) fn flush(&self) {
        let _ = self.store.0.send(Message::Flush);
    }
}

/// Verifies and writes.
struct Writer {
    tell: Tell,
    names: Names,
    /// A file needs no name before its own: the system can link what has none.
    links_nameless: bool,
    together: Together,
    folders: HashMap<PathBuf, Folder>,
}

impl Writer {
    fn new(tell: Tell) -> Self {
        Self {
            names: Names::start(tell.clone()),
            tell,
            links_nameless: Path::new(OPEN_FILES).exists(),
            together: Together::default(),
            folders: HashMap::new(),
        }
    }

    fn run(mut self, mut messages: UnboundedReceiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::Files { peer, files, .. } => self.take_all(&peer, files),
                Message::Flush => self.hand_on(),
            }
        }
        self.hand_on();
    }

    fn take_all(&mut self, peer: &PeerAddr, files: Vec<Came>) {
        let mut told = Vec::new();
        for Came { job, bytes } in files {
            match self.take(&job, &bytes) {
                Ok((landing, file)) => {
                    let (peer, bytes) = (peer.clone(), bytes.len() as u64);
                    self.together.written.push(Written { job, peer, bytes, landing, file });
                }
                Err(stored) => told.push((job, peer.clone(), stored)),
            }
            if self.together.written.len() >= SMALL_FILES_BATCH {
                self.hand_on();
            }
        }
        if !told.is_empty() {
            // Fails only when the download was given up.
            let _ = self.tell.send(Told::Stored(told));
        }
    }

    fn take(&mut self, job: &Job, bytes: &[u8]) -> Result<(Landing, File), Stored> {
        if !is_content(job.request.hash, bytes) {
            return Err(Stored::Wrong);
        }
        let failed = |error| Stored::Failed(FetchError::landing(&job.request.target, error));
        self.write(&job.request, bytes).map_err(failed)
    }

    fn write(&mut self, request: &Request, bytes: &[u8]) -> Result<(Landing, File), LandingError> {
        let path = &request.target;
        let folder = self.folder(path.parent().unwrap_or(Path::new(".")))?;
        let nameless = match self.links_nameless && !request.force {
            true => Landing::nameless(folder.clone(), path)?,
            false => None,
        };
        let (landing, file) = match nameless {
            Some(nameless) => nameless,
            None => {
                let (landing, part) = Landing::open_in(folder, path, request.force)?;
                part.set_len(0)?;
                (landing, part)
            }
        };
        file.write_all_at(bytes, 0)?;
        Ok((landing, file))
    }

    fn folder(&mut self, path: &Path) -> Result<Folder, LandingError> {
        if let Some(open) = self.folders.get(path) {
            return Ok(open.clone());
        }
        let open = Folder::open(path)?;
        self.folders.insert(path.into(), open.clone());
        Ok(open)
    }

    fn hand_on(&mut self) {
        let mut together = std::mem::take(&mut self.together);
        together.folders = self.folders.drain().map(|(_, folder)| folder).collect();
        if !together.written.is_empty() {
            self.names.give(together);
        }
    }
}

/// Whether these bytes, at most a block, are the file of this hash.
fn is_content(hash: Digest, bytes: &[u8]) -> bool {
    bytes.len() as u64 <= BLOCK_BYTES && *blake3::hash(bytes).as_bytes() == hash.0
}

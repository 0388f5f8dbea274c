//! Small files on their way to the disk, on a thread of its own: verified, written under their part names, then many of them
//! wait for the disk together and get their names.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proto::limits::{BLOCKS_HELD, SMALL_FILES_BATCH};
use proto::transfer::blocks::{BLOCK_BYTES, BlockList, Layout};
use proto::value::digest::Digest;
use proto::value::host::PeerAddr;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::Job;
use super::round::{Tell, Told};
use crate::fetch::partial::hash_of;
use crate::fetch::{FetchError, Outcome, Request};
use crate::files::{self, Folder};
use crate::landing::{Landing, LandingError, Settled};

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
    File {
        job: Job,
        peer: PeerAddr,
        bytes: Vec<u8>,
        _room: OwnedSemaphorePermit,
    },
    /// Nothing came for a while, or will.
    Flush,
}

impl Room {
    pub(super) async fn take(&self, bytes: usize) -> OwnedSemaphorePermit {
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT).max(1)).unwrap_or(u32::MAX);
        let permits = Arc::clone(&self.0).acquire_many_owned(units);
        permits.await.expect("the semaphore is never closed")
    }
}

impl Store {
    pub(super) fn store(&self, job: Job, peer: PeerAddr, bytes: Vec<u8>, room: OwnedSemaphorePermit) {
        // The thread takes until nobody can send any more.
        let _ = self.0.send(Message::File { job, peer, bytes, _room: room });
    }
}

impl Batcher {
    pub(super) fn start(tell: Tell) -> Self {
        let (store, messages) = unbounded_channel();
        let batch = Batch { tell, folders: HashMap::new(), written: Vec::new() };
        spawn_blocking(move || batch.run(messages));
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

/// Files that wait for the disk together.
struct Batch {
    tell: Tell,
    folders: HashMap<PathBuf, Folder>,
    written: Vec<Written>,
}

/// A file under its part name.
struct Written {
    job: Job,
    peer: PeerAddr,
    bytes: u64,
    landing: Landing,
    part: File,
}

impl Batch {
    fn run(mut self, mut messages: UnboundedReceiver<Message>) {
        while let Some(message) = messages.blocking_recv() {
            match message {
                Message::File { job, peer, bytes, .. } => self.take(job, peer, &bytes),
                Message::Flush => self.finish(),
            }
            if self.written.len() >= SMALL_FILES_BATCH {
                self.finish();
            }
        }
        self.finish();
    }

    fn take(&mut self, job: Job, peer: PeerAddr, bytes: &[u8]) {
        if !is_content(job.request.hash, bytes) {
            return self.say(job, peer, Stored::Wrong);
        }
        match self.write(&job.request, bytes) {
            Ok((landing, part)) => {
                self.written.push(Written { job, peer, bytes: bytes.len() as u64, landing, part });
            }
            Err(error) => {
                let failed = Stored::Failed(FetchError::landing(&job.request.target, error));
                self.say(job, peer, failed);
            }
        }
    }

    fn write(&mut self, request: &Request, bytes: &[u8]) -> Result<(Landing, File), LandingError> {
        let path = &request.target;
        let folder = path.parent().unwrap_or(Path::new("."));
        let open = match self.folders.get(folder) {
            Some(open) => open.clone(),
            None => {
                let open = Folder::open(folder)?;
                self.folders.insert(folder.into(), open.clone());
                open
            }
        };
        let (landing, part) = Landing::open_in(open, path, request.force)?;
        part.set_len(0)?;
        part.write_all_at(bytes, 0)?;
        Ok((landing, part))
    }

    /// One wait for the disk, the names, and one wait for each folder.
    fn finish(&mut self) {
        let written = std::mem::take(&mut self.written);
        let folders = std::mem::take(&mut self.folders);
        if let Err(error) = files::sync_all(written.iter().map(|one| &one.part)) {
            return self.fail(written, &error);
        }
        let mut settled = Vec::new();
        for mut one in written {
            match one.landing.settle(&one.part) {
                Ok(how) => settled.push((one, how)),
                Err(error) => {
                    let failed = Stored::Failed(FetchError::landing(&one.job.request.target, error));
                    self.say(one.job, one.peer, failed);
                }
            }
        }
        if let Err(error) = folders.values().try_for_each(Folder::sync) {
            return self.fail(settled.into_iter().map(|(one, _)| one).collect(), &error);
        }
        for (one, how) in settled {
            let outcome = match how {
                Settled::New => Outcome::Saved,
                Settled::Same => Outcome::AlreadyHere,
            };
            self.say(one.job, one.peer, Stored::Done(one.bytes, outcome));
        }
    }

    fn fail(&self, written: Vec<Written>, error: &io::Error) {
        for Written { job, peer, .. } in written {
            let failed = Stored::Failed(FetchError::disk(&job.request.target, again(error)));
            self.say(job, peer, failed);
        }
    }

    fn say(&self, job: Job, peer: PeerAddr, stored: Stored) {
        // Fails only when the download was given up.
        let _ = self.tell.send(Told::Stored(job, peer, stored));
    }
}

/// The same error for another file.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

/// Whether these bytes are the file of this hash.
fn is_content(hash: Digest, bytes: &[u8]) -> bool {
    let list = Layout::new(bytes.len() as u64).and_then(|layout| BlockList::check(hash, layout, b"").ok());
    list.is_some_and(|list| bytes.is_empty() || list.verify(0, bytes))
}

/// Whether the content is there already; then its length in bytes. Blocks.
pub(super) fn look(request: &Request) -> Result<Option<u64>, FetchError> {
    let path = &request.target;
    let disk = |source| FetchError::disk(path, source);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // That there is no folder shows when the file is written.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(disk(error)),
    };
    if !metadata.is_file() {
        return Err(FetchError::NotAFile { path: path.clone() });
    }
    match File::open(path).and_then(|file| hash_of(&file)).map_err(disk)? == request.hash {
        true => Ok(Some(metadata.len())),
        false if request.force => Ok(None),
        false => Err(FetchError::Exists { path: path.clone() }),
    }
}

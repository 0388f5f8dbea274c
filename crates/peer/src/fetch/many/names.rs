//! Many files wait for the disk together and get their names, on a thread of its own: the next ones are written meanwhile.

use std::fs::File;
use std::io;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};

use proto::value::host::PeerAddr;
use tokio::task::spawn_blocking;

use super::Job;
use super::batch::Stored;
use super::round::{Tell, Told};
use crate::fetch::{FetchError, Outcome};
use crate::files::{self, Folder};
use crate::landing::{Landing, Settled};

/// A file that is written.
pub(super) struct Written {
    pub(super) job: Job,
    pub(super) peer: PeerAddr,
    pub(super) bytes: u64,
    pub(super) landing: Landing,
    pub(super) file: File,
}

/// Files that wait for the disk together, and the folders in which they get their names.
#[derive(Default)]
pub(super) struct Together {
    pub(super) written: Vec<Written>,
    pub(super) folders: Vec<Folder>,
}

/// The thread. It ends when this is dropped.
pub(super) struct Names {
    together: SyncSender<Together>,
    tell: Tell,
}

impl Names {
    pub(super) fn start(tell: Tell) -> Self {
        // Without a queue: each file that waits holds a descriptor.
        let (together, waiting) = sync_channel(0);
        let names = Self { together, tell: tell.clone() };
        spawn_blocking(move || run(&waiting, &tell));
        names
    }

    /// Hands files over as soon as those before them have their names.
    pub(super) fn give(&self, together: Together) {
        if let Err(SendError(together)) = self.together.send(together) {
            // The thread is gone although we are here: the runtime goes down.
            finish(together, &self.tell);
        }
    }
}

fn run(waiting: &Receiver<Together>, tell: &Tell) {
    for together in waiting {
        finish(together, tell);
    }
}

/// One wait for the disk, the names, and one wait for each folder.
fn finish(Together { written, folders }: Together, tell: &Tell) {
    let mut told = Vec::with_capacity(written.len());
    if let Err(error) = files::sync_all(written.iter().map(|one| &one.file)) {
        told.extend(written.into_iter().map(|one| failed(one, &error)));
    } else {
        let mut settled = Vec::with_capacity(written.len());
        for mut one in written {
            match one.landing.settle(&one.file) {
                Ok(how) => settled.push((one, how)),
                Err(error) => {
                    let failed = Stored::Failed(FetchError::landing(&one.job.request.target, error));
                    told.push((one.job, one.peer, failed));
                }
            }
        }
        match files::sync_folders(folders.iter()) {
            Ok(()) => told.extend(settled.into_iter().map(|(one, how)| done(one, how))),
            Err(error) => told.extend(settled.into_iter().map(|(one, _)| failed(one, &error))),
        }
    }
    // Fails only when the download was given up.
    let _ = tell.send(Told::Stored(told));
}

fn done(one: Written, how: Settled) -> (Job, PeerAddr, Stored) {
    let outcome = match how {
        Settled::New => Outcome::Saved,
        Settled::Same => Outcome::AlreadyHere,
    };
    (one.job, one.peer, Stored::Done(one.bytes, outcome))
}

fn failed(one: Written, error: &io::Error) -> (Job, PeerAddr, Stored) {
    let error = FetchError::disk(&one.job.request.target, again(error));
    (one.job, one.peer, Stored::Failed(error))
}

/// The same error for another file.
pub(super) fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

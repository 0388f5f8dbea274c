//! One connection that brings small files: requests go out many at once, and their answers come in the same order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::limits::SMALL_FILES_IN_FLIGHT;
use proto::transfer::blocks::BLOCK_BYTES;
use proto::value::host::PeerAddr;
use tokio::sync::OwnedSemaphorePermit;

use super::Job;
use super::batch::{Came, Room, Store};
use super::round::{Tell, Told};
use crate::fetch::talk::{Meter, Talk};
use crate::fetch::{SourceFault, http};

/// Bytes read at once: many answers.
const READ_AHEAD: usize = 128 * 1024;
/// Bytes of files that are handed on to the disk together.
const TOGETHER: usize = 256 * 1024;

/// A connection and the files that it is to bring.
pub(super) struct Connection {
    peer: PeerAddr,
    /// Files that were asked for, in order; then those that were not.
    jobs: VecDeque<Job>,
    /// How many were asked for on this connection.
    sent: usize,
    room: Room,
    store: Store,
    /// What came and was not handed on to the disk yet, its bytes in all, and the room that it takes.
    came: Vec<Came>,
    came_bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
    tell: Tell,
    banned: Arc<AtomicBool>,
    /// Whether this connection brought anything, so that another one is worth a try.
    fruitful: bool,
}

/// Each hand-over tells what came: a message for each small file would cost more than the file.
impl Meter for () {
    fn came(&mut self, _: u64) {}
}

impl Connection {
    pub(super) fn new(
        peer: PeerAddr,
        jobs: Vec<Job>,
        batcher: &super::batch::Batcher,
        tell: &Tell,
        banned: &Arc<AtomicBool>,
    ) -> Self {
        Self {
            peer,
            jobs: jobs.into(),
            sent: 0,
            room: batcher.room(),
            store: batcher.store(),
            came: Vec::new(),
            came_bytes: 0,
            permit: None,
            tell: tell.clone(),
            banned: Arc::clone(banned),
            fruitful: false,
        }
    }

    /// Brings all the files, or tells which are missing.
    pub(super) async fn run(mut self) {
        loop {
            let ended = self.converse().await;
            self.hand_on();
            match ended {
                Ok(()) => return,
                // Some servers close after a number of requests.
                Err(SourceFault::Closed) if self.fruitful => {}
                Err(fault) => {
                    let missing = self.jobs.drain(..).collect();
                    self.say(Told::Left(missing, self.peer.clone(), fault));
                    return;
                }
            }
        }
    }

    async fn converse(&mut self) -> Result<(), SourceFault> {
        let Some(first) = self.jobs.front() else { return Ok(()) };
        let (timing, limit) = (first.request.timing, first.request.limit.clone());
        (self.sent, self.fruitful) = (0, false);
        let mut talk = Talk::connect(&self.peer, &timing, &limit, ()).await?;
        talk.read_ahead(READ_AHEAD);
        self.say(Told::Joined(self.peer.clone()));
        while !self.jobs.is_empty() {
            if self.banned.load(Ordering::Relaxed) {
                return Err(SourceFault::WrongBlock { block: 0 });
            }
            self.ask(&mut talk).await?;
            self.receive(&mut talk).await?;
        }
        Ok(())
    }

    /// Keeps many requests on their way; sends them some at a time, not one by one.
    async fn ask(&mut self, talk: &mut Talk<()>) -> Result<(), SourceFault> {
        if self.sent > SMALL_FILES_IN_FLIGHT / 2 {
            return Ok(());
        }
        let mut requests = Vec::new();
        for job in self.jobs.iter().take(SMALL_FILES_IN_FLIGHT).skip(self.sent) {
            // The same peer, with the ticket for this content.
            let peer = job.request.sources.iter().find(|source| **source == self.peer);
            let peer = peer.unwrap_or(&self.peer);
            http::write_request("GET", job.request.hash, "", None, peer, &mut requests);
        }
        self.sent = self.jobs.len().min(SMALL_FILES_IN_FLIGHT);
        talk.send(&requests).await
    }

    async fn receive(&mut self, talk: &mut Talk<()>) -> Result<(), SourceFault> {
        if talk.carried().is_empty() {
            // Nobody knows when more will come.
            self.hand_on();
        }
        let head = talk.head().await?;
        let refused = match http::whole(&head) {
            Ok(length) if length <= BLOCK_BYTES => {
                let length = usize::try_from(length).unwrap_or(0);
                self.take_room(length).await;
                let mut bytes = vec![0; length];
                talk.fill(&mut bytes).await?;
                if let Some(job) = self.received() {
                    self.came.push(Came { job, bytes });
                    self.came_bytes += length;
                }
                if self.came_bytes >= TOGETHER {
                    self.hand_on();
                }
                return Ok(());
            }
            Ok(said) => SourceFault::OtherSize { said },
            Err(fault) => fault,
        };
        if let Some(job) = self.received() {
            self.say(Told::Refused(job, self.peer.clone(), refused));
        }
        // A body that is too long to be skipped ends the connection, not the source.
        match talk.skip(head.length).await? {
            true => Ok(()),
            false => Err(SourceFault::Closed),
        }
    }

    async fn take_room(&mut self, length: usize) {
        let room = match self.room.try_take(length) {
            Some(room) => room,
            None => {
                // What we hold ourselves must not be what we wait for.
                self.hand_on();
                self.room.take(length).await
            }
        };
        match &mut self.permit {
            Some(permit) => permit.merge(room),
            None => self.permit = Some(room),
        }
    }

    /// Hands what came on to the disk.
    fn hand_on(&mut self) {
        let permit = self.permit.take();
        if !self.came.is_empty() {
            self.say(Told::Bytes(self.peer.clone(), self.came_bytes as u64));
            self.store.store(self.peer.clone(), std::mem::take(&mut self.came), permit);
            self.came_bytes = 0;
        }
    }

    /// The first of the files has its answer.
    fn received(&mut self) -> Option<Job> {
        self.sent = self.sent.saturating_sub(1);
        self.fruitful = true;
        self.jobs.pop_front()
    }

    fn say(&self, told: Told) {
        // Fails only when the download was given up.
        let _ = self.tell.send(told);
    }
}

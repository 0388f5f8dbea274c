//! Verifies blocks and writes them, on a thread of its own: hashing and receiving go on at once.

use std::io;
use std::sync::Arc;

use net::blocking::spawn_worker;
use proto::transfer::blocks::BlockList;
use proto::transfer::plan::SourceId;
use proto::transfer::runs::Runs;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::buffers::{Buffer, Buffers};
use super::in_place::InPlace;
use super::partial::Open;

/// What became of a block.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It verified and is written, now or before.
    Verified(SourceId, u32),
    /// It is not what it should be.
    Wrong(SourceId, u32),
    /// It could not be written, and nothing further is.
    Disk(io::Error),
}

/// A block from a source.
pub(super) type Arrived = (SourceId, u32, Buffer);

/// The writing end of a transfer. Its channels hold what the buffers allow, and so need no bound of their own.
pub(super) struct Writer {
    pub(super) arrived: UnboundedSender<Arrived>,
    pub(super) verdicts: UnboundedReceiver<Verdict>,
    thread: JoinHandle<Option<Open>>,
}

impl Writer {
    /// Goes on after the blocks that are there. Ends by itself when this is dropped, after at most a few blocks.
    pub(super) fn start(open: Open, list: Arc<BlockList>, there: Runs, buffers: &Buffers) -> Self {
        let (arrived, blocks) = unbounded_channel();
        let (told, verdicts) = unbounded_channel();
        let in_place = open.in_place(&there);
        if let Some(places) = &in_place {
            buffers.go_in_place(places.clone());
        }
        let work = Work { open, list, there, in_place, told };
        Self { arrived, verdicts, thread: spawn_worker(work.run(blocks)) }
    }

    /// Waits for the last block; `None` when there never was one.
    pub(super) async fn end(self) -> Option<Open> {
        let Self { arrived, verdicts, thread } = self;
        drop((arrived, verdicts));
        match thread.await {
            Ok(open) => open,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime goes down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

struct Work {
    open: Open,
    list: Arc<BlockList>,
    there: Runs,
    in_place: Option<InPlace>,
    told: UnboundedSender<Verdict>,
}

impl Work {
    async fn run(mut self, mut blocks: UnboundedReceiver<Arrived>) -> Option<Open> {
        while let Some((source, block, mut buffer)) = blocks.recv().await {
            let verdict = match self.take(block, &mut buffer) {
                Ok(true) => Verdict::Verified(source, block),
                Ok(false) => Verdict::Wrong(source, block),
                Err(error) => Verdict::Disk(error),
            };
            let failed = matches!(verdict, Verdict::Disk(_));
            // Nobody listens any more: what comes after this block is not wanted.
            if self.told.send(verdict).is_err() || failed {
                break;
            }
        }
        self.close();
        if self.there.is_empty() && !self.is_whole() {
            self.open.discard();
            return None;
        }
        Some(self.open)
    }

    /// Whether the block is what it should be; then it is there, now or since before.
    fn take(&mut self, block: u32, buffer: &mut Buffer) -> io::Result<bool> {
        if let Some(error) = buffer.failure() {
            return Err(error);
        }
        match buffer.claim() {
            Some(_) => self.look_at(block),
            None => self.write(block, buffer.bytes()),
        }
    }

    /// It lies in the part already, unless another source's copy was faster.
    fn look_at(&mut self, block: u32) -> io::Result<bool> {
        if self.there.contains(block) {
            return Ok(true);
        }
        if !self.open.holds(block, &self.list)? {
            return Ok(false);
        }
        self.settle(block);
        self.open.note(block)?;
        self.there.insert(block);
        Ok(true)
    }

    fn write(&mut self, block: u32, bytes: &[u8]) -> io::Result<bool> {
        if !self.list.verify(block, bytes) {
            return Ok(false);
        }
        // Two sources may have been asked for it.
        if !self.there.contains(block) {
            self.settle(block);
            self.open.put(block, bytes)?;
            self.there.insert(block);
        }
        Ok(true)
    }

    fn settle(&self, block: u32) {
        if let Some(places) = &self.in_place {
            places.settle(block);
        }
    }

    /// After this the part does not change any more, so that its last change is the one that is noted.
    fn close(&mut self) {
        let Some(places) = &self.in_place else { return };
        places.close();
        if let Some(block) = self.there.iter().next().filter(|_| !self.is_whole()) {
            // What is not noted is only hashed again.
            let _ = self.open.note(block);
        }
    }

    fn is_whole(&self) -> bool {
        self.there.count() == self.list.layout().blocks()
    }
}

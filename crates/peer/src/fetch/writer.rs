//! Verifies blocks and writes them, on a thread of its own: hashing and receiving go on at once.

use std::io;
use std::sync::Arc;

use proto::transfer::blocks::BlockList;
use proto::transfer::plan::SourceId;
use proto::transfer::runs::Runs;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{JoinHandle, spawn_blocking};

use super::buffers::Buffer;
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
    pub(super) fn start(open: Open, list: Arc<BlockList>, there: Runs) -> Self {
        let (arrived, blocks) = unbounded_channel();
        let (told, verdicts) = unbounded_channel();
        let work = Work { open, list, there, told };
        Self { arrived, verdicts, thread: spawn_blocking(|| work.run(blocks)) }
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
    told: UnboundedSender<Verdict>,
}

impl Work {
    fn run(mut self, mut blocks: UnboundedReceiver<Arrived>) -> Option<Open> {
        while let Some((source, block, buffer)) = blocks.blocking_recv() {
            let verdict = self.take(source, block, buffer.bytes());
            let failed = matches!(verdict, Verdict::Disk(_));
            // Nobody listens any more: what comes after this block is not wanted.
            if self.told.send(verdict).is_err() || failed {
                break;
            }
        }
        if self.there.is_empty() && self.list.layout().blocks() > 0 {
            self.open.discard();
            return None;
        }
        Some(self.open)
    }

    fn take(&mut self, source: SourceId, block: u32, bytes: &[u8]) -> Verdict {
        if !self.list.verify(block, bytes) {
            return Verdict::Wrong(source, block);
        }
        // Two sources may have been asked for it.
        if !self.there.contains(block) {
            if let Err(error) = self.open.put(block, bytes) {
                return Verdict::Disk(error);
            }
            self.there.insert(block);
        }
        Verdict::Verified(source, block)
    }
}

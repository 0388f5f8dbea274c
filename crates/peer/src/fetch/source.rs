//! One source of a transfer: a task that asks for what the transfer wants and hands on what comes.

use std::collections::VecDeque;
use std::ops::Range;

use proto::transfer::blocks::Layout;
use proto::transfer::end::END_BYTES_MAX;
use proto::transfer::have::Have;
use proto::transfer::plan::SourceId;
use proto::value::digest::Digest;
use proto::value::host::PeerAddr;
use tokio::sync::mpsc::{Receiver, Sender};

use super::buffers::{Buffer, Buffers};
use super::talk::{Meter, Talk};
use super::{SourceFault, http};
use crate::download::Timing;
use crate::limit::RateLimit;

/// Bytes of a block list taken at once: what a source announces is only a claim.
const LIST_READ: u64 = 64 * 1024;

/// What the transfer wants of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// The block list, and what proves the size with it; of a size that is proven the list alone.
    Proof { layout: Layout, is_proven: bool },
    /// A run of blocks.
    Blocks(Layout, Range<u32>),
}

/// What a source tells.
#[derive(Debug)]
pub(super) enum Told {
    /// It has the file, of this many bytes as it says.
    Size(SourceId, u64),
    /// What it was asked to prove its size with. An empty file needs no block for that, nor does a size that is proven.
    Proof(SourceId, Proof),
    /// Bytes came.
    Bytes(SourceId, u64),
    /// It has a part, and told what that is, or what is new.
    Have(SourceId, Have),
    /// It has others to serve first, and this is our place.
    Waiting(SourceId, u32),
    /// A block came whole.
    Block(SourceId, u32, Buffer),
    /// It is gone.
    Gone(SourceId, SourceFault),
}

/// What is to prove a size.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) layout: Layout,
    pub(super) list: Vec<u8>,
    pub(super) last: Option<Buffer>,
    /// Instead of the last block: see [`proto::transfer::end`].
    pub(super) end: Option<Vec<u8>>,
}

/// What every source of a transfer is given.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub(super) hash: Digest,
    pub(super) timing: Timing,
    pub(super) limit: RateLimit,
    pub(super) buffers: Buffers,
    /// Where many begin at once, nobody asks for a block only to prove the size.
    pub(super) is_swarm: bool,
    pub(super) told: Sender<Told>,
}

/// An answer that is to come.
#[derive(Debug, Clone)]
enum Expected {
    Size,
    List { layout: Layout, is_proven: bool },
    End(Layout),
    LastBlock(Layout),
    Blocks(Layout, Range<u32>),
}

/// Why a conversation ends.
enum End {
    Fault(SourceFault),
    /// Nobody wants anything any more.
    Unwanted,
}

impl From<SourceFault> for End {
    fn from(fault: SourceFault) -> Self {
        Self::Fault(fault)
    }
}

struct Source {
    id: SourceId,
    peer: PeerAddr,
    common: Common,
    wishes: Receiver<Wish>,
    /// In the order in which the answers come.
    expected: VecDeque<Expected>,
    /// How many of these were asked for on this connection.
    sent: usize,
    /// The block list, until the last block is there too.
    list: Vec<u8>,
    /// Whether this connection brought anything, so that another one is worth a try.
    fruitful: bool,
}

/// Tells the transfer that bytes came.
struct Teller {
    id: SourceId,
    told: Sender<Told>,
    untold: u64,
}

impl Meter for Teller {
    fn came(&mut self, bytes: u64) {
        self.untold += bytes;
        // Where the transfer is busy, it hears of them the next time.
        if self.told.try_send(Told::Bytes(self.id, self.untold)).is_ok() {
            self.untold = 0;
        }
    }

    fn waits(&mut self, place: u32) {
        // Where the transfer is busy, it hears of the next place.
        let _ = self.told.try_send(Told::Waiting(self.id, place));
    }
}

/// Serves the wishes of a transfer until it has none, or the source fails. One that has only a part is not asked for the size: it
/// tells that by itself.
pub(super) async fn run(
    id: SourceId,
    peer: PeerAddr,
    is_partial: bool,
    common: Common,
    wishes: Receiver<Wish>,
) {
    let expected = if is_partial { VecDeque::new() } else { VecDeque::from([Expected::Size]) };
    let (sent, list, fruitful) = (0, Vec::new(), false);
    let mut source = Source { id, peer, common, wishes, expected, sent, list, fruitful };
    loop {
        match source.converse().await {
            // Some servers close after a number of requests.
            End::Fault(SourceFault::Closed) if source.fruitful => {}
            End::Fault(fault) => {
                // Fails only when the transfer is over.
                let _ = source.common.told.send(Told::Gone(id, fault)).await;
                return;
            }
            End::Unwanted => return,
        }
    }
}

impl Source {
    /// One connection.
    async fn converse(&mut self) -> End {
        (self.sent, self.fruitful) = (0, false);
        let meter = Teller { id: self.id, told: self.common.told.clone(), untold: 0 };
        let mut talk = match Talk::connect(&self.peer, &self.common.timing, &self.common.limit, meter).await {
            Ok(talk) => talk,
            Err(fault) => return End::Fault(fault),
        };
        loop {
            if let Err(end) = self.step(&mut talk).await {
                return end;
            }
        }
    }

    /// Takes the next answer, or waits for a wish.
    async fn step(&mut self, talk: &mut Talk<Teller>) -> Result<(), End> {
        self.ask(talk).await?;
        match self.expected.front().cloned() {
            Some(Expected::Size) => self.receive_size(talk).await,
            Some(Expected::List { layout, is_proven }) => self.receive_list(layout, is_proven, talk).await,
            Some(Expected::End(layout)) => self.receive_end(layout, talk).await,
            Some(Expected::LastBlock(layout)) => self.receive_last(layout, talk).await,
            Some(Expected::Blocks(layout, run)) => self.receive_blocks(layout, run, talk).await,
            None => self.wait(talk).await,
        }
    }

    /// Asks for whatever was wished meanwhile, so that the source need not wait for us between two answers.
    async fn ask(&mut self, talk: &mut Talk<Teller>) -> Result<(), End> {
        while let Ok(wish) = self.wishes.try_recv() {
            self.expect(wish);
        }
        let mut requests = Vec::new();
        for expected in self.expected.iter().skip(self.sent) {
            self.write_request(expected, &mut requests);
        }
        self.sent = self.expected.len();
        Ok(talk.send(&requests).await?)
    }

    async fn wait(&mut self, talk: &mut Talk<Teller>) -> Result<(), End> {
        let fault = tokio::select! {
            wish = self.wishes.recv() => {
                self.expect(wish.ok_or(End::Unwanted)?);
                return Ok(());
            }
            fault = talk.idle() => fault,
        };
        if !matches!(fault, SourceFault::Closed) {
            return Err(fault.into());
        }
        // It closed while nobody wanted anything: the next wish gets a connection of its own.
        let wish = self.wishes.recv().await.ok_or(End::Unwanted)?;
        self.expect(wish);
        Err(SourceFault::Closed.into())
    }

    fn expect(&mut self, wish: Wish) {
        self.expected.push_back(match wish {
            Wish::Proof { layout, is_proven } => Expected::List { layout, is_proven },
            Wish::Blocks(layout, run) => Expected::Blocks(layout, run),
        });
    }

    fn write_request(&self, expected: &Expected, out: &mut Vec<u8>) {
        let (method, path, range) = match expected {
            Expected::Size => ("HEAD", "", None),
            Expected::List { .. } => ("GET", "/blocks", None),
            Expected::End(_) => ("GET", "/end", None),
            Expected::LastBlock(layout) => ("GET", "", layout.span(&last_block(layout))),
            Expected::Blocks(layout, run) => ("GET", "", layout.span(run)),
        };
        http::write_request(method, self.common.hash, path, range, &self.peer, out);
    }

    /// The first of the expected answers is there.
    fn received(&mut self) {
        self.expected.pop_front();
        self.sent = self.sent.saturating_sub(1);
        self.fruitful = true;
    }

    async fn receive_size(&mut self, talk: &mut Talk<Teller>) -> Result<(), End> {
        let head = talk.head().await?;
        let size = http::whole(&head)?;
        self.received();
        self.tell(Told::Size(self.id, size)).await
    }

    async fn receive_list(
        &mut self,
        layout: Layout,
        is_proven: bool,
        talk: &mut Talk<Teller>,
    ) -> Result<(), End> {
        let bytes = layout.list_bytes();
        if http::whole(&talk.head().await?)? != bytes {
            return Err(SourceFault::OtherBytes.into());
        }
        let mut list = Vec::new();
        while let Some(left) = bytes.checked_sub(list.len() as u64).filter(|left| *left > 0) {
            let held = list.len();
            list.resize(held + usize::try_from(left.min(LIST_READ)).unwrap_or(0), 0);
            talk.fill(list.get_mut(held..).unwrap_or_default()).await?;
        }
        self.received();
        if layout.size() == 0 || is_proven {
            return self.tell(Told::Proof(self.id, Proof { layout, list, last: None, end: None })).await;
        }
        self.list = list;
        self.expected.push_back(match self.common.is_swarm && layout.blocks() > 1 {
            true => Expected::End(layout),
            false => Expected::LastBlock(layout),
        });
        Ok(())
    }

    /// Whoever does not know this question is asked for the last block.
    async fn receive_end(&mut self, layout: Layout, talk: &mut Talk<Teller>) -> Result<(), End> {
        let head = talk.head().await?;
        let Ok(length) = http::whole(&head) else {
            if !talk.skip(head.length).await? {
                return Err(SourceFault::Status(head.status).into());
            }
            self.received();
            self.expected.push_back(Expected::LastBlock(layout));
            return Ok(());
        };
        if length > END_BYTES_MAX {
            return Err(SourceFault::OtherBytes.into());
        }
        let mut end = vec![0; usize::try_from(length).unwrap_or(0)];
        talk.fill(&mut end).await?;
        self.received();
        let list = std::mem::take(&mut self.list);
        self.tell(Told::Proof(self.id, Proof { layout, list, last: None, end: Some(end) })).await
    }

    async fn receive_last(&mut self, layout: Layout, talk: &mut Talk<Teller>) -> Result<(), End> {
        let last = last_block(&layout);
        http::check_range(&talk.head().await?, &layout, &last)?;
        let buffer = self.block(&layout, last.start, talk).await?;
        self.received();
        let proof = Proof { layout, list: std::mem::take(&mut self.list), last: Some(buffer), end: None };
        self.tell(Told::Proof(self.id, proof)).await
    }

    async fn receive_blocks(
        &mut self,
        layout: Layout,
        run: Range<u32>,
        talk: &mut Talk<Teller>,
    ) -> Result<(), End> {
        http::check_range(&talk.head().await?, &layout, &run)?;
        for block in run.clone() {
            let buffer = self.block(&layout, block, talk).await?;
            let rest = block.saturating_add(1)..run.end;
            match self.expected.front_mut() {
                // If the connection breaks, only the rest is asked for again.
                Some(Expected::Blocks(_, asked)) if !rest.is_empty() => *asked = rest,
                _ => self.received(),
            }
            self.fruitful = true;
            self.tell(Told::Block(self.id, block, buffer)).await?;
            self.ask(talk).await?;
        }
        Ok(())
    }

    async fn block(&self, layout: &Layout, block: u32, talk: &mut Talk<Teller>) -> Result<Buffer, End> {
        let length = usize::try_from(layout.block_len(block)).unwrap_or(0);
        let mut buffer = self.common.buffers.take_for(block, length).await;
        talk.bring(&mut buffer, length).await?;
        Ok(buffer)
    }

    async fn tell(&self, told: Told) -> Result<(), End> {
        self.common.told.send(told).await.map_err(|_| End::Unwanted)
    }
}

fn last_block(layout: &Layout) -> Range<u32> {
    layout.blocks().saturating_sub(1)..layout.blocks()
}

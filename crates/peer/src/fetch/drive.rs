//! The loop around the plan: what happened goes in, what is to be done comes out.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::limits::{FILE_BYTES_MAX, SOURCE_STALLED, SWARM_ALONE};
use proto::transfer::blocks::Layout;
use proto::transfer::have::Have;
use proto::transfer::plan::{self, Action, Pace, Plan, SourceId};
use tokio::sync::mpsc::Receiver;

use super::buffers::Buffer;
use super::crew::Crew;
use super::partial::{Begun, Partial};
use super::proof::{Proven, prove};
use super::source::{Told, Wish};
use super::writer::{Verdict, Writer};
use super::{Event, FetchError, Fetched, Outcome, Progress, Request, SourceFault};
use crate::files::on_disk;
use crate::swarm::{Joined, Joining, Other};

/// How long a download of our own that was just given up may hold its part: it writes its last block.
const BUSY_TRIES: u32 = 10;
/// See [`BUSY_TRIES`].
const BUSY_PAUSE: Duration = Duration::from_millis(25);

pub(super) async fn fetch(request: &Request, progress: &dyn Progress) -> Result<Fetched, FetchError> {
    if let Some(size) = request.size.filter(|size| *size > FILE_BYTES_MAX) {
        return Err(FetchError::TooLarge { size });
    }
    let partial = match begin(request).await? {
        Begun::Here(bytes) => return Ok(without_asking(request, bytes, 0, Outcome::AlreadyHere)),
        Begun::Partial(partial) => partial,
    };
    if partial.needs_hashing() {
        progress.tell(Event::Rehashing { hash: request.hash });
    }
    let (partial, whole) = on_disk(move || {
        let whole = partial.is_whole();
        (partial, whole)
    })
    .await;
    if let Some(size) = whole? {
        progress.tell(Event::Begins { hash: request.hash, bytes: size, resumed: size });
        let check = request.check.clone();
        let outcome = on_disk(move || partial.finish(size, check.as_ref())).await?;
        return Ok(without_asking(request, size, size, outcome));
    }
    from_sources(request, partial, progress).await
}

async fn begin(request: &Request) -> Result<Begun, FetchError> {
    let mut tries = 0;
    loop {
        let (path, force, root) = (request.target.clone(), request.force, request.hash);
        match on_disk(move || Partial::begin(&path, force, root)).await {
            Err(FetchError::Busy { .. }) if tries < BUSY_TRIES => tries += 1,
            begun => return begun,
        }
        tokio::time::sleep(BUSY_PAUSE).await;
    }
}

fn without_asking(request: &Request, bytes: u64, resumed_bytes: u64, outcome: Outcome) -> Fetched {
    let path = request.target.clone();
    Fetched { path, bytes, fetched_bytes: 0, resumed_bytes, outcome, sources: Vec::new() }
}

async fn from_sources(
    request: &Request,
    partial: Box<Partial>,
    progress: &dyn Progress,
) -> Result<Fetched, FetchError> {
    let (mut crew, mut told) = Crew::new(request, progress);
    let Proven { list, last, end } = prove(request.hash, partial.proven(), &mut crew, &mut told).await?;
    let layout = list.layout();
    let against = Arc::clone(&list);
    let keep_free_percent = request.keep_free_percent;
    let (open, shared, there) = on_disk(move || {
        let (open, there) = partial.open(&against, keep_free_percent)?;
        let shared = open.shared().ok();
        Ok((open, shared, there))
    })
    .await?;
    let resumed: u64 = there.iter().map(|block| layout.block_len(block)).sum();
    progress.tell(Event::Begins { hash: request.hash, bytes: layout.size(), resumed });
    let joining = request.joining.as_ref().filter(|_| layout.blocks() > 1);
    let usual = joining.map_or_else(Pace::default, |_| Pace::in_swarm());
    let (receipts, hashed) = (request.receipts.clone().filter(|_| layout.blocks() > 1), Arc::clone(&list));
    let pace = Pace { rate_window: request.timing.rate_window, ..usual };
    let joined = joining.zip(shared).map(|(Joining { swarm, name }, part)| {
        swarm.join(swarm.offers().begin(part, &list, there.clone(), end, request.gate()), name)
    });
    // Others must not take a block for ours that the plan takes for theirs.
    let seed = joining.map_or_else(|| fastrand::u64(..), |joining| joining.swarm.offers().peer());
    let mut transfer = Transfer {
        writer: Writer::start(open, list, there.clone(), crew.buffers()),
        crew,
        told,
        plan: Plan::new(layout, there, pace, seed),
        layout,
        joined,
        alone_since: None,
        complete: false,
    };
    let ended = transfer.run(last).await;
    let Transfer { crew, writer, joined, .. } = transfer;
    let open = writer.end().await;
    ended.map_err(|end| end.into_error(request))?;
    let open = open.expect("a transfer that is done has written its blocks");
    let check = request.check.clone();
    let outcome = on_disk(move || {
        open.finish(check.as_ref(), |part| {
            // Whoever finds none hashes the file.
            let _ = receipts.map(|receipts| receipts.leave(part, &hashed));
        })
    })
    .await?;
    if let Some(joined) = joined {
        joined.complete();
    }
    Ok(Fetched {
        path: request.target.clone(),
        bytes: layout.size(),
        fetched_bytes: layout.size().saturating_sub(resumed),
        resumed_bytes: resumed,
        outcome,
        sources: crew.reports(),
    })
}

/// Why a transfer ended before it was done.
enum Broken {
    Disk(std::io::Error),
    Failed(FetchError),
}

impl Broken {
    fn into_error(self, request: &Request) -> FetchError {
        match self {
            Self::Disk(source) => FetchError::disk(&request.target, source),
            Self::Failed(error) => error,
        }
    }
}

struct Transfer<'a> {
    crew: Crew<'a>,
    told: Receiver<Told>,
    plan: Plan,
    layout: Layout,
    writer: Writer,
    joined: Option<Joined>,
    /// Since when there has been no source.
    alone_since: Option<Instant>,
    /// The plan knows that nobody else will join.
    complete: bool,
}

/// What ended a wait.
enum Happened {
    Told(Told),
    Verdict(Verdict),
    Other(Other),
    Tick,
}

type Flow = ControlFlow<Result<(), Broken>>;

impl Transfer<'_> {
    async fn run(&mut self, last: Option<(SourceId, Buffer)>) -> Result<(), Broken> {
        let mut flow = self.begin(last).await;
        loop {
            if let ControlFlow::Break(end) = flow {
                return end;
            }
            let happened = self.select().await;
            flow = self.apply(happened);
            if flow.is_continue() {
                flow = self.close();
            }
        }
    }

    /// The block that came with the proof counts, before somebody is asked for it again; then the sources join.
    async fn begin(&mut self, last: Option<(SourceId, Buffer)>) -> Flow {
        if let Some((source, buffer)) = last {
            self.write(source, self.layout.blocks().saturating_sub(1), buffer);
            if let Some(verdict) = self.writer.verdicts.recv().await {
                self.apply(Happened::Verdict(verdict))?;
            }
        }
        for (id, said) in self.crew.sized() {
            self.join(id, said)?;
        }
        self.on(plan::Event::Tick)
    }

    async fn select(&mut self) -> Happened {
        let told = async {
            match self.told.recv().await {
                Some(told) => Happened::Told(told),
                // The crew keeps a sender.
                None => std::future::pending().await,
            }
        };
        let verdict = async {
            match self.writer.verdicts.recv().await {
                Some(verdict) => Happened::Verdict(verdict),
                // It said why it ended.
                None => std::future::pending().await,
            }
        };
        let other = async {
            let heard = match &mut self.joined {
                Some(joined) => joined.others.recv().await,
                None => None,
            };
            match heard {
                Some(other) => Happened::Other(other),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            verdict = verdict => verdict,
            told = told => told,
            other = other => other,
            () = tokio::time::sleep(SOURCE_STALLED / 4) => Happened::Tick,
        }
    }

    fn apply(&mut self, happened: Happened) -> Flow {
        match happened {
            Happened::Told(told) => self.heard(told),
            Happened::Verdict(Verdict::Verified(id, block)) => {
                if !self.plan.verified().contains(block) {
                    self.crew.verified(id, self.layout.block_len(block));
                }
                if let Some(joined) = &self.joined {
                    joined.offer.verified(block);
                }
                self.on(plan::Event::Verified(id, block))
            }
            Happened::Verdict(Verdict::Wrong(id, block)) => {
                self.leave(id, SourceFault::WrongBlock { block }, plan::Event::Wrong(id, block))
            }
            Happened::Verdict(Verdict::Disk(error)) => ControlFlow::Break(Err(Broken::Disk(error))),
            Happened::Other(other) => {
                self.crew.add(other);
                ControlFlow::Continue(())
            }
            Happened::Tick => self.on(plan::Event::Tick),
        }
    }

    fn heard(&mut self, told: Told) -> Flow {
        match told {
            Told::Size(id, said) => {
                self.crew.set_size(id, said);
                self.join(id, said)
            }
            Told::Have(id, have) => self.part_told(id, have),
            Told::Bytes(id, bytes) => {
                self.crew.came(id, bytes);
                self.on(plan::Event::Bytes(id, bytes))
            }
            Told::Block(id, block, buffer) if self.crew.is_here(id) => {
                self.write(id, block, buffer);
                ControlFlow::Continue(())
            }
            Told::Waiting(id, place) => {
                self.crew.waits(id, place);
                self.on(plan::Event::Waits(id))
            }
            Told::Gone(id, fault) => self.leave(id, fault, plan::Event::Left(id)),
            // Of a source that was left, or a second proof of what is proven.
            Told::Block(..) | Told::Proof(..) => ControlFlow::Continue(()),
        }
    }

    fn write(&self, id: SourceId, block: u32, buffer: Buffer) {
        // A writer that ended has said why.
        let _ = self.writer.arrived.send((id, block, buffer));
    }

    fn join(&mut self, id: SourceId, said: u64) -> Flow {
        if !self.crew.is_here(id) {
            return ControlFlow::Continue(());
        }
        if said != self.layout.size() {
            return self.leave(id, SourceFault::OtherSize { said }, plan::Event::Left(id));
        }
        self.crew.joined(id);
        let Some(part) = self.crew.part_of(id) else { return self.on(plan::Event::Joined(id)) };
        self.on(plan::Event::JoinedPartial(id))?;
        part.into_iter().try_for_each(|have| self.on(plan::Event::Told(id, have)))
    }

    fn part_told(&mut self, id: SourceId, have: Have) -> Flow {
        let said = have.size;
        match self.crew.size_of(id) {
            _ if !self.crew.is_here(id) => ControlFlow::Continue(()),
            None => {
                self.crew.heard(id, have);
                self.join(id, said)
            }
            Some(_) if said != self.layout.size() => {
                self.leave(id, SourceFault::OtherSize { said }, plan::Event::Left(id))
            }
            Some(_) => self.on(plan::Event::Told(id, have)),
        }
    }

    fn leave(&mut self, id: SourceId, fault: SourceFault, event: plan::Event) -> Flow {
        self.crew.leave(id, fault);
        self.on(event)
    }

    /// Once everybody has been heard: whoever is not in the plan by now never will be.
    fn close(&mut self) -> Flow {
        if self.complete || !self.crew.is_complete() {
            return ControlFlow::Continue(());
        }
        if self.joined.is_some() {
            let now = Instant::now();
            self.alone_since = self.crew.is_empty().then(|| self.alone_since.unwrap_or(now));
            let is_alone = |since: Instant| now.saturating_duration_since(since) >= SWARM_ALONE;
            if !self.alone_since.is_some_and(is_alone) {
                return ControlFlow::Continue(());
            }
        }
        self.complete = true;
        self.on(plan::Event::NoMoreSources)
    }

    /// Tells the plan, and does what it says.
    fn on(&mut self, event: plan::Event) -> Flow {
        let actions = self.plan.on(event, Instant::now());
        if let Some(joined) = &self.joined {
            joined.offer.await_only(self.plan.coming());
        }
        for action in actions {
            match action {
                Action::Fetch(id, run) => self.crew.wish(id, Wish::Blocks(self.layout, run)),
                Action::Drop(id) => self.crew.leave(id, SourceFault::TooSlow),
                // It was left when the block turned out to be wrong.
                Action::Ban(_) => {}
                Action::Done => return ControlFlow::Break(Ok(())),
                Action::Starved => return ControlFlow::Break(Err(Broken::Failed(FetchError::Starved))),
                Action::Failed => return ControlFlow::Break(Err(Broken::Failed(self.crew.failed()))),
            }
        }
        ControlFlow::Continue(())
    }
}

//! Fetches a file by its hash: verified block by block, from several sources at once, and continued where it stopped.
//!
//! What is verified lies in `NAME.p2pci-part`, and `NAME.p2pci-part.journal` says which blocks these are; a process that dies loses at most
//! the block that each source was just sending. The file gets its name only when every block is there, on the disk.
//!
//! * `partial`: the part and its journal.
//! * `http`: what is asked and what may be answered; `talk`: the conversation; `source` asks it for what the transfer wants.
//! * `crew`: the sources of one transfer.
//! * `proof`: the size and the block list, from the first source that can prove them.
//! * `haves`: asks sources that have a part what that is.
//! * `drive`: the loop around the plan.
//! * `in_place`: who may write straight into the part.
//! * `writer`: verifies blocks and writes them, on a thread of its own.
//! * `many`: many small files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use proto::limits::FILE_BYTES_MAX;
use proto::transfer::answer::HeadError;
use proto::transfer::blocks::ListError;
use proto::value::digest::Digest;
use proto::value::host::PeerAddr;

use crate::download::Timing;
use crate::files;
use crate::gate::Gate;
use crate::landing::LandingError;
use crate::limit::RateLimit;
use crate::shares::Receipts;
use crate::swarm::Joining;
use crate::words;

pub use many::{Finished, fetch_many};

mod buffers;
mod crew;
mod drive;
mod haves;
mod http;
mod in_place;
mod many;
mod partial;
mod proof;
mod source;
mod talk;
mod writer;

/// What to fetch.
#[derive(Debug, Clone)]
pub struct Request {
    /// The file's BLAKE3 root.
    pub hash: Digest,
    /// How many bytes it has, where somebody said so. It is not relied upon: the blocks prove the size.
    pub size: Option<u64>,
    /// Who has it. Each one is asked once, in this order, at most [`proto::limits::SOURCES_MAX`] of them.
    pub sources: Vec<PeerAddr>,
    /// Who has a part of it; asked for what they say that they have.
    pub partial: Vec<PeerAddr>,
    /// Where it takes part, so that others learn of it and it of others. Files of one block never do.
    pub joining: Option<Joining>,
    /// Where it is to go; the folder must be there.
    pub target: PathBuf,
    /// Another file of that name may be replaced.
    pub force: bool,
    /// So many percent of the disk stay free: what would take from them is refused before anything is written.
    pub keep_free_percent: u8,
    /// How long to wait for what, and where to connect.
    pub timing: Timing,
    /// How fast bytes may come.
    pub limit: RateLimit,
    /// What else must hold of the content before it gets its name.
    pub check: Option<Check>,
    /// Where a receipt is left, so that a share of the same user need not hash the file again. One of at most one block gets none.
    pub receipts: Option<Receipts>,
}

impl Request {
    /// What was private where it comes from stays so here.
    fn gate(&self) -> Option<Arc<Gate>> {
        let private = self.sources.iter().chain(&self.partial).find_map(PeerAddr::private);
        private.map(|groups| Arc::new(Gate::new(groups.clone())))
    }
}

/// A question about a whole, verified file, such as its digest by another hash; `false` refuses it. Called where it may block.
#[derive(Clone)]
pub struct Check(pub Arc<CheckFn>);

type CheckFn = dyn Fn(&File) -> io::Result<bool> + Send + Sync;

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it lies.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Bytes that came now.
    pub fetched_bytes: u64,
    /// Bytes that were there from an earlier download.
    pub resumed_bytes: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Each source that was asked, in the order of the request.
    pub sources: Vec<SourceReport>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It lies there now.
    Saved,
    /// The same content was there already; nothing was changed.
    AlreadyHere,
}

/// What one source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// The source.
    pub peer: PeerAddr,
    /// Bytes of blocks that verified.
    pub bytes: u64,
    /// Why it was left, in words; `None` for one that was of use to the end.
    pub fault: Option<String>,
}

/// Hears how a transfer goes. Called from the task of the transfer, so it must not wait for anything.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn tell(&self, event: Event<'_>);
}

/// For a caller who does not want to know.
impl Progress for () {
    fn tell(&self, _: Event<'_>) {}
}

/// Something happened to a transfer.
#[derive(Debug)]
pub enum Event<'a> {
    /// The transfer of this file begins, or goes on: the size is proven.
    Begins {
        /// Its hash.
        hash: Digest,
        /// Bytes of the file.
        bytes: u64,
        /// Bytes that are there already.
        resumed: u64,
    },
    /// The part was touched since, or the machine was started anew: what is in it is hashed again.
    Rehashing {
        /// Its hash.
        hash: Digest,
    },
    /// A source answers and is of use.
    Joined {
        /// The source.
        peer: &'a PeerAddr,
    },
    /// Bytes came. They count only once they are verified.
    Received {
        /// From whom.
        peer: &'a PeerAddr,
        /// How many since the last time.
        bytes: u64,
    },
    /// A source has others to serve first.
    Waiting {
        /// The source.
        peer: &'a PeerAddr,
        /// Our place in its queue, from 1.
        place: u32,
    },
    /// A block was verified and written.
    Verified {
        /// Who gave it.
        peer: &'a PeerAddr,
        /// Bytes of the block.
        bytes: u64,
    },
    /// A source is not asked any more.
    Left {
        /// The source.
        peer: &'a PeerAddr,
        /// Why.
        fault: &'a SourceFault,
    },
}

/// Why a source is not asked any more.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceFault {
    /// There is no connection to it.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It closed the connection before all was there.
    #[error("it closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[source] Arc<io::Error>),
    /// It took the request and said nothing.
    #[error("it does not answer")]
    Silent,
    /// It was silent for too long in the middle of an answer.
    #[error("it sent nothing for {} s", .0.as_secs())]
    Stalled(Duration),
    /// It sends too slowly to be waited for.
    #[error("it sends less than {} bytes a second", proto::limits::DOWNLOAD_RATE_MIN)]
    TooSlow,
    /// It does not have the file (any more).
    #[error("it does not have the file")]
    NotThere,
    /// It answered something else than what was asked for.
    #[error("it answered with status {0}")]
    Status(u16),
    /// Its answer is not understood.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// What its answer announces is not what was asked for.
    #[error("it answered with other bytes than were asked for")]
    OtherBytes,
    /// It has another size than the one that is proven, or than it said before.
    #[error("it says that the file has {said} bytes, which is not so")]
    OtherSize {
        /// What it says.
        said: u64,
    },
    /// Its block list is wrong.
    #[error(transparent)]
    WrongList(#[from] ListError),
    /// It sent a wrong block: it is banned for this transfer.
    #[error("it sent wrong bytes (block {block})")]
    WrongBlock {
        /// Which one, from 0.
        block: u32,
    },
}

impl SourceFault {
    /// Whether it sent what cannot be right; else it merely failed.
    #[must_use]
    pub fn is_lie(&self) -> bool {
        matches!(self, Self::WrongBlock { .. } | Self::WrongList(_) | Self::OtherSize { .. })
    }
}

/// Makes folders for what is to be fetched, and those above them. Their names are durable then, as the files in them will be, whoever made them.
/// Blocks.
///
/// # Errors
/// [`FetchError::Disk`] with the folder that cannot be made.
pub fn make_folders<'a>(folders: impl IntoIterator<Item = &'a Path>) -> Result<(), FetchError> {
    files::make_folders(folders).map(drop).map_err(|(folder, source)| FetchError::disk(&folder, source))
}

/// Why a file was not fetched. What was verified so far stays in the part, except where the error says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is nobody to ask.
    #[error("no other peer has it")]
    NoSource,
    /// Nobody is left to ask. Each failure was told to the caller.
    #[error("{}", all_failed(*.tried, .peer, .fault))]
    AllFailed {
        /// How many were tried.
        tried: usize,
        /// The one that failed last.
        peer: PeerAddr,
        /// How.
        fault: SourceFault,
        /// Each one said that it does not have the file.
        not_found: bool,
    },
    /// Those who are left do not have all of it.
    #[error("those who are there do not have all of it")]
    Starved,
    /// The file is larger than any that is fetched.
    #[error("the file has {size} bytes, and at most {FILE_BYTES_MAX} are fetched")]
    TooLarge {
        /// In bytes.
        size: u64,
    },
    /// Another download writes the same file right now.
    #[error("'{}' is already being downloaded", .path.display())]
    Busy {
        /// The target.
        path: PathBuf,
    },
    /// Another file has that name already, and was not touched.
    #[error("'{}' is there already with another content", .path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// The content is the one that was asked for, but [`Request::check`] refused it. Nothing of it is left.
    #[error("the content for '{}' is not the one that was expected", .path.display())]
    Refused {
        /// The target.
        path: PathBuf,
    },
    /// Something that is no regular file has that name.
    #[error("'{}' is no regular file", .path.display())]
    NotAFile {
        /// The target.
        path: PathBuf,
    },
    /// There is no room, or not as much as is to stay free. Nothing was written.
    #[error("'{}' is not fetched: the disk is full: {needed} bytes are needed, and {free} may be used", .path.display())]
    NoRoom {
        /// The target.
        path: PathBuf,
        /// In bytes, by everything that comes together.
        needed: u64,
        /// In bytes, what is to stay free left out.
        free: u64,
    },
    /// The disk.
    #[error("'{}' cannot be written: {}", .path.display(), words::disk(.source))]
    Disk {
        /// The target.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FetchError {
    fn landing(path: &Path, error: LandingError) -> Self {
        let path = path.into();
        match error {
            LandingError::Busy => Self::Busy { path },
            LandingError::Exists => Self::Exists { path },
            LandingError::NotAFile => Self::NotAFile { path },
            LandingError::Disk(source) => Self::Disk { path, source },
        }
    }

    fn disk(path: &Path, source: io::Error) -> Self {
        Self::Disk { path: path.into(), source }
    }

    /// Whether other sources, or the same ones later, may do better; else the fault is on our side.
    #[must_use]
    pub fn is_source_fault(&self) -> bool {
        matches!(self, Self::NoSource | Self::AllFailed { .. } | Self::Starved | Self::TooLarge { .. })
    }
}

fn all_failed(tried: usize, peer: &PeerAddr, fault: &SourceFault) -> String {
    match tried {
        1 => format!("{peer}: {fault}"),
        tried => format!("none of {tried} sources gave all of it; the last one, {peer}: {fault}"),
    }
}

/// Fetches a file by its hash. Dropping the future gives up; what is verified stays in the part for the next time.
///
/// # Errors
/// [`FetchError`]; what had the target's name before is untouched then.
pub async fn fetch(request: &Request, progress: &dyn Progress) -> Result<Fetched, FetchError> {
    drive::fetch(request, progress).await
}

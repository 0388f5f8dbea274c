//! Fetches a file from a peer, whole or not at all.
//!
//! What comes goes to a part file beside the target; only when every byte is there, on the disk, does it get its name. A good
//! copy that is there already is never touched before.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::limits::{
    CONNECT_ADDRESS, CONNECT_TOTAL, DOWNLOAD_FIRST_BYTE, DOWNLOAD_RATE_MIN, DOWNLOAD_RATE_WINDOW,
    DOWNLOAD_STALL, SOURCES_MAX,
};
use proto::reach::Reach;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::wire::file_decoder::FileError;
use proto::wire::framing::LineEnd;
use proto::wire::status::StatusCode;

use part::{Part, Target};
use source::{Wish, receive};

use crate::files::on_disk;
use crate::landing::LandingError;
use crate::limit::RateLimit;
use crate::words;

mod part;
mod source;

/// Where a file is to go.
pub enum Destination {
    /// A file of this path; its folder must be there.
    File {
        /// Its path.
        path: PathBuf,
        /// Another file of that name may be replaced.
        force: bool,
    },
    /// Somewhere that keeps nothing, such as standard output. It gets the bytes once all of them are there, so never those of
    /// a file that turned out to be cut; until then they lie in a file without a name in the system's folder for such.
    Writer(Box<dyn Write + Send>),
}

/// On which terms a source is asked: how long to wait for what, and where to connect at all.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Which addresses may be connected to. The default is all of them, as for a source that the user has typed.
    pub reach: Reach,
    /// For one address to accept.
    pub connect_address: Duration,
    /// For any address of a host, its name's resolution included.
    pub connect_total: Duration,
    /// For the first byte of an answer.
    pub first_byte: Duration,
    /// For the whole head of an answer, and between two bytes of a body.
    pub stall: Duration,
    /// A body that brings fewer than [`DOWNLOAD_RATE_MIN`] bytes a second over this time is given up.
    pub rate_window: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            reach: Reach::ANYWHERE,
            connect_address: CONNECT_ADDRESS,
            connect_total: CONNECT_TOTAL,
            first_byte: DOWNLOAD_FIRST_BYTE,
            stall: DOWNLOAD_STALL,
            rate_window: DOWNLOAD_RATE_WINDOW,
        }
    }
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its length.
    pub bytes: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It lies there now.
    Saved(PathBuf),
    /// The same bytes were there already; nothing was changed.
    AlreadyHere(PathBuf),
    /// It was written to [`Destination::Writer`].
    Written,
}

/// Why a file was not fetched. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no connection to the peer.
    #[error("{peer} cannot be reached: {why}")]
    Unreachable {
        /// Who was asked.
        peer: PeerAddr,
        /// Why, in words.
        why: String,
    },
    /// The peer answered something else than the whole file.
    #[error("{peer}: {error}")]
    Answer {
        /// Who was asked.
        peer: PeerAddr,
        /// What is wrong with it.
        error: FileError,
    },
    /// The connection broke.
    #[error("{peer}: the connection broke: {source}")]
    Broken {
        /// Who was asked.
        peer: PeerAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The peer took the request and said nothing.
    #[error("{peer} does not answer")]
    Silent {
        /// Who was asked.
        peer: PeerAddr,
    },
    /// The peer was silent for too long in the middle of its answer.
    #[error("{peer} sent nothing for {} s", .silence.as_secs())]
    Stalled {
        /// Who was asked.
        peer: PeerAddr,
        /// For how long.
        silence: Duration,
    },
    /// The peer sends too slowly to be waited for.
    #[error("{peer} sends less than {DOWNLOAD_RATE_MIN} bytes a second")]
    TooSlow {
        /// Who was asked.
        peer: PeerAddr,
    },
    /// There is no room for a file as long as the peer says that it is.
    #[error("there is no room for the {length} bytes that {peer} announces: {source}")]
    NoRoom {
        /// Who was asked.
        peer: PeerAddr,
        /// In bytes.
        length: u64,
        /// What the system said.
        source: io::Error,
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
    /// Something that is no regular file has that name.
    #[error("'{}' is no regular file", .path.display())]
    NotAFile {
        /// The target.
        path: PathBuf,
    },
    /// The disk, or whatever the file is written to.
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

    /// Whether another peer may do better; else the fault is on our side.
    #[must_use]
    pub fn is_source_fault(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Answer { .. }
            | Self::Broken { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::TooSlow { .. }
            | Self::NoRoom { .. } => true,
            Self::Busy { .. } | Self::Exists { .. } | Self::NotAFile { .. } | Self::Disk { .. } => false,
        }
    }

    /// Whether the peer says that it does not have the file. Some programs say so by closing without a byte.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Answer { error, .. } => {
                matches!(error, FileError::NoAnswer | FileError::Status(StatusCode::NOT_FOUND))
            }
            _ => false,
        }
    }

    /// Whether the peer perhaps did not understand how the request was written.
    fn is_about_the_request(&self) -> bool {
        match self {
            Self::Silent { .. } => true,
            Self::Answer { error, .. } => {
                matches!(error, FileError::NoAnswer | FileError::Status(StatusCode::VERSION_NOT_SUPPORTED))
            }
            _ => false,
        }
    }
}

/// A file that one of several peers gave.
#[derive(Debug)]
pub struct FetchedFrom {
    /// The file.
    pub fetched: Fetched,
    /// Who gave it.
    pub source: PeerAddr,
}

/// Why no peer gave the file.
#[derive(Debug, thiserror::Error)]
pub enum FetchAnyError {
    /// There is nobody to ask, ourselves left out.
    #[error("no other peer has it")]
    NoSource,
    /// Each peer failed; each failure was told to the caller.
    #[error("{}", all_failed(*.tried, .last))]
    AllFailed {
        /// How many were tried.
        tried: usize,
        /// How the last one failed.
        last: FetchError,
        /// Each one said that it does not have the file.
        not_found: bool,
    },
    /// The fault is on our side.
    #[error(transparent)]
    Local(FetchError),
}

fn all_failed(tried: usize, last: &FetchError) -> String {
    match tried {
        1 => last.to_string(),
        tried => format!("none of {tried} peers gave it; the last one: {last}"),
    }
}

/// Fetches a file from one peer. Dropping the future gives up and leaves nothing.
///
/// # Errors
/// [`FetchError`]; what was at the destination before is untouched then.
pub async fn fetch(
    source: &PeerAddr,
    number: RfcNumber,
    into: &mut Destination,
    timing: &Timing,
    limit: &RateLimit,
) -> Result<Fetched, FetchError> {
    let wish = Wish { peer: source, number, target: into.target(), timing, limit };
    let part = match receive(&wish, LineEnd::CrLf).await {
        // Some programs take no request whose lines end in CRLF.
        Err(error) if error.is_about_the_request() => receive(&wish, LineEnd::Lf).await,
        received => received,
    }?;
    into.keep(part).await
}

/// Fetches a file from the first of these peers that gives it, in their order, each one once, `own` left out, at most
/// [`SOURCES_MAX`]. `failed` hears of each peer that failed, at once. Dropping the future gives up and leaves nothing.
///
/// # Errors
/// [`FetchAnyError`]; what was at the destination before is untouched then.
pub async fn fetch_from_any(
    sources: &[PeerAddr],
    own: Option<&PeerAddr>,
    number: RfcNumber,
    into: &mut Destination,
    timing: &Timing,
    limit: &RateLimit,
    failed: &mut (dyn FnMut(&PeerAddr, &FetchError) + Send),
) -> Result<FetchedFrom, FetchAnyError> {
    let mut outcome = Err(FetchAnyError::NoSource);
    let (mut tried, mut not_found) = (0, true);
    for source in worth_asking(sources, own) {
        match fetch(source, number, into, timing, limit).await {
            Ok(fetched) => return Ok(FetchedFrom { fetched, source: source.clone() }),
            Err(error) if !error.is_source_fault() => return Err(FetchAnyError::Local(error)),
            Err(last) => {
                failed(source, &last);
                tried += 1;
                not_found &= last.is_not_found();
                outcome = Err(FetchAnyError::AllFailed { tried, last, not_found });
            }
        }
    }
    outcome
}

/// Each peer once, in their order, ourselves left out.
fn worth_asking<'a>(sources: &'a [PeerAddr], own: Option<&PeerAddr>) -> Vec<&'a PeerAddr> {
    let mut seen = HashSet::new();
    let others = sources.iter().filter(|source| Some(*source) != own);
    others.filter(|source| seen.insert(*source)).take(SOURCES_MAX).collect()
}

impl Destination {
    fn target(&self) -> Target {
        match self {
            Self::File { path, force } => Target::Beside { path: path.clone(), force: *force },
            Self::Writer(_) => Target::Nameless,
        }
    }

    /// Gives a complete part its place.
    async fn keep(&mut self, part: Part) -> Result<Fetched, FetchError> {
        match self {
            Self::File { .. } => on_disk(move || part.finish()).await,
            Self::Writer(place) => {
                let mut writer = std::mem::replace(place, Box::new(io::sink()));
                let (writer, written) = on_disk(move || {
                    let written = part.copy_to(&mut writer);
                    (writer, written)
                })
                .await;
                *place = writer;
                written
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::value::host::Host;
    use proto::value::number::Port;

    #[test]
    fn each_peer_is_asked_once_and_we_are_not() {
        let peer =
            |host: &str, port| PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(port).unwrap());
        let sources = [peer("a", 1), peer("b", 1), peer("a", 1), peer("a", 2)];
        let own = peer("b", 1);
        assert_eq!(worth_asking(&sources, Some(&own)), [&sources[0], &sources[3]]);
        let many: Vec<PeerAddr> = (1..=300).map(|port| peer("a", port)).collect();
        assert_eq!(worth_asking(&many, None).len(), SOURCES_MAX);
    }
}

//! From a request to an answer that only has to be sent.
//!
//! Twice: at once, for what can be opened and read without waiting for a disk, which is nearly everything that is asked for often;
//! and for all the rest on a thread that may wait.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use proto::http::answer::{self, BodyPlan, Entity, Failure, Frame, Multipart, Plan, media};
use proto::http::condition::EntityTag;
use proto::http::listing;
use proto::http::request::Request;
use proto::http::status::Status;
use proto::http::target::Target;
use proto::limits::HTTP_TOGETHER;
use proto::transfer::blocks::Layout;
use proto::transfer::have::Have;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;

use crate::files;
use crate::shares::KeptOpen;
use crate::upload::content::{self, Content, Opened};

/// An answer.
pub(super) struct Prepared {
    /// The head; the body as well where that is a text of ours.
    pub(super) head: Vec<u8>,
    /// What follows it.
    pub(super) body: Option<Body>,
    pub(super) status: Status,
}

/// A body, where it is to be taken from.
pub(super) enum Body {
    /// Pieces of a file, more than travel with a head.
    File { file: Arc<File>, name: Arc<str>, pieces: Vec<Piece>, length: u64 },
    /// Bytes, already read.
    Read(Vec<u8>),
    /// Some of what is in memory anyway.
    Memory { all: Arc<[u8]>, bytes: Range<usize> },
}

/// Some text of ours, and the bytes of a file that follow it.
pub(super) struct Piece {
    pub(super) before: Vec<u8>,
    pub(super) bytes: Range<u64>,
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Read(_) | Self::Memory { .. } => self.in_memory().len() as u64,
        }
    }

    /// It does not travel with its head.
    pub(super) fn is_large(&self) -> bool {
        matches!(self, Self::File { .. }) || self.len() > HTTP_TOGETHER as u64
    }

    /// What of it is in memory.
    pub(super) fn in_memory(&self) -> &[u8] {
        match self {
            Self::File { .. } => &[],
            Self::Read(bytes) => bytes,
            Self::Memory { all, bytes } => all.get(bytes.clone()).unwrap_or_default(),
        }
    }
}

/// An answer that took no wait.
pub(super) enum AtOnce {
    /// It is among what goes out: its status, and how much of the file it has.
    Written(Status, u64),
    /// It is still to be sent.
    Prepared(Prepared),
}

/// Answers without a wait, and appends the answer to `out` if it is short; `None` where a wait could be needed, or where nothing is
/// known. What is to be kept for the next time goes to `folder`.
pub(super) fn at_once(
    content: &dyn Content,
    request: &Request,
    frame: Frame,
    folder: &mut Option<KeptOpen>,
    out: &mut Vec<u8>,
) -> Option<AtOnce> {
    let content::AtOnce { opened, never_waits, folder: own } = content.at_once(&request.target)?;
    *folder = Some(own);
    let read = |file: &File, buffer: &mut [u8], at: u64| files::read_cached(file, buffer, at, never_waits);
    let entity = entity(&opened);
    let plan = Plan::of(request, &entity, 0);
    match plan.body() {
        BodyPlan::Bytes(first, end) if end - first <= HTTP_TOGETHER as u64 => {
            let before = out.len();
            plan.write(&entity, frame, out);
            let at = out.len();
            // Small, as was just seen.
            out.resize(at + (end - first) as usize, 0);
            if read(&opened.file, out.get_mut(at..).unwrap_or_default(), first).is_err() {
                out.truncate(before);
                return None;
            }
            Some(AtOnce::Written(plan.status(), end - first))
        }
        _ => of_file(&opened, &|_| true, request, frame, read).ok().map(AtOnce::Prepared),
    }
}

/// Finds what the request asks for, and decides how it is answered. `unreadable` hears of a file that the disk does not give. Blocks.
pub(super) fn prepare(
    content: &dyn Content,
    request: &Request,
    frame: Frame,
    browse: bool,
    unreadable: &dyn Fn(&Opened, &std::io::Error),
) -> Prepared {
    let of_whole = |found: &Opened, holds: &dyn Fn(&Range<u64>) -> bool| {
        of_file(found, holds, request, frame, read).unwrap_or_else(|error| {
            if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) {
                unreadable(found, &error);
            }
            refused(&error, request, frame)
        })
    };
    let found = match &request.target {
        Target::Hash(digest) => {
            return match content.by_hash(digest) {
                Some(found) => of_whole(&found, &|bytes| content.holds(digest, bytes)),
                None => failed(Failure::NotFound, request, frame),
            };
        }
        Target::End(digest) => return of_bytes(content.end(digest), request, frame),
        Target::Have(digest, after) => return of_bytes(have(content, digest, *after), request, frame),
        Target::File(name) => FileName::parse(name.as_bytes()).ok().and_then(|name| content.by_name(name)),
        Target::Rfc(number) => content.by_number(*number),
        Target::Blocks(digest) => {
            return content.blocks(digest).map_or_else(
                || failed(Failure::NotFound, request, frame),
                |blocks| of_memory(&blocks, Some(EntityTag::Blocks(*digest)), request, frame),
            );
        }
        Target::Folder(folder) if browse => return of_folder(content, folder, request, frame),
        Target::Folder(_) | Target::Nothing => None,
    };
    match found {
        Some(found) => of_whole(&found, &|_| true),
        None => failed(Failure::NotFound, request, frame),
    }
}

/// Says why there is no file.
pub(super) fn failed(failure: Failure, request: &Request, frame: Frame) -> Prepared {
    let mut head = Vec::new();
    answer::write_failure(failure, request.method, frame, &mut head);
    Prepared { head, body: None, status: failure.status() }
}

fn of_folder(content: &dyn Content, folder: &str, request: &Request, frame: Frame) -> Prepared {
    match content.children(folder) {
        Some(children) => {
            let mut head = Vec::new();
            listing::write(folder, children, request.method, frame, &mut head);
            Prepared { head, body: None, status: Status::Ok }
        }
        None => failed(Failure::NotFound, request, frame),
    }
}

fn read(file: &File, buffer: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

fn have(content: &dyn Content, digest: &Digest, after: Option<u64>) -> Option<Vec<u8>> {
    if let Some(offer) = content.offer(digest) {
        return Some(offer.since(after).to_bytes());
    }
    let layout = Layout::new(content.by_hash(digest)?.size)?;
    Some(Have::everything(layout, 0).to_bytes())
}

/// A few bytes that were made for this answer.
fn of_bytes(bytes: Option<Vec<u8>>, request: &Request, frame: Frame) -> Prepared {
    match bytes {
        Some(bytes) => of_memory(&bytes.into(), None, request, frame),
        None => failed(Failure::NotFound, request, frame),
    }
}

fn refused(error: &std::io::Error, request: &Request, frame: Frame) -> Prepared {
    let failure = match error.kind() {
        ErrorKind::NotFound => Failure::NotFound,
        _ => Failure::Unreadable,
    };
    failed(failure, request, frame)
}

/// `holds` says which bytes are there; what is not is not found, as if the file were not. `read` fills a buffer, or fails; what it
/// gets is small.
fn of_file(
    found: &Opened,
    holds: &dyn Fn(&Range<u64>) -> bool,
    request: &Request,
    frame: Frame,
    read: impl Fn(&File, &mut [u8], u64) -> std::io::Result<()>,
) -> std::io::Result<Prepared> {
    let entity = entity(found);
    let plan = Plan::of(request, &entity, fastrand::u64(..));
    let (pieces, end) = pieces(plan.body());
    let is_there = if pieces.is_empty() {
        holds(&(0..found.size))
    } else {
        pieces.iter().all(|piece| holds(&piece.bytes))
    };
    if !is_there {
        return Err(ErrorKind::NotFound.into());
    }
    let length = pieces.iter().map(|piece| piece.before.len() as u64 + piece.bytes.end - piece.bytes.start);
    let length = length.sum::<u64>() + end.len() as u64;
    let of =
        |pieces| Body::File { file: Arc::clone(&found.file), name: Arc::clone(&found.name), pieces, length };
    let body = match (usize::try_from(length), end.is_empty()) {
        (Ok(0), _) => None,
        (Ok(length), _) if length <= HTTP_TOGETHER => {
            Some(Body::Read(gather(&found.file, &pieces, &end, length, read)?))
        }
        (_, true) => Some(of(pieces)),
        // The end is a piece without bytes of the file.
        (_, false) => {
            let pieces = pieces.into_iter().chain([Piece { before: end, bytes: 0..0 }]).collect();
            Some(of(pieces))
        }
    };
    Ok(with_head(&plan, &entity, frame, body))
}

fn entity(found: &Opened) -> Entity<'_> {
    let leaf = found.name.rsplit('/').next();
    Entity {
        size: found.size,
        tag: found.hash.map(EntityTag::File),
        modified: Some(found.modified),
        sha256: found.sha256,
        media: leaf.map_or(media::BYTES, media::of),
        leaf,
    }
}

fn pieces(plan: BodyPlan<'_>) -> (Vec<Piece>, Vec<u8>) {
    match plan {
        BodyPlan::None => (Vec::new(), Vec::new()),
        BodyPlan::Bytes(first, end) => (vec![Piece { before: Vec::new(), bytes: first..end }], Vec::new()),
        BodyPlan::Parts(Multipart { parts, end, .. }) => {
            let piece = |(before, bytes): &(String, Range<u64>)| Piece {
                before: before.clone().into_bytes(),
                bytes: bytes.clone(),
            };
            (parts.iter().map(piece).collect(), end.clone().into_bytes())
        }
    }
}

fn gather(
    file: &File,
    pieces: &[Piece],
    end: &[u8],
    length: usize,
    read: impl Fn(&File, &mut [u8], u64) -> std::io::Result<()>,
) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::with_capacity(length);
    for Piece { before, bytes } in pieces {
        all.extend_from_slice(before);
        let at = all.len();
        // All pieces together are as long as what travels with a head.
        all.resize(at + (bytes.end - bytes.start) as usize, 0);
        read(file, all.get_mut(at..).unwrap_or_default(), bytes.start)?;
    }
    all.extend_from_slice(end);
    Ok(all)
}

fn of_memory(blocks: &Arc<[u8]>, tag: Option<EntityTag>, request: &Request, frame: Frame) -> Prepared {
    let entity = Entity {
        size: blocks.len() as u64,
        tag,
        modified: None,
        sha256: None,
        media: media::BYTES,
        leaf: None,
    };
    let plan = Plan::of(request, &entity, fastrand::u64(..));
    // What is asked for lies within what is in memory.
    let within = |bytes: &Range<u64>| {
        let place = |at| usize::try_from(at).unwrap_or(0);
        place(bytes.start)..place(bytes.end)
    };
    let body = match plan.body() {
        BodyPlan::Bytes(first, end) => {
            Some(Body::Memory { all: Arc::clone(blocks), bytes: within(&(first..end)) })
        }
        several => {
            let (pieces, end) = pieces(several);
            let mut all: Vec<u8> = Vec::new();
            for Piece { before, bytes } in pieces {
                all.extend_from_slice(&before);
                all.extend_from_slice(blocks.get(within(&bytes)).unwrap_or_default());
            }
            all.extend_from_slice(&end);
            (!all.is_empty()).then_some(Body::Read(all))
        }
    };
    with_head(&plan, &entity, frame, body)
}

fn with_head(plan: &Plan, entity: &Entity<'_>, frame: Frame, body: Option<Body>) -> Prepared {
    let mut head = Vec::with_capacity(512);
    plan.write(entity, frame, &mut head);
    Prepared { head, body, status: plan.status() }
}

//! From a request to an answer that only has to be sent. Blocks: it opens files and reads small ones.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use proto::http::answer::{self, Entity, Failure, Frame, Media, Plan};
use proto::http::condition::EntityTag;
use proto::http::request::Request;
use proto::http::status::Status;
use proto::http::target::Target;
use proto::limits::HTTP_TOGETHER;
use proto::rfc_text;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;

use crate::upload::content::{Content, Opened};

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
    /// Bytes of a file, more than travel with a head.
    File { file: Arc<File>, bytes: Range<u64> },
    /// Bytes of a file, already read.
    Read(Vec<u8>),
    /// Some of what is in memory anyway.
    Memory { all: Arc<[u8]>, bytes: Range<usize> },
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::File { bytes, .. } => bytes.end.saturating_sub(bytes.start),
            Self::Read(_) | Self::Memory { .. } => self.in_memory().len() as u64,
        }
    }

    /// It does not travel with its head.
    pub(super) fn is_large(&self) -> bool {
        self.len() > HTTP_TOGETHER as u64
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

/// Finds what the request asks for, and decides how it is answered.
pub(super) fn prepare(content: &dyn Content, request: &Request, frame: Frame) -> Prepared {
    let found = match &request.target {
        Target::Hash(digest) => content.by_hash(digest),
        Target::File(name) => FileName::parse(name.as_bytes()).ok().and_then(|name| content.by_name(name)),
        Target::Rfc(number) => content.by_number(*number),
        Target::Blocks(digest) => {
            return content.blocks(digest).map_or_else(
                || failed(Failure::NotFound, request, frame),
                |blocks| of_blocks(&blocks, digest, request, frame),
            );
        }
        Target::Nothing => None,
    };
    match found {
        Some(found) => of_file(&found, request, frame),
        None => failed(Failure::NotFound, request, frame),
    }
}

fn failed(failure: Failure, request: &Request, frame: Frame) -> Prepared {
    let mut head = Vec::new();
    answer::write_failure(failure, request.method, frame, &mut head);
    Prepared { head, body: None, status: failure.status() }
}

fn of_file(found: &Opened, request: &Request, frame: Frame) -> Prepared {
    let leaf = found.name.rsplit('/').next();
    let entity = Entity {
        size: found.size,
        tag: found.hash.map(EntityTag::File),
        modified: Some(found.modified),
        media: if leaf.and_then(rfc_text::number_of).is_some() { Media::Text } else { Media::Bytes },
        leaf,
    };
    let plan = Plan::of(request, &entity);
    let bytes = plan.body();
    let length = bytes.end.saturating_sub(bytes.start);
    let body = match usize::try_from(length) {
        Ok(0) => None,
        Ok(length) if length <= HTTP_TOGETHER => match read(&found.file, bytes.start, length) {
            Ok(read) => Some(Body::Read(read)),
            Err(_) => return failed(Failure::Unreadable, request, frame),
        },
        _ => Some(Body::File { file: Arc::clone(&found.file), bytes }),
    };
    with_head(&plan, &entity, frame, body)
}

fn read(file: &File, at: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

fn of_blocks(blocks: &Arc<[u8]>, digest: &Digest, request: &Request, frame: Frame) -> Prepared {
    let entity = Entity {
        size: blocks.len() as u64,
        tag: Some(EntityTag::Blocks(*digest)),
        modified: None,
        media: Media::Bytes,
        leaf: None,
    };
    let plan = Plan::of(request, &entity);
    let Range { start, end } = plan.body();
    // Both lie within what is in memory.
    let bytes = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    let body = (!bytes.is_empty()).then(|| Body::Memory { all: Arc::clone(blocks), bytes });
    with_head(&plan, &entity, frame, body)
}

fn with_head(plan: &Plan, entity: &Entity<'_>, frame: Frame, body: Option<Body>) -> Prepared {
    let mut head = Vec::new();
    plan.write(entity, frame, &mut head);
    Prepared { head, body, status: plan.status() }
}

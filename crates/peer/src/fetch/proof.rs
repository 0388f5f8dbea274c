//! The size and the block list of a file, from the first source that can prove them.
//!
//! A size is only a claim until the last block verifies, so whoever claims it has to bring the list and that block; if they
//! do not fit, that one source lied. In a swarm the end of that block is enough. A download that goes on has had that proof: there the list is enough.

use std::sync::Arc;
use std::time::Instant;

use proto::limits::SOURCE_STALLED;
use proto::transfer::blocks::{BlockList, Layout};
use proto::transfer::end;
use proto::transfer::plan::SourceId;
use proto::value::digest::Digest;
use tokio::sync::mpsc::Receiver;

use super::buffers::Buffer;
use super::crew::Crew;
use super::source::{Proof, Told, Wish};
use super::{FetchError, SourceFault};
use crate::files::on_disk;

/// What is proven.
pub(super) struct Proven {
    pub(super) list: Arc<BlockList>,
    /// The last block and who gave it; none of an empty file, or of one whose size was proven before.
    pub(super) last: Option<(SourceId, Buffer)>,
    /// What proves the size to others, where it was given.
    pub(super) end: Option<Vec<u8>>,
}

/// Asks one source after the other; also the next one when the last one takes its time. `known` is what was proven before.
pub(super) async fn prove(
    root: Digest,
    known: Option<Layout>,
    crew: &mut Crew<'_>,
    told: &mut Receiver<Told>,
) -> Result<Proven, FetchError> {
    let mut asked: Vec<(SourceId, Instant)> = Vec::new();
    while !crew.is_empty() {
        asked.retain(|(id, _)| crew.is_here(*id));
        ask_next(known, crew, &mut asked);
        match tokio::time::timeout(SOURCE_STALLED / 4, told.recv()).await {
            Ok(Some(Told::Size(id, size))) => crew.set_size(id, size),
            Ok(Some(Told::Proof(id, proof))) => match on_disk(move || check(root, proof)).await {
                Ok((list, last, end)) => {
                    let last = last.map(|buffer| (id, buffer));
                    return Ok(Proven { list: Arc::new(list), last, end });
                }
                Err(fault) => crew.leave(id, fault),
            },
            Ok(Some(Told::Have(id, have))) => crew.heard(id, have),
            Ok(Some(Told::Gone(id, fault))) => crew.leave(id, fault),
            Ok(Some(Told::Waiting(id, place))) => crew.waits(id, place),
            Ok(Some(Told::Bytes(id, bytes))) => {
                crew.came(id, bytes);
            }
            // No block was asked for yet.
            Ok(Some(Told::Block(..)) | None) | Err(_) => {}
        }
    }
    Err(crew.failed())
}

fn ask_next(known: Option<Layout>, crew: &mut Crew<'_>, asked: &mut Vec<(SourceId, Instant)>) {
    let now = Instant::now();
    if asked.iter().any(|(_, at)| now.saturating_duration_since(*at) < SOURCE_STALLED) {
        return;
    }
    for (id, said) in crew.sized() {
        if asked.iter().any(|(other, _)| *other == id) {
            continue;
        }
        match Layout::new(said) {
            Some(layout) => {
                crew.wish(id, Wish::Proof { layout, is_proven: known == Some(layout) });
                asked.push((id, now));
                return;
            }
            None => crew.leave(id, SourceFault::OtherSize { said }),
        }
    }
}

type Checked = (BlockList, Option<Buffer>, Option<Vec<u8>>);

fn check(root: Digest, proof: Proof) -> Result<Checked, SourceFault> {
    let list = BlockList::check(root, proof.layout, &proof.list)?;
    let block = proof.layout.blocks().saturating_sub(1);
    match (&proof.last, &proof.end) {
        (_, Some(end)) if !end::check(&list, end) => {
            Err(SourceFault::OtherSize { said: proof.layout.size() })
        }
        (Some(buffer), _) if !list.verify(block, buffer.bytes()) => Err(SourceFault::WrongBlock { block }),
        _ => Ok((list, proof.last, proof.end)),
    }
}

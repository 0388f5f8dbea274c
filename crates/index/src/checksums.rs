//! What SHA-256 says of a content, for programs outside: what a record tells, and what a peer is asked for.

use std::sync::Arc;
use std::time::Duration;

use proto::directory::{Key, Said};
use proto::value::digest::Digest;
use proto::value::pieces::Pieces;
use proto::wire::v11::body::File;
use tokio::time::{Instant, timeout_at};

use crate::server::Shared;
use crate::store::Entry;

/// Holders of a content that are looked at.
const HOLDERS_MAX: usize = 200;
/// Peers that are asked at once; the second in case that the first goes.
const ASKED: usize = 2;

/// What is known of a content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums {
    /// The SHA-256 of the whole file.
    pub sha256: Option<Digest>,
    /// And of its pieces.
    pub pieces: Option<Arc<Pieces>>,
}

/// Finds the digests of a content. Where they are not known a peer that has the content is asked, and its answer waited for, but no
/// longer than `patience`.
pub(crate) async fn of(shared: &Shared, hash: Digest, patience: Duration) -> Checksums {
    let deadline = Instant::now() + patience;
    let waiting = shared.waiting();
    loop {
        let mut news = std::pin::pin!(waiting.news());
        // From here on nothing is missed, so the look comes after it.
        news.as_mut().enable();
        let holders = shared.store.lookup(&Key::Hash(hash), None, HOLDERS_MAX).await.entries;
        let known = known(shared, hash, &holders);
        if known.pieces.is_some() || !ask(shared, &holders) || timeout_at(deadline, news).await.is_err() {
            return known;
        }
    }
}

/// The first word counts, a publisher's before a copy's.
fn known(shared: &Shared, hash: Digest, holders: &[Entry]) -> Checksums {
    let digests = |copied| {
        let of_kind = files(holders).filter(move |(_, file)| file.copied == copied);
        of_kind.filter_map(|(_, file)| file.sha256.as_deref().copied())
    };
    let all: Vec<Digest> = digests(false).chain(digests(true)).collect();
    let with_pieces = all.iter().find_map(|sha256| Some((*sha256, shared.pieces.get(&(hash, *sha256))?)));
    match with_pieces {
        Some((sha256, pieces)) => Checksums { sha256: Some(sha256), pieces: Some(pieces) },
        None => Checksums { sha256: all.first().copied(), pieces: None },
    }
}

/// Whether somebody has been asked.
fn ask(shared: &Shared, holders: &[Entry]) -> bool {
    let whole = files(holders).filter(|(_, file)| !file.partial);
    whole.filter(|(entry, file)| shared.wants.ask(entry.session, &file.name)).take(ASKED).count() > 0
}

/// The files of those who have it for everybody: of what is private nobody is to learn by its digests.
fn files(holders: &[Entry]) -> impl Iterator<Item = (&Entry, &File)> {
    let public = holders.iter().filter(|entry| entry.peer.claimed().private().is_none());
    public.filter_map(|entry| match &entry.said {
        Said::File(file) => Some((entry, &**file)),
        Said::Title(_) => None,
    })
}

//! SHA-256 of what is shared, for programs outside that know no BLAKE3: of a file and of its pieces, computed when somebody asks.

use std::fs::File;
use std::io;

use proto::value::digest::Digest;
use proto::value::pieces::Pieces;
use sha2::{Digest as _, Sha256};

use crate::files::read_full;

/// Bytes that are read at once; pieces are a multiple of it.
const READ: usize = 256 * 1024;

/// What SHA-256 says about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    /// Of all of it.
    pub(super) whole: Digest,
    /// Of its pieces.
    pub(super) pieces: Pieces,
}

/// Reads a file of so many bytes through; `None` when `stop` says so between two reads. Blocks.
pub(super) fn of_file(file: &File, size: u64, stop: impl Fn() -> bool) -> io::Result<Option<Sums>> {
    let piece_bytes = Pieces::size_for(size);
    let (mut whole, mut piece) = (Sha256::new(), Sha256::new());
    let mut digests = Vec::with_capacity(usize::try_from(Pieces::count_for(size)).unwrap_or_default());
    let mut buffer = vec![0; READ];
    let (mut at, mut in_piece) = (0, 0);
    while at < size {
        if stop() {
            return Ok(None);
        }
        let wanted = usize::try_from(size - at).unwrap_or(READ).min(READ);
        let bytes = buffer.get_mut(..wanted).unwrap_or_default();
        if read_full(file, bytes, at)? != wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        whole.update(&*bytes);
        piece.update(&*bytes);
        at += wanted as u64;
        in_piece += wanted as u64;
        if in_piece == piece_bytes || at == size {
            digests.push(Digest(piece.finalize_reset().into()));
            in_piece = 0;
        }
    }
    let pieces = Pieces { size: piece_bytes, digests: digests.into() };
    Ok(Some(Sums { whole: Digest(whole.finalize().into()), pieces }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn sha256(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    #[test]
    fn a_file_and_its_pieces_have_the_digests_that_others_compute() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..(2 << 20) + 5).map(|at: u32| (at % 251) as u8).collect();
        file.write_all(&content).unwrap();
        let sums = of_file(&file, content.len() as u64, || false).unwrap().unwrap();
        assert_eq!(sums.whole, sha256(&content));
        let pieces: Vec<Digest> = content.chunks(1 << 20).map(sha256).collect();
        assert_eq!(*sums.pieces.digests, pieces);
        assert!(sums.pieces.fit(content.len() as u64));
        let empty = of_file(&file, 0, || false).unwrap().unwrap();
        assert_eq!((empty.whole, empty.pieces.digests.len()), (sha256(b""), 0));
        assert_eq!(of_file(&file, 9, || true).unwrap(), None);
        assert!(of_file(&file, content.len() as u64 + 1, || false).is_err(), "it is shorter");
    }

    #[test]
    fn the_page_of_a_folder_may_have_its_own_style() {
        let (style, digest) = proto::http::listing::style();
        assert_eq!(sha256(style.as_bytes()).base64(), digest);
    }
}

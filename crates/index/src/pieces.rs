//! The pieces of contents that somebody asked for lately, in bounded memory: a record holds only the digest of the whole file.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use proto::limits::PIECES_HELD;
use proto::value::digest::Digest;
use proto::value::pieces::Pieces;

/// A content as two hashes name it. Who lies about one of them speaks of another content.
type Content = (Digest, Digest);

/// The pieces that are held.
#[derive(Debug, Default)]
pub(crate) struct PieceShelf(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    pieces: HashMap<Content, Arc<Pieces>>,
    order: VecDeque<Content>,
    bytes: usize,
}

impl PieceShelf {
    /// Holds the pieces of a content, unless some are held already.
    pub(crate) fn put(&self, content: Content, pieces: Pieces) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.pieces.contains_key(&content) {
            return;
        }
        held.bytes += room(&pieces);
        held.pieces.insert(content, Arc::new(pieces));
        held.order.push_back(content);
        while held.bytes > PIECES_HELD
            && let Some(oldest) = held.order.pop_front()
        {
            let gone = held.pieces.remove(&oldest);
            held.bytes -= gone.map_or(0, |gone| room(&gone));
        }
    }

    pub(crate) fn get(&self, content: &Content) -> Option<Arc<Pieces>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pieces.get(content).cloned()
    }
}

/// What pieces take, with everything that leads to them: a file without a byte has none, and takes its place all the same.
fn room(pieces: &Pieces) -> usize {
    /// With what the map, the queue and the count of owners take.
    const ENTRY: usize = 2 * size_of::<Content>() + size_of::<Pieces>() + 64;
    ENTRY + size_of_val(&*pieces.digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room_and_the_first_word_counts() {
        let shelf = PieceShelf::default();
        let digests = |byte, count| Pieces { size: 1 << 20, digests: vec![Digest([byte; 32]); count].into() };
        let content = |byte| (Digest([byte; 32]), Digest([byte; 32]));
        let quarter = (PIECES_HELD / 4 - room(&digests(0, 0))) / size_of::<Digest>();
        for byte in 0..6 {
            shelf.put(content(byte), digests(byte, quarter));
        }
        let there: Vec<u8> = (0..6).filter(|byte| shelf.get(&content(*byte)).is_some()).collect();
        assert_eq!(there, [2, 3, 4, 5]);
        shelf.put(content(5), digests(9, 1));
        assert_eq!(shelf.get(&content(5)).unwrap().digests.len(), quarter);
    }

    #[test]
    fn contents_without_a_piece_take_their_place_too() {
        let shelf = PieceShelf::default();
        for at in 0..PIECES_HELD as u64 / 100 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&at.to_le_bytes());
            shelf.put((Digest(hash), Digest(hash)), Pieces { size: 0, digests: Box::default() });
        }
        let held = shelf.0.lock().unwrap();
        assert!(held.pieces.len() * 200 <= PIECES_HELD && held.pieces.len() == held.order.len());
    }
}

//! The pieces by which programs outside check a file while it comes: of one size, each with its SHA-256.

use super::digest::Digest;
use crate::limits::{PIECE_BYTES_MIN, PIECES_MAX};

/// The SHA-256 of each piece of a file, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces {
    /// The bytes of each piece but the last.
    pub size: u64,
    /// One for each.
    pub digests: Box<[Digest]>,
}

impl Pieces {
    /// How large the pieces of a file of so many bytes are: 1 MiB, doubled until there are at most [`PIECES_MAX`].
    pub fn size_for(file: u64) -> u64 {
        let mut size = PIECE_BYTES_MIN;
        while file.div_ceil(size) > PIECES_MAX {
            size = size.saturating_mul(2);
        }
        size
    }

    /// How many pieces a file of so many bytes has; an empty one has none.
    pub fn count_for(file: u64) -> u64 {
        file.div_ceil(Self::size_for(file).max(1))
    }

    /// Whether these can be the pieces of a file of so many bytes.
    pub fn fit(&self, file: u64) -> bool {
        self.size == Self::size_for(file) && self.digests.len() as u64 == Self::count_for(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_most_1024_pieces_of_at_least_a_mebibyte() {
        const MIB: u64 = 1 << 20;
        for (file, size, count) in [
            (0, MIB, 0),
            (1, MIB, 1),
            (MIB, MIB, 1),
            (MIB + 1, MIB, 2),
            (1024 * MIB, MIB, 1024),
            (1024 * MIB + 1, 2 * MIB, 513),
            (1 << 40, 1024 * MIB, 1024),
        ] {
            assert_eq!((Pieces::size_for(file), Pieces::count_for(file)), (size, count), "{file}");
        }
        let two = Pieces { size: MIB, digests: [Digest([0; 32]); 2].into() };
        assert!(two.fit(MIB + 1) && !two.fit(MIB) && !Pieces { size: 2 * MIB, ..two }.fit(MIB + 1));
    }
}

//! Hashing of session ids, which the index itself gives out: nobody can choose them, so a multiplication is enough.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are ids of sessions, and nothing that a peer chooses.
pub type SessionHash = BuildHasherDefault<Multiply>;

/// See [`SessionHash`].
#[derive(Debug, Default)]
pub struct Multiply(u64);

/// The golden ratio as a fraction of 64 bits: multiples of it are far apart, in the high bits as in the low ones.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(GOLDEN);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;
    use crate::directory::SessionId;

    #[test]
    fn neighbours_are_spread_in_the_bits_that_a_map_looks_at() {
        let hashes: Vec<u64> = (1..=1024).map(|id| SessionHash::default().hash_one(SessionId(id))).collect();
        let low: HashSet<u64> = hashes.iter().map(|hash| hash % 1024).collect();
        let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!((low.len(), high.len()), (1024, 128));
    }
}

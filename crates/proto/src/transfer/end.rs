//! The size of a file, proven in about a kilobyte.
//!
//! A block list binds everything but the length of the last block. The last chunk of that block binds it too: BLAKE3 hashes a chunk
//! together with its place, and the values beside the way up lead to the block's own value, which is in the list. So nobody has to
//! fetch a block only to know how long the file is.

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root};

use super::blocks::{BlockList, Layout, VALUE_BYTES};

/// Bytes that BLAKE3 hashes at once.
const CHUNK: u64 = 1024;
/// Longest proof in bytes: a chunk and a value for each level of a block.
pub const END_BYTES_MAX: u64 = CHUNK + 10 * VALUE_BYTES as u64;

/// The proof: the values to the left of the way down to the last chunk, from the top, and that chunk. `None` for a file of at
/// most one block, which needs none, and when these bytes are not as long as the last block.
#[must_use]
pub fn prove(layout: &Layout, last_block: &[u8]) -> Option<Vec<u8>> {
    let block = layout.blocks().checked_sub(1).filter(|block| *block > 0)?;
    let range = layout.range(block)?;
    let (mut rest, mut at, mut proof) = (last_block, range.start, Vec::new());
    if rest.len() as u64 != layout.block_len(block) {
        return None;
    }
    while rest.len() as u64 > CHUNK {
        let left = left_subtree_len(rest.len() as u64);
        let (bytes, right) = rest.split_at_checked(usize::try_from(left).ok()?)?;
        proof.extend_from_slice(&value(bytes, at));
        (rest, at) = (right, at.checked_add(left)?);
    }
    proof.extend_from_slice(rest);
    Some(proof)
}

/// Whether this proves the size of the list's layout.
#[must_use]
pub fn check(list: &BlockList, proof: &[u8]) -> bool {
    let layout = list.layout();
    let block = layout.blocks().saturating_sub(1);
    let (values, _) = list.as_bytes().as_chunks::<VALUE_BYTES>();
    let Some((range, expected)) = layout.range(block).zip(values.get(block as usize)) else { return false };
    merged(range.start, layout.block_len(block), proof).as_ref() == Some(expected)
}

/// The value of what begins at this place and has this many bytes. As deep as a block: ten levels.
fn merged(at: u64, len: u64, proof: &[u8]) -> Option<ChainingValue> {
    if len <= CHUNK {
        return (proof.len() as u64 == len).then(|| value(proof, at));
    }
    let left = left_subtree_len(len);
    let (beside, rest) = proof.split_first_chunk::<VALUE_BYTES>()?;
    let right = merged(at.checked_add(left)?, len.checked_sub(left)?, rest)?;
    Some(merge_subtrees_non_root(beside, &right, Mode::Hash))
}

fn value(bytes: &[u8], at: u64) -> ChainingValue {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(at);
    hasher.update(bytes).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use super::super::blocks::{BLOCK_BYTES, TreeHasher};
    use super::*;

    #[test]
    fn the_right_size_is_proven_and_no_other() {
        for last in [1, 1023, 1024, 1025, 2048, 5000, 700_001, BLOCK_BYTES] {
            let size = BLOCK_BYTES + last;
            let bytes: Vec<u8> = (0..size).map(|at| (at * 31 + at / 1000) as u8).collect();
            let mut hasher = TreeHasher::new();
            hasher.update(&bytes);
            let (root, list) = hasher.finish();
            let proof = prove(&list.layout(), &bytes[BLOCK_BYTES as usize..]).unwrap();
            assert!(check(&list, &proof) && proof.len() as u64 <= END_BYTES_MAX, "{last}");
            for other in [last - 1, last + 1, last ^ 1024]
                .into_iter()
                .filter(|other| (1..=BLOCK_BYTES).contains(other))
            {
                let layout = Layout::new(BLOCK_BYTES + other).unwrap();
                let claimed = BlockList::check(root, layout, list.as_bytes()).unwrap();
                assert!(!check(&claimed, &proof), "{other} instead of {last}");
                let mut padded = proof.clone();
                padded.resize((proof.len() as u64 + other).saturating_sub(last) as usize, 0);
                assert!(!check(&claimed, &padded), "{other} instead of {last}, padded");
            }
            for bit in (0..proof.len() * 8).step_by(97) {
                let mut wrong = proof.clone();
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert!(!check(&list, &wrong));
            }
        }
    }

    #[test]
    fn a_file_of_one_block_needs_none() {
        assert_eq!(prove(&Layout::new(5).unwrap(), b"hello"), None);
        assert_eq!(prove(&Layout::new(BLOCK_BYTES + 5).unwrap(), b"hell"), None);
    }
}

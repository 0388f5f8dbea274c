//! A file as blocks, so that the one source that sent a wrong byte is known at once.
//!
//! The list of a file holds the BLAKE3 subtree value of each block. It verifies against the root, and then each block verifies
//! by itself. What the list alone cannot tell is the length of the last block: that block, once it verifies, binds the size.
//! A file of at most one block has no list: its only block is the file, and verifies against the root.

use std::ops::Range;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::limits::FILE_BYTES_MAX;
use crate::value::digest::Digest;

/// Bytes of a block; the last one of a file may be shorter. A power of two, so each block is a subtree of its own.
pub const BLOCK_BYTES: u64 = 1024 * 1024;
/// Bytes of one block's value in a list.
pub const VALUE_BYTES: usize = 32;

/// Where the blocks of a file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    size: u64,
    block_bytes: u64,
}

impl Layout {
    /// For a file of this many bytes; `None` above [`FILE_BYTES_MAX`].
    #[must_use]
    pub fn new(size: u64) -> Option<Self> {
        (size <= FILE_BYTES_MAX).then_some(Self { size, block_bytes: BLOCK_BYTES })
    }

    /// Smaller blocks, so that tests of millions of bytes are not needed.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn with_blocks(size: u64, block_bytes: u64) -> Self {
        assert!(block_bytes.is_power_of_two() && block_bytes >= 1024);
        Self { size, block_bytes }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Number of blocks; 0 for an empty file.
    #[must_use]
    pub fn blocks(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.block_bytes)).unwrap_or(u32::MAX)
    }

    /// The bytes of the file that a block holds; `None` when there is no such block.
    #[must_use]
    pub fn range(&self, block: u32) -> Option<Range<u64>> {
        let start = u64::from(block).checked_mul(self.block_bytes)?;
        let end = start.saturating_add(self.block_bytes).min(self.size);
        (start < end).then_some(start..end)
    }

    /// The bytes of the file that a run of blocks holds; `None` for an empty run or one that leaves the file.
    #[must_use]
    pub fn span(&self, blocks: &Range<u32>) -> Option<Range<u64>> {
        if blocks.is_empty() {
            return None;
        }
        let last = self.range(blocks.end.checked_sub(1)?)?;
        Some(self.range(blocks.start)?.start..last.end)
    }

    /// Bytes of a block; 0 when there is no such block.
    #[must_use]
    pub fn block_len(&self, block: u32) -> u64 {
        self.range(block).map_or(0, |range| range.end.saturating_sub(range.start))
    }

    /// The block that holds a byte; `None` behind the end.
    #[must_use]
    pub fn block_of(&self, offset: u64) -> Option<u32> {
        let block = offset.checked_div(self.block_bytes)?;
        (offset < self.size).then(|| u32::try_from(block).ok())?
    }

    /// Bytes of the file's block list; 0 for a file of at most one block.
    #[must_use]
    pub fn list_bytes(&self) -> u64 {
        match self.blocks() {
            0 | 1 => 0,
            blocks => u64::from(blocks).saturating_mul(VALUE_BYTES as u64),
        }
    }
}

/// The value of one block, for hashing the blocks of a large file at once on several cores; see [`BlockList::of_values`].
/// `None` when the block does not hold this many bytes, or when it is the only one and needs no value.
#[must_use]
pub fn block_value(layout: &Layout, block: u32, bytes: &[u8]) -> Option<[u8; VALUE_BYTES]> {
    let fits = layout.blocks() > 1 && layout.block_len(block) == bytes.len() as u64;
    fits.then(|| {
        subtree_hasher(layout.range(block).unwrap_or_default().start).update(bytes).finalize_non_root()
    })
}

/// The value of a block whose bytes come piece by piece: what fits the nearest cache is read and hashed at the least cost.
#[derive(Debug)]
pub struct BlockHasher {
    hasher: Hasher,
    /// Bytes that are still to come.
    left: u64,
}

impl BlockHasher {
    /// For this block; `None` where it is none, or the only one of its file.
    #[must_use]
    pub fn new(layout: &Layout, block: u32) -> Option<Self> {
        let range = layout.range(block).filter(|_| layout.blocks() > 1)?;
        Some(Self { hasher: subtree_hasher(range.start), left: layout.block_len(block) })
    }

    /// Takes the next bytes. What is more than the block has is left aside.
    pub fn update(&mut self, piece: &[u8]) {
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
        self.hasher.update(piece.get(..taken).unwrap_or_default());
        self.left = self.left.saturating_sub(taken as u64);
    }

    /// The value; `None` when bytes are missing.
    #[must_use]
    pub fn finish(self) -> Option<[u8; VALUE_BYTES]> {
        (self.left == 0).then(|| self.hasher.finalize_non_root())
    }
}

fn subtree_hasher(offset: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(offset);
    hasher
}

/// What the blocks of one file are verified against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockList {
    root: Digest,
    layout: Layout,
    /// One for each block; none for a file of at most one block.
    values: Vec<ChainingValue>,
}

/// Why a block list is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Its length is not that of a file of this size.
    #[error("the block list has {received} bytes, and a file of this size needs {expected}")]
    Length {
        /// Bytes of the list.
        received: u64,
        /// Bytes that the layout asks for.
        expected: u64,
    },
    /// It does not hash to the root.
    #[error("the block list does not belong to this hash")]
    Root,
}

impl BlockList {
    /// Checks a list from somebody else.
    ///
    /// # Errors
    /// [`ListError`]; nothing of the list is to be believed then.
    pub fn check(root: Digest, layout: Layout, bytes: &[u8]) -> Result<Self, ListError> {
        let expected = layout.list_bytes();
        if bytes.len() as u64 != expected {
            return Err(ListError::Length { received: bytes.len() as u64, expected });
        }
        let (values, _) = bytes.as_chunks::<VALUE_BYTES>();
        let proven = match layout.blocks() {
            0 => Digest(*blake3::hash(b"").as_bytes()) == root,
            1 => true,
            _ => merged_root(values) == Some(root),
        };
        match proven {
            true => Ok(Self { root, layout, values: values.to_vec() }),
            false => Err(ListError::Root),
        }
    }

    /// From the values of all blocks, in order; `None` unless there is one for each and there are at least two.
    #[must_use]
    pub fn of_values(layout: Layout, values: Vec<[u8; VALUE_BYTES]>) -> Option<Self> {
        if layout.blocks() < 2 || values.len() as u64 != u64::from(layout.blocks()) {
            return None;
        }
        Some(Self { root: merged_root(&values)?, layout, values })
    }

    /// The file's root hash.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.root
    }

    /// Where the blocks lie.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The list as it travels: [`VALUE_BYTES`] for each block, in order; empty for a file of at most one block.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.values.as_flattened()
    }

    /// Checks a block whose bytes come in pieces; `None` when there is no such block.
    #[must_use]
    pub fn check_in_pieces(&self, block: u32) -> Option<BlockCheck<'_>> {
        let range = self.layout.range(block)?;
        let left = range.end.saturating_sub(range.start);
        Some(BlockCheck { list: self, block, hasher: subtree_hasher(range.start), left: Some(left) })
    }

    /// Whether these bytes are the block.
    #[must_use]
    pub fn verify(&self, block: u32, bytes: &[u8]) -> bool {
        if self.layout.range(block).is_none() || self.layout.block_len(block) != bytes.len() as u64 {
            return false;
        }
        match block_value(&self.layout, block, bytes) {
            Some(value) => self.values.get(block as usize) == Some(&value),
            None => blake3::hash(bytes) == self.root.0,
        }
    }
}

/// A block that is checked piece by piece.
#[derive(Debug, Clone)]
pub struct BlockCheck<'a> {
    list: &'a BlockList,
    block: u32,
    hasher: Hasher,
    /// Bytes that are still to come; `None` when there were too many.
    left: Option<u64>,
}

impl BlockCheck<'_> {
    /// The next bytes, any number.
    pub fn update(&mut self, bytes: &[u8]) {
        self.left = self.left.and_then(|left| left.checked_sub(bytes.len() as u64));
        if self.left.is_some() {
            self.hasher.update(bytes);
        }
    }

    /// Whether the bytes were the block, all of it and nothing else.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        match (self.left, self.list.values.get(self.block as usize)) {
            (Some(0), Some(value)) => self.hasher.finalize_non_root() == *value,
            (Some(0), None) => self.hasher.finalize() == self.list.root.0,
            _ => false,
        }
    }
}

/// The root over the values of at least two blocks.
fn merged_root(values: &[ChainingValue]) -> Option<Digest> {
    let (left, right) = halves(values)?;
    let root = merge_subtrees_root(&merged(left)?, &merged(right)?, Mode::Hash);
    Some(Digest(*root.as_bytes()))
}

/// The value over some neighbouring blocks. As deep as the tree: at most 20 for the largest file.
fn merged(values: &[ChainingValue]) -> Option<ChainingValue> {
    if let [one] = values {
        return Some(*one);
    }
    let (left, right) = halves(values)?;
    Some(merge_subtrees_non_root(&merged(left)?, &merged(right)?, Mode::Hash))
}

/// The left half is the largest power of two that leaves something for the right one.
fn halves(values: &[ChainingValue]) -> Option<(&[ChainingValue], &[ChainingValue])> {
    let last = values.len().checked_sub(1).filter(|last| *last > 0)?;
    values.split_at_checked(1_usize.checked_shl(last.ilog2())?)
}

/// Hashes a file whose bytes come in order, and keeps the values of its blocks: 32 bytes for each MiB.
#[derive(Debug, Clone)]
pub struct TreeHasher {
    block_bytes: u64,
    size: u64,
    values: Vec<ChainingValue>,
    /// The block that is not complete, or that is complete while nothing follows it yet.
    current: Hasher,
}

impl Default for TreeHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl TreeHasher {
    /// For a file from its first byte.
    #[must_use]
    pub fn new() -> Self {
        Self { block_bytes: BLOCK_BYTES, size: 0, values: Vec::new(), current: Hasher::new() }
    }

    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn with_blocks(block_bytes: u64) -> Self {
        Self { block_bytes, ..Self::new() }
    }

    /// The next bytes, any number.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.current.count() == self.block_bytes {
                // Only now is it known that this is neither the last block nor the only one.
                self.values.push(self.current.finalize_non_root());
                self.current = subtree_hasher(self.size);
            }
            let room = self.block_bytes.saturating_sub(self.current.count());
            let taken = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            self.current.update(now);
            self.size = self.size.saturating_add(now.len() as u64);
            rest = later;
        }
    }

    /// The root and the list of what was fed; the list's layout has the size.
    #[must_use]
    pub fn finish(mut self) -> (Digest, BlockList) {
        let layout = Layout { size: self.size, block_bytes: self.block_bytes };
        if self.values.is_empty() {
            let root = Digest(*self.current.finalize().as_bytes());
            return (root, BlockList { root, layout, values: Vec::new() });
        }
        self.values.push(self.current.finalize_non_root());
        let root = merged_root(&self.values).expect("there are at least two values");
        (root, BlockList { root, layout, values: self.values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: usize = 1024 * 1024;

    /// Bytes that differ everywhere, from a fixed stream.
    pub(crate) fn content(size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size];
        Hasher::new().update(b"content").finalize_xof().fill(&mut bytes);
        bytes
    }

    fn hashed(bytes: &[u8], block_bytes: u64, step: usize) -> (Digest, BlockList) {
        let mut hasher = TreeHasher::with_blocks(block_bytes);
        bytes.chunks(step).for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    #[test]
    fn the_root_is_blake3_for_each_interesting_size() {
        let sizes = [
            0,
            1,
            1023,
            1024,
            1025,
            MIB - 1,
            MIB,
            MIB + 1,
            2 * MIB - 1,
            2 * MIB,
            2 * MIB + 1,
            3 * MIB + 5,
            5 * MIB,
        ];
        let bytes = content(5 * MIB);
        for size in sizes {
            let bytes = &bytes[..size];
            let (root, list) = hashed(bytes, BLOCK_BYTES, 300_007);
            assert_eq!(root.0, *blake3::hash(bytes).as_bytes(), "{size}");
            let layout = Layout::new(size as u64).unwrap();
            assert_eq!(BlockList::check(root, layout, list.as_bytes()), Ok(list.clone()), "{size}");
            assert_eq!(list.as_bytes().len() as u64, layout.list_bytes(), "{size}");
            for block in 0..layout.blocks() {
                let range = layout.range(block).unwrap();
                let part = &bytes[range.start as usize..range.end as usize];
                assert!(list.verify(block, part), "{size} {block}");
                let in_pieces = |part: &[u8]| {
                    let mut check = list.check_in_pieces(block).unwrap();
                    part.chunks(300_007).for_each(|piece| check.update(piece));
                    check.is_passed()
                };
                assert!(in_pieces(part) && !in_pieces(&part[1..]), "{size} {block}");
                assert!(!in_pieces(&[part, b"x"].concat()), "{size} {block}");
            }
            assert!(!list.verify(layout.blocks(), b""), "{size}");
        }
    }

    #[test]
    fn the_root_of_the_empty_file_and_a_known_text_are_golden() {
        let root = |bytes: &[u8]| hashed(bytes, BLOCK_BYTES, 1).0.to_string();
        assert_eq!(root(b""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(root(b"abc"), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }

    #[test]
    fn values_from_several_cores_make_the_same_list() {
        let bytes = content(3 * MIB + 5);
        let (root, list) = hashed(&bytes, BLOCK_BYTES, MIB);
        let layout = list.layout();
        let values = (0..4).map(|block| {
            let range = layout.range(block).unwrap();
            block_value(&layout, block, &bytes[range.start as usize..range.end as usize]).unwrap()
        });
        let values: Vec<_> = values.collect();
        assert_eq!(BlockList::of_values(layout, values.clone()), Some(list));
        assert_eq!(BlockList::of_values(layout, values[..3].to_vec()), None);
        assert_eq!(root.0, *blake3::hash(&bytes).as_bytes());
    }

    #[test]
    fn a_wrong_size_is_found_by_the_list_or_by_the_last_block() {
        let bytes = content(5 * 1024 + 7);
        let (root, list) = hashed(&bytes, 1024, 4096);
        for size in [5 * 1024, 6 * 1024 + 1, 0, 1024, 100 * 1024] {
            let wrong = Layout::with_blocks(size, 1024);
            assert!(BlockList::check(root, wrong, list.as_bytes()).is_err(), "{size}");
        }
        let longer = Layout::with_blocks(5 * 1024 + 8, 1024);
        let unbound = BlockList::check(root, longer, list.as_bytes()).unwrap();
        let mut last = bytes[5 * 1024..].to_vec();
        assert!(!unbound.verify(5, &last));
        last.push(0);
        assert!(!unbound.verify(5, &last) && unbound.verify(4, &bytes[4096..5120]));
        let nothing = Layout::new(0).unwrap();
        assert_eq!(BlockList::check(root, nothing, b""), Err(ListError::Root));
    }

    #[test]
    fn blocks_and_offsets_agree_up_to_the_limit() {
        assert_eq!(Layout::new(FILE_BYTES_MAX + 1), None);
        let largest = Layout::new(FILE_BYTES_MAX).unwrap();
        assert_eq!((largest.blocks(), largest.list_bytes()), (1 << 20, 32 << 20));
        assert_eq!(largest.block_of(FILE_BYTES_MAX - 1), Some((1 << 20) - 1));
        assert_eq!(
            (largest.block_of(u64::MAX), largest.range(1 << 20), largest.range(u32::MAX)),
            (None, None, None)
        );
        let layout = Layout::new(BLOCK_BYTES * 2 + 1).unwrap();
        assert_eq!(layout.span(&(1..3)), Some(BLOCK_BYTES..BLOCK_BYTES * 2 + 1));
        assert_eq!((layout.span(&(1..4)), layout.span(&(2..2))), (None, None));
        assert_eq!(layout.block_of(BLOCK_BYTES), Some(1));
    }

    #[test]
    fn pieces_of_any_size_give_the_same_value() {
        let layout = Layout::new(2 * BLOCK_BYTES + 5).unwrap();
        let bytes: Vec<u8> = (0..BLOCK_BYTES).map(|at| (at % 251) as u8).collect();
        for (block, piece) in [(0, 1000), (1, 64 * 1024), (1, 1 << 21), (2, 2)] {
            let bytes = &bytes[..usize::try_from(layout.block_len(block)).unwrap()];
            let mut hasher = BlockHasher::new(&layout, block).unwrap();
            assert!(BlockHasher::new(&layout, block).unwrap().finish().is_none());
            bytes.chunks(piece).for_each(|piece| hasher.update(piece));
            hasher.update(b"surplus");
            assert_eq!(hasher.finish(), block_value(&layout, block, bytes), "{block} {piece}");
        }
        assert!(BlockHasher::new(&layout, 3).is_none());
        assert!(BlockHasher::new(&Layout::new(5).unwrap(), 0).is_none());
    }

    #[test]
    fn a_hundred_thousand_flipped_bits_are_all_caught_and_blamed_on_their_block() {
        let mut bytes = content(63 * 1024 + 500);
        let (_, list) = hashed(&bytes, 4096, 8192);
        let (blocks, size) = (list.layout().blocks(), bytes.len() as u64);
        let mut random = vec![0; 100_000 * 8];
        Hasher::new().update(b"flips").finalize_xof().fill(&mut random);
        for number in random.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number)) {
            let (at, bit) = (number % size, 1 << (number >> 61));
            bytes[at as usize] ^= bit;
            let block = list.layout().block_of(at).unwrap();
            let part = |block| {
                let range = list.layout().range(block).unwrap();
                range.start as usize..range.end as usize
            };
            assert!(!list.verify(block, &bytes[part(block)]), "bit of byte {at}");
            let other = (block + 1) % blocks;
            if number % 1000 == 0 {
                assert!(list.verify(other, &bytes[part(other)]));
            }
            bytes[at as usize] ^= bit;
        }
        assert!((0..blocks).all(|block| {
            let range = list.layout().range(block).unwrap();
            list.verify(block, &bytes[range.start as usize..range.end as usize])
        }));
    }

    #[test]
    fn a_flipped_bit_of_a_list_or_of_a_small_file_is_caught() {
        let bytes = content(9 * 1024);
        let (root, list) = hashed(&bytes, 1024, 4096);
        for bit in 0..list.as_bytes().len() * 8 {
            let mut wrong = list.as_bytes().to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BlockList::check(root, list.layout(), &wrong), Err(ListError::Root));
        }
        let mut small = content(500);
        let (_, list) = hashed(&small, BLOCK_BYTES, 100);
        small[17] ^= 4;
        assert!(!list.verify(0, &small));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_size_in_any_pieces_hashes_as_blake3(size in 0_usize..40_000, step in 1_usize..9_000, power in 0_u32..4) {
            let bytes = content(size);
            let (root, list) = hashed(&bytes, 1024 << power, step);
            prop_assert_eq!(root.0, *blake3::hash(&bytes).as_bytes());
            prop_assert_eq!(BlockList::check(root, list.layout(), list.as_bytes()), Ok(list));
        }
    }
}

//! Which blocks of a part file were verified, as bytes that survive the process.
//!
//! A header binds the journal to one root and one size; records are only ever appended. A block is written between its
//! [`Record::Intent`] and its [`Record::Done`]. Done names the part's change time after the write, so a part that somebody else
//! touched is known: its change time is not that of the last Done, and no write of ours was under way. What such a journal says is still
//! worth trying, but each of its blocks has to be hashed again. The same holds after a restart of the machine, which may have
//! lost bytes that were written before.
//!
//! Each record carries a checksum that covers the header too. What follows a torn or strange record does not count.

use super::blocks::Layout;
use super::runs::Runs;
use crate::value::digest::Digest;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of a record.
pub const RECORD_BYTES: usize = 32;

/// The last digit is the version.
const MAGIC: [u8; 8] = *b"P2PCI-J1";
/// Bytes of a checksum. It is there for torn writes, not against somebody who may write into our folder.
const CHECKSUM: usize = 8;
const HEADER_BODY: usize = HEADER_BYTES - CHECKSUM;
const RECORD_BODY: usize = RECORD_BYTES - CHECKSUM;

/// What the journal belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject {
    /// The file's root hash.
    pub root: Digest,
    /// Where its blocks lie.
    pub layout: Layout,
}

/// When the part was last changed: its change time in nanoseconds since 1970, as the system has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeTime(pub i128);

/// One run of the machine: any value that differs after it was started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boot(pub [u8; 16]);

/// What is appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// What follows was written in this run of the machine.
    Opened(Boot),
    /// The block is about to be written.
    Intent(u32),
    /// The verified block is written, and this is the part's change time now.
    Done(u32, ChangeTime),
    /// The block turned out not to be there; a Done of it before does not count.
    Lost(u32),
}

/// What a journal is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// Blocks that were verified and written.
    pub verified: Runs,
    /// Whether these are still there for sure; else each one has to be hashed again.
    pub trusted: bool,
    /// Bytes of the journal that count. What follows is to be cut off before anything is appended.
    pub length: usize,
}

/// The header of a new journal.
#[must_use]
pub fn header(subject: &Subject) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let [magic, root, size, sum] = split_header(&mut bytes);
    magic.copy_from_slice(&MAGIC);
    root.copy_from_slice(&subject.root.0);
    size.copy_from_slice(&subject.layout.size().to_le_bytes());
    let body = [&MAGIC[..], root, size, &[0; 8]].concat();
    sum.copy_from_slice(&checksum(&[&body]));
    bytes
}

/// Magic, root, size and checksum; the eight bytes before the checksum are zero.
fn split_header(bytes: &mut [u8; HEADER_BYTES]) -> [&mut [u8]; 4] {
    let (magic, rest) = bytes.split_at_mut(MAGIC.len());
    let (root, rest) = rest.split_at_mut(32);
    let (size, rest) = rest.split_at_mut(8);
    let (_, sum) = rest.split_at_mut(8);
    [magic, root, size, sum]
}

/// The layout of the file that a journal belongs to; `None` when it is not one of this root.
#[must_use]
pub fn layout_of(bytes: &[u8], root: Digest) -> Option<Layout> {
    let (_, rest) = bytes.split_at_checked(MAGIC.len().saturating_add(32))?;
    let layout = Layout::new(u64::from_le_bytes(*rest.first_chunk::<8>()?))?;
    bytes.starts_with(&header(&Subject { root, layout })).then_some(layout)
}

/// A record of the journal that begins with this header.
#[must_use]
pub fn record(header: &[u8; HEADER_BYTES], record: Record) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    let (kind, block, value) = match record {
        Record::Opened(boot) => (1_u32, 0, boot.0),
        Record::Intent(block) => (2, block, [0; 16]),
        Record::Done(block, ChangeTime(time)) => (3, block, time.to_le_bytes()),
        Record::Lost(block) => (4, block, [0; 16]),
    };
    let body = [&kind.to_le_bytes()[..], &block.to_le_bytes(), &value].concat();
    let (into_body, into_sum) = bytes.split_at_mut(RECORD_BODY);
    into_body.copy_from_slice(&body);
    into_sum.copy_from_slice(&checksum(&[header, &body]));
    bytes
}

/// Reads a journal. `None` when it is not one of this subject, and the download starts again.
#[must_use]
pub fn read(bytes: &[u8], subject: &Subject, now: ChangeTime, boot: Boot) -> Option<Resumed> {
    let header = header(subject);
    let records = bytes.strip_prefix(&header)?;
    let mut state = State { verified: Runs::default(), boot: None, last: None, writing: false };
    let mut length = HEADER_BYTES;
    for bytes in records.as_chunks::<RECORD_BYTES>().0 {
        let Some(record) = parse(&header, bytes, &subject.layout) else { break };
        state.apply(record);
        length = length.saturating_add(RECORD_BYTES);
    }
    // Of a write that was on its way nobody knows which change was the last.
    let untouched = !state.writing && state.last.is_none_or(|last| last == now);
    Some(Resumed { verified: state.verified, trusted: untouched && state.boot == Some(boot), length })
}

struct State {
    verified: Runs,
    boot: Option<Boot>,
    /// The change time of the last Done.
    last: Option<ChangeTime>,
    /// An Intent follows the last Done.
    writing: bool,
}

impl State {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Opened(boot) => self.boot = Some(boot),
            Record::Intent(_) => self.writing = true,
            Record::Done(block, time) => {
                self.verified.insert(block);
                self.last = Some(time);
                self.writing = false;
            }
            Record::Lost(block) => {
                self.verified.remove(block);
            }
        }
    }
}

fn parse(header: &[u8; HEADER_BYTES], bytes: &[u8; RECORD_BYTES], layout: &Layout) -> Option<Record> {
    let (body, sum) = bytes.split_at_checked(RECORD_BODY)?;
    if sum != checksum(&[header, body]) {
        return None;
    }
    let (kind, rest) = body.split_first_chunk::<4>()?;
    let (block, rest) = rest.split_first_chunk::<4>()?;
    let (value, _) = rest.split_first_chunk::<16>()?;
    let block = u32::from_le_bytes(*block);
    layout.range(block).or_else(|| (block == 0).then_some(0..0))?;
    match u32::from_le_bytes(*kind) {
        1 => Some(Record::Opened(Boot(*value))),
        2 => Some(Record::Intent(block)),
        3 => Some(Record::Done(block, ChangeTime(i128::from_le_bytes(*value)))),
        4 => Some(Record::Lost(block)),
        _ => None,
    }
}

fn checksum(parts: &[&[u8]]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut sum = [0; CHECKSUM];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

const _: () = assert!(HEADER_BODY == 8 + 32 + 8 + 8 && RECORD_BODY == 4 + 4 + 16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOOT: Boot = Boot([7; 16]);

    fn subject() -> Subject {
        Subject { root: Digest([9; 32]), layout: Layout::with_blocks(100 * 1024, 1024) }
    }

    fn journal(records: &[Record]) -> Vec<u8> {
        let header = header(&subject());
        let mut bytes = header.to_vec();
        records.iter().for_each(|one| bytes.extend(record(&header, *one)));
        bytes
    }

    fn read_at(bytes: &[u8], now: i128) -> Option<(Vec<u32>, bool)> {
        let resumed = read(bytes, &subject(), ChangeTime(now), BOOT)?;
        Some((resumed.verified.iter().collect(), resumed.trusted))
    }

    fn done(block: u32, time: i128) -> [Record; 2] {
        [Record::Intent(block), Record::Done(block, ChangeTime(time))]
    }

    #[test]
    fn an_untouched_part_is_trusted() {
        let records = [&[Record::Opened(BOOT)][..], &done(3, 10), &done(5, 20)].concat();
        let bytes = journal(&records);
        assert_eq!(read_at(&bytes, 20), Some((vec![3, 5], true)));
        assert_eq!(read_at(&bytes, 21), Some((vec![3, 5], false)), "touched since");
        let killed = journal(&[&records[..], &[Record::Intent(6)]].concat());
        assert_eq!(read_at(&killed, 21), Some((vec![3, 5], false)), "our own write, or somebody else's");
        assert_eq!(read_at(&killed, 20), Some((vec![3, 5], false)), "it may have ended in the same moment");
    }

    #[test]
    fn another_run_of_the_machine_is_not_trusted() {
        let bytes = journal(&[&[Record::Opened(Boot([1; 16]))][..], &done(3, 10)].concat());
        assert_eq!(read_at(&bytes, 10), Some((vec![3], false)));
        let bytes =
            journal(&[&[Record::Opened(Boot([1; 16]))][..], &done(3, 10), &[Record::Opened(BOOT)]].concat());
        assert_eq!(read_at(&bytes, 10), Some((vec![3], true)), "hashed again in this one");
    }

    #[test]
    fn a_lost_block_does_not_count_until_it_is_done_again() {
        let lost = [&[Record::Opened(BOOT)][..], &done(3, 10), &done(4, 11), &[Record::Lost(3)]].concat();
        assert_eq!(read_at(&journal(&lost), 11), Some((vec![4], true)));
        assert_eq!(read_at(&journal(&[&lost[..], &done(3, 12)].concat()), 12), Some((vec![3, 4], true)));
    }

    #[test]
    fn another_file_another_size_or_garbage_starts_again() {
        let bytes = journal(&done(1, 1));
        let other = Subject { root: Digest([8; 32]), ..subject() };
        assert_eq!(read(&bytes, &other, ChangeTime(1), BOOT), None);
        let longer = Subject { layout: Layout::with_blocks(100 * 1024 + 1, 1024), ..subject() };
        assert_eq!(read(&bytes, &longer, ChangeTime(1), BOOT), None);
        for garbage in [&b""[..], b"P2PCI-J1", &[0; 500]] {
            assert_eq!(read_at(garbage, 1), None);
        }
        for bit in 0..HEADER_BYTES * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_at(&wrong, 1), None);
        }
    }

    #[test]
    fn a_journal_tells_the_size() {
        let layout = Layout::new(5_000_000).unwrap();
        let mut bytes = header(&Subject { layout, ..subject() });
        assert_eq!(layout_of(&bytes, subject().root), Some(layout));
        assert_eq!(layout_of(&bytes, Digest([8; 32])), None);
        bytes[40] ^= 1;
        assert_eq!(layout_of(&bytes, subject().root), None);
        assert_eq!(layout_of(&bytes[..45], subject().root), None);
    }

    #[test]
    fn a_block_behind_the_end_ends_the_journal() {
        let bytes = journal(&[&[Record::Opened(BOOT)][..], &done(1, 1), &done(100, 2), &done(2, 3)].concat());
        assert_eq!(read_at(&bytes, 1), Some((vec![1], true)));
    }

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let one = prop_oneof![
            Just(Record::Opened(BOOT)),
            (0_u32..100).prop_map(Record::Intent),
            (0_u32..100, any::<i128>()).prop_map(|(block, time)| Record::Done(block, ChangeTime(time))),
            (0_u32..100).prop_map(Record::Lost),
        ];
        proptest::collection::vec(one, 0..40)
    }

    proptest! {
        #[test]
        fn what_is_before_a_cut_or_a_wrong_byte_counts(records in records(), at in any::<prop::sample::Index>(), flip in 0_u8..8) {
            let bytes = journal(&records);
            let cut = at.index(bytes.len() + 1);
            let whole = |count: usize| read(&journal(&records[..count]), &subject(), ChangeTime(0), BOOT);
            let expected = cut.checked_sub(HEADER_BYTES).map(|behind| behind / RECORD_BYTES);
            prop_assert_eq!(read(&bytes[..cut], &subject(), ChangeTime(0), BOOT), expected.and_then(whole));
            if let Some(byte) = bytes.get(cut) {
                let mut wrong = bytes.clone();
                wrong[cut] = byte ^ (1 << flip);
                prop_assert_eq!(read(&wrong, &subject(), ChangeTime(0), BOOT), expected.and_then(whole));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&tail, &subject(), ChangeTime(0), BOOT);
            let resumed = read(&[journal(&[]), tail].concat(), &subject(), ChangeTime(0), BOOT).unwrap();
            prop_assert_eq!((resumed.length, resumed.verified.is_empty()), (HEADER_BYTES, true));
        }
    }
}

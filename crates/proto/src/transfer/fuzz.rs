//! What must hold for whatever a source sends and whatever is found on a disk.

use std::collections::BTreeSet;
use std::time::Instant;

use super::answer::AnswerHead;
use super::blocks::{BlockList, Layout, TreeHasher};
use super::journal::{self, Boot, ChangeTime, Record, Subject};
use super::runs::Runs;
use crate::fuzz::{Cut, Steps};
use crate::value::digest::Digest;

/// Bytes of a block here: several fit a small input.
const BLOCK: u64 = 1024;

/// A head is read whole or not at all, and its range is never empty.
pub(crate) fn heads(data: &[u8], _: Instant) {
    let whole = AnswerHead::parse(data);
    if let Ok(Some((head, length))) = &whole {
        assert!(*length <= data.len());
        assert!(head.range.as_ref().is_none_or(|range| range.bytes.start < range.bytes.end));
        assert_eq!(
            AnswerHead::parse(data.get(..*length).unwrap_or_default()),
            whole,
            "it reads beyond its end"
        );
        let cut = data.get(..length.saturating_sub(1)).unwrap_or_default();
        assert_ne!(AnswerHead::parse(cut), whole, "it ends before its end");
    }
}

/// The root is that of the hash itself, each block verifies, and a flipped bit is found in the block that it is in.
pub(crate) fn blocks(data: &[u8], _: Instant) {
    let cut = Cut::of(data);
    let mut hasher = TreeHasher::with_blocks(BLOCK);
    cut.pieces().for_each(|piece| hasher.update(piece));
    let (root, list) = hasher.finish();
    assert_eq!(root.0, *blake3::hash(cut.stream).as_bytes(), "another root");
    let layout = list.layout();
    assert!(BlockList::check(root, layout, list.as_bytes()).is_ok(), "its own list is refused");
    let mut wrong = cut.stream.to_vec();
    let at = usize::from(cut.choice).saturating_mul(31).checked_rem(wrong.len()).unwrap_or(0);
    if let Some(byte) = wrong.get_mut(at) {
        *byte ^= 1;
    }
    for block in 0..layout.blocks() {
        let range = layout.range(block).unwrap_or_default();
        let range = usize::try_from(range.start).unwrap_or(0)..usize::try_from(range.end).unwrap_or(0);
        assert!(
            list.verify(block, cut.stream.get(range.clone()).unwrap_or_default()),
            "a good block is refused"
        );
        let holds = range.contains(&at);
        assert_eq!(
            list.verify(block, wrong.get(range).unwrap_or_default()),
            !holds,
            "blame on the wrong block"
        );
    }
    // A list that is not the file's own is never believed.
    let foreign = cut.stream.get(..list.as_bytes().len()).unwrap_or_default();
    let taken = BlockList::check(root, layout, foreign).is_ok();
    assert_eq!(taken, foreign == list.as_bytes() && foreign.len() == list.as_bytes().len());
}

/// What a journal says is what was written into it, up to the first byte that is not as it was.
pub(crate) fn journal(data: &[u8], _: Instant) {
    let mut steps = Steps(data);
    let layout = Layout::with_blocks(BLOCK.saturating_mul(u64::from(steps.byte()).saturating_add(1)), BLOCK);
    let subject = Subject { root: Digest([9; 32]), layout };
    let (boot, now) = (Boot([7; 16]), ChangeTime(i128::from(steps.byte())));
    let (harm_at, harm, cut) = (usize::from(steps.byte()), steps.byte(), usize::from(steps.byte()));
    let header = journal::header(&subject);
    let mut bytes = header.to_vec();
    let mut model: Vec<BTreeSet<u32>> = vec![BTreeSet::new()];
    while !steps.is_over() && bytes.len() < 4096 {
        let block = u32::from(steps.byte()).checked_rem(layout.blocks()).unwrap_or(0);
        let mut verified = model.last().cloned().unwrap_or_default();
        let record = match steps.byte() % 4 {
            0 => Record::Opened(Boot([steps.byte(); 16])),
            1 => Record::Intent(block),
            2 => {
                verified.insert(block);
                Record::Done(block, ChangeTime(i128::from(steps.byte())))
            }
            _ => {
                verified.remove(&block);
                Record::Lost(block)
            }
        };
        bytes.extend_from_slice(&journal::record(&header, record));
        model.push(verified);
    }
    let harmed = harm_at.saturating_mul(17);
    if let Some(byte) = bytes.get_mut(harmed).filter(|_| harm != 0) {
        *byte ^= harm;
    }
    bytes.truncate(bytes.len().saturating_sub(cut));
    let Some(read) = journal::read(&bytes, &subject, now, boot) else {
        assert!(
            bytes.len() < header.len() || (harm != 0 && harmed < header.len()),
            "a good journal is refused"
        );
        return;
    };
    assert!(read.length <= bytes.len());
    let records = read.length.saturating_sub(header.len()).checked_div(journal::RECORD_BYTES).unwrap_or(0);
    let expected = model.get(records).cloned().unwrap_or_default();
    assert!(read.verified.iter().eq(expected), "other blocks than were written");
    assert!(read.verified.iter().all(|block| layout.range(block).is_some()));
    let again = journal::read(bytes.get(..read.length).unwrap_or_default(), &subject, now, boot);
    assert_eq!(again.as_ref(), Some(&read), "what counts does not stand for itself");
    // Bytes that are no journal at all.
    assert!(journal::read(data, &subject, now, boot).is_none() || data.starts_with(&header));
    let _ = journal::layout_of(data, subject.root);
}

/// Runs of numbers are a set of numbers.
pub(crate) fn runs(data: &[u8], _: Instant) {
    let (mut steps, mut runs, mut model) = (Steps(data), Runs::default(), BTreeSet::new());
    while !steps.is_over() {
        let number = u32::from(steps.byte());
        match steps.byte() % 3 {
            0 => assert_eq!(runs.insert(number), model.insert(number)),
            1 => assert_eq!(runs.remove(number), model.remove(&number)),
            _ => {
                assert_eq!(runs.contains(number), model.contains(&number));
                let most = u32::from(steps.byte()).saturating_add(1);
                if let Some(run) = runs.next_run(number, most) {
                    assert!(!run.is_empty() && run.clone().all(|at| model.contains(&at)), "not in the set");
                } else {
                    assert!(model.is_empty(), "it finds nothing");
                }
            }
        }
    }
    assert!(runs.iter().eq(model.iter().copied()));
    assert_eq!(runs.count() as usize, model.len());
}

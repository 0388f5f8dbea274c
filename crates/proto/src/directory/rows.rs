//! Rows in order, in pieces of fixed room: one that is looked for is found with two waits for memory, a list runs through them as
//! they lie, and nothing but full pieces and one half-empty one for each gap costs more than the rows themselves.
//!
//! Invariants: no piece is empty, and two neighbours have more than [`FEW`] rows; `firsts` has the first row of each piece, in the
//! same order; rows rise strictly.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "places come from the invariants above and never from the network; the fuzz body `directory` holds them to a model"
)]

use super::SessionId;
use super::numbers::Entry;
use crate::value::number::RfcNumber;

/// Rows of one piece: what is moved when one is put in between is at most 2.5 KiB.
const ROOM: usize = 128;
/// Neighbours with so few rows each are joined.
const FEW: usize = ROOM / 4;
/// No row came before.
const NOWHERE: usize = usize::MAX;

/// By what a row is ordered and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) number: u32,
    pub(super) session: SessionId,
}

impl At {
    pub(super) fn new(number: RfcNumber, session: SessionId) -> Self {
        Self { number: number.get(), session }
    }
}

/// All rows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    firsts: Vec<At>,
    /// Boxed, so that a new piece between two moves pointers and not rows.
    #[expect(clippy::vec_box, reason = "a piece has 2.5 KiB")]
    pieces: Vec<Box<Piece>>,
    len: usize,
}

/// The numbers by themselves, as they are all that is looked at to find one.
#[derive(Debug)]
struct Piece {
    numbers: [u32; ROOM],
    owners: [Owner; ROOM],
    len: usize,
    /// Where the last row was put in: where the next one goes on behind it, a full piece is cut there and not in the middle, so
    /// that a peer which registers a row of numbers leaves full pieces behind.
    last: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Owner {
    session: u64,
    entry: Entry,
}

/// A place: a piece, and a row in it. Good until the rows change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    piece: usize,
    row: usize,
}

impl Piece {
    fn new() -> Box<Self> {
        Box::new(Self { numbers: [0; ROOM], owners: [Owner::default(); ROOM], len: 0, last: NOWHERE })
    }

    fn numbers(&self) -> &[u32] {
        self.numbers.get(..self.len).unwrap_or_default()
    }

    /// The first row that is not before.
    fn lower_bound(&self, at: At) -> usize {
        let numbers = self.numbers();
        let mut row = first_of(numbers, at.number);
        while let (Some(number), Some(owner)) = (numbers.get(row), self.owners.get(row))
            && *number == at.number
            && owner.session < at.session.0
        {
            row += 1;
        }
        row
    }

    fn row(&self, row: usize) -> Option<(At, Entry)> {
        let (number, owner) = (*self.numbers().get(row)?, self.owners.get(row)?);
        Some((At { number, session: SessionId(owner.session) }, owner.entry))
    }

    fn insert(&mut self, row: usize, at: At, entry: Entry) {
        self.numbers.copy_within(row..self.len, row + 1);
        self.owners.copy_within(row..self.len, row + 1);
        self.numbers[row] = at.number;
        self.owners[row] = Owner { session: at.session.0, entry };
        self.len += 1;
        self.last = row;
    }

    fn remove(&mut self, row: usize) {
        self.numbers.copy_within(row + 1..self.len, row);
        self.owners.copy_within(row + 1..self.len, row);
        self.len -= 1;
        self.last = NOWHERE;
    }

    /// The rows from one on, in a piece of their own.
    fn split(&mut self, row: usize) -> Box<Self> {
        let mut rest = Self::new();
        rest.append(self, row);
        self.len = row;
        rest
    }

    /// Takes another one's rows from one on.
    fn append(&mut self, other: &Self, from: usize) {
        let more = other.len - from;
        self.numbers[self.len..self.len + more].copy_from_slice(&other.numbers[from..other.len]);
        self.owners[self.len..self.len + more].copy_from_slice(&other.owners[from..other.len]);
        self.len += more;
        self.last = NOWHERE;
    }
}

/// The first place in sorted numbers that is not below. Numbers are dense more often than not, so it is looked for where it would
/// be if they were.
fn first_of(numbers: &[u32], number: u32) -> usize {
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return 0 };
    if number <= *first {
        return 0;
    }
    if number > *last {
        return numbers.len();
    }
    // Within the numbers, as the number is between the first and the last of them, which differ.
    let share = u64::from(number - first) * (numbers.len() as u64 - 1) / u64::from(last - first);
    let guess = share as usize;
    match numbers.get(guess.saturating_sub(1)..=guess) {
        Some([before, there]) if *before < number && number <= *there => guess,
        _ => numbers.partition_point(|known| *known < number),
    }
}

impl Rows {
    /// Where a row is or would be, and what is there.
    pub(super) fn find(&self, at: At) -> (Spot, Option<Entry>) {
        let spot = self.lower_bound(at);
        let there = self.row(spot).filter(|(known, _)| *known == at);
        (spot, there.map(|(_, entry)| entry))
    }

    fn row(&self, Spot { piece, row }: Spot) -> Option<(At, Entry)> {
        self.pieces.get(piece)?.row(row)
    }

    /// A row of the same number beside a place, if there is one: the one before, or else the one there. (Where the place is behind a
    /// piece and the number goes on in the next one, that is not looked at.)
    pub(super) fn beside(&self, spot: Spot, number: u32) -> Option<Entry> {
        let before = spot.row.checked_sub(1).map(|row| Spot { row, ..spot });
        let of_number = |spot| self.row(spot).filter(|(at, _)| at.number == number);
        let (_, entry) = before.and_then(of_number).or_else(|| of_number(spot))?;
        Some(entry)
    }

    /// Gives the row at a place another entry.
    pub(super) fn replace(&mut self, spot: Spot, entry: Entry) {
        if let Some(owner) = self.pieces.get_mut(spot.piece).and_then(|piece| piece.owners.get_mut(spot.row))
        {
            owner.entry = entry;
        }
    }

    /// Puts a row in where it was looked for and not found.
    pub(super) fn insert(&mut self, spot: Spot, at: At, entry: Entry) {
        if self.pieces.is_empty() {
            self.firsts.push(at);
            self.pieces.push(Piece::new());
        }
        let is_full = self.pieces[spot.piece].len == ROOM;
        let Spot { piece, row } = if is_full { self.make_room(spot, at) } else { spot };
        self.pieces[piece].insert(row, at, entry);
        if row == 0 {
            self.firsts[piece] = at;
        }
        self.len += 1;
    }

    /// Makes room for a row at a place in a full piece: gives the place that it has then.
    fn make_room(&mut self, Spot { piece: at_piece, row }: Spot, at: At) -> Spot {
        let (piece, next) = (&self.pieces[at_piece], self.pieces.get(at_piece + 1));
        if row == ROOM && next.is_some_and(|next| next.len < ROOM) {
            return Spot { piece: at_piece + 1, row: 0 };
        }
        // In its upper half only, or many small pieces could be cut off with few rows each.
        let goes_on = piece.last < row && row - piece.last == 1 && row >= ROOM / 2;
        let cut = if goes_on { row } else { ROOM / 2 };
        let rest = self.pieces[at_piece].split(cut);
        // Of an empty rest the new row will be the first one.
        self.firsts.insert(at_piece + 1, rest.row(0).map_or(at, |(first, _)| first));
        self.pieces.insert(at_piece + 1, rest);
        if row > cut || cut == ROOM {
            Spot { piece: at_piece + 1, row: row - cut }
        } else {
            // What was cut off may be as little as what follows.
            self.join(at_piece + 1);
            Spot { piece: at_piece, row }
        }
    }

    /// Takes a row out.
    pub(super) fn remove(&mut self, at: At) -> Option<Entry> {
        let (Spot { piece: at_piece, row }, there) = self.find(at);
        let (entry, piece) = (there?, self.pieces.get_mut(at_piece)?);
        piece.remove(row);
        self.len -= 1;
        match piece.row(0) {
            None => self.forget(at_piece),
            Some((first, _)) => self.firsts[at_piece] = first,
        }
        self.join(at_piece);
        self.join(at_piece.saturating_sub(1));
        Some(entry)
    }

    /// A piece with few rows takes in the next one if that has few as well.
    fn join(&mut self, at_piece: usize) {
        if let Some([piece, next]) = self.pieces.get_mut(at_piece..at_piece.saturating_add(2))
            && piece.len <= FEW
            && next.len <= FEW
        {
            piece.append(next, 0);
            self.forget(at_piece + 1);
        }
    }

    fn forget(&mut self, at_piece: usize) {
        self.firsts.remove(at_piece);
        self.pieces.remove(at_piece);
        if self.pieces.is_empty() {
            *self = Self::default();
        }
    }

    pub(super) fn get(&self, at: At) -> Option<Entry> {
        self.find(at).1
    }

    /// The first row that is not before, if it is in this piece; else the next piece begins with it.
    #[inline]
    fn lower_bound(&self, at: At) -> Spot {
        let piece = self.firsts.partition_point(|first| *first <= at).saturating_sub(1);
        Spot { piece, row: self.pieces.get(piece).map_or(0, |piece| piece.lower_bound(at)) }
    }

    /// The rows from this one on.
    #[inline]
    pub(super) fn from(&self, at: At) -> Run<'_> {
        let Spot { piece, row } = self.lower_bound(at);
        let mut run = Run { row, rest: self.pieces.get(piece..).unwrap_or_default() };
        run.settle();
        run
    }

    /// All rows.
    pub(super) fn all(&self) -> Run<'_> {
        Run { row: 0, rest: &self.pieces }
    }

    /// All entries, to be changed.
    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.pieces
            .iter_mut()
            .flat_map(|piece| piece.owners.iter_mut().take(piece.len))
            .map(|owner| &mut owner.entry)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// Rows one after the other.
#[derive(Debug, Clone)]
pub(super) struct Run<'a> {
    /// The next one, which is in the first piece if there is any.
    row: usize,
    rest: &'a [Box<Piece>],
}

impl Run<'_> {
    /// The next one, which stays the next one.
    #[inline]
    pub(super) fn peek(&self) -> Option<(At, Entry)> {
        self.rest.first()?.row(self.row)
    }

    /// Goes on.
    #[inline]
    pub(super) fn pass(&mut self) {
        self.row += 1;
        self.settle();
    }

    /// Behind the last row of a piece comes the first one of the next.
    #[inline]
    fn settle(&mut self) {
        if let Some((piece, rest)) = self.rest.split_first()
            && self.row >= piece.len
        {
            (self.row, self.rest) = (0, rest);
        }
    }
}

impl Iterator for Run<'_> {
    type Item = (At, Entry);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.peek()?;
        self.pass();
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(number: u32, session: u64) -> At {
        At { number, session: SessionId(session) }
    }

    /// Puts a row in; gives the one that was in its place.
    fn put(rows: &mut Rows, at: At, entry: Entry) -> Option<Entry> {
        let (spot, there) = rows.find(at);
        match there {
            Some(_) => rows.replace(spot, entry),
            None => rows.insert(spot, at, entry),
        }
        there
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// So many neighbours from a number on.
        Put {
            number: u32,
            session: u64,
            neighbours: u32,
        },
        Take {
            number: u32,
            session: u64,
            neighbours: u32,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let numbers = prop_oneof![1..2000u32, u32::MAX - 2000..u32::MAX - 300];
        let place = (numbers, prop_oneof![1..4u64, 1..300u64], prop_oneof![1..3u32, 1..300u32]);
        let step = (place, 0..5u8).prop_map(|((number, session, neighbours), kind)| match kind {
            0..3 => Step::Put { number, session, neighbours },
            _ => Step::Take { number, session, neighbours },
        });
        proptest::collection::vec(step, 1..40)
    }

    fn check(rows: &Rows, model: &BTreeMap<At, u32>) {
        let seen: Vec<(At, u32)> = rows.all().map(|(at, entry)| (at, entry.peer)).collect();
        let expected: Vec<(At, u32)> = model.iter().map(|(at, peer)| (*at, *peer)).collect();
        assert_eq!(seen, expected);
        assert_eq!(rows.len(), model.len());
        assert_eq!(rows.firsts.len(), rows.pieces.len());
        for (first, piece) in rows.firsts.iter().zip(&rows.pieces) {
            assert_eq!(
                piece.row(0).map(|(at, _)| at),
                Some(*first),
                "no piece is empty, and its first row is known"
            );
        }
        assert!(rows.pieces.windows(2).all(|two| two[0].len + two[1].len > FEW), "no crumbs");
    }

    #[test]
    fn pieces_that_lose_their_rows_are_joined_from_whichever_side() {
        let all = 6 * ROOM as u32;
        let orders: [fn(u32) -> u32; 3] =
            [|row| row, |row| 6 * ROOM as u32 - 1 - row, |row| row * 389 % (6 * ROOM as u32)];
        for order in orders {
            let (mut rows, mut model) = (Rows::default(), BTreeMap::new());
            for number in 0..all {
                put(&mut rows, at(number, 1), Entry { peer: number, ..Entry::default() });
                model.insert(at(number, 1), number);
            }
            // One in nine stays, so that every piece is left with few.
            for number in (0..all).map(order).filter(|number| !number.is_multiple_of(9)) {
                assert_eq!(rows.remove(at(number, 1)).map(|entry| entry.peer), Some(number));
                model.remove(&at(number, 1));
                check(&rows, &model);
            }
            let most = 2 * model.len().div_ceil(FEW) + 1;
            assert!(rows.pieces.len() <= most, "{} pieces of {} rows", rows.pieces.len(), model.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn rows_equal_a_naive_model(steps in steps(), asked in proptest::collection::vec((0..2400u32, 0..300u64), 20)) {
            let (mut rows, mut model, mut peer) = (Rows::default(), BTreeMap::new(), 0);
            for step in steps {
                let (Step::Put { number, session, neighbours } | Step::Take { number, session, neighbours }) = step;
                for number in number..number + neighbours {
                    peer += 1;
                    let at = at(number, session);
                    let entry = Entry { peer, ..Entry::default() };
                    let (was, expected) = match step {
                        Step::Put { .. } => (put(&mut rows, at, entry), model.insert(at, peer)),
                        Step::Take { .. } => (rows.remove(at), model.remove(&at)),
                    };
                    prop_assert_eq!(was.map(|entry| entry.peer), expected);
                }
                check(&rows, &model);
            }
            for (number, session) in asked {
                let at = at(number, session);
                let first = rows.from(at).next().map(|(at, _)| at);
                prop_assert_eq!(first, model.range(at..).next().map(|(at, _)| *at));
                prop_assert_eq!(rows.get(at).map(|entry| entry.peer), model.get(&at).copied());
            }
        }
    }

    #[test]
    fn a_row_takes_20_bytes_and_rows_of_numbers_fill_their_pieces() {
        assert_eq!(size_of::<[u32; ROOM]>() + size_of::<[Owner; ROOM]>(), 20 * ROOM);
        let mut rows = Rows::default();
        for start in [50_000, 0, 10_000] {
            for number in start + 1..=start + 5000 {
                put(&mut rows, at(number, 1), Entry::default());
            }
        }
        assert!(rows.pieces.len() <= 15_000 / ROOM + 6, "{} pieces", rows.pieces.len());
    }

    #[test]
    fn numbers_chosen_to_cut_pieces_badly_leave_no_small_ones() {
        let mut rows = Rows::default();
        let mut put_in = |number| assert!(put(&mut rows, at(number, 1), Entry::default()).is_none());
        (1..=ROOM as u32).for_each(&mut put_in);
        // Each before all that came after it, and just behind a full piece.
        (10_000..20_000).rev().for_each(&mut put_in);
        // Two at the beginning of what is full, and then again.
        for pair in (30_000..40_000).rev() {
            put_in(2 * pair);
            put_in(2 * pair + 1);
        }
        assert!(rows.pieces.len() <= rows.len() / (ROOM / 4), "{} pieces", rows.pieces.len());
    }
}

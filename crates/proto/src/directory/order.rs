//! Numbers of rows in the order of what the rows say, in pieces of bounded room.
//!
//! Whoever calls compares: this knows numbers only. Invariants: no piece is empty, and of two neighbours at least one has more than
//! [`FEW`]; the rows rise strictly.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "places come from the invariants above and never from the network; the fuzz body `directory` holds them to a model"
)]

use std::cmp::Ordering;

/// Numbers in one piece: what is moved when one is put in between is at most 1 KiB.
const ROOM: usize = 256;
/// Neighbours with so few each are joined.
const FEW: usize = ROOM / 4;
/// Room is made for so many more at a time.
const STEP: usize = 16;

/// Whoever puts rows in, in how many groups: each is remembered by the last row of its own.
const WRITERS: usize = 8;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Order {
    pieces: Vec<Vec<u32>>,
    len: usize,
    /// Where a writer's last row was put. Rows may have moved since: it is a guess.
    last: [Spot; WRITERS],
}

/// A place. Good until the order changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spot {
    piece: usize,
    at: usize,
}

impl Order {
    /// Where a row is or would be, and the row that is there. `compare` says how a row stands to the one that is looked for.
    pub(super) fn find(&self, compare: impl Fn(u32) -> Ordering) -> (Spot, Option<u32>) {
        let is_not_behind = |piece: &Vec<u32>| piece.first().is_some_and(|first| compare(*first).is_le());
        let piece = self.pieces.partition_point(is_not_behind).saturating_sub(1);
        let rows = self.pieces.get(piece).map_or(&[][..], Vec::as_slice);
        let at = rows.partition_point(|row| compare(*row).is_lt());
        let there = rows.get(at).copied().filter(|row| compare(*row).is_eq());
        (Spot { piece, at }, there)
    }

    /// The same, for a writer whose rows often come in their order: looks behind the last one that it put in first.
    pub(super) fn find_behind_last(
        &self,
        writer: u64,
        compare: impl Fn(u32) -> Ordering,
    ) -> (Spot, Option<u32>) {
        self.behind_last(writer, &compare).unwrap_or_else(|| self.find(compare))
    }

    fn behind_last(&self, writer: u64, compare: impl Fn(u32) -> Ordering) -> Option<(Spot, Option<u32>)> {
        let Spot { piece, at } = self.last[group(writer)];
        let rows = self.pieces.get(piece)?;
        if !compare(*rows.get(at)?).is_lt() {
            return None;
        }
        let spot = Spot { piece, at: at + 1 };
        let next = rows.get(at + 1).map(|next| (*next, true));
        let next = next.or_else(|| Some((*self.pieces.get(piece + 1)?.first()?, false)));
        match next.map(|(row, is_here)| (compare(row), row, is_here)) {
            None | Some((Ordering::Greater, ..)) => Some((spot, None)),
            Some((Ordering::Equal, row, true)) => Some((spot, Some(row))),
            Some(_) => None,
        }
    }

    /// Puts a writer's row in where it was looked for and not found.
    pub(super) fn insert(&mut self, writer: u64, spot: Spot, row: u32) {
        self.last[group(writer)] = self.put_in(spot, row);
    }

    /// Gives where it is now.
    fn put_in(&mut self, Spot { piece, at }: Spot, row: u32) -> Spot {
        self.len += 1;
        let Some(rows) = self.pieces.get_mut(piece) else {
            self.pieces.push(vec![row]);
            return Spot::default();
        };
        if rows.len() < ROOM {
            put(rows, at, row);
            return Spot { piece, at };
        }
        // Behind the last one, a new piece begins and this one stays full: names often come in their order.
        let cut = if at == ROOM { ROOM } else { ROOM / 2 };
        let mut rest = rows.split_off(cut);
        let spot = match at.checked_sub(cut) {
            Some(at) => {
                put(&mut rest, at, row);
                Spot { piece: piece + 1, at }
            }
            None => {
                put(rows, at, row);
                Spot { piece, at }
            }
        };
        self.pieces.insert(piece + 1, rest);
        self.join(piece + 1);
        spot
    }

    /// Takes the row at a place out.
    pub(super) fn remove(&mut self, Spot { piece, at }: Spot) {
        let Some(rows) = self.pieces.get_mut(piece).filter(|rows| at < rows.len()) else { return };
        rows.remove(at);
        self.len -= 1;
        if rows.is_empty() {
            self.pieces.remove(piece);
        }
        self.join(piece);
        self.join(piece.saturating_sub(1));
        if self.len == 0 {
            *self = Self::default();
        }
    }

    /// A piece with few rows takes in the next one if that has few as well.
    fn join(&mut self, piece: usize) {
        if let Some([rows, next]) = self.pieces.get_mut(piece..piece.saturating_add(2))
            && rows.len() <= FEW
            && next.len() <= FEW
        {
            rows.append(next);
            self.pieces.remove(piece + 1);
        }
    }

    /// The rows from a place on.
    pub(super) fn from(&self, Spot { piece, at }: Spot) -> impl Iterator<Item = u32> {
        let mut pieces = self.pieces.get(piece..).unwrap_or_default().iter();
        let first = pieces.next().and_then(|rows| rows.get(at..)).unwrap_or_default();
        first.iter().chain(pieces.flatten()).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

fn group(writer: u64) -> usize {
    (writer % WRITERS as u64) as usize
}

fn put(rows: &mut Vec<u32>, at: usize, row: u32) {
    if rows.len() == rows.capacity() {
        rows.reserve_exact(STEP);
    }
    rows.insert(at, row);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn check(order: &Order, model: &BTreeSet<u32>) {
        let seen: Vec<u32> = order.from(order.find(|_| Ordering::Greater).0).collect();
        assert_eq!(seen, model.iter().copied().collect::<Vec<_>>());
        assert_eq!(order.len(), model.len());
        assert!(order.pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= ROOM));
        assert!(order.pieces.windows(2).all(|two| two[0].len() > FEW || two[1].len() > FEW), "no crumbs");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn an_order_equals_a_naive_model(
            steps in proptest::collection::vec((0..4u8, 0..3000u32, 1..400u32), 1..40),
            asked in proptest::collection::vec(0..3400u32, 20),
        ) {
            let (mut order, mut model) = (Order::default(), BTreeSet::new());
            for (kind, start, count) in steps {
                for number in start..start + count {
                    let writer = u64::from(number % 3);
                    let (spot, there) = order.find_behind_last(writer, |row| row.cmp(&number));
                    let (searched, found) = order.find(|row| row.cmp(&number));
                    prop_assert_eq!((spot, there), (searched, found), "the guess is as good as the search");
                    prop_assert_eq!(there.is_some(), model.contains(&number));
                    match (kind, there) {
                        (0..3, None) => {
                            order.insert(writer, spot, number);
                            model.insert(number);
                        }
                        (3, Some(_)) => {
                            order.remove(spot);
                            model.remove(&number);
                        }
                        _ => {}
                    }
                }
                check(&order, &model);
            }
            for number in asked {
                let first = order.from(order.find(|row| row.cmp(&number)).0).next();
                prop_assert_eq!(first, model.range(number..).next().copied());
            }
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_pieces() {
        let mut order = Order::default();
        for number in 0..10_000_u32 {
            let (spot, _) = order.find(|row| row.cmp(&number));
            order.insert(0, spot, number);
        }
        assert!(order.pieces.len() <= 10_000 / ROOM + 1, "{} pieces", order.pieces.len());
    }

    #[test]
    fn what_comes_in_order_is_not_searched_for() {
        let (mut order, compared) = (Order::default(), std::cell::Cell::new(0_u32));
        // Two who take turns, each in order.
        for number in (0..10_000_u32).flat_map(|at| [(1, at), (2, at + 10_000)]) {
            let (spot, there) = order.find_behind_last(number.0, |row| {
                compared.set(compared.get() + 1);
                row.cmp(&number.1)
            });
            assert_eq!(there, None);
            order.insert(number.0, spot, number.1);
        }
        // A search takes 14 or more; only where a piece is cut is one needed.
        assert!(compared.get() < 3 * 20_000, "{} comparisons", compared.get());
    }
}

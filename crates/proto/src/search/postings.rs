//! The texts in which a word stands: numbers that rise, each as its distance from the one before, in bytes of seven bits.

use std::ops::ControlFlow;

/// Numbers that rise. The first one is kept apart: most words stand in one text alone, and cost nothing on the heap.
#[derive(Debug, Default)]
pub(super) struct Postings {
    first: u32,
    last: u32,
    count: u32,
    distances: Vec<u8>,
}

impl Postings {
    /// Appends a number above all others.
    pub(super) fn push(&mut self, number: u32) {
        if self.count == 0 {
            self.first = number;
        } else {
            let mut rest = number.saturating_sub(self.last);
            if self.distances.capacity().saturating_sub(self.distances.len()) < 5 {
                // By a quarter, not by the double: there are tens of millions of numbers.
                self.distances.reserve_exact((self.distances.len() / 4).saturating_add(5));
            }
            while rest > 0x7f {
                // Seven bits, and the mark that more follow.
                self.distances.push((rest & 0x7f) as u8 | 0x80);
                rest >>= 7;
            }
            self.distances.push(rest as u8);
        }
        self.last = number;
        self.count = self.count.saturating_add(1);
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Gives each number until it was enough. Most of a search's time is spent here.
    pub(super) fn each(&self, mut take: impl FnMut(u32) -> ControlFlow<()>) -> ControlFlow<()> {
        if self.count == 0 {
            return ControlFlow::Continue(());
        }
        let mut number = self.first;
        take(number)?;
        let mut bytes = self.distances.as_slice();
        while let [byte, rest @ ..] = bytes {
            bytes = rest;
            let (mut distance, mut shift, mut last) = (u32::from(byte & 0x7f), 7_u32, *byte);
            while let (true, [byte, rest @ ..]) = (last & 0x80 != 0, bytes) {
                distance |= u32::from(byte & 0x7f).wrapping_shl(shift);
                (bytes, shift, last) = (rest, shift.wrapping_add(7), *byte);
            }
            number = number.wrapping_add(distance);
            take(number)?;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(postings: &Postings) -> Vec<u32> {
        let mut all = Vec::new();
        let ended = postings.each(|number| {
            all.push(number);
            ControlFlow::Continue(())
        });
        assert!(ended.is_continue());
        all
    }

    #[test]
    fn numbers_read_back_and_one_alone_takes_no_room() {
        let mut postings = Postings::default();
        assert_eq!(all(&postings), [0_u32; 0]);
        let numbers = [0, 1, 127, 128, 255, 16_511, 16_512, 3_000_000, u32::MAX];
        for (count, number) in (1..).zip(numbers) {
            postings.push(number);
            assert_eq!(postings.count(), count);
            assert_eq!(all(&postings), numbers[..count as usize]);
            assert!(count > 1 || postings.distances.capacity() == 0);
        }
        assert_eq!(size_of::<Postings>(), 40);
    }
}

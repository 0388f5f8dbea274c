//! The texts in which a word stands: numbers that rise, each as its distance from the one before, in bytes of seven bits.

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

    /// The numbers.
    pub(super) fn iter(&self) -> Numbers<'_> {
        let first = (self.count > 0).then_some(self.first);
        Numbers { next: first, distances: self.distances.iter() }
    }
}

/// See [`Postings::iter`].
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    next: Option<u32>,
    distances: std::slice::Iter<'a, u8>,
}

impl Iterator for Numbers<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let number = self.next?;
        let (mut distance, mut shift) = (0_u32, 0);
        self.next = None;
        for byte in self.distances.by_ref() {
            distance |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                self.next = Some(number.wrapping_add(distance));
                break;
            }
            shift = shift.wrapping_add(7);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_one_alone_takes_no_room() {
        let mut postings = Postings::default();
        assert_eq!(postings.iter().next(), None);
        let numbers = [0, 1, 127, 128, 255, 16_511, 16_512, 3_000_000, u32::MAX];
        for (count, number) in (1..).zip(numbers) {
            postings.push(number);
            assert_eq!(postings.count(), count);
            assert!(postings.iter().eq(numbers.into_iter().take(count as usize)));
            assert!(count > 1 || postings.distances.capacity() == 0);
        }
        assert_eq!(size_of::<Postings>(), 40);
    }
}

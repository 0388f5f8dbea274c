//! How many typing errors lie between two words.

use crate::limits::SEARCH_WORD_CHARS_MAX;

/// A word that others are compared with, ready for it: where each letter stands, as bits.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    ascii: [u64; 128],
    others: Vec<(char, u64)>,
    length: u8,
}

const _: () = assert!(SEARCH_WORD_CHARS_MAX == u64::BITS as usize, "a bit for each letter");

impl Pattern {
    /// Of a longer word only the first [`SEARCH_WORD_CHARS_MAX`] letters count.
    pub(super) fn new(word: &str) -> Self {
        let mut pattern = Self { ascii: [0; 128], others: Vec::new(), length: 0 };
        for c in word.chars().take(SEARCH_WORD_CHARS_MAX) {
            let bit = 1_u64.wrapping_shl(u32::from(pattern.length));
            pattern.length = pattern.length.saturating_add(1);
            match pattern.ascii.get_mut(c as usize) {
                Some(places) => *places |= bit,
                None => match pattern.others.iter_mut().find(|(known, _)| *known == c) {
                    Some((_, places)) => *places |= bit,
                    None => pattern.others.push((c, bit)),
                },
            }
        }
        pattern
    }

    fn places(&self, c: char) -> u64 {
        match self.ascii.get(c as usize) {
            Some(places) => *places,
            None => self.others.iter().find(|(known, _)| *known == c).map_or(0, |(_, places)| *places),
        }
    }

    /// How many letters at least must be typed, left out, changed or swapped with their neighbour to make one word of the other, if
    /// those are at most `most`. No part is changed twice (which makes it the restricted distance of Damerau and Levenshtein).
    ///
    /// A column of the table is two numbers, whose bits say where it rises and falls: Myers 1999, with swaps by Hyyrö 2003.
    pub(super) fn distance(&self, word: &str, most: u8) -> Option<u8> {
        let last = 1_u64.wrapping_shl(u32::from(self.length.checked_sub(1)?));
        let (mut rises, mut falls, mut same, mut before) = (u64::MAX, 0_u64, 0_u64, 0_u64);
        let mut distance = self.length;
        for c in word.chars() {
            let places = self.places(c);
            let swapped = ((!same & places) << 1) & before;
            same = ((places & rises).wrapping_add(rises) ^ rises) | places | falls | swapped;
            let right_rises = falls | !(same | rises);
            let right_falls = same & rises;
            if right_rises & last != 0 {
                distance = distance.saturating_add(1);
            }
            if right_falls & last != 0 {
                distance = distance.saturating_sub(1);
            }
            let right_rises = right_rises << 1 | 1;
            rises = right_falls << 1 | !(same | right_rises);
            falls = right_rises & same;
            before = places;
        }
        (distance <= most).then_some(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(one: &str, other: &str, most: u8) -> Option<u8> {
        Pattern::new(one).distance(other, most)
    }

    #[test]
    fn typing_leaving_out_changing_and_swapping_cost_one_each() {
        for (one, other, errors) in [
            ("linux", "linux", 0),
            ("linux", "linu", 1),
            ("linux", "linuxs", 1),
            ("linux", "linax", 1),
            ("linux", "lniux", 1),
            ("linux", "ilnxu", 2),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
            ("köln", "kolen", 2),
        ] {
            assert_eq!(between(one, other, 9), Some(errors), "{one} {other}");
            assert_eq!(between(other, one, 9), Some(errors), "{other} {one}");
            assert_eq!(between(one, other, errors), Some(errors));
            assert_eq!(errors.checked_sub(1).and_then(|less| between(one, other, less)), None);
        }
    }

    #[test]
    fn words_of_full_length_compare() {
        let long = "ab".repeat(SEARCH_WORD_CHARS_MAX / 2);
        assert_eq!(between(&long, &long, 2), Some(0));
        assert_eq!(between(&long, &long[1..], 2), Some(1));
    }
}

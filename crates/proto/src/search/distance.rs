//! How many typing errors lie between two words.

use crate::limits::SEARCH_WORD_CHARS_MAX;

/// A word as characters, without a place on the heap.
#[derive(Debug, Clone)]
pub(super) struct Letters {
    chars: [char; SEARCH_WORD_CHARS_MAX],
    len: usize,
}

/// One row of the table: distances between the beginnings of two words, cut at 255.
type Row = [u8; SEARCH_WORD_CHARS_MAX + 1];

impl Letters {
    pub(super) fn new(word: &str) -> Self {
        let mut letters = Self { chars: ['\0'; SEARCH_WORD_CHARS_MAX], len: 0 };
        for (place, c) in letters.chars.iter_mut().zip(word.chars()) {
            *place = c;
            letters.len = letters.len.saturating_add(1);
        }
        letters
    }

    pub(super) fn as_slice(&self) -> &[char] {
        self.chars.get(..self.len).unwrap_or_default()
    }
}

/// How many letters at least must be typed, left out, changed or swapped with their neighbour to make one word of the other, if
/// those are at most `most`. No part is changed twice (which makes it the restricted distance of Damerau and Levenshtein).
pub(super) fn distance(one: &Letters, other: &Letters, most: u8) -> Option<u8> {
    let (one, other) = (one.as_slice(), other.as_slice());
    if one.len().abs_diff(other.len()) > usize::from(most) {
        return None;
    }
    let mut before: Row = [0; SEARCH_WORD_CHARS_MAX + 1];
    let mut last: Row = [0; SEARCH_WORD_CHARS_MAX + 1];
    for (place, value) in last.iter_mut().zip(0..) {
        *place = value;
    }
    let mut previous = None;
    for (at, letter) in (1..).zip(one) {
        let row = next_row(*letter, previous, other, &before, &last, at);
        let best = row.get(..=other.len()).and_then(|row| row.iter().min())?;
        if *best > most {
            return None;
        }
        previous = Some(*letter);
        before = last;
        last = row;
    }
    last.get(other.len()).copied().filter(|distance| *distance <= most)
}

fn next_row(letter: char, previous: Option<char>, other: &[char], before: &Row, last: &Row, at: u8) -> Row {
    let mut row: Row = [0; SEARCH_WORD_CHARS_MAX + 1];
    let mut left = at;
    let mut left_letter = None;
    if let Some(first) = row.first_mut() {
        *first = at;
    }
    // Two rows up, two to the left: where a swap comes from.
    let mut diagonal_of_swap = None;
    let above = last.iter().zip(last.iter().skip(1)).zip(before);
    for ((((diagonal, above), two_up), theirs), place) in above.zip(other).zip(row.iter_mut().skip(1)) {
        let changed = diagonal.saturating_add(u8::from(letter != *theirs));
        let mut best = changed.min(above.saturating_add(1)).min(left.saturating_add(1));
        if let (Some(swap), Some(previous)) = (diagonal_of_swap, previous)
            && left_letter == Some(letter)
            && previous == *theirs
        {
            best = best.min(u8::saturating_add(swap, 1));
        }
        *place = best;
        left = best;
        left_letter = Some(*theirs);
        diagonal_of_swap = Some(*two_up);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(one: &str, other: &str, most: u8) -> Option<u8> {
        distance(&Letters::new(one), &Letters::new(other), most)
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
            ("", "ab", 2),
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

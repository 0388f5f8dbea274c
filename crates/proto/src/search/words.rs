//! Every word once: found by itself, by its beginning, and by what somebody typed who meant it.
//!
//! Three orders of the same numbers. A table finds the word itself. Short sorted runs find a beginning; one long run would have to
//! move half of itself for each new word. For typing errors all words of about the same length are looked through, four bytes
//! each: which letters a word has tells nearly always that it is too far away.

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

use super::distance::Pattern;
use crate::limits::SEARCH_WORD_CHARS_MAX;

/// Words of one sorted run, at most.
const RUN: usize = 512;
/// Shortest and longest typed word that is looked for with one typing error, and with two.
const ONE_ERROR_FROM: usize = 4;
const TWO_ERRORS_FROM: usize = 8;

/// How many typing errors a word may have: none where digits are part of it, since another number is another thing.
pub(super) fn errors_in(word: &str) -> u8 {
    match word.chars().count() {
        _ if has_digit(word) => 0,
        ..ONE_ERROR_FROM => 0,
        ONE_ERROR_FROM..TWO_ERRORS_FROM => 1,
        _ => 2,
    }
}

fn has_digit(word: &str) -> bool {
    word.chars().any(char::is_numeric)
}

/// Words by number, from 0.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    texts: Texts,
    table: HashTable<u32>,
    seed: RandomState,
    /// Invariant: no run is empty; words rise within a run and from run to run.
    runs: Vec<Vec<u32>>,
    /// By the number of characters.
    by_length: Vec<Alike>,
}

/// The words, one behind the other.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    ends: Vec<u32>,
}

impl Texts {
    fn get(&self, word: u32) -> &str {
        let at = word as usize;
        let begin = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let end = self.ends.get(at).copied().unwrap_or_default();
        self.text.get(begin as usize..end as usize).unwrap_or_default()
    }

    fn push(&mut self, word: &str) -> Option<u32> {
        let number = u32::try_from(self.ends.len()).ok()?;
        let end = u32::try_from(self.text.len().checked_add(word.len())?).ok()?;
        self.text.push_str(word);
        self.ends.push(end);
        Some(number)
    }
}

/// Words of one length.
#[derive(Debug, Default)]
struct Alike {
    letters: Vec<u32>,
    words: Vec<u32>,
}

/// Which letters a word has, by their last five bits: those of one alphabet differ.
fn letters_of(word: &str) -> u32 {
    word.chars().fold(0, |letters, c| letters | 1_u32.wrapping_shl(u32::from(c)))
}

impl Dictionary {
    /// The word of a number.
    pub(super) fn text(&self, word: u32) -> &str {
        self.texts.get(word)
    }

    /// The number of a word.
    pub(super) fn get(&self, word: &str) -> Option<u32> {
        let hash = self.seed.hash_one(word);
        self.table.find(hash, |known| self.texts.get(*known) == word).copied()
    }

    /// The number of a word, which is taken in if it is new; `None` when there is no room for more.
    pub(super) fn intern(&mut self, word: &str) -> Option<u32> {
        let Self { texts, table, seed, .. } = self;
        let hash = seed.hash_one(word);
        if let Some(known) = table.find(hash, |known| texts.get(*known) == word) {
            return Some(*known);
        }
        let number = texts.push(word)?;
        table.insert_unique(hash, number, |known| seed.hash_one(texts.get(*known)));
        self.put_in_order(number, word);
        if !has_digit(word) {
            let length = word.chars().count();
            if self.by_length.len() <= length {
                self.by_length.resize_with(length.saturating_add(1), Alike::default);
            }
            if let Some(alike) = self.by_length.get_mut(length) {
                alike.letters.push(letters_of(word));
                alike.words.push(number);
            }
        }
        Some(number)
    }

    fn put_in_order(&mut self, number: u32, word: &str) {
        let Self { texts, runs, .. } = self;
        let at = run_of(runs, texts, word);
        let Some(run) = runs.get_mut(at) else {
            runs.push(vec![number]);
            return;
        };
        let place = run.partition_point(|known| texts.get(*known) < word);
        run.insert(place, number);
        if run.len() > RUN {
            let behind = run.split_off(RUN / 2);
            runs.insert(at.saturating_add(1), behind);
        }
    }

    /// The words that begin so, in order.
    pub(super) fn beginning_with<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = u32> + 'a {
        let first = run_of(&self.runs, &self.texts, beginning);
        let words = self.runs.iter().skip(first).flatten().copied();
        words
            .skip_while(move |word| self.text(*word) < beginning)
            .take_while(move |word| self.text(*word).starts_with(beginning))
    }

    /// The words that are meant by a typed one, if it has at most this many typing errors, and how many those are.
    pub(super) fn meant_by(&self, typed: &str, errors: u8, mut take: impl FnMut(u32, u8)) {
        let (length, most) = (typed.chars().count(), usize::from(errors));
        let (letters, typed) = (letters_of(typed), Pattern::new(typed));
        let lengths = length.saturating_sub(most)..=length.saturating_add(most).min(SEARCH_WORD_CHARS_MAX);
        for alike in lengths.filter_map(|length| self.by_length.get(length)) {
            for (theirs, word) in alike.letters.iter().zip(&alike.words) {
                let missing = (letters & !theirs).count_ones().max((theirs & !letters).count_ones());
                if missing <= u32::from(errors)
                    && let Some(errors) = typed.distance(self.text(*word), errors)
                {
                    take(*word, errors);
                }
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.texts.ends.len()
    }
}

/// The run in which a word stands, or would.
fn run_of(runs: &[Vec<u32>], texts: &Texts, word: &str) -> usize {
    let begins_before = |run: &Vec<u32>| run.first().is_some_and(|first| texts.get(*first) <= word);
    runs.partition_point(begins_before).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(words: &[String]) -> Dictionary {
        let mut dictionary = Dictionary::default();
        for word in words {
            dictionary.intern(word).unwrap();
        }
        dictionary
    }

    /// All words of one to four of these letters.
    fn many() -> Vec<String> {
        let mut words = vec![String::new()];
        let mut at = 0;
        while let Some(word) = words.get(at).filter(|word| word.len() < 4).cloned() {
            words.extend(['c', 'a', 'f', 'b', 'e', 'd'].map(|letter| format!("{word}{letter}")));
            at += 1;
        }
        words.split_off(1)
    }

    #[test]
    fn words_are_found_by_themselves_and_by_their_beginnings() {
        let words = many();
        let dictionary = filled(&words);
        assert!(dictionary.runs.len() > 2, "more than one run");
        assert_eq!(dictionary.len(), words.len());
        for word in &words {
            let number = dictionary.get(word).unwrap();
            assert_eq!(dictionary.text(number), word);
            let mut expected: Vec<&str> =
                words.iter().map(String::as_str).filter(|other| other.starts_with(word)).collect();
            expected.sort_unstable();
            assert!(
                dictionary.beginning_with(word).map(|other| dictionary.text(other)).eq(expected),
                "{word}"
            );
        }
        assert_eq!(dictionary.get("x"), None);
        assert_eq!(dictionary.beginning_with("x").next(), None);
        assert_eq!(dictionary.beginning_with("abcde").next(), None);
    }

    #[test]
    fn what_is_meant_is_found_and_digits_are_never_meant() {
        let words = ["linux", "linus", "lniux", "minix", "linux2", "linuxes", "line"].map(str::to_owned);
        let dictionary = filled(&words);
        let mut meant = Vec::new();
        dictionary.meant_by("linux", 1, |word, errors| meant.push((dictionary.text(word), errors)));
        meant.sort_unstable();
        assert_eq!(meant, [("linus", 1), ("linux", 0), ("lniux", 1)]);
        assert_eq!(
            (errors_in("abc"), errors_in("abcd"), errors_in("abcdefgh"), errors_in("abcd3fgh")),
            (0, 1, 2, 0)
        );
    }
}

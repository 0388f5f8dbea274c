//! Titles as people give them, as far as a search cares: a few words each, some words in very many of them and most in few.

use std::collections::HashSet;

use fastrand::Rng;

/// Different words.
pub(crate) const WORDS: usize = 200_000;
/// Words of a title.
const LENGTH: usize = 6;

/// A source of titles, the same for the same seed.
#[derive(Debug)]
pub(crate) struct Titles {
    words: Vec<String>,
    /// How often a word or a more usual one comes, in parts of the last.
    sums: Vec<f64>,
    rng: Rng,
}

const SYLLABLES: [&str; 20] = [
    "ba", "ko", "ri", "ten", "mu", "sol", "va", "ne", "qui", "dor", "pla", "gri", "sha", "lo", "fen", "ti",
    "cru", "em", "ost", "ul",
];

impl Titles {
    /// Words of two to four syllables, half of them with a letter more; the n-th comes 1/n as often as the first (Zipf).
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (mut words, mut known) = (Vec::with_capacity(WORDS), HashSet::new());
        while words.len() < WORDS {
            let mut word: String =
                (0..rng.usize(2..=4)).map(|_| SYLLABLES[rng.usize(..SYLLABLES.len())]).collect();
            if rng.bool() {
                word.push(rng.lowercase());
            }
            if known.insert(word.clone()) {
                words.push(word);
            }
        }
        let mut sum = 0.0;
        let sums = (1..=WORDS).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self { sums: sums.collect(), words, rng }
    }

    fn word(&mut self) -> &str {
        let all = self.sums.last().copied().unwrap_or_default();
        let at = self.rng.f64() * all;
        let rank = self.sums.partition_point(|sum| *sum < at).min(WORDS - 1);
        &self.words[rank]
    }

    /// The next title.
    pub(crate) fn next(&mut self) -> String {
        let mut title = String::new();
        for at in 0..LENGTH {
            title.push_str(if at == 0 { "" } else { " " });
            title.push_str(self.word());
        }
        title
    }

    /// Two words of a title as somebody types them who looks for it: the second one with a typing error.
    pub(crate) fn misspelt(&mut self, title: &str) -> String {
        let mut words = title.split(' ');
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut letters: Vec<char> = second.chars().collect();
        let at = self.rng.usize(..letters.len() - 1);
        match self.rng.u8(..4) {
            0 => letters[at] = self.rng.lowercase(),
            1 => drop(letters.remove(at)),
            2 => letters.insert(at, self.rng.lowercase()),
            _ => letters.swap(at, at + 1),
        }
        format!("{first} {}", letters.into_iter().collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_words_are_usual_and_titles_are_the_same_for_the_same_seed() {
        let (mut titles, mut same) = (Titles::new(1), Titles::new(1));
        let first = titles.words[0].clone();
        let all: Vec<String> = (0..1000).map(|_| titles.next()).collect();
        assert!(all.iter().all(|title| title.split(' ').count() == LENGTH && *title == same.next()));
        let with_first = all.iter().filter(|title| title.split(' ').any(|word| word == first)).count();
        assert!((300..550).contains(&with_first), "{with_first} of 1000 have the most usual word");
        assert_ne!(titles.misspelt(&all[0]), same.misspelt(&all[1]));
    }
}

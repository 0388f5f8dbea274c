//! A text as the words that it is found by: case, accents and ligatures are gone, and whoever types finds what was written.

use unicode_normalization::UnicodeNormalization as _;

use crate::limits::SEARCH_WORD_CHARS_MAX;

/// Gives each word of a text in its order: runs of letters and digits, in small letters, without accents. Of a longer word only the
/// first [`SEARCH_WORD_CHARS_MAX`] characters count. Scripts that are written without spaces give a word a character.
pub(super) fn each_word(text: &str, mut take: impl FnMut(&str)) {
    let mut word = Word::default();
    if text.is_ascii() {
        for byte in text.bytes() {
            match byte.is_ascii_alphanumeric() {
                true => word.push(char::from(byte.to_ascii_lowercase())),
                false => word.end(&mut take),
            }
        }
    } else {
        for c in text.nfkd().flat_map(char::to_lowercase) {
            fold(c, &mut word, &mut take);
        }
    }
    word.end(&mut take);
}

/// The words of a text.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, |word| words.push(word.to_owned()));
    words
}

fn fold(c: char, word: &mut Word, take: &mut impl FnMut(&str)) {
    match c {
        // What decomposing took off its letter: accents, and the voicing marks of kana.
        '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}' => {}
        // Letters that do not decompose, as people without them on the keyboard type them.
        'ß' => word.push_all("ss"),
        'æ' => word.push_all("ae"),
        'œ' => word.push_all("oe"),
        'þ' => word.push_all("th"),
        'ø' => word.push('o'),
        'ł' => word.push('l'),
        'đ' | 'ð' => word.push('d'),
        'ı' => word.push('i'),
        c if is_a_word_alone(c) => {
            word.end(take);
            word.push(c);
            word.end(take);
        }
        c if c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c) => word.push(c),
        _ => word.end(take),
    }
}

/// Han and kana.
fn is_a_word_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// The word that is being read.
#[derive(Default)]
struct Word {
    text: String,
    chars: usize,
}

impl Word {
    fn push(&mut self, c: char) {
        if self.chars < SEARCH_WORD_CHARS_MAX {
            self.text.push(c);
            self.chars = self.chars.saturating_add(1);
        }
    }

    fn push_all(&mut self, text: &str) {
        text.chars().for_each(|c| self.push(c));
    }

    fn end(&mut self, take: &mut impl FnMut(&str)) {
        if !self.text.is_empty() {
            take(&self.text);
            self.text.clear();
            self.chars = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_accents_and_ligatures_are_gone() {
        assert_eq!(words("The BLAKE3 Guide-v2.1_final"), ["the", "blake3", "guide", "v2", "1", "final"]);
        assert_eq!(words("Gödel, Café naïve"), ["godel", "cafe", "naive"]);
        assert_eq!(words("Cafe\u{301}"), ["cafe"], "composed or not");
        assert_eq!(
            words("Straße STRASSE ẞ Ærø Łódź ﬁle İI"),
            ["strasse", "strasse", "ss", "aero", "lodz", "file", "ii"]
        );
        assert_eq!(words("ΑΒΓ Привет"), ["αβγ", "привет"]);
        assert_eq!(words("文件 ファイル2"), ["文", "件", "フ", "ァ", "イ", "ル", "2"]);
        assert_eq!(words("  \u{1f980}..  "), [""; 0]);
    }

    #[test]
    fn letters_that_do_not_decompose_are_found_as_they_are_typed_without_them() {
        assert_eq!(
            words("Œuvre Þingvellir Đorđe Ísafjörður kapı"),
            ["oeuvre", "thingvellir", "dorde", "isafjordur", "kapi"]
        );
        assert_eq!(
            words("\u{20000}\u{20001}a"),
            ["\u{20000}", "\u{20001}", "a"],
            "rare Han are words as well"
        );
    }

    #[test]
    fn a_long_word_is_cut() {
        let long = "é".repeat(SEARCH_WORD_CHARS_MAX + 9);
        assert_eq!(words(&long), ["e".repeat(SEARCH_WORD_CHARS_MAX)]);
    }
}

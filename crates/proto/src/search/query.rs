//! What somebody looks for: words, and filters among them.

use std::ops::RangeInclusive;

use super::distance::Pattern;
use super::fold::{each_word, words};
use super::words::errors_in;
use crate::limits::SEARCH_WORDS_MAX;

/// Words that a text must all have, in any order, and what else must be true of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
    kind: Option<String>,
    size: Option<RangeInclusive<u64>>,
    complete: bool,
}

/// Why a query cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// Nothing but filters, spaces and marks.
    #[error("there is no word to look for: letters or digits are missing")]
    NoWord,
    /// See [`SEARCH_WORDS_MAX`].
    #[error("there are more than {SEARCH_WORDS_MAX} words to look for")]
    TooManyWords,
    /// A `size:` that is none.
    #[error("'size:' needs a limit such as size:>10M, size:<1G or size:10M..1G")]
    Size,
    /// No size lies within.
    #[error("no size is within the limits of 'size:'")]
    NoSize,
    /// A `kind:` that is none.
    #[error("'kind:' needs the ending of a file's name, such as kind:pdf, and stands once")]
    Kind,
    /// An `is:` that is none.
    #[error("the only 'is:' is is:complete")]
    Is,
}

/// How near a word of a text is to the typed one; more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    TwoErrors = 1,
    OneError,
    Beginning,
    Same,
}

impl Closeness {
    /// For so many typing errors, at least one.
    pub(super) fn of_errors(errors: u8) -> Self {
        if errors == 1 { Self::OneError } else { Self::TwoErrors }
    }
}

/// A typed word, ready to be compared with others.
struct Typed<'a> {
    word: &'a str,
    /// What it may be misspelt for, and with how many errors.
    meant: Option<(Pattern, u8)>,
}

impl<'a> Typed<'a> {
    fn new(word: &'a str) -> Self {
        let errors = errors_in(word);
        Self { word, meant: (errors > 0).then(|| (Pattern::new(word), errors)) }
    }

    fn finds(&self, word: &str) -> bool {
        let is_meant = |(pattern, errors): &(Pattern, u8)| {
            !word.chars().any(char::is_numeric) && pattern.distance(word, *errors).is_some()
        };
        word.starts_with(self.word) || self.meant.as_ref().is_some_and(is_meant)
    }
}

impl Query {
    /// Reads what was typed: words, `size:>10M`, `size:<1G`, `size:10M..1G`, `kind:pdf`, `is:complete`.
    ///
    /// # Errors
    /// [`QueryError`]
    pub fn parse(typed: &str) -> Result<Self, QueryError> {
        let mut query = Self { words: Vec::new(), kind: None, size: None, complete: false };
        for part in typed.split_whitespace() {
            let (filter, value) = part.split_once(':').unwrap_or_default();
            match filter.to_ascii_lowercase().as_str() {
                "size" => query.limit_size(value)?,
                "kind" => query.limit_kind(value)?,
                "is" if value.eq_ignore_ascii_case("complete") => query.complete = true,
                "is" => return Err(QueryError::Is),
                _ => query.take_words(part)?,
            }
        }
        match query.words.is_empty() && query.kind.is_none() {
            true => Err(QueryError::NoWord),
            false => Ok(query),
        }
    }

    fn take_words(&mut self, part: &str) -> Result<(), QueryError> {
        each_word(part, |word| {
            if self.words.len() <= SEARCH_WORDS_MAX && !self.words.iter().any(|known| known == word) {
                self.words.push(word.to_owned());
            }
        });
        if self.words.len() > SEARCH_WORDS_MAX { Err(QueryError::TooManyWords) } else { Ok(()) }
    }

    fn limit_size(&mut self, value: &str) -> Result<(), QueryError> {
        let bytes = |text: &str| bytes(text).ok_or(QueryError::Size);
        let (least, most) = match (value.strip_prefix('>'), value.strip_prefix('<'), value.split_once("..")) {
            (Some(least), _, _) => (bytes(least)?.saturating_add(1), u64::MAX),
            (_, Some(most), _) => (0, bytes(most)?.checked_sub(1).ok_or(QueryError::NoSize)?),
            (_, _, Some((least, most))) => (bytes(least)?, bytes(most)?),
            _ => return Err(QueryError::Size),
        };
        let known = self.size.take().unwrap_or(0..=u64::MAX);
        let both = least.max(*known.start())..=most.min(*known.end());
        if both.is_empty() {
            return Err(QueryError::NoSize);
        }
        self.size = Some(both);
        Ok(())
    }

    fn limit_kind(&mut self, value: &str) -> Result<(), QueryError> {
        let kind = value.trim_start_matches('.').to_lowercase();
        let known = words(&kind);
        if known.is_empty() || known.len() > KIND_WORDS_MAX || kind.contains('/') || self.kind.is_some() {
            return Err(QueryError::Kind);
        }
        self.kind = Some(kind);
        Ok(())
    }

    /// The words, folded, each once.
    pub(super) fn words(&self) -> &[String] {
        &self.words
    }

    /// The words of the ending that is asked for, at most [`KIND_WORDS_MAX`].
    pub(super) fn kind_words(&self) -> Vec<String> {
        self.kind.as_deref().map(words).unwrap_or_default()
    }

    pub(super) fn size(&self) -> Option<&RangeInclusive<u64>> {
        self.size.as_ref()
    }

    pub(super) fn wants_complete(&self) -> bool {
        self.complete
    }

    /// Whether only files can be meant, and no RFC of 1.0 of which nothing but the title is known.
    pub fn is_about_files(&self) -> bool {
        self.kind.is_some() || self.size.is_some()
    }

    /// Whether each word is, or begins, or is meant by a word of these texts.
    pub fn matches<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let mut missing: Vec<Typed<'_>> = self.words.iter().map(|word| Typed::new(word)).collect();
        for text in texts {
            each_word(text, |word| missing.retain(|typed| !typed.finds(word)));
        }
        missing.is_empty()
    }

    /// Whether a file of this name and size, of which some source has everything or none has, passes the filters.
    pub fn takes(&self, name: Option<&str>, size: Option<u64>, complete: bool) -> bool {
        let kind = self.kind.as_deref().is_none_or(|kind| name.is_some_and(|name| ends_with(name, kind)));
        let size = self.size.as_ref().is_none_or(|limits| size.is_some_and(|size| limits.contains(&size)));
        kind && size && (complete || !self.complete)
    }
}

/// An ending of several parts, such as `tar.gz`, has at most so many words.
pub(super) const KIND_WORDS_MAX: usize = 4;

fn ends_with(name: &str, kind: &str) -> bool {
    let name = name.to_lowercase();
    name.strip_suffix(kind).is_some_and(|rest| rest.ends_with('.'))
}

/// A number of bytes, with `K`, `M`, `G` or `T` by 1024, and perhaps a `B` behind.
fn bytes(text: &str) -> Option<u64> {
    let text = text.to_ascii_uppercase();
    let text = text.strip_suffix("IB").or(text.strip_suffix('B')).unwrap_or(&text);
    let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let with_unit = units.into_iter().find_map(|(letter, shift)| Some((text.strip_suffix(letter)?, shift)));
    let (digits, shift) = with_unit.unwrap_or((text, 0));
    digits.parse::<u64>().ok()?.checked_mul(1_u64.checked_shl(shift)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_filters_are_told_apart() {
        let query = Query::parse("  Llama-7B size:>10M KIND:.GGUF size:<=x").unwrap_err();
        assert_eq!(query, QueryError::Size);
        let query = Query::parse("  Llama-7B size:>10M KIND:.GGUF size:<1gib is:complete llama").unwrap();
        assert_eq!(query.words(), ["llama", "7b"]);
        assert_eq!(query.size(), Some(&((10 << 20) + 1..=(1 << 30) - 1)));
        assert!(query.takes(Some("a/B.gguf"), Some(20 << 20), true));
        for (name, size, complete) in [
            (Some("a/bgguf"), Some(20 << 20), true),
            (Some("a.gguf"), Some(10 << 20), true),
            (Some("a.gguf"), Some(1 << 30), true),
            (Some("a.gguf"), None, true),
            (Some("a.gguf"), Some(20 << 20), false),
            (None, Some(20 << 20), true),
        ] {
            assert!(!query.takes(name, size, complete));
        }
        let other = Query::parse("note:worthy http://x size:1..1").unwrap();
        assert_eq!(other.words(), ["note", "worthy", "http", "x"], "what is no filter is words");
        assert!(other.takes(None, Some(1), false) && !other.takes(None, Some(2), false));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let many: String = (0..=SEARCH_WORDS_MAX).map(|number| format!("w{number} ")).collect();
        let regex = format!("{}$", "(a+)+".repeat(300));
        assert_eq!(Query::parse(&regex).unwrap().words(), ["a"], "an expression is words like any other");
        for (typed, error) in [
            ("", QueryError::NoWord),
            (" .. ()*+?[]{}| ", QueryError::NoWord),
            ("size:>1", QueryError::NoWord),
            (&many, QueryError::TooManyWords),
            ("a size:1", QueryError::Size),
            ("a size:>", QueryError::Size),
            ("a size:>-1", QueryError::Size),
            ("a size:>99999999T", QueryError::Size),
            ("a size:<0", QueryError::NoSize),
            ("a size:5..4", QueryError::NoSize),
            ("a size:>5 size:<3", QueryError::NoSize),
            ("a kind:", QueryError::Kind),
            ("a kind:.", QueryError::Kind),
            ("a kind:a.b.c.d.e", QueryError::Kind),
            ("a kind:pdf kind:txt", QueryError::Kind),
            ("a is:partial", QueryError::Is),
        ] {
            assert_eq!(Query::parse(typed), Err(error), "{typed}");
        }
    }

    #[test]
    fn every_word_must_be_found_in_any_order() {
        for (typed, found) in [
            ("guide linux", true),
            ("lin gui", true),
            ("linxu guied", true),
            ("linux windows", false),
            ("3th", false),
            ("3rd", true),
            ("4rd", false),
        ] {
            let query = Query::parse(typed).unwrap();
            assert_eq!(query.matches(["The Linux Guide", "3rd"]), found, "{typed}");
        }
    }
}

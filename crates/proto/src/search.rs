//! Finding texts by their words, as a value: titles of RFCs and names of files, in any order of words, by their beginnings, and with
//! typing errors.
//!
//! An [`Index`] knows a text by its key, once however many peers have it, and holds numbers of words instead of the text. What
//! goes is marked, and leaves no trace once [`Index::renewed`] was called; so adding and removing cost what the text is long,
//! and nothing has to be committed. Measured against other ways in `docs/decisions/0009-search.md`.
//!
//! Invariant: a text's words are interned, and its number stands in the postings of each of them.

mod distance;
mod find;
mod fold;
mod postings;
mod query;
#[cfg(test)]
mod tests;
mod words;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

pub use self::find::{Found, Hit};
use self::postings::Postings;
pub use self::query::{Query, QueryError};
use self::words::Dictionary;
use crate::limits::SEARCH_TEXT_WORDS_MAX;
use crate::value::number::RfcNumber;

/// Which text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TextKey {
    /// The titles of an RFC of 1.0.
    Number(RfcNumber),
    /// A file, by its name.
    Name(Arc<str>),
}

/// What is found under a key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Text<'a> {
    /// Of the first text, the beginning counts more. At most [`SEARCH_TEXT_WORDS_MAX`] words of all together are found.
    pub texts: &'a [&'a str],
    /// The smallest and the largest size in bytes of what is there; `None` where none is known.
    pub sizes: Option<(u64, u64)>,
    /// Some source has everything.
    pub is_complete: bool,
}

/// Texts by their words.
#[derive(Debug, Default)]
pub struct Index {
    dictionary: Dictionary,
    /// By the number of the word.
    postings: Vec<Postings>,
    /// In the order of coming.
    docs: Vec<Doc>,
    /// The words of all texts, one text behind the other.
    words: Vec<u32>,
    names: Vec<Option<Arc<str>>>,
    /// The text of each key. In parts, since one table of ten million would hold everybody up while it grows.
    known: [HashTable<u32>; PARTS],
    seed: RandomState,
    live: usize,
    /// The words of the text at hand.
    held: Vec<u32>,
}

const PARTS: usize = 32;

/// A text.
#[derive(Debug, Clone, Copy)]
struct Doc {
    first_word: u32,
    /// The number of the RFC, or the place of the name.
    key: u32,
    words: u8,
    smallest: u8,
    largest: u8,
    marks: u8,
}

const IS_NAME: u8 = 1;
const IS_COMPLETE: u8 = 2;
const IS_GONE: u8 = 4;

impl Doc {
    fn is_name(&self) -> bool {
        self.marks & IS_NAME != 0
    }

    fn is_complete(&self) -> bool {
        self.marks & IS_COMPLETE != 0
    }

    fn is_gone(&self) -> bool {
        self.marks & IS_GONE != 0
    }

    fn describe(&mut self, text: &Text<'_>) {
        (self.smallest, self.largest) =
            text.sizes.map_or((u8::MAX, 0), |(least, most)| (size_class(least), size_class(most)));
        let complete = if text.is_complete { IS_COMPLETE } else { 0 };
        self.marks = self.marks & !IS_COMPLETE | complete;
    }
}

/// A size as the number of its bits: sizes of one class are within a factor of two.
fn size_class(bytes: u64) -> u8 {
    (u64::BITS.saturating_sub(bytes.leading_zeros())) as u8
}

impl Index {
    /// Adds a text, or replaces what was known under its key.
    pub fn set(&mut self, key: &TextKey, text: &Text<'_>) {
        self.intern(text);
        let hash = self.seed.hash_one(key);
        if let Some(known) = self.number_of(hash, key)
            && let Some(doc) = self.docs.get(known as usize).copied()
        {
            if self.words_of(&doc) == self.held {
                if let Some(doc) = self.docs.get_mut(known as usize) {
                    doc.describe(text);
                }
                return;
            }
            self.forget(hash, key);
        }
        self.append(hash, key, text);
    }

    /// Takes a text out; without one under this key nothing happens.
    pub fn remove(&mut self, key: &TextKey) {
        self.forget(self.seed.hash_one(key), key);
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// How many different words there are.
    pub fn words(&self) -> usize {
        self.dictionary.len()
    }

    /// Whether most of what is held is of texts that are gone.
    pub fn is_worn(&self) -> bool {
        let gone = self.docs.len().saturating_sub(self.live);
        gone > WORN_FROM && gone > self.live
    }

    /// The same texts without a trace of those that are gone.
    pub fn renewed(&self) -> Self {
        let mut renewed = Self::default();
        // The new number of each word, one more than it is.
        let mut numbers = vec![0_u32; self.dictionary.len()];
        for doc in self.docs.iter().filter(|doc| !doc.is_gone()) {
            let Some(key) = self.key_of(doc) else { continue };
            renewed.held.clear();
            for word in self.words_of(doc) {
                let Some(number) = numbers.get_mut(*word as usize) else { continue };
                if *number == 0 {
                    let new = renewed.dictionary.intern(self.dictionary.text(*word));
                    *number = new.map_or(0, |new| new.saturating_add(1));
                }
                renewed.held.extend(number.checked_sub(1));
            }
            let hash = renewed.seed.hash_one(&key);
            renewed.append(hash, &key, &Text::default());
            if let Some(new) = renewed.docs.last_mut() {
                (new.smallest, new.largest, new.marks) = (doc.smallest, doc.largest, doc.marks);
            }
        }
        renewed
    }

    /// Reads a text's words into `held`, each once.
    fn intern(&mut self, text: &Text<'_>) {
        let Self { dictionary, held, .. } = self;
        held.clear();
        for text in text.texts {
            fold::each_word(text, |word| {
                if held.len() < SEARCH_TEXT_WORDS_MAX
                    && let Some(word) = dictionary.intern(word)
                    && !held.contains(&word)
                {
                    held.push(word);
                }
            });
        }
    }

    /// Puts in a text whose words are held. One that cannot be numbered any more is not found.
    fn append(&mut self, hash: u64, key: &TextKey, text: &Text<'_>) {
        let numbers = (
            u32::try_from(self.docs.len()),
            u32::try_from(self.words.len()),
            u32::try_from(self.names.len()),
        );
        let (Ok(number), Ok(first_word), Ok(name)) = numbers else { return };
        let (key, marks) = match key {
            TextKey::Number(number) => (number.get(), 0),
            TextKey::Name(text) => {
                self.names.push(Some(Arc::clone(text)));
                (name, IS_NAME)
            }
        };
        let words = u8::try_from(self.held.len()).unwrap_or(u8::MAX);
        let mut doc = Doc { first_word, key, words, smallest: u8::MAX, largest: 0, marks };
        doc.describe(text);
        self.docs.push(doc);
        self.words.extend_from_slice(&self.held);
        self.postings.resize_with(self.dictionary.len(), Postings::default);
        for word in &self.held {
            if let Some(postings) = self.postings.get_mut(*word as usize) {
                postings.push(number);
            }
        }
        let Self { known, seed, docs, names, .. } = self;
        if let Some(part) = known.get_mut(part_of(hash)) {
            part.insert_unique(hash, number, |known| {
                let key = docs.get(*known as usize).and_then(|doc| key_of(names, doc));
                key.map_or(0, |key| seed.hash_one(&key))
            });
        }
        self.live = self.live.saturating_add(1);
    }

    fn forget(&mut self, hash: u64, key: &TextKey) {
        let Self { known, docs, names, .. } = self;
        let Some(part) = known.get_mut(part_of(hash)) else { return };
        let is_it = |number: &u32| docs.get(*number as usize).is_some_and(|doc| is_under(names, doc, key));
        let Ok(entry) = part.find_entry(hash, is_it) else { return };
        let (number, _) = entry.remove();
        let Some(doc) = docs.get_mut(number as usize) else { return };
        doc.marks |= IS_GONE;
        if doc.is_name()
            && let Some(name) = names.get_mut(doc.key as usize)
        {
            *name = None;
        }
        self.live = self.live.saturating_sub(1);
    }

    fn number_of(&self, hash: u64, key: &TextKey) -> Option<u32> {
        let is_it =
            |number: &u32| self.docs.get(*number as usize).is_some_and(|doc| is_under(&self.names, doc, key));
        self.known.get(part_of(hash))?.find(hash, is_it).copied()
    }

    fn words_of(&self, doc: &Doc) -> &[u32] {
        let first = doc.first_word as usize;
        self.words.get(first..first.saturating_add(usize::from(doc.words))).unwrap_or_default()
    }

    fn key_of(&self, doc: &Doc) -> Option<TextKey> {
        key_of(&self.names, doc)
    }
}

/// Texts that are gone, below which nobody renews an index.
const WORN_FROM: usize = 4096;

/// Which part of the table: from bits that the table itself does not look at first.
fn part_of(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

fn key_of(names: &[Option<Arc<str>>], doc: &Doc) -> Option<TextKey> {
    match doc.is_name() {
        true => names.get(doc.key as usize)?.clone().map(TextKey::Name),
        false => RfcNumber::new(doc.key).map(TextKey::Number),
    }
}

fn is_under(names: &[Option<Arc<str>>], doc: &Doc, key: &TextKey) -> bool {
    match key {
        TextKey::Number(number) => !doc.is_name() && doc.key == number.get(),
        TextKey::Name(name) => {
            doc.is_name() && names.get(doc.key as usize).is_some_and(|known| known.as_ref() == Some(name))
        }
    }
}

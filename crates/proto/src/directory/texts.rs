//! Texts at places of 32 bits, each once however many use it, in one row of memory with its count and its length before it: found
//! with one wait for memory, and 6 bytes dearer than itself.
//!
//! What nobody uses any more stays where it was until it is the larger half; then whoever knows the places has the rest moved
//! together ([`Texts::is_wasteful`], [`Texts::moved`]).
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "places come from the invariants above and never from the network; the fuzz body `directory` holds them to a model"
)]

use std::mem::size_of;

/// Bytes between two places.
const STEP: usize = 4;
/// Uses and length.
const HEADER: usize = size_of::<u32>() + size_of::<u16>();
/// Waste below this is not worth moving anything.
const WASTE_BORNE: usize = 4096;
/// The length of a text that was moved; where its count was stands its new place. No text is as long.
const MOVED: u16 = u16::MAX;

/// A text that was checked when it came in. It is lent as the bytes that it is: to check it again each time would be the dearest part
/// of a LIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a>(&'a [u8]);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl<'a> Text<'a> {
    /// The bytes, which are UTF-8.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The same as text, checked again: for what is not asked thousands of times in a row.
    pub fn as_str(self) -> &'a str {
        str::from_utf8(self.0).unwrap_or_default()
    }
}

/// All texts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Bytes of those in use, with everything that belongs to them.
    used: usize,
    len: usize,
}

impl Texts {
    /// Keeps a text for one user. It must be shorter than 65,535 bytes.
    pub(super) fn insert(&mut self, text: Text<'_>) -> u32 {
        let Text(text) = text;
        let place = u32::try_from(self.bytes.len() / STEP).ok().filter(|place| *place < u32::MAX >> 1);
        let length = u16::try_from(text.len()).unwrap_or(MOVED);
        self.bytes.extend_from_slice(&1_u32.to_le_bytes());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(text);
        self.bytes.resize(self.bytes.len().next_multiple_of(STEP), 0);
        self.used += room(length);
        self.len += 1;
        place.expect("the titles of an index fill less than 8 GiB of a shard")
    }

    fn header(&self, place: u32) -> Option<(u32, u16)> {
        let header = self.bytes.get(place as usize * STEP..)?.first_chunk::<HEADER>()?;
        let [a, b, c, d, e, f] = *header;
        Some((u32::from_le_bytes([a, b, c, d]), u16::from_le_bytes([e, f])))
    }

    fn set_uses(&mut self, place: u32, uses: u32) {
        let at = place as usize * STEP;
        if let Some(there) = self.bytes.get_mut(at..at + size_of::<u32>()) {
            there.copy_from_slice(&uses.to_le_bytes());
        }
    }

    /// One user more.
    pub(super) fn share(&mut self, place: u32) {
        if let Some((uses, _)) = self.header(place) {
            self.set_uses(place, uses.saturating_add(1));
        }
    }

    /// One user less; says whether that was the last one.
    pub(super) fn release(&mut self, place: u32) -> bool {
        let Some((uses @ 1.., length)) = self.header(place) else { return false };
        self.set_uses(place, uses - 1);
        if uses == 1 {
            self.used -= room(length);
            self.len -= 1;
        }
        if self.len == 0 {
            *self = Self::default();
        }
        uses == 1
    }

    #[inline]
    pub(super) fn get(&self, place: u32) -> Option<Text<'_>> {
        let (header, from) = self.bytes.get(place as usize * STEP..)?.split_first_chunk::<HEADER>()?;
        let [_, _, _, _, low, high] = *header;
        from.get(..usize::from(u16::from_le_bytes([low, high]))).map(Text)
    }

    /// Whether more is waste than is used.
    pub(super) fn is_wasteful(&self) -> bool {
        self.bytes.len() > 2 * self.used + WASTE_BORNE
    }

    /// Moves a text with one of its users to `new`; gives its place there. To be asked for every user of every text.
    pub(super) fn moved(&mut self, place: u32, new: &mut Self) -> u32 {
        match self.header(place) {
            Some((moved_to, MOVED)) => {
                new.share(moved_to);
                moved_to
            }
            _ => {
                let moved_to = new.insert(self.get(place).unwrap_or(Text(b"")));
                let at = place as usize * STEP;
                if let Some(there) = self.bytes.get_mut(at..at + HEADER) {
                    there[..size_of::<u32>()].copy_from_slice(&moved_to.to_le_bytes());
                    there[size_of::<u32>()..].copy_from_slice(&MOVED.to_le_bytes());
                }
                moved_to
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

/// What a text of this length takes.
fn room(length: u16) -> usize {
    (HEADER + usize::from(length)).next_multiple_of(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_lives_as_long_as_its_users() {
        let mut texts = Texts::default();
        let (a, b) = (texts.insert("a".into()), texts.insert("title".into()));
        texts.share(a);
        texts.release(a);
        assert_eq!((texts.get(a), texts.get(b), texts.len()), (Some("a".into()), Some("title".into()), 2));
        texts.release(a);
        assert_eq!((texts.get(b), texts.len()), (Some("title".into()), 1));
        texts.release(b);
        assert!(texts.bytes.is_empty() && texts.used == 0, "an empty one holds nothing");
    }

    #[test]
    fn what_is_moved_keeps_its_text_and_its_users() {
        let mut texts = Texts::default();
        let places: Vec<u32> =
            (0..2000).map(|number| texts.insert((&*format!("title {number}")).into())).collect();
        texts.share(places[1700]);
        for (released, place) in places[..1600].iter().enumerate() {
            // Not before it is the larger half: it has to be worth it.
            assert!(released > 1000 || !texts.is_wasteful(), "{released} of 2000 gone");
            texts.release(*place);
        }
        assert!(texts.is_wasteful());
        let mut new = Texts::default();
        let moved: Vec<u32> = places[1600..].iter().map(|place| texts.moved(*place, &mut new)).collect();
        assert_eq!(texts.moved(places[1700], &mut new), moved[100]);
        assert!(!new.is_wasteful() && new.len() == 400);
        for (number, place) in (1600..).zip(&moved) {
            assert_eq!(new.get(*place).map(Text::as_str), Some(&*format!("title {number}")));
        }
        for place in &moved {
            new.release(*place);
        }
        assert_eq!((new.len(), new.get(moved[100])), (1, Some("title 1700".into())));
    }
}

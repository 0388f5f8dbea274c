//! Finding: from what was typed to the texts that have it, best first, with a bound on the work.
//!
//! Each typed word stands for a group of words. The group with the fewest texts leads: only its texts are looked at, its nearest
//! words first, and of each the words are compared with all groups. Where these are many, they are first narrowed to those that
//! stand under the other groups too. So the work is that of the rarest word, however common the others are; where all are
//! common, it ends at a limit and says so.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::ControlFlow;

use hashbrown::HashMap;

use super::query::{Closeness, Query};
use super::words::errors_in;
use super::{Doc, Index, TextKey, size_class};
use crate::limits::{SEARCH_GROUP_MAX, SEARCH_STEPS_MAX, SEARCH_WORDS_MAX};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The best first.
    pub hits: Vec<Hit>,
    /// The work became too much: there may be others, better ones among them.
    pub is_incomplete: bool,
}

/// A text that has what was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Which text.
    pub key: TextKey,
    /// How good it is; more is better.
    pub score: u32,
    /// How many words it has.
    pub words: u8,
}

/// What looking at a text costs, in steps of going through the numbers of texts.
pub(super) const SCORING: u32 = 128;

/// Bits that hold one group's [`Closeness`], or 0.
const BITS: u32 = 3;
const MASK: u64 = (1 << BITS) - 1;
/// As many groups as a number of 64 bits holds.
const GROUPS_MAX: usize = 21;
const _: () = assert!(SEARCH_WORDS_MAX + super::query::KIND_WORDS_MAX <= GROUPS_MAX);

/// The words that a typed one stands for.
#[derive(Debug)]
struct Group {
    /// The nearest first.
    words: Vec<(u32, Closeness)>,
    /// Texts of all of them together, at most.
    texts: u64,
    /// Rare words weigh more; 0 for a filter.
    weight: u32,
}

/// What a word is to each group.
type Classes = HashMap<u32, u64, BuildHasherDefault<Spread>>;

/// Hashing of numbers of words, which nobody chooses.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(26);
    }
}

/// The best so far: score, then fewer words, then the older text.
type Best = BinaryHeap<Reverse<(u32, Reverse<u8>, Reverse<u32>)>>;

impl Index {
    /// The best texts for a query, at most `most` of them.
    pub fn find(&self, query: &Query, most: usize) -> Found {
        let mut is_incomplete = false;
        let mut groups = Vec::new();
        for typed in query.words() {
            groups.push(self.group(typed, &mut is_incomplete));
        }
        for ending in query.kind_words() {
            let words: Vec<_> =
                self.dictionary.get(&ending).map(|word| (word, Closeness::Same)).into_iter().collect();
            let texts = self.texts_of(&words);
            groups.push(Group { words, texts, weight: 0 });
        }
        let mut best = Best::new();
        if most > 0 && groups.iter().all(|group| !group.words.is_empty()) {
            is_incomplete |= Search::new(self, query, &groups).run(most, &mut best);
        }
        let hits = best.into_sorted_vec().into_iter();
        let hits = hits.filter_map(|Reverse((score, Reverse(words), Reverse(doc)))| {
            Some(Hit { key: self.key_of(self.docs.get(doc as usize)?)?, score, words })
        });
        Found { hits: hits.collect(), is_incomplete }
    }

    fn group(&self, typed: &str, is_incomplete: &mut bool) -> Group {
        let dictionary = &self.dictionary;
        let same = dictionary.get(typed);
        let mut words: Vec<_> = same.map(|word| (word, Closeness::Same)).into_iter().collect();
        let beginning = dictionary.beginning_with(typed).filter(|word| Some(*word) != same);
        words.extend(beginning.map(|word| (word, Closeness::Beginning)).take(SEARCH_GROUP_MAX));
        let errors = errors_in(typed);
        let mut meant = Vec::new();
        if errors > 0 {
            dictionary.meant_by(typed, errors, |word, errors| {
                if errors > 0 && !dictionary.text(word).starts_with(typed) {
                    meant.push((word, Closeness::of_errors(errors)));
                }
            });
        }
        meant.sort_by_key(|(_, closeness)| Reverse(*closeness));
        words.extend(meant);
        if words.len() > SEARCH_GROUP_MAX {
            words.truncate(SEARCH_GROUP_MAX);
            *is_incomplete = true;
        }
        let nearest = words.first().map(|(_, closeness)| *closeness);
        let common = words.iter().take_while(|(_, closeness)| Some(*closeness) == nearest);
        let common = common.map(|(word, _)| self.count_of(*word)).max().unwrap_or_default();
        let rarity = (self.live as u64).checked_div(u64::from(common).saturating_add(1)).unwrap_or_default();
        let weight = rarity.checked_ilog2().unwrap_or_default().saturating_add(2);
        Group { texts: self.texts_of(&words), words, weight }
    }

    fn texts_of(&self, words: &[(u32, Closeness)]) -> u64 {
        words.iter().fold(0, |sum, (word, _)| sum.saturating_add(u64::from(self.count_of(*word))))
    }

    fn count_of(&self, word: u32) -> u32 {
        self.postings.get(word as usize).map_or(0, super::postings::Postings::count)
    }
}

/// One search while it runs.
struct Search<'a> {
    index: &'a Index,
    query: &'a Query,
    groups: &'a [Group],
    classes: Classes,
    /// A bit for each word of the groups, by the last bits of its number: most words of a text are none of them.
    hints: [u64; 64],
    leader: usize,
    /// Sizes, as classes, within which a file's must lie.
    sizes: Option<(u8, u8)>,
}

impl<'a> Search<'a> {
    fn new(index: &'a Index, query: &'a Query, groups: &'a [Group]) -> Self {
        let mut classes = Classes::default();
        let mut hints = [0; 64];
        for (at, group) in (0_u32..).zip(groups) {
            for (word, closeness) in &group.words {
                let class = (*closeness as u64).wrapping_shl(at.wrapping_mul(BITS));
                *classes.entry(*word).or_default() |= class;
                if let Some(hint) = hints.get_mut((*word as usize >> 6) & 63) {
                    *hint |= 1_u64.wrapping_shl(*word);
                }
            }
        }
        let leader = groups.iter().zip(0..).min_by_key(|(group, _)| group.texts);
        let leader = leader.map_or(0, |(_, at)| at);
        let sizes = query.size().map(|size| (size_class(*size.start()), size_class(*size.end())));
        Self { index, query, groups, classes, hints, leader, sizes }
    }

    /// Says whether it gave up.
    fn run(&self, most: usize, best: &mut Best) -> bool {
        let Some(leader) = self.groups.get(self.leader) else { return false };
        let mut left = SEARCH_STEPS_MAX;
        let within = self.narrowed(leader, &mut left);
        for (word, closeness) in &leader.words {
            let is_full = best.len() >= most;
            if is_full && best.peek().is_some_and(|Reverse((least, ..))| *least > self.at_most(*closeness)) {
                return false;
            }
            let Some(postings) = self.index.postings.get(*word as usize) else { continue };
            let ended = postings.each(|number| {
                let is_within = within.as_ref().is_none_or(|within| within.has(number));
                if !pay(&mut left, if is_within { SCORING } else { 1 }) {
                    return ControlFlow::Break(());
                }
                let doc = is_within.then(|| self.index.docs.get(number as usize)).flatten();
                if let Some(doc) = doc
                    && let Some(score) = self.score(doc, *word)
                {
                    best.push(Reverse((score, Reverse(doc.words), Reverse(number))));
                    if best.len() > most {
                        best.pop();
                    }
                }
                ControlFlow::Continue(())
            });
            if ended.is_break() {
                return true;
            }
        }
        false
    }

    /// The texts that stand under the leading group and under others as well, as far as it is cheaper to go through the others than to
    /// look at each text of the leading one: reading on is quick, and a text anywhere is a wait for memory.
    fn narrowed(&self, leader: &Group, left: &mut u32) -> Option<Bits> {
        let mut others: Vec<&Group> = self
            .groups
            .iter()
            .zip(0..)
            .filter(|(_, at)| *at != self.leader)
            .map(|(group, _)| group)
            .collect();
        others.sort_by_key(|group| group.texts);
        let (mut within, mut texts) = (None, leader.texts);
        for group in others {
            let first = if within.is_none() { leader.texts } else { 0 };
            let cost = group.texts.saturating_add(first);
            let Some(cost) = u32::try_from(cost)
                .ok()
                .filter(|cost| u64::from(*cost) < texts.saturating_mul(u64::from(SCORING)))
            else {
                break;
            };
            if !pay(left, cost) {
                break;
            }
            let before = within.take().unwrap_or_else(|| self.bits(leader, None).0);
            let (after, count) = self.bits(group, Some(&before));
            (within, texts) = (Some(after), count);
        }
        within
    }

    /// The texts of a group that are in another set, and how many those are.
    fn bits(&self, group: &Group, within: Option<&Bits>) -> (Bits, u64) {
        let (mut bits, mut count) = (Bits::new(self.index.docs.len()), 0_u64);
        for (word, _) in &group.words {
            let Some(postings) = self.index.postings.get(*word as usize) else { continue };
            let _ = postings.each(|number| {
                if within.is_none_or(|within| within.has(number)) {
                    count = count.saturating_add(u64::from(bits.put(number)));
                }
                ControlFlow::Continue(())
            });
        }
        (bits, count)
    }

    /// The best score of a text that the leading group finds with a word of this closeness.
    fn at_most(&self, closeness: Closeness) -> u32 {
        let others = self.groups.iter().zip(0..).filter(|(_, at)| *at != self.leader);
        let others = others.fold(0, |sum, (group, _)| add(sum, group.weight, Closeness::Same));
        let leader = self.groups.get(self.leader).map_or(0, |leader| leader.weight);
        let beginning = self.groups.iter().map(|group| group.weight).max().unwrap_or_default();
        add(others, leader, closeness).saturating_add(beginning)
    }

    /// How good a text is that stands under this word of the leading group; `None` if it is not meant, or is found under a better word
    /// of that group as well.
    fn score(&self, doc: &Doc, word: u32) -> Option<u32> {
        if !self.may_take(doc) {
            return None;
        }
        let shift = (self.leader as u32).wrapping_mul(BITS);
        let (mut found, mut of_first, mut nearest, mut under) = (0_u64, 0, 0, None);
        for (at, known) in (0_u8..).zip(self.index.words_of(doc)) {
            let class = self.class(*known);
            if class == 0 {
                continue;
            }
            if at == 0 {
                of_first = class;
            }
            let of_leader = class.wrapping_shr(shift) & MASK;
            if of_leader > nearest {
                (nearest, under) = (of_leader, Some(*known));
            }
            found = better_of(found, class, self.groups.len());
        }
        if under != Some(word) {
            return None;
        }
        let (mut score, mut beginning) = (0, 0);
        for (group, at) in self.groups.iter().zip(0_u32..) {
            let closeness = closeness_in(found, at)?;
            score = add(score, group.weight, closeness);
            if closeness_in(of_first, at) >= Some(Closeness::Beginning) {
                beginning = group.weight.max(beginning);
            }
        }
        Some(score.saturating_add(beginning))
    }

    fn may_take(&self, doc: &Doc) -> bool {
        let about_files = !self.query.is_about_files() || doc.is_name();
        let complete = !self.query.wants_complete() || doc.is_complete();
        let size = self.sizes.is_none_or(|(least, most)| doc.largest >= least && doc.smallest <= most);
        !doc.is_gone() && about_files && complete && size
    }

    fn class(&self, word: u32) -> u64 {
        let hint = self.hints.get((word as usize >> 6) & 63).copied().unwrap_or_default();
        if hint & 1_u64.wrapping_shl(word) == 0 {
            return 0;
        }
        self.classes.get(&word).copied().unwrap_or_default()
    }
}

/// Pays for a piece of work, if there is enough left.
fn pay(left: &mut u32, cost: u32) -> bool {
    let less = left.checked_sub(cost);
    *left = less.unwrap_or(*left);
    less.is_some()
}

/// A set of texts.
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    /// Says whether it is new.
    fn put(&mut self, number: u32) -> bool {
        let bit = 1_u64.wrapping_shl(number);
        let Some(bits) = self.0.get_mut(number as usize / 64) else { return false };
        let is_new = *bits & bit == 0;
        *bits |= bit;
        is_new
    }

    fn has(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|bits| bits & 1_u64.wrapping_shl(number) != 0)
    }
}

/// The better closeness of two in each group.
fn better_of(one: u64, other: u64, groups: usize) -> u64 {
    if one == 0 {
        return other;
    }
    (0..groups as u32).fold(0, |both, at| {
        let shift = at.wrapping_mul(BITS);
        let part = |classes: u64| classes.wrapping_shr(shift) & MASK;
        both | part(one).max(part(other)).wrapping_shl(shift)
    })
}

fn closeness_in(classes: u64, group: u32) -> Option<Closeness> {
    match classes.wrapping_shr(group.wrapping_mul(BITS)) & MASK {
        1 => Some(Closeness::TwoErrors),
        2 => Some(Closeness::OneError),
        3 => Some(Closeness::Beginning),
        4 => Some(Closeness::Same),
        _ => None,
    }
}

fn add(score: u32, weight: u32, closeness: Closeness) -> u32 {
    let worth = match closeness {
        Closeness::Same => 8_u32,
        Closeness::Beginning => 5,
        Closeness::OneError => 3,
        Closeness::TwoErrors => 2,
    };
    score.saturating_add(weight.saturating_mul(worth))
}

//! Several answers to one question become one, as values.

use std::collections::{HashMap, HashSet};

use proto::wire::v11::body::{FoundLine, RecordLine, Source, Variant};

use crate::query::{Found, Searched};

/// Each content once, and each of its sources once; in the order of the answers.
pub(super) fn merged_found(told: Vec<Found>) -> Found {
    let mut merged = Found { is_stale: !told.is_empty(), ..Found::default() };
    for Found { variants, warming, is_stale, indexes } in told {
        merged.is_stale &= is_stale;
        merged.warming = merged.warming.max(warming);
        merged.indexes.extend(indexes);
        for variant in variants {
            match merged.variants.iter_mut().find(|known| is_same_content(known, &variant)) {
                Some(known) => add_sources(known, variant),
                None => merged.variants.push(variant),
            }
        }
    }
    if !merged.variants.is_empty() {
        merged.warming = None;
    }
    merged.variants.sort_by_key(|variant| !variant.published);
    merged
}

/// What has a hash is the same under whatever name; what has none, under one name and of one size.
fn is_same_content(one: &Variant, other: &Variant) -> bool {
    match (one.hash, other.hash) {
        (None, None) => (&one.name, one.size, one.rfc) == (&other.name, other.size, other.rfc),
        (one, other) => one == other,
    }
}

fn add_sources(known: &mut Variant, other: Variant) {
    known.published |= other.published;
    known.sha256 = known.sha256.or(other.sha256);
    let mut there: HashSet<(String, u16)> = known.sources.iter().map(address).collect();
    known.sources.extend(other.sources.into_iter().filter(|source| there.insert(address(source))));
    known.sources_in_all = known.sources_in_all.max(other.sources_in_all).max(known.sources.len());
}

fn address(source: &Source) -> (String, u16) {
    (source.host.clone(), source.port)
}

/// By turns, as only the order within one answer means something; each content of a name once.
pub(super) fn merged_searched(told: Vec<Searched>, limit: usize) -> Searched {
    let mut merged = Searched::default();
    let mut runs = Vec::new();
    for Searched { files, has_more, is_incomplete } in told {
        merged.has_more |= has_more;
        merged.is_incomplete |= is_incomplete;
        runs.push(files.into_iter());
    }
    let mut places: HashMap<_, usize> = HashMap::new();
    let most = runs.iter().map(ExactSizeIterator::len).max().unwrap_or_default();
    for _ in 0..most {
        for file in runs.iter_mut().filter_map(Iterator::next) {
            let content = (file.name.clone(), file.hash, file.size, file.rfc);
            match places.get(&content).and_then(|place| merged.files.get_mut(*place)) {
                Some(known) => count_more(known, &file),
                None => {
                    places.insert(content, merged.files.len());
                    merged.files.push(file);
                }
            }
        }
    }
    merged.has_more |= merged.files.len() > limit;
    merged.files.truncate(limit);
    merged
}

/// Who they are is not told, so they may be the same ones: there are at least as many as the one who knows more says.
fn count_more(known: &mut FoundLine, other: &FoundLine) {
    known.published |= other.published;
    known.sources_in_all = known.sources_in_all.max(other.sources_in_all);
    known.complete = known.complete.max(other.complete);
}

/// Where a record stands in a list: records of 1.0 by number, then files by name.
type Place = (bool, u32, String);

fn place(record: &RecordLine) -> Place {
    match &record.name {
        None => (false, record.rfc.unwrap_or_default(), String::new()),
        Some(name) => (true, 0, name.clone()),
    }
}

/// The records of one place in all lists.
#[derive(Debug, Default)]
pub(super) struct NextOf {
    place: Option<Place>,
    seen: HashSet<String>,
    records: Vec<RecordLine>,
}

impl NextOf {
    /// A list goes on with this record; the least of them all is next.
    pub(super) fn begins_with(&mut self, record: &RecordLine) {
        let place = place(record);
        if self.place.as_ref().is_none_or(|least| place < *least) {
            self.place = Some(place);
        }
    }

    /// Whether a record belongs to it. A list that is not in order goes on all the same.
    pub(super) fn covers(&self, record: &RecordLine) -> bool {
        self.place.as_ref().is_none_or(|next| place(record) <= *next)
    }

    /// Takes a record that belongs to it, unless it was taken already.
    pub(super) fn take(&mut self, record: RecordLine) {
        let Source { host, port, .. } = &record.source;
        let hash = record.hash.map(|hash| hash.to_string()).unwrap_or_default();
        let title = record.title.as_deref().unwrap_or_default();
        if self.seen.insert(format!("{host}\0{port}\0{hash}\0{title}")) {
            self.records.push(record);
        }
    }

    /// What was taken; `None` if no list went on.
    pub(super) fn records(self) -> Option<Vec<RecordLine>> {
        self.place.map(|_| self.records)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::value::digest::Digest;
    use proto::wire::v11::body::Speaks;

    use super::*;

    fn source(port: u16) -> Source {
        Source::new("h", port, Speaks::V1_1)
    }

    fn variant(hash: Option<u8>, published: bool, ports: &[u16]) -> Variant {
        Variant {
            name: Some("n".into()),
            size: Some(5),
            modified: None,
            hash: hash.map(|byte| Digest([byte; 32])),
            sha256: None,
            rfc: None,
            title: None,
            published,
            sources: ports.iter().map(|port| source(*port)).collect(),
            sources_in_all: ports.len(),
        }
    }

    fn found(variants: Vec<Variant>) -> Found {
        Found { variants, warming: Some(Duration::from_secs(3)), is_stale: true, indexes: Vec::new() }
    }

    #[test]
    fn each_content_and_each_source_is_there_once() {
        let one = found(vec![variant(Some(1), true, &[1, 2]), variant(None, true, &[3])]);
        let other = found(vec![
            variant(None, true, &[3]),
            variant(Some(2), true, &[9]),
            variant(Some(1), false, &[2, 4]),
        ]);
        let merged = merged_found(vec![one, other]);
        let ports = |variant: &Variant| variant.sources.iter().map(|source| source.port).collect::<Vec<_>>();
        let told: Vec<_> = merged.variants.iter().map(|one| (ports(one), one.sources_in_all)).collect();
        assert_eq!(told, [(vec![1, 2, 4], 3), (vec![3], 1), (vec![9], 1)]);
        assert_eq!(
            (merged.warming, merged.is_stale),
            (None, true),
            "something was found, and nobody is certain"
        );
        assert_eq!(
            merged_found(vec![found(Vec::new()), Found::default()]).warming,
            Some(Duration::from_secs(3))
        );
    }

    #[test]
    fn what_was_found_comes_by_turns_and_once() {
        let file = |name: &str, sources_in_all| FoundLine {
            name: Some(name.to_owned()),
            sources_in_all,
            ..FoundLine::default()
        };
        let searched = |files| Searched { files, has_more: false, is_incomplete: false };
        let told =
            vec![searched(vec![file("a", 1), file("b", 1)]), searched(vec![file("b", 4), file("c", 1)])];
        let names = |searched: &Searched| {
            searched
                .files
                .iter()
                .map(|file| (file.name.clone().unwrap(), file.sources_in_all))
                .collect::<Vec<_>>()
        };
        let all = merged_searched(told.clone(), 5);
        assert_eq!(names(&all), [("a".to_owned(), 1), ("b".to_owned(), 4), ("c".to_owned(), 1)]);
        assert!(!all.has_more);
        let two = merged_searched(told, 2);
        assert_eq!((two.files.len(), two.has_more), (2, true));
    }

    #[test]
    fn lists_go_on_with_the_least_and_tell_a_record_once() {
        let record = |name: Option<&str>, rfc: Option<u32>, port| RecordLine {
            name: name.map(str::to_owned),
            size: None,
            modified: None,
            hash: None,
            sha256: None,
            rfc,
            title: None,
            source: source(port),
        };
        let mut next = NextOf::default();
        next.begins_with(&record(Some("a"), None, 1));
        next.begins_with(&record(None, Some(7), 1));
        assert!(!next.covers(&record(Some("a"), None, 1)));
        for port in [1, 1, 2] {
            assert!(next.covers(&record(None, Some(7), port)));
            next.take(record(None, Some(7), port));
        }
        assert_eq!(next.records().unwrap().len(), 2);
        assert_eq!(NextOf::default().records(), None);
    }
}

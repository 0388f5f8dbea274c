//! What the shards say under a key: its text for the search, and what is told of it.

use std::ops::ControlFlow;

use proto::directory::{Directory, Key, Record, SaidRef, SessionId};
use proto::limits::{SEARCH_TITLES_MAX, SOURCES_MAX, SOURCES_WEIGHED};
use proto::search::{Query, Text, TextKey};
use proto::value::digest::Digest;
use proto::wire::v11::body::{File, FoundLine};

use crate::store::Peer;
use crate::store::memory::Shards;
use crate::variants::FOLLOWED_MAX;

/// Contents of one name that are told.
const CONTENTS_MAX: usize = FOLLOWED_MAX;

/// The key of the shards for a text.
pub(super) fn key_of(text: &TextKey) -> Key {
    match text {
        TextKey::Number(number) => Key::Rfc(*number),
        TextKey::Name(name) => Key::Name(name.clone()),
    }
}

/// What the shard of a key has under it.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    titles: Vec<&'a str>,
    files: Vec<&'a File>,
    /// Records, those included that have the same title as others.
    records: usize,
}

impl<'a> Facts<'a> {
    /// Reads what there is, from as many records as a LOOKUP looks at. A file with a number counts under its name alone.
    pub(super) fn read(shard: &'a Directory<Peer>, key: &'a Key) -> Self {
        let mut facts = Self::default();
        match key {
            Key::Rfc(number) => {
                shard.numbered(*number, SessionId(0)).take(SOURCES_WEIGHED).for_each(|record| {
                    if let SaidRef::Title(title) = record.said {
                        facts.records += 1;
                        facts.put_title(title.as_str());
                    }
                });
            }
            key => shard.holders_after(key, None).take(SOURCES_WEIGHED).for_each(|record| {
                // Who searches may be a member of nothing, and what is found is not asked twice.
                if let SaidRef::File(file) = record.said
                    && is_public(&record)
                {
                    facts.take_file(file);
                }
            }),
        }
        facts
    }

    fn take_file(&mut self, file: &'a File) {
        self.records += 1;
        self.files.push(file);
        if let Some((_, title)) = &file.rfc {
            self.put_title(title);
        }
    }

    fn put_title(&mut self, title: &'a str) {
        // Most peers agree, and then the titles are one and the same text.
        if self.titles.len() < SEARCH_TITLES_MAX && !self.titles.contains(&title) {
            self.titles.push(title);
        }
    }

    /// Whether nobody has anything.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The texts in the order in which they count: what a file is called, its titles, the folders that it is in.
    fn texts(&self, key: &'a TextKey) -> Vec<&'a str> {
        match key {
            TextKey::Number(_) => self.titles.clone(),
            TextKey::Name(name) => {
                let (folders, leaf) = name.rsplit_once('/').unwrap_or(("", name));
                let mut texts = vec![leaf];
                texts.extend(&self.titles);
                texts.push(folders);
                texts
            }
        }
    }

    /// Gives them as the search takes them in.
    pub(super) fn describe(&self, key: &'a TextKey, take: impl FnOnce(&Text<'_>)) {
        let texts = self.texts(key);
        let sizes = self.files.iter().map(|file| file.size);
        let sizes = sizes.clone().min().zip(sizes.max());
        let is_complete = self.files.is_empty() || self.files.iter().any(|file| !file.partial);
        take(&Text { texts: &texts, sizes, is_complete });
    }
}

/// The files under a key that a query means, as they are now: a line for each content, what is published first.
pub(super) fn files(shards: &Shards, query: &Query, key: &TextKey) -> Vec<FoundLine> {
    let place = key_of(key);
    let shard = shards.to_read(&place);
    let facts = Facts::read(&shard, &place);
    if facts.is_empty() || !query.matches(facts.texts(key)) {
        return Vec::new();
    }
    let mut lines = match key {
        TextKey::Number(number) => {
            let title = facts.titles.iter().find(|title| query.matches([**title])).or(facts.titles.first());
            vec![FoundLine {
                rfc: Some(number.get()),
                title: title.map(|title| (*title).to_owned()),
                published: true,
                sources_in_all: facts.records,
                complete: facts.records,
                ..FoundLine::default()
            }]
        }
        TextKey::Name(_) => contents(&facts.files),
    };
    lines.retain(|line| query.takes(line.name.as_deref(), line.size, line.complete > 0));
    lines
}

fn contents(files: &[&File]) -> Vec<FoundLine> {
    let content = |hash: Option<Digest>, size| hash.ok_or(size);
    let mut lines: Vec<FoundLine> = Vec::new();
    for file in files {
        let own = content(file.hash, Some(file.size));
        let line = match lines.iter_mut().position(|line| content(line.hash, line.size) == own) {
            Some(at) => &mut lines[at],
            None if lines.len() < CONTENTS_MAX => {
                lines.push(line_of(file));
                let last = lines.len() - 1;
                &mut lines[last]
            }
            None => continue,
        };
        if !file.copied && !line.published {
            *line = FoundLine {
                published: true,
                sources_in_all: line.sources_in_all,
                complete: line.complete,
                ..line_of(file)
            };
        }
        line.sources_in_all += 1;
        line.complete += usize::from(!file.partial);
    }
    lines.sort_by_key(|line| !line.published);
    lines
}

fn line_of(file: &File) -> FoundLine {
    FoundLine {
        name: Some(file.name.to_string()),
        size: Some(file.size),
        modified: Some(file.modified),
        hash: file.hash,
        rfc: file.rfc.as_ref().map(|(number, _)| number.get()),
        title: file.rfc.as_ref().map(|(_, title)| title.to_string()),
        published: !file.copied,
        sources_in_all: 0,
        complete: 0,
    }
}

/// Counts who has the content of a line, under whatever name. Those whose files are private do not count: nobody is to learn of them.
pub(super) fn count_sources(shards: &Shards, line: &mut FoundLine) {
    let Some(hash) = line.hash else { return };
    let (mut looked_at, mut all, mut complete) = (0, 0, 0);
    let mut visitor = |record: &Record<'_, Peer>| {
        looked_at += 1;
        if is_public(record) {
            all += 1;
            complete += usize::from(!matches!(record.said, SaidRef::File(file) if file.partial));
        }
        if looked_at < SOURCES_WEIGHED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    shards.visit_holders(&Key::Hash(hash), None, &mut visitor);
    // They may all have gone since the line was made.
    (line.sources_in_all, line.complete) = (all, complete);
}

/// How many have something under a key, for the order of what is found: nobody cares about more than [`SOURCES_MAX`].
pub(super) fn sources(shards: &Shards, key: &TextKey) -> usize {
    let key = key_of(key);
    let shard = shards.to_read(&key);
    match &key {
        Key::Rfc(number) => shard.numbered(*number, SessionId(0)).take(SOURCES_MAX).count(),
        key => shard.holders_after(key, None).take(SOURCES_MAX).filter(is_public).count(),
    }
}

fn is_public(record: &Record<'_, Peer>) -> bool {
    record.peer.claimed().private().is_none()
}

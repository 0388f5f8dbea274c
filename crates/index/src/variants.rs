//! Records grouped by content: one name with two contents shows as two variants, never as one.

use proto::directory::{Key, Said};
use proto::limits::SOURCES_MAX;
use proto::value::digest::Digest;
use proto::wire::v11::body::{RecordLine, Source, Speaks, Variant};

use crate::store::Entry;
use crate::view::View;

/// Records of one key that are looked at.
pub(crate) const ENTRIES_MAX: usize = 1000;
/// Variants whose other holders are looked up.
pub(crate) const FOLLOWED_MAX: usize = 16;

/// What tells one content from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Known(Digest),
    /// Not hashed yet; files of different sizes differ.
    Unhashed(u64),
    /// A record of 1.0.
    Unknown,
}

/// Groups records by content: what is published first, and among those in the order of joining.
pub(crate) fn group(entries: &[Entry], view: &View) -> Vec<Variant> {
    let mut groups: Vec<(Content, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let content = content(&entry.said);
        match groups.iter_mut().find(|(known, _)| *known == content) {
            Some((_, members)) => members.push(entry),
            None => groups.push((content, vec![entry])),
        }
    }
    let mut variants: Vec<Variant> =
        groups.iter().filter_map(|(_, members)| variant(members, view)).collect();
    variants.sort_by_key(|variant| !variant.published);
    variants
}

/// Replaces the sources of a variant by all who hold its content.
pub(crate) fn set_sources(variant: &mut Variant, holders: &[Entry], view: &View) {
    variant.sources = sources(holders.iter(), view);
    variant.sources_in_all = holders.len();
}

/// One record as a line of a LIST.
pub(crate) fn record_line(entry: &Entry, view: &View) -> RecordLine {
    let source = source(entry, view);
    match (&entry.said, &entry.key) {
        (Said::File(file), _) => RecordLine {
            name: Some(file.name.to_string()),
            size: Some(file.size),
            modified: Some(file.modified),
            hash: file.hash,
            rfc: file.rfc.as_ref().map(|(number, _)| number.get()),
            title: file.rfc.as_ref().map(|(_, title)| title.to_string()),
            source,
        },
        (Said::Title(title), key) => RecordLine {
            name: None,
            size: None,
            modified: None,
            hash: None,
            rfc: number_of(key),
            title: Some(title.to_string()),
            source,
        },
    }
}

fn content(said: &Said) -> Content {
    match said {
        Said::Title(_) => Content::Unknown,
        Said::File(file) => file.hash.map_or(Content::Unhashed(file.size), Content::Known),
    }
}

/// A variant from records of the same content.
fn variant(members: &[&Entry], view: &View) -> Option<Variant> {
    let first = members.iter().find(|entry| is_published(entry)).or(members.first())?;
    let RecordLine { name, size, modified, hash, rfc, title, .. } = record_line(first, view);
    Some(Variant {
        name,
        size,
        modified,
        hash,
        rfc,
        title,
        published: members.iter().any(|entry| is_published(entry)),
        sources: sources(members.iter().copied(), view),
        sources_in_all: members.len(),
    })
}

/// Those who have a content: complete ones first.
fn sources<'a>(entries: impl Iterator<Item = &'a Entry>, view: &View) -> Vec<Source> {
    let mut sources: Vec<Source> = entries.map(|entry| source(entry, view)).collect();
    sources.sort_by_key(|source| source.partial);
    sources.truncate(SOURCES_MAX);
    sources
}

fn source(entry: &Entry, view: &View) -> Source {
    let (speaks, partial) = match &entry.said {
        Said::Title(_) => (Speaks::V1_0, false),
        Said::File(file) => (Speaks::V1_1, file.partial),
    };
    let host = view.host(entry.session, &entry.peer);
    Source { host, port: entry.peer.claimed().port().get(), speaks, partial, published: is_published(entry) }
}

/// Records of 1.0 don't say, and count as published.
fn is_published(entry: &Entry) -> bool {
    !matches!(&entry.said, Said::File(file) if file.copied)
}

fn number_of(key: &Key) -> Option<u32> {
    match key {
        Key::Rfc(number) => Some(number.get()),
        Key::Name(_) | Key::Leaf { .. } | Key::Hash(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use proto::directory::SessionId;
    use proto::value::host::{Host, PeerAddr};
    use proto::value::number::{Port, RfcNumber};
    use proto::visibility::{RecordHost, Requester};
    use proto::wire::v11::body::File;

    use super::*;
    use crate::store::Peer;

    fn entry(session: u64, said: Said) -> Entry {
        let claimed = PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(1).unwrap());
        let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        Entry { key: Key::Rfc(RfcNumber::MIN), session: SessionId(session), said, peer }
    }

    fn file(hash: Option<u8>, copied: bool, partial: bool) -> Said {
        let hash = hash.map(|byte| Digest([byte; 32]));
        Said::File(Arc::new(File {
            name: "n".into(),
            size: 5,
            modified: 0,
            hash,
            rfc: None,
            copied,
            partial,
        }))
    }

    #[test]
    fn contents_never_mix_and_published_ones_come_first() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let requester = Requester { source: local, reached: local };
        let view = View { policy: RecordHost::Auto, requester, session: SessionId(99) };
        let entries = [
            entry(1, file(Some(1), true, false)),
            entry(2, file(Some(2), true, true)),
            entry(3, file(Some(2), false, false)),
            entry(4, file(None, false, false)),
            entry(5, Said::Title("t".into())),
        ];
        let variants = group(&entries, &view);
        let told: Vec<_> = variants
            .iter()
            .map(|variant| (variant.hash.map(|hash| hash.0[0]), variant.published, variant.sources.len()))
            .collect();
        assert_eq!(told, [(Some(2), true, 2), (None, true, 1), (None, true, 1), (Some(1), false, 1)]);
        assert!(!variants[0].sources[0].partial, "complete sources first");
        assert_eq!(variants[2].sources[0].speaks, Speaks::V1_0);
    }
}

//! Records grouped by content: one name with two contents shows as two variants, never as one.

use proto::directory::{Key, Said};
use proto::limits::{SOURCES_COUNTED, SOURCES_MAX, SOURCES_WEIGHED};
use proto::schedule::{Order, Tick};
use proto::value::digest::Digest;
use proto::wire::v11::body::{RecordLine, Source, Speaks, Variant};
use proto::wire::v11::request::Target;

use crate::store::{Entry, Store};
use crate::view::View;

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

/// Every content of a file, with its sources. Whoever holds the content of a variant is a source of it, whatever the name there.
pub(crate) async fn find(store: &Store, target: &Target, view: &View, now: Tick) -> Vec<Variant> {
    let limit = SOURCES_WEIGHED;
    let mut entries = match target {
        Target::Rfc(number) => store.lookup(&Key::Rfc(*number), None, limit).await.entries,
        Target::Hash(hash) => store.lookup(&Key::Hash(*hash), None, limit).await.entries,
        Target::File(name) => {
            let exact = store.lookup(&Key::Name(name.as_str().into()), None, limit).await.entries;
            match exact.is_empty() && !name.contains('/') {
                true => store.lookup(&Key::any_with_leaf(name), None, limit).await.entries,
                false => exact,
            }
        }
    };
    entries.retain(|entry| view.sees(&entry.peer));
    let by_hash = matches!(target, Target::Hash(_));
    let mut found = Vec::new();
    for (mut variant, members) in group(&entries, view) {
        let followed = variant.hash.filter(|_| !by_hash && found.len() < FOLLOWED_MAX);
        if let Some(hash) = followed {
            let holders = store.lookup(&Key::Hash(hash), None, limit).await.entries;
            set_sources(&mut variant, holders.iter(), view, now);
        } else {
            set_sources(&mut variant, members.into_iter(), view, now);
        }
        found.push(variant);
    }
    found
}

/// Groups records by content: what is published first, and among those in the order of joining. The sources are still to be set.
fn group<'a>(entries: &'a [Entry], view: &View) -> Vec<(Variant, Vec<&'a Entry>)> {
    let mut groups: Vec<(Content, Vec<&Entry>)> = Vec::new();
    for entry in entries {
        let content = content(&entry.said);
        match groups.iter_mut().find(|(known, _)| *known == content) {
            Some((_, members)) => members.push(entry),
            None => groups.push((content, vec![entry])),
        }
    }
    let mut variants: Vec<_> = groups
        .into_iter()
        .filter_map(|(_, members)| variant(&members, view).map(|variant| (variant, members)))
        .collect();
    variants.sort_by_key(|(variant, _)| !variant.published);
    variants
}

/// Names those who hold the content of a variant, in the order that the view asks for.
fn set_sources<'a>(variant: &mut Variant, holders: impl Iterator<Item = &'a Entry>, view: &View, now: Tick) {
    let mut holders: Vec<&Entry> = holders.filter(|entry| view.sees(&entry.peer)).collect();
    variant.sources_in_all = holders.len();
    variant.sha256 = variant.sha256.or_else(|| holders.iter().find_map(|entry| sha256(entry)));
    match view.order {
        Order::Added => holders.sort_by_key(|entry| is_partial(entry)),
        Order::Load => {
            holders.sort_by_cached_key(|entry| view.rank(entry.session, &entry.peer, is_partial(entry), now));
        }
    }
    holders.truncate(SOURCES_MAX);
    // Whoever is the only one was not chosen.
    if holders.len() > 1 {
        holders.iter().take(SOURCES_COUNTED).for_each(|entry| entry.peer.set_named(now));
    }
    variant.sources = holders.into_iter().map(|entry| source(entry, view)).collect();
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
            sha256: file.sha256.as_deref().copied(),
            rfc: file.rfc.as_ref().map(|(number, _)| number.get()),
            title: file.rfc.as_ref().map(|(_, title)| title.to_string()),
            source,
        },
        (Said::Title(title), key) => RecordLine {
            name: None,
            size: None,
            modified: None,
            hash: None,
            sha256: None,
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
    let sha256 = members.iter().find_map(|entry| sha256(entry));
    Some(Variant {
        sha256,
        name,
        size,
        modified,
        hash,
        rfc,
        title,
        published: members.iter().any(|entry| is_published(entry)),
        sources: Vec::new(),
        sources_in_all: 0,
    })
}

fn source(entry: &Entry, view: &View) -> Source {
    let speaks = match &entry.said {
        Said::Title(_) => Speaks::V1_0,
        Said::File(_) => Speaks::V1_1,
    };
    Source {
        host: view.host(entry.session, &entry.peer),
        port: entry.peer.claimed().port().get(),
        speaks,
        partial: is_partial(entry),
        published: is_published(entry),
        tls: entry.peer.claimed().tls(),
        private: entry.peer.claimed().private().map(ToString::to_string),
        ticket: hash_of(entry).and_then(|hash| view.ticket(hash, &entry.peer)),
    }
}

fn hash_of(entry: &Entry) -> Option<Digest> {
    match &entry.said {
        Said::File(file) => file.hash,
        Said::Title(_) => None,
    }
}

fn is_partial(entry: &Entry) -> bool {
    matches!(&entry.said, Said::File(file) if file.partial)
}

/// Records of 1.0 don't say, and count as published.
fn is_published(entry: &Entry) -> bool {
    !matches!(&entry.said, Said::File(file) if file.copied)
}

fn sha256(entry: &Entry) -> Option<Digest> {
    match &entry.said {
        Said::File(file) => file.sha256.as_deref().copied(),
        Said::Title(_) => None,
    }
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
            sha256: None,
        }))
    }

    #[test]
    fn contents_never_mix_and_published_ones_come_first() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let requester = Requester { source: local, reached: local };
        let session = SessionId(99);
        let view = View { policy: RecordHost::Auto, order: Order::Load, requester, session, pass: None };
        let entries = [
            entry(1, file(Some(1), true, false)),
            entry(2, file(Some(2), true, true)),
            entry(3, file(Some(2), false, false)),
            entry(4, file(None, false, false)),
            entry(5, Said::Title("t".into())),
        ];
        let settled = |(mut variant, members): (Variant, Vec<&Entry>)| {
            set_sources(&mut variant, members.into_iter(), &view, 0);
            variant
        };
        let variants: Vec<Variant> = group(&entries, &view).into_iter().map(settled).collect();
        let told: Vec<_> = variants
            .iter()
            .map(|variant| (variant.hash.map(|hash| hash.0[0]), variant.published, variant.sources.len()))
            .collect();
        assert_eq!(told, [(Some(2), true, 2), (None, true, 1), (None, true, 1), (Some(1), false, 1)]);
        assert!(!variants[0].sources[0].partial, "complete sources first");
        assert_eq!(variants[2].sources[0].speaks, Speaks::V1_0);
    }
}

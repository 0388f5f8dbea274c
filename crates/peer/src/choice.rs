//! Which of the contents that an index knows is meant, decided from its answer alone.
//!
//! A name means what is *published* under it; copies serve that content and decide nothing. Two different published contents
//! are a conflict that only the user can settle. Records without a hash conflict with nothing: where one content with a hash
//! is published it is taken, and sources of 1.0 are left aside.

use proto::value::digest::Digest;
use proto::value::host::PeerAddr;
use proto::wire::v11::body::{Source, Speaks, Variant};

/// What to do about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Fetch this content: every byte of it can be verified.
    Verified(Content),
    /// Fetch it from peers of 1.0, which have no hashes.
    Unverified(Vec<PeerAddr>),
    /// Somebody has it and is still hashing it: ask again.
    Hashing {
        /// Its name at those who hash it.
        name: String,
        /// Who hashes it.
        sources: Vec<PeerAddr>,
    },
    /// Several contents are published: the user must say which.
    Several(Vec<Variant>),
    /// What was asked for is the last part of several names: the user must say which.
    Names(Vec<String>),
    /// Nobody has it.
    Nobody,
}

/// A content and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Its BLAKE3 root.
    pub hash: Digest,
    /// Its size in bytes, as the index was told.
    pub size: Option<u64>,
    /// The name under which it was published.
    pub name: Option<String>,
    /// The number of the RFC that it is.
    pub rfc: Option<u32>,
    /// Peers that speak 1.1 and have all of it, each once, in the index's order.
    pub sources: Vec<PeerAddr>,
    /// Those that have a part of it.
    pub partial: Vec<PeerAddr>,
}

/// Decides. `wanted` is the hash that the user named, if one.
pub fn choose(variants: &[Variant], wanted: Option<Digest>) -> Choice {
    let known: Vec<&Variant> = variants.iter().filter(|variant| variant.hash.is_some()).collect();
    if let Some(wanted) = wanted {
        let found = known.iter().find(|variant| variant.hash == Some(wanted));
        return found.and_then(|variant| content(variant)).map_or(Choice::Nobody, Choice::Verified);
    }
    let published: Vec<&Variant> = known.iter().copied().filter(|variant| variant.published).collect();
    let names = distinct_names(if published.is_empty() { &known } else { &published });
    match (published.as_slice(), known.as_slice()) {
        _ if names.len() > 1 => Choice::Names(names),
        ([one], _) => content(one).map_or(Choice::Nobody, Choice::Verified),
        ([], _) if variants.iter().any(is_hashing) => hashing(variants),
        ([], []) => unverified(variants),
        // Nobody publishes it any more. Copies of one content are as good as the original.
        ([], [one]) => content(one).map_or(Choice::Nobody, Choice::Verified),
        ([], several) | (several, _) => {
            Choice::Several(several.iter().map(|variant| (*variant).clone()).collect())
        }
    }
}

fn distinct_names(variants: &[&Variant]) -> Vec<String> {
    let mut names: Vec<String> = variants.iter().filter_map(|variant| variant.name.clone()).collect();
    // Contents of one RFC may have any names: the number is what was asked for.
    if variants.iter().all(|variant| variant.rfc.is_some()) {
        names.clear();
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn content(variant: &Variant) -> Option<Content> {
    let Variant { hash, size, name, rfc, .. } = variant;
    let (sources, partial) = (peers(variant, Speaks::V1_1, false), peers(variant, Speaks::V1_1, true));
    Some(Content { hash: (*hash)?, size: *size, name: name.clone(), rfc: *rfc, sources, partial })
}

fn is_hashing(variant: &Variant) -> bool {
    variant.hash.is_none()
        && variant.published
        && variant.sources.iter().any(|source| source.speaks == Speaks::V1_1)
}

fn hashing(variants: &[Variant]) -> Choice {
    let hashing: Vec<&Variant> = variants.iter().filter(|variant| is_hashing(variant)).collect();
    let name = hashing.iter().find_map(|variant| variant.name.clone()).unwrap_or_default();
    Choice::Hashing {
        name,
        sources: hashing.iter().flat_map(|variant| peers(variant, Speaks::V1_1, false)).collect(),
    }
}

fn unverified(variants: &[Variant]) -> Choice {
    let sources: Vec<PeerAddr> =
        variants.iter().flat_map(|variant| peers(variant, Speaks::V1_0, false)).collect();
    if sources.is_empty() { Choice::Nobody } else { Choice::Unverified(sources) }
}

/// Those who have all of a variant, or a part, and speak this, each once.
fn peers(variant: &Variant, speaks: Speaks, is_partial: bool) -> Vec<PeerAddr> {
    let mut peers = Vec::new();
    let wanted = |source: &&Source| source.speaks == speaks && source.partial == is_partial;
    for source in variant.sources.iter().filter(wanted) {
        if let Some(peer) = source.peer().filter(|peer| !peers.contains(peer)) {
            peers.push(peer);
        }
    }
    peers
}

#[cfg(test)]
mod tests {
    use proto::wire::v11::body::Source;

    use super::*;

    fn source(port: u16, speaks: Speaks) -> Source {
        Source::new("h", port, speaks)
    }

    fn variant(hash: Option<u8>, published: bool, sources: &[Source]) -> Variant {
        Variant {
            name: Some("d/n".into()),
            size: Some(3),
            modified: None,
            hash: hash.map(|byte| Digest([byte; 32])),
            sha256: None,
            rfc: None,
            title: None,
            published,
            sources: sources.to_vec(),
            sources_in_all: sources.len(),
        }
    }

    fn old() -> Variant {
        Variant { name: None, size: None, ..variant(None, true, &[source(9, Speaks::V1_0)]) }
    }

    fn new(hash: Option<u8>, published: bool, port: u16) -> Variant {
        variant(hash, published, &[source(port, Speaks::V1_1), source(port, Speaks::V1_1)])
    }

    fn hash_of(choice: &Choice) -> Option<u8> {
        match choice {
            Choice::Verified(content) => {
                assert_eq!(content.sources.len(), 1, "each source once");
                Some(content.hash.0[0])
            }
            _ => None,
        }
    }

    #[test]
    fn the_published_content_is_meant() {
        assert_eq!(hash_of(&choose(&[new(Some(1), true, 1)], None)), Some(1));
        assert_eq!(
            hash_of(&choose(&[new(Some(1), false, 1), new(Some(2), true, 2)], None)),
            Some(2),
            "copies decide nothing"
        );
        assert_eq!(hash_of(&choose(&[new(Some(1), true, 1), old()], None)), Some(1), "1.0 is left aside");
        assert_eq!(hash_of(&choose(&[new(Some(1), false, 1)], None)), Some(1), "a copy alone is as good");
        assert_eq!(
            hash_of(&choose(&[new(Some(1), true, 1), new(None, true, 2)], None)),
            Some(1),
            "unhashed conflicts with nothing"
        );
    }

    #[test]
    fn two_published_contents_are_the_users_to_settle() {
        let both = [new(Some(1), true, 1), new(Some(2), true, 2)];
        assert!(matches!(choose(&both, None), Choice::Several(variants) if variants.len() == 2));
        assert_eq!(hash_of(&choose(&both, Some(Digest([2; 32])))), Some(2));
        assert_eq!(choose(&both, Some(Digest([3; 32]))), Choice::Nobody);
        let copies = [new(Some(1), false, 1), new(Some(2), false, 2)];
        assert!(matches!(choose(&copies, None), Choice::Several(_)));
    }

    #[test]
    fn the_last_part_of_two_names_is_no_name() {
        let other = Variant { name: Some("e/n".into()), ..new(Some(2), true, 2) };
        let names = choose(&[new(Some(1), true, 1), other], None);
        assert_eq!(names, Choice::Names(vec!["d/n".into(), "e/n".into()]));
    }

    #[test]
    fn what_is_not_hashed_yet_is_waited_for_and_1_0_is_taken_as_it_is() {
        assert!(
            matches!(choose(&[new(None, true, 4)], None), Choice::Hashing { name, sources } if name == "d/n" && sources.len() == 1)
        );
        assert!(matches!(choose(&[new(None, true, 4), old()], None), Choice::Hashing { .. }));
        assert!(matches!(choose(&[old()], None), Choice::Unverified(sources) if sources.len() == 1));
        assert_eq!(choose(&[], None), Choice::Nobody);
    }
}

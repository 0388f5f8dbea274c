//! Entity tags and the conditions on them (RFC 9110, sections 8.8.3 and 13.1).

use std::fmt;
use std::time::SystemTime;

use super::request::Conditions;
use crate::value::digest::Digest;

/// A strong validator: the content itself is its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntityTag {
    /// Of a file.
    File(Digest),
    /// Of a file's block list.
    Blocks(Digest),
}

/// As in an `ETag` header, with its quotes.
impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(digest) => write!(f, "\"{digest}\""),
            Self::Blocks(digest) => write!(f, "\"{digest}-blocks\""),
        }
    }
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is answered as it would be without them.
    Go,
    /// The other side has this content already.
    Unchanged,
    /// The file is another one than the other side believes.
    Changed,
}

/// Judges them in the order of RFC 9110, section 13.2.2: a tag counts, and a date only where no tag was sent.
pub(super) fn judge(
    conditions: &Conditions,
    tag: Option<EntityTag>,
    modified: Option<SystemTime>,
) -> Outcome {
    // A date in a head has whole seconds.
    let later =
        |than: SystemTime| modified.is_some_and(|modified| whole_seconds(modified) > whole_seconds(than));
    let is_another = match (&conditions.if_match, conditions.if_unmodified_since) {
        (Some(list), _) => !is_listed(list, tag, Weak::Differ),
        (None, Some(since)) => later(since),
        (None, None) => false,
    };
    let has_already = match (&conditions.if_none_match, conditions.if_modified_since) {
        (Some(list), _) => is_listed(list, tag, Weak::AreEqual),
        (None, Some(since)) => modified.is_some() && !later(since),
        (None, None) => false,
    };
    match (is_another, has_already) {
        (true, _) => Outcome::Changed,
        (false, true) => Outcome::Unchanged,
        (false, false) => Outcome::Go,
    }
}

fn whole_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether a range still applies: `If-Range` holds this very tag. A date or a weak tag promises too little to join pieces.
pub(super) fn if_range(value: &[u8], tag: Option<EntityTag>) -> bool {
    tag.is_some_and(|tag| value == tag.to_string().as_bytes())
}

/// How a tag with `W/` compares with ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weak {
    AreEqual,
    Differ,
}

fn is_listed(list: &[u8], tag: Option<EntityTag>, weak: Weak) -> bool {
    let tag = tag.map(|tag| tag.to_string());
    let ours = |one: &[u8]| tag.as_ref().is_some_and(|tag| one == tag.as_bytes());
    let strong = |one: &'_ [u8]| match weak {
        Weak::AreEqual => ours(one.strip_prefix(b"W/").unwrap_or(one)),
        Weak::Differ => ours(one),
    };
    // Our tags hold neither commas nor quotes, so a tag that does is cut to pieces of which none is ours.
    let mut tags = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|one| one == b"*" || strong(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_strongly_for_ranges_and_weakly_for_copies() {
        let file = EntityTag::File(Digest([0xab; 32]));
        let tag = Some(file);
        let quoted = format!("\"{}\"", "ab".repeat(32));
        assert_eq!(file.to_string(), quoted);
        assert!(if_range(quoted.as_bytes(), tag));
        for other in
            [format!("W/{quoted}"), "ab".repeat(32), "Sun, 06 Nov 1994 08:49:37 GMT".into(), "*".into()]
        {
            assert!(!if_range(other.as_bytes(), tag), "{other}");
        }
        assert!(!if_range(b"", None) && !if_range(quoted.as_bytes(), None));
        for same in [quoted.clone(), format!("W/{quoted}"), format!("\"x\", {quoted}"), "*".into()] {
            assert!(is_listed(same.as_bytes(), tag, Weak::AreEqual), "{same}");
        }
        for other in [&b"\"x\", \"y\""[..], b"", b","] {
            assert!(!is_listed(other, tag, Weak::AreEqual), "{other:?}");
        }
        let blocks = Some(EntityTag::Blocks(Digest([0xab; 32])));
        assert!(!is_listed(quoted.as_bytes(), None, Weak::AreEqual));
        assert!(!is_listed(quoted.as_bytes(), blocks, Weak::AreEqual));
        let weak = format!("W/{quoted}");
        assert!(
            !is_listed(weak.as_bytes(), tag, Weak::Differ) && is_listed(quoted.as_bytes(), tag, Weak::Differ)
        );
    }

    #[test]
    fn a_tag_counts_before_a_date_and_a_date_in_whole_seconds() {
        let at = |millis| SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(millis);
        let (tag, modified) = (Some(EntityTag::File(Digest([1; 32]))), Some(at(5_700)));
        let ours: Option<Box<[u8]>> = Some(format!("\"{}\"", "01".repeat(32)).into_bytes().into());
        let other: Option<Box<[u8]>> = Some(b"\"x\"".as_slice().into());
        let none = Conditions::default;
        for (conditions, expected) in [
            (none(), Outcome::Go),
            (Conditions { if_modified_since: Some(at(5_000)), ..none() }, Outcome::Unchanged),
            (Conditions { if_modified_since: Some(at(4_999)), ..none() }, Outcome::Go),
            (Conditions { if_unmodified_since: Some(at(5_000)), ..none() }, Outcome::Go),
            (Conditions { if_unmodified_since: Some(at(4_000)), ..none() }, Outcome::Changed),
            (
                Conditions { if_none_match: other.clone(), if_modified_since: Some(at(9_000)), ..none() },
                Outcome::Go,
            ),
            (Conditions { if_match: ours.clone(), if_unmodified_since: Some(at(0)), ..none() }, Outcome::Go),
            (Conditions { if_match: other, if_none_match: ours, ..none() }, Outcome::Changed),
        ] {
            assert_eq!(judge(&conditions, tag, modified), expected, "{conditions:?}");
        }
        let dated = Conditions { if_modified_since: Some(at(0)), if_unmodified_since: Some(at(0)), ..none() };
        assert_eq!(judge(&dated, None, None), Outcome::Go, "of what has no time nothing is said");
    }
}

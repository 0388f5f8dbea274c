//! Entity tags and the conditions on them (RFC 9110, sections 8.8.3 and 13.1).

use std::fmt;

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

/// Whether a range still applies: `If-Range` holds this very tag. A date or a weak tag promises too little to join pieces.
pub(super) fn if_range(value: &[u8], tag: Option<EntityTag>) -> bool {
    tag.is_some_and(|tag| value == tag.to_string().as_bytes())
}

/// Whether `If-None-Match` says that the other side has this content already. Weak tags count here.
pub(super) fn has_already(value: &[u8], tag: Option<EntityTag>) -> bool {
    let tag = tag.map(|tag| tag.to_string());
    let ours = |one: &[u8]| tag.as_ref().is_some_and(|tag| one == tag.as_bytes());
    // Our tags hold neither commas nor quotes, so a tag that does is cut to pieces of which none is ours.
    let mut tags = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|one| one == b"*" || ours(one.strip_prefix(b"W/").unwrap_or(one)))
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
            assert!(has_already(same.as_bytes(), tag), "{same}");
        }
        assert!(!has_already(b"\"x\", \"y\"", tag) && !has_already(quoted.as_bytes(), None));
        assert!(!has_already(quoted.as_bytes(), Some(EntityTag::Blocks(Digest([0xab; 32])))));
    }
}

//! The groups to which something is private.

use std::fmt;
use std::sync::Arc;

use super::tokens::is_group;
use crate::limits::GROUPS_MAX;

/// Names of groups: at least one, at most [`GROUPS_MAX`], each valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups(Arc<[Arc<str>]>);

impl Groups {
    /// Reads names with commas between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let names: Vec<Arc<str>> = text.split(',').map(Into::into).collect();
        let fit = names.len() <= GROUPS_MAX && names.iter().all(|name| is_group(name));
        fit.then(|| Self(names.into()))
    }

    /// Each of them.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.0
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_read_back_and_are_bounded() {
        assert_eq!(Groups::parse("team,ops").unwrap().to_string(), "team,ops");
        for bad in ["", "a,", "a b", "\u{e9}", &["g"; GROUPS_MAX + 1].join(",")] {
            assert!(Groups::parse(bad).is_none(), "{bad}");
        }
    }
}

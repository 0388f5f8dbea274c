//! What is left out of a share: keys and hidden files unless somebody asked for them, and what globs and ignore files say.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::overrides::{Override, OverrideBuilder};

/// The file in a folder that says, in the syntax of gitignore, what of it is not shared.
pub const IGNORE_FILE: &str = ".p2pciignore";

/// Names of keys and passwords.
const KEYS: &[&str] = &[
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "*.kdbx",
    ".env*",
    ".ssh",
    ".gnupg",
    ".aws",
    ".kube",
    ".netrc",
    ".pgpass",
    ".git-credentials",
    ".htpasswd",
];
/// Names of files that are still being fetched, by us or by others.
const UNFINISHED: &[&str] = &["*.p2pci-part", "*.p2pci-part.journal", "*.part", "*.crdownload"];

/// Why something is not shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// Its name begins with a dot.
    Hidden,
    /// It is named like a key or a file of passwords.
    Key,
    /// It is named like a file that is still being fetched.
    Unfinished,
    /// The globs leave it out.
    Glob,
    /// An ignore file leaves it out.
    Ignored,
    /// It is a symbolic link that is not followed, or that leads out of its root.
    Link,
    /// It is a FIFO, a device, a socket.
    Special,
    /// Its name cannot travel: not UTF-8, control characters, or too long.
    Name,
    /// A root that comes first has a file of that name.
    SameName,
    /// It cannot be read.
    Unreadable,
    /// It is larger than a file may be.
    TooLarge,
    /// There are more files than a peer shares.
    TooMany,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "hidden",
            Self::Key => "keys and passwords",
            Self::Unfinished => "unfinished downloads",
            Self::Glob => "left out by globs",
            Self::Ignored => "left out by .p2pciignore",
            Self::Link => "links",
            Self::Special => "no regular files",
            Self::Name => "names that cannot travel",
            Self::SameName => "names that are taken",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too large",
            Self::TooMany => "too many",
        })
    }
}

/// How much was skipped, by reason; a folder that is left out counts once.
pub type Skips = BTreeMap<Skip, usize>;

/// What is left out everywhere beneath a root.
#[derive(Debug)]
pub(super) struct Rules {
    globs: Override,
    hidden: bool,
}

/// One folder on the way down, and what its ignore file says.
#[derive(Debug)]
pub(super) struct Level {
    above: Option<Arc<Level>>,
    /// Bytes of the folder's path beneath the root, with a `/` at its end.
    path_len: usize,
    ignored: Option<Gitignore>,
    /// Device and inode of the folder.
    pub(super) id: (u64, u64),
}

impl Level {
    pub(super) fn new(
        above: Option<Arc<Self>>,
        path: &str,
        id: (u64, u64),
        ignore_file: Option<&str>,
    ) -> Self {
        let path_len = if path.is_empty() { 0 } else { path.len() + 1 };
        Self { above, path_len, ignored: ignore_file.and_then(|text| patterns(text.lines(), false)), id }
    }

    fn upwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |level| level.above.as_deref())
    }

    /// Whether a folder is this one or one above it: a link leads round in a circle.
    pub(super) fn is_within(&self, id: (u64, u64)) -> bool {
        self.upwards().any(|level| level.id == id)
    }

    /// The nearest ignore file that says something has the word.
    fn ignores(&self, path: &str, is_folder: bool) -> bool {
        let said = self.upwards().find_map(|level| {
            let below = path.get(level.path_len..)?;
            let said = level.ignored.as_ref()?.matched(below, is_folder);
            (!said.is_none()).then(|| said.is_ignore())
        });
        said.unwrap_or(false)
    }
}

impl Rules {
    /// From what was asked for: globs that are shared or, with `!`, not.
    pub(super) fn new(globs: &[String], hidden: bool) -> Result<Self, ignore::Error> {
        let mut builder = OverrideBuilder::new("");
        for glob in globs {
            builder.add(glob)?;
        }
        Ok(Self { globs: builder.build()?, hidden })
    }

    /// Why something beneath the root is left out by its name; `None` when it is not.
    pub(super) fn verdict(&self, level: &Level, path: &str, is_folder: bool) -> Option<Skip> {
        let leaf = path.rsplit('/').next().unwrap_or(path);
        let globs = self.globs.matched(path, is_folder);
        if globs.is_whitelist() {
            return None;
        }
        if globs.is_ignore() {
            return Some(Skip::Glob);
        }
        if is_key(leaf) {
            return Some(Skip::Key);
        }
        if !is_folder && matches(&IS_UNFINISHED, leaf) {
            return Some(Skip::Unfinished);
        }
        if leaf.starts_with('.') && !self.hidden {
            return Some(Skip::Hidden);
        }
        level.ignores(path, is_folder).then_some(Skip::Ignored)
    }

    /// Whether a glob asks for something by name.
    pub(super) fn asks_for(&self, leaf: &str) -> bool {
        self.globs.matched(leaf, false).is_whitelist()
    }
}

/// Whether something is named like a key.
pub(super) fn is_key(leaf: &str) -> bool {
    matches(&IS_KEY, leaf)
}

static IS_KEY: LazyLock<Option<Gitignore>> = LazyLock::new(|| patterns(KEYS.iter().copied(), true));
static IS_UNFINISHED: LazyLock<Option<Gitignore>> =
    LazyLock::new(|| patterns(UNFINISHED.iter().copied(), true));

fn matches(list: &LazyLock<Option<Gitignore>>, leaf: &str) -> bool {
    list.as_ref().is_some_and(|list| list.matched(leaf, false).is_ignore())
}

/// Patterns of gitignore; a line that is none is passed over, as git does.
fn patterns<'a>(lines: impl Iterator<Item = &'a str>, any_case: bool) -> Option<Gitignore> {
    let mut builder = GitignoreBuilder::new(Path::new(""));
    builder.case_insensitive(any_case).ok()?;
    for line in lines {
        let _ = builder.add_line(None, line);
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(globs: &[&str], hidden: bool) -> Rules {
        Rules::new(&globs.iter().map(ToString::to_string).collect::<Vec<_>>(), hidden).unwrap()
    }

    fn top(ignore_file: &str) -> Arc<Level> {
        Arc::new(Level::new(None, "", (0, 0), Some(ignore_file)))
    }

    #[test]
    fn keys_hidden_and_unfinished_files_are_left_out_unless_asked_for() {
        let (plain, hidden, level) = (rules(&[], false), rules(&[], true), top(""));
        for key in ["id_rsa", "a/ID_RSA.old", "x.pem", "a/b/server.KEY", ".env", ".env.local", ".netrc"] {
            assert_eq!(hidden.verdict(&level, key, false), Some(Skip::Key), "{key}");
        }
        assert_eq!(hidden.verdict(&level, ".ssh", true), Some(Skip::Key));
        assert_eq!(plain.verdict(&level, "a/.x", false), Some(Skip::Hidden));
        assert_eq!(hidden.verdict(&level, "a/.x", false), None);
        assert_eq!(plain.verdict(&level, "a/film.part", false), Some(Skip::Unfinished));
        for fine in ["a", "environment", "keys.txt", "pem", "x.party", "a/id.txt"] {
            assert_eq!(plain.verdict(&level, fine, false), None, "{fine}");
        }
        let asked = rules(&["*.pem", ".env"], false);
        assert_eq!(asked.verdict(&level, "a/x.pem", false), None);
        assert_eq!(asked.verdict(&level, "a/.env", false), None);
        assert_eq!(asked.verdict(&level, "a/other", false), Some(Skip::Glob));
        assert_eq!(asked.verdict(&level, "a", true), None, "folders are looked into");
    }

    #[test]
    fn globs_take_away_and_the_last_one_wins() {
        let (rules, level) = (rules(&["!*.tmp", "keep.tmp"], false), top(""));
        assert_eq!(rules.verdict(&level, "a/x.tmp", false), Some(Skip::Glob));
        assert_eq!(rules.verdict(&level, "a/keep.tmp", false), None);
        assert!(Rules::new(&["a[".to_owned()], false).is_err());
    }

    #[test]
    fn ignore_files_speak_for_what_is_below_them() {
        let rules = rules(&[], false);
        let top = top("*.log\n/build\n# comment\nkept/\n");
        assert_eq!(rules.verdict(&top, "a/x.log", false), Some(Skip::Ignored));
        assert_eq!(rules.verdict(&top, "build", true), Some(Skip::Ignored));
        assert_eq!(rules.verdict(&top, "a/build", true), None);
        assert_eq!(rules.verdict(&top, "kept", false), None, "only a folder is meant");
        let below = Level::new(Some(Arc::clone(&top)), "a", (0, 1), Some("!x.log\nnotes/*.md"));
        assert_eq!(rules.verdict(&below, "a/x.log", false), None);
        assert_eq!(rules.verdict(&below, "a/y.log", false), Some(Skip::Ignored));
        assert_eq!(rules.verdict(&below, "a/notes/1.md", false), Some(Skip::Ignored));
        let sneaky = Level::new(None, "", (0, 0), Some("!id_rsa"));
        assert_eq!(
            rules.verdict(&sneaky, "id_rsa", false),
            Some(Skip::Key),
            "an ignore file only takes away"
        );
        assert!(below.is_within((0, 0)) && !below.is_within((0, 2)));
    }
}

//! Where sharing begins: a folder or a file that somebody named, and the names that its content gets.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use proto::value::file_name::FileName;

use super::beneath::{self, Kept};
use super::rules::{Rules, is_key};

/// What the names of a root's files begin with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Prefix {
    /// The name of the shared folder; a single file has no prefix.
    #[default]
    OwnName,
    /// Nothing: names begin beneath the folder.
    Nothing,
    /// These folders, joined by `/`.
    Folders(String),
}

impl Prefix {
    /// From what was typed: `/` is nothing, `/` at its ends means nothing else.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        match text.trim_matches('/') {
            "" => Self::Nothing,
            folders => Self::Folders(folders.to_owned()),
        }
    }
}

/// A folder or a file to be shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Where it is; may be a link itself.
    pub path: PathBuf,
    /// What the names of its files begin with.
    pub prefix: Prefix,
}

/// Why something cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is nothing of that name.
    #[error("there is no '{}'", .0.display())]
    NotThere(PathBuf),
    /// It is neither a folder nor a regular file.
    #[error("'{}' is neither a folder nor a regular file", .0.display())]
    NotShareable(PathBuf),
    /// It holds a whole home, or everything.
    #[error("'{}' holds a home folder or the whole system; name a folder within it, or allow it by --allow-root", .0.display())]
    TooMuch(PathBuf),
    /// It is a key, or lies where keys lie.
    #[error("'{}' is a key or lies where keys are kept; a single file can be named by -g", .0.display())]
    Keys(PathBuf),
    /// Names that begin so cannot travel.
    #[error("'{0}' cannot be the beginning of a name")]
    Prefix(String),
    /// A glob that is none.
    #[error("a glob cannot be understood: {0}")]
    Glob(String),
    /// The threads behind the table cannot be started.
    #[error("the system has no thread left: {0}")]
    Threads(#[source] io::Error),
    /// Anything else.
    #[error("'{}' cannot be read: {source}", .path.display())]
    Io {
        /// What was to be shared.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A root that was checked.
#[derive(Debug)]
pub(super) struct Base {
    /// The folder that holds everything; absolute.
    pub(super) folder: PathBuf,
    /// The only file that is shared of it, when a file was named.
    pub(super) only: Option<String>,
    /// What names begin with: empty, or with a `/` at its end.
    pub(super) prefix: String,
    pub(super) follow_links: bool,
    pub(super) rules: Rules,
    /// The folder, while somebody keeps it open: not longer, or its file system could not be unmounted while nobody fetches.
    kept: Mutex<Weak<Kept>>,
}

/// What is to be refused.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    pub(super) allow_root: bool,
    /// The home folder of whoever shares.
    pub(super) home: Option<PathBuf>,
}

impl Base {
    pub(super) fn new(
        root: &Root,
        guard: &Guard,
        follow_links: bool,
        rules: Rules,
    ) -> Result<Self, PublishError> {
        let shown = || root.path.clone();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => PublishError::NotThere(shown()),
            _ => PublishError::Io { path: shown(), source },
        };
        let path = std::path::absolute(&root.path).map_err(failed)?;
        let real = path.canonicalize().map_err(failed)?;
        let kind = real.metadata().map_err(failed)?.file_type();
        if !kind.is_dir() && !kind.is_file() {
            return Err(PublishError::NotShareable(shown()));
        }
        let name = own_name(&path, &real);
        refuse_keys(root, &real, name.unwrap_or_default(), &rules)?;
        if kind.is_dir() && !guard.allow_root && holds_a_home(&real, guard.home.as_deref()) {
            return Err(PublishError::TooMuch(shown()));
        }
        let own =
            || name.map(str::to_owned).ok_or_else(|| PublishError::Prefix(shown().display().to_string()));
        let (folder, only) = match kind.is_file() {
            true => (path.parent().unwrap_or(Path::new("/")).to_owned(), Some(own()?)),
            false => (path.clone(), None),
        };
        let prefix = match &root.prefix {
            Prefix::OwnName if only.is_some() || real.parent().is_none() => String::new(),
            Prefix::OwnName => own()?,
            Prefix::Nothing => String::new(),
            Prefix::Folders(folders) => folders.clone(),
        };
        if !prefix.is_empty() && FileName::parse(prefix.as_bytes()).is_err() {
            return Err(PublishError::Prefix(prefix));
        }
        let prefix = if prefix.is_empty() { prefix } else { prefix + "/" };
        match only.as_ref().map(|leaf| format!("{prefix}{leaf}")) {
            Some(name) if FileName::parse(name.as_bytes()).is_err() => Err(PublishError::Prefix(name)),
            _ => Ok(Self { folder, only, prefix, follow_links, rules, kept: Mutex::default() }),
        }
    }

    /// The name of what lies at a path beneath the folder.
    pub(super) fn name_of(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// Where a name lies beneath the folder.
    pub(super) fn path_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.prefix.as_str())
    }

    /// Where a path of the disk lies beneath the folder; `None` when it is elsewhere or not UTF-8.
    pub(super) fn beneath<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.strip_prefix(&self.folder).ok()?.to_str()
    }

    /// Opens a regular file beneath the folder. Blocks.
    pub(super) fn open(&self, path: &str) -> io::Result<File> {
        match &self.only {
            // Somebody named this very file, so it may be a link.
            Some(_) => beneath::regular_at(&self.folder.join(path)),
            None => beneath::file(beneath::root(&self.folder)?.as_fd(), path, self.follow_links),
        }
    }

    /// The folder, open, where that takes no wait.
    pub(super) fn kept(&self) -> io::Result<Arc<Kept>> {
        if self.only.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // Nothing panics while it is held.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.upgrade().filter(|kept| kept.is_at(&self.folder)) {
            return Ok(kept);
        }
        let opened = Arc::new(Kept::open(&self.folder)?);
        *kept = Arc::downgrade(&opened);
        Ok(opened)
    }
}

/// The name that was typed, else the name that it leads to.
fn own_name<'a>(path: &'a Path, real: &'a Path) -> Option<&'a str> {
    let typed = path.components().next_back();
    let leaf = match typed {
        Some(Component::Normal(leaf)) => Some(leaf),
        _ => real.file_name(),
    };
    leaf.and_then(OsStr::to_str)
}

fn refuse_keys(root: &Root, real: &Path, name: &str, rules: &Rules) -> Result<(), PublishError> {
    let parts = real.components().filter_map(|part| part.as_os_str().to_str());
    let among_keys = parts.into_iter().chain([name]).any(is_key);
    if among_keys && !rules.asks_for(name) {
        return Err(PublishError::Keys(root.path.clone()));
    }
    Ok(())
}

/// Whether a folder is a home, or holds one.
fn holds_a_home(real: &Path, home: Option<&Path>) -> bool {
    const HOMES: [&str; 2] = ["/home", "/Users"];
    let home = home.and_then(|home| home.canonicalize().ok());
    let known = home.as_deref().into_iter().chain(HOMES.map(Path::new)).chain([Path::new("/root")]);
    let is_one = real.parent().is_some_and(|above| HOMES.iter().any(|homes| above == Path::new(homes)));
    is_one || known.into_iter().any(|known| known.starts_with(real))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(
        path: &Path,
        prefix: Prefix,
        home: Option<&Path>,
        allow_root: bool,
    ) -> Result<Base, PublishError> {
        let guard = Guard { allow_root, home: home.map(Path::to_owned) };
        let root = Root { path: path.to_owned(), prefix };
        Base::new(&root, &guard, false, Rules::new(&[], false).unwrap())
    }

    #[test]
    fn names_begin_with_the_folder_or_as_was_asked() {
        let world = tempfile::tempdir().unwrap();
        let models = world.path().join("models");
        std::fs::create_dir(&models).unwrap();
        std::fs::write(models.join("a"), "").unwrap();
        std::os::unix::fs::symlink(&models, world.path().join("link")).unwrap();
        let name = |path: &Path, prefix| base(path, prefix, None, false).unwrap().name_of("a");
        assert_eq!(name(&models, Prefix::OwnName), "models/a");
        assert_eq!(name(&models.join("."), Prefix::OwnName), "models/a");
        assert_eq!(name(&models.join("../models/"), Prefix::OwnName), "models/a");
        assert_eq!(name(&world.path().join("link"), Prefix::OwnName), "link/a");
        assert_eq!(name(&models, Prefix::typed("/")), "a");
        assert_eq!(name(&models, Prefix::typed("x/y/")), "x/y/a");
        assert_eq!(name(&models.join("a"), Prefix::OwnName), "a");
        assert_eq!(name(&models.join("a"), Prefix::typed("x")), "x/a");
        let bad = base(&models, Prefix::typed("a/../b"), None, false);
        assert!(matches!(bad, Err(PublishError::Prefix(_))));
        assert!(matches!(
            base(&models.join("b"), Prefix::OwnName, None, false),
            Err(PublishError::NotThere(_))
        ));
        let opened = base(&models, Prefix::OwnName, None, false).unwrap();
        assert_eq!((opened.path_of("models/x/y"), opened.path_of("other/x")), (Some("x/y"), None));
    }

    #[test]
    fn homes_and_everything_are_refused_unless_allowed() {
        let world = tempfile::tempdir().unwrap();
        let home = world.path().join("me");
        std::fs::create_dir_all(home.join("Public")).unwrap();
        std::os::unix::fs::symlink(&home, world.path().join("link")).unwrap();
        let refused = |path: &Path| {
            matches!(base(path, Prefix::OwnName, Some(&home), false), Err(PublishError::TooMuch(_)))
        };
        for path in [&home, world.path(), &world.path().join("link"), Path::new("/"), &home.join("Public/..")]
        {
            assert!(refused(path), "{}", path.display());
        }
        assert!(!refused(&home.join("Public")));
        assert!(base(&home, Prefix::OwnName, Some(&home), true).is_ok());
        assert_eq!(base(Path::new("/"), Prefix::OwnName, None, true).unwrap().name_of("a"), "a");
    }

    #[test]
    fn keys_are_not_shared_by_naming_their_place() {
        let world = tempfile::tempdir().unwrap();
        let ssh = world.path().join(".ssh");
        std::fs::create_dir_all(ssh.join("sub")).unwrap();
        std::fs::write(world.path().join("id_rsa"), "").unwrap();
        for path in [ssh.clone(), ssh.join("sub"), world.path().join("id_rsa")] {
            assert!(matches!(base(&path, Prefix::OwnName, None, false), Err(PublishError::Keys(_))));
        }
        let root = Root { path: world.path().join("id_rsa"), prefix: Prefix::OwnName };
        let asked = Rules::new(&["id_rsa".to_owned()], false).unwrap();
        assert!(Base::new(&root, &Guard::default(), false, asked).is_ok());
    }
}

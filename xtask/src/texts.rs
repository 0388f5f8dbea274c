//! Which texts the tests share and download: real RFCs where the machine has them. Without them the tests generate a corpus
//! with the same traits, so that this is no reason to skip any.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::bail;

/// The variable that names a folder of real RFC texts.
pub(crate) const VARIABLE: &str = "P2PCI_RFC_DIR";

/// The folder of the real texts as an absolute path, or `None` for a generated corpus.
pub(crate) fn find(root: &Path) -> anyhow::Result<Option<PathBuf>> {
    choose(std::env::var_os(VARIABLE), &root.join("../shared/data/rfc"))
}

/// A folder that was asked for by name must exist; the one beside the repository is a convenience.
fn choose(asked: Option<OsString>, beside: &Path) -> anyhow::Result<Option<PathBuf>> {
    match asked.filter(|value| !value.is_empty()) {
        Some(folder) => match Path::new(&folder).canonicalize() {
            Ok(folder) if folder.is_dir() => Ok(Some(folder)),
            _ => bail!("{VARIABLE} names no folder: {}", folder.display()),
        },
        None => Ok(beside.canonicalize().ok().filter(|folder| folder.is_dir())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_and_nothing_beside_means_a_generated_corpus() {
        let asked = tempfile::tempdir().unwrap();
        let beside = tempfile::tempdir().unwrap();
        let real = |folder: &tempfile::TempDir| Some(folder.path().canonicalize().unwrap());
        let variable = Some(asked.path().as_os_str().to_owned());
        assert_eq!(choose(variable.clone(), beside.path()).unwrap(), real(&asked));
        assert_eq!(choose(None, beside.path()).unwrap(), real(&beside));
        assert_eq!(choose(None, &beside.path().join("none")).unwrap(), None);
        asked.close().unwrap();
        assert!(choose(variable, beside.path()).is_err());
    }
}

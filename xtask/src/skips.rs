//! Tests that cannot run on a machine say so here, so that a green run never hides that something was not tested.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The variable that names the file to which a test that cannot run appends one line, `test name: reason`.
pub(crate) const VARIABLE: &str = "P2PCI_SKIPS";

/// The file of one run.
#[derive(Debug)]
pub(crate) struct Skips {
    file: PathBuf,
}

impl Skips {
    /// An empty file in `folder`; what an earlier run left there is gone.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("skips.txt");
        fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { file })
    }

    /// Where tests append.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// One reason for each test that did not run.
    pub(crate) fn reasons(&self) -> anyhow::Result<Vec<String>> {
        let text =
            fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_run_starts_without_the_skips_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let skips = Skips::start(folder.path()).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(skips.file()).unwrap();
        writeln!(file, "two_hosts: no network namespaces\n").unwrap();
        assert_eq!(skips.reasons().unwrap(), ["two_hosts: no network namespaces"]);
        let skips = Skips::start(folder.path()).unwrap();
        assert!(skips.reasons().unwrap().is_empty());
    }
}

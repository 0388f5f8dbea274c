//! A file on its way: kept beside its target under another name, or without a name, until it is whole. Everything here blocks.
//!
//! Whoever drops a part that is not finished removes it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{FetchError, Fetched, Outcome};
use crate::files;
use crate::landing::{Landing, Settled};

/// Where the whole file is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A name in a folder.
    Beside { path: PathBuf, force: bool },
    /// Nowhere: it will be copied out.
    Nameless,
}

/// A file on its way.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    /// Bytes from the beginning that are there.
    written: u64,
    landing: Option<Landing>,
    /// For errors.
    path: PathBuf,
}

impl Part {
    /// An empty part for this target.
    pub(super) fn begin(target: &Target) -> Result<Self, FetchError> {
        match target {
            Target::Beside { path, force } => Self::beside(path, *force),
            Target::Nameless => {
                let path = PathBuf::from("-");
                let file = files::nameless()
                    .map_err(|source| FetchError::Disk { path: std::env::temp_dir(), source })?;
                Ok(Self { file, written: 0, landing: None, path })
            }
        }
    }

    fn beside(path: &Path, force: bool) -> Result<Self, FetchError> {
        let (landing, file) = Landing::open(path, force).map_err(|error| FetchError::landing(path, error))?;
        // From here on the landing removes the part if something fails: what is in it was left by a download that died.
        file.set_len(0).map_err(|source| FetchError::Disk { path: path.into(), source })?;
        Ok(Self { file, written: 0, landing: Some(landing), path: path.into() })
    }

    /// Asks the disk for this many bytes.
    pub(super) fn reserve(&self, length: u64) -> io::Result<()> {
        files::reserve(&self.file, length)
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all_at(bytes, self.written).map_err(|source| self.disk(source))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Puts bytes before everything that was written.
    pub(super) fn put_before(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        files::put_before(&self.file, self.written, bytes).map_err(|source| self.disk(source))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Bytes that are there.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Makes the part durable and gives it its final name.
    pub(super) fn finish(mut self) -> Result<Fetched, FetchError> {
        let (bytes, path) = (self.written, self.path.clone());
        let disk = |source| FetchError::Disk { path: path.clone(), source };
        files::sync(&self.file).map_err(disk)?;
        let Some(landing) = &mut self.landing else {
            return Ok(Fetched { bytes, outcome: Outcome::Written });
        };
        let here = landing.settle(&self.file).map_err(|error| FetchError::landing(&path, error))?;
        // Also where somebody else gave it its name, who may have died since.
        landing.sync().map_err(disk)?;
        let outcome = match here {
            Settled::New => Outcome::Saved(path),
            Settled::Same => Outcome::AlreadyHere(path),
        };
        Ok(Fetched { bytes, outcome })
    }

    /// Copies the whole file out.
    pub(super) fn copy_to(self, writer: &mut dyn Write) -> Result<Fetched, FetchError> {
        files::copy_to(&self.file, writer).map_err(|source| self.disk(source))?;
        Ok(Fetched { bytes: self.written, outcome: Outcome::Written })
    }

    fn disk(&self, source: io::Error) -> FetchError {
        FetchError::Disk { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Folder;

    fn target(path: &Path, force: bool) -> Target {
        Target::Beside { path: path.into(), force }
    }

    fn part(path: &Path, force: bool, content: &[u8]) -> Part {
        let mut part = Part::begin(&target(path, force)).unwrap();
        part.write(content).unwrap();
        part
    }

    fn names(folder: &Path) -> Vec<String> {
        Folder::open(folder).unwrap().names().unwrap().iter().map(|n| n.to_string_lossy().into()).collect()
    }

    #[test]
    fn a_part_gets_its_name_only_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rfc1.txt");
        let unfinished = part(&path, false, b"abc");
        assert_eq!(names(folder.path()), ["rfc1.txt.p2pci-part"]);
        drop(unfinished);
        assert!(names(folder.path()).is_empty());
        let fetched = part(&path, false, b"abc").finish().unwrap();
        assert_eq!(fetched, Fetched { bytes: 3, outcome: Outcome::Saved(path.clone()) });
        assert_eq!(names(folder.path()), ["rfc1.txt"]);
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    }

    #[test]
    fn what_is_there_is_kept_unless_it_is_forced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rfc1.txt");
        std::fs::write(&path, "good").unwrap();
        assert!(matches!(part(&path, false, b"good").finish().unwrap().outcome, Outcome::AlreadyHere(_)));
        assert!(matches!(part(&path, false, b"evil").finish(), Err(FetchError::Exists { .. })));
        assert_eq!(
            (names(folder.path()), std::fs::read(&path).unwrap()),
            (vec!["rfc1.txt".into()], b"good".to_vec())
        );
        part(&path, true, b"evil").finish().unwrap();
        assert_eq!(
            (names(folder.path()), std::fs::read(&path).unwrap()),
            (vec!["rfc1.txt".into()], b"evil".to_vec())
        );
    }

    #[test]
    fn a_second_download_of_the_same_file_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rfc1.txt");
        let first = part(&path, false, b"abc");
        assert!(matches!(Part::begin(&target(&path, false)), Err(FetchError::Busy { .. })));
        assert_eq!(
            names(folder.path()),
            ["rfc1.txt.p2pci-part"],
            "the loser must not remove the winner's part"
        );
        first.finish().unwrap();
        assert!(Part::begin(&target(&path, false)).is_ok());
    }

    #[test]
    fn what_a_dead_download_left_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rfc1.txt");
        std::fs::write(folder.path().join("rfc1.txt.p2pci-part"), "a long rest of an earlier life").unwrap();
        part(&path, false, b"abc").finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    }

    #[test]
    fn folders_devices_and_links_are_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path(), Path::new("/dev/null"), Path::new("/"), Path::new("..")] {
            let begun = Part::begin(&target(path, true));
            assert!(matches!(begun, Err(FetchError::NotAFile { .. })), "{path:?} {begun:?}");
        }
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("rfc1.txt.p2pci-part")).unwrap();
        let begun = Part::begin(&target(&folder.path().join("rfc1.txt"), false));
        assert!(matches!(begun, Err(FetchError::Disk { .. })), "{begun:?}");
        assert_eq!(std::fs::read(&victim).unwrap(), b"kept");
        let missing = Part::begin(&target(&folder.path().join("none/rfc1.txt"), false)).unwrap_err();
        assert!(missing.to_string().ends_with("its folder is not there"), "{missing}");
    }

    #[test]
    fn bytes_are_put_before_a_part_of_any_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for length in [0, 1, 256 * 1024 - 1, 256 * 1024 + 3, 600_000] {
            let content: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[1]).collect();
            let mut part = part(&path, true, &content);
            part.put_before(b"\r\n").unwrap();
            part.finish().unwrap();
            let whole = std::fs::read(&path).unwrap();
            assert!(whole[..2] == *b"\r\n" && whole[2..] == content[..], "{length}");
        }
    }

    #[test]
    fn long_names_still_make_a_part() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a".repeat(250), "a".repeat(251), "a".repeat(255), "ü".repeat(127)] {
            let path = folder.path().join(&name);
            part(&path, false, b"abc").finish().unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        }
    }

    #[test]
    fn a_nameless_part_is_copied_out_and_leaves_nothing() {
        let mut part = Part::begin(&Target::Nameless).unwrap();
        part.write(b"bc").unwrap();
        part.put_before(b"a").unwrap();
        let mut out = Vec::new();
        part.copy_to(&mut out).unwrap();
        assert_eq!(out, b"abc");
    }
}

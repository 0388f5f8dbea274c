//! The numbered texts of flat folders, as the menu client keeps them: each file is named by hand or by its folder, looked at
//! when it is asked for, and never hashed.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::SystemTime;

use proto::rfc_text::{self, HEADING_BYTES};
use proto::value::number::RfcNumber;
use proto::value::title::Title;

use crate::files::{self, Folder, OpenError, OpenFile};

/// Numbers and their files. All methods that touch files block.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    entries: RwLock<BTreeMap<RfcNumber, Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    folder: Folder,
    file_name: OsString,
    title: Arc<str>,
    length: u64,
    modified: SystemTime,
}

/// A file that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Its number.
    pub number: RfcNumber,
    /// Its title, valid for the wire.
    pub title: Arc<str>,
    /// Its name in its folder.
    pub file_name: String,
    /// Its length in bytes when it was last looked at.
    pub length: u64,
    /// When it was last modified, when it was last looked at.
    pub modified: SystemTime,
}

/// Something in a folder that is not shared.
#[derive(Debug)]
pub struct Skipped {
    /// Its name: any characters.
    pub name: String,
    /// Why.
    pub why: SkipReason,
}

/// Why something in a folder is not shared.
#[derive(Debug, thiserror::Error)]
pub enum SkipReason {
    /// Named like a text of an RFC, but without a number that can be one.
    #[error("no number")]
    NoNumber,
    /// Not named `rfcN.txt`.
    #[error("its name is not rfcN.txt")]
    OtherName,
    /// A symbolic link, a folder, a FIFO, a device.
    #[error("it is no regular file")]
    NotRegular,
    /// Another file of the folder has the same number.
    #[error("'{kept}' has the same number")]
    SameNumber {
        /// The file that is shared.
        kept: String,
    },
    /// It cannot be opened or read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] io::Error),
}

/// Why a folder cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is no such folder.
    #[error("there is no folder '{}'", .0.display())]
    NotThere(PathBuf),
    /// It is something else.
    #[error("'{}' is no folder", .0.display())]
    NotAFolder(PathBuf),
    /// Anything else.
    #[error("the folder '{}' cannot be read: {source}", .path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why one file cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is no such file.
    #[error("there is no rfc{number}.txt in '{}'", .folder.display())]
    NotThere {
        /// The number that was asked for.
        number: RfcNumber,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A symbolic link, a folder, a FIFO, a device.
    #[error("rfc{number}.txt in '{}' is no regular file", .folder.display())]
    NotRegular {
        /// The number that was asked for.
        number: RfcNumber,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The folder or the file cannot be read.
    #[error("rfc{number}.txt in '{}' cannot be read: {source}", .folder.display())]
    Io {
        /// The number that was asked for.
        number: RfcNumber,
        /// Where it was looked for.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Numbers {
    /// Shares each `rfcN.txt` that is a regular file of the folder itself, and tells what was skipped. Of two names for one
    /// number the first in sorted order is shared. What is in the table already stays, or is replaced number by number. Blocks.
    ///
    /// # Errors
    /// [`ScanError`] when the folder as a whole cannot be read; nothing is shared then.
    pub(super) fn scan(&self, folder: &Path) -> Result<(Vec<Shared>, Vec<Skipped>), ScanError> {
        let failed = |source| scan_error(folder, source);
        let open = Folder::open(folder).map_err(failed)?;
        let mut found: BTreeMap<RfcNumber, Entry> = BTreeMap::new();
        let mut skipped = Vec::new();
        for name in open.names().map_err(failed)? {
            let shown = name.to_string_lossy().into_owned();
            match consider(&open, &name, &found) {
                Ok((number, entry)) => drop(found.insert(number, entry)),
                Err(why) => skipped.push(Skipped { name: shown, why }),
            }
        }
        let shared = found.iter().map(|(number, entry)| shown(*number, entry)).collect();
        self.write().extend(found);
        Ok((shared, skipped))
    }

    /// Shares one file of a folder, whatever the case of its name. The title is tamed for the wire; without one, or with
    /// nothing left of it, the title comes from the text itself. Blocks.
    ///
    /// # Errors
    /// [`ShareError`]; the table is unchanged then.
    pub(super) fn add_number(
        &self,
        folder: &Path,
        number: RfcNumber,
        title: Option<&str>,
    ) -> Result<Shared, ShareError> {
        let failed = |source| ShareError::Io { number, folder: folder.into(), source };
        let not_there = || ShareError::NotThere { number, folder: folder.into() };
        let open = Folder::open(folder).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => not_there(),
            _ => failed(error),
        })?;
        let names = open.names().map_err(failed)?;
        let named = |name: &OsString| name.to_str().and_then(rfc_text::number_of) == Some(number);
        let name = names.into_iter().find(named).ok_or_else(not_there)?;
        let mut entry = look(&open, &name, number).map_err(|error| match error {
            OpenError::NotRegular => ShareError::NotRegular { number, folder: folder.into() },
            OpenError::Io(source) => failed(source),
        })?;
        if let Some(title) = title.and_then(Title::tamed) {
            entry.title = title.into();
        }
        let shared = shown(number, &entry);
        self.write().insert(number, entry);
        Ok(shared)
    }

    /// Everything that is shared, by number.
    pub(super) fn list(&self) -> Vec<Shared> {
        self.read().iter().map(|(number, entry)| shown(*number, entry)).collect()
    }

    /// How many files are shared.
    pub(super) fn len(&self) -> usize {
        self.read().len()
    }

    /// Opens the file of a number; `None` when it is not shared or no longer a readable regular file. Blocks.
    pub(super) fn open(&self, number: RfcNumber) -> Option<OpenFile> {
        // Copied out: no lock is held while the disk works.
        let entry = self.read().get(&number).cloned()?;
        entry.folder.open_regular(&entry.file_name).ok()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<RfcNumber, Entry>> {
        // Every change is one call of the map's own, so a panic elsewhere leaves nothing half done.
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<RfcNumber, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shown(number: RfcNumber, entry: &Entry) -> Shared {
    Shared {
        number,
        title: Arc::clone(&entry.title),
        file_name: entry.file_name.to_string_lossy().into_owned(),
        length: entry.length,
        modified: entry.modified,
    }
}

fn consider(
    folder: &Folder,
    name: &OsStr,
    found: &BTreeMap<RfcNumber, Entry>,
) -> Result<(RfcNumber, Entry), SkipReason> {
    let text = name.to_str().unwrap_or_default();
    let number = rfc_text::number_of(text).ok_or_else(|| no_number(text))?;
    if let Some(kept) = found.get(&number) {
        return Err(SkipReason::SameNumber { kept: kept.file_name.to_string_lossy().into_owned() });
    }
    match look(folder, name, number) {
        Ok(entry) => Ok((number, entry)),
        Err(OpenError::NotRegular) => Err(SkipReason::NotRegular),
        Err(OpenError::Io(error)) => Err(SkipReason::Unreadable(error)),
    }
}

fn no_number(name: &str) -> SkipReason {
    let lower = name.to_ascii_lowercase();
    match lower.starts_with("rfc") && lower.ends_with(".txt") {
        true => SkipReason::NoNumber,
        false => SkipReason::OtherName,
    }
}

fn look(folder: &Folder, name: &OsStr, number: RfcNumber) -> Result<Entry, OpenError> {
    let OpenFile { file, length, modified } = folder.open_regular(name)?;
    let title = rfc_text::title_of(&files::beginning(&file, HEADING_BYTES)?, number).into();
    Ok(Entry { folder: folder.clone(), file_name: name.to_owned(), title, length, modified })
}

fn scan_error(folder: &Path, source: io::Error) -> ScanError {
    match source.kind() {
        io::ErrorKind::NotFound => ScanError::NotThere(folder.into()),
        io::ErrorKind::NotADirectory => ScanError::NotAFolder(folder.into()),
        _ => ScanError::Io { path: folder.into(), source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> RfcNumber {
        RfcNumber::new(number).unwrap()
    }

    #[test]
    fn only_regular_files_with_a_number_are_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("rfc1.txt"), "Network Working Group\n\n\n          Host Software\n").unwrap();
        for name in ["RFC2.TXT", "rfc2.txt", "rfc17a.txt", "notes.md"] {
            std::fs::write(path(name), "x").unwrap();
        }
        std::fs::create_dir(path("rfc3.txt")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("rfc4.txt")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("rfc5.txt"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let table = Numbers::default();
        let (shared, skipped) = table.scan(folder.path()).unwrap();
        let shared: Vec<_> = shared.iter().map(|s| (s.number.get(), &*s.title, &*s.file_name)).collect();
        assert_eq!(shared, [(1, "Host Software", "rfc1.txt"), (2, "RFC 2", "RFC2.TXT")]);
        let skipped: Vec<_> = skipped.iter().map(|s| format!("{}: {}", s.name, s.why)).collect();
        assert_eq!(
            skipped,
            [
                "notes.md: its name is not rfcN.txt",
                "rfc17a.txt: no number",
                "rfc2.txt: 'RFC2.TXT' has the same number",
                "rfc3.txt: it is no regular file",
                "rfc4.txt: it is no regular file",
                "rfc5.txt: it is no regular file",
            ]
        );
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn a_file_that_became_a_link_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rfc1.txt");
        std::fs::write(&path, "text").unwrap();
        let table = Numbers::default();
        table.scan(folder.path()).unwrap();
        assert_eq!(table.open(number(1)).unwrap().length, 4);
        assert!(table.open(number(2)).is_none());
        std::fs::remove_file(&path).unwrap();
        assert!(table.open(number(1)).is_none());
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(table.open(number(1)).is_none());
    }

    #[test]
    fn one_number_is_added_with_a_title_that_can_travel() {
        let folder = tempfile::tempdir().unwrap();
        let table = Numbers::default();
        let missing = table.add_number(folder.path(), number(9), Some("x")).unwrap_err();
        assert!(missing.to_string().starts_with("there is no rfc9.txt in '"), "{missing}");
        std::fs::write(folder.path().join("rfc9.txt"), "text").unwrap();
        let title = |title| table.add_number(folder.path(), number(9), title).unwrap().title;
        assert_eq!(&*title(Some("a\x1b\r\nb")), "a b");
        assert_eq!(&*title(Some(" \r\n")), "RFC 9");
        assert_eq!(&*title(None), "RFC 9");
        assert_eq!(table.list().len(), 1);
    }

    #[test]
    fn a_folder_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let table = Numbers::default();
        assert!(matches!(table.scan(&folder.path().join("none")), Err(ScanError::NotThere(_))));
        assert!(matches!(table.scan(&file), Err(ScanError::NotAFolder(_))));
    }
}

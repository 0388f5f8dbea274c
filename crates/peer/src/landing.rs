//! How a file gets its name: under another name beside it until it is whole, or under none, then at once. Everything here
//! blocks.
//!
//! A lock on the part keeps two downloads of one file apart, also those of two processes. What has no name until then needs no
//! lock: each writes its own, and the second finds the name taken by the same content.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::files::{self, Folder, Target};

/// Longest file name of usual file systems, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// What a part's name ends in.
const PART: &[u8] = b".p2pci-part";
/// What the name of a part's journal ends in.
const JOURNAL: &[u8] = b".p2pci-part.journal";
/// Hexadecimal digits of what is made of a name that gets too long.
const NUMBER: usize = 16;
/// How often a name may change its meaning under our hands before we call it busy.
const TRIES: usize = 5;

/// The place of a file that is on its way: its final name, and the part that it is until then.
#[derive(Debug)]
pub(crate) struct Landing {
    folder: Folder,
    /// `None`: it has no name yet.
    part_name: Option<OsString>,
    target_name: OsString,
    force: bool,
    /// The part stays when this is dropped: it has its final name, or it is worth keeping.
    keep: bool,
}

/// Why a file gets no name.
#[derive(Debug)]
pub(crate) enum LandingError {
    /// Another download has the part.
    Busy,
    /// Another file has that name already.
    Exists,
    /// Something that is no regular file has that name.
    NotAFile,
    /// What the system said.
    Disk(io::Error),
}

impl From<io::Error> for LandingError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// What became of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It has its name, which is not durable before [`Landing::sync`].
    New,
    /// The same bytes had that name already.
    Same,
}

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(part_name) = self.part_name.as_ref().filter(|_| !self.keep) {
            // Still under the lock, so the name is ours. If it fails, the next download takes the file over.
            let _ = self.folder.remove(part_name);
        }
    }
}

impl Landing {
    /// Opens and locks the part of this target; what an earlier download left in it is there.
    pub(crate) fn open(path: &Path, force: bool) -> Result<(Self, File), LandingError> {
        // First, so that a path without a name is called what it is.
        path.file_name().ok_or(LandingError::NotAFile)?;
        let folder = Folder::open(path.parent().unwrap_or(Path::new(".")))?;
        Self::open_in(folder, path, force)
    }

    /// The same with the target's folder already open.
    pub(crate) fn open_in(folder: Folder, path: &Path, force: bool) -> Result<(Self, File), LandingError> {
        let target_name = path.file_name().ok_or(LandingError::NotAFile)?.to_owned();
        if let Target::Other = folder.look(&target_name)? {
            return Err(LandingError::NotAFile);
        }
        let part_name = beside(&target_name, PART);
        let part = lock_part(&folder, &part_name)?.ok_or(LandingError::Busy)?;
        Ok((Self { folder, part_name: Some(part_name), target_name, force, keep: false }, part))
    }

    /// A file in this folder that gets no name before the target's own, which must not be taken then. `None` where the file
    /// system has no such.
    pub(crate) fn nameless(folder: Folder, path: &Path) -> Result<Option<(Self, File)>, LandingError> {
        let target_name = path.file_name().ok_or(LandingError::NotAFile)?.to_owned();
        let file = folder.open_nameless()?;
        let landing = Self { folder, part_name: None, target_name, force: false, keep: false };
        Ok(file.map(|file| (landing, file)))
    }

    /// Leaves the part when this is dropped; else it is removed.
    pub(crate) fn keep(&mut self, keep: bool) {
        self.keep = keep;
    }

    /// The file that has the name now.
    pub(crate) fn existing(&self) -> Result<Option<File>, LandingError> {
        match self.folder.look(&self.target_name)? {
            Target::Nothing => Ok(None),
            Target::File(file) => Ok(Some(file)),
            Target::Other => Err(LandingError::NotAFile),
        }
    }

    /// Opens the part's journal, making it if it is not there.
    pub(crate) fn open_journal(&self) -> io::Result<File> {
        self.folder.open_part(&self.journal_name())
    }

    /// Removes the part's journal.
    pub(crate) fn remove_journal(&self) -> io::Result<()> {
        self.folder.remove(&self.journal_name())
    }

    /// Gives the part its final name, unless the same bytes have it already.
    pub(crate) fn settle(&mut self, part: &File) -> Result<Settled, LandingError> {
        for _ in 0..TRIES {
            match self.name_new(part) {
                Ok(()) => return Ok(self.settled()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            match (self.existing()?, &self.part_name) {
                (Some(existing), _) if files::same_content(&existing, part)? => {
                    // It stands for the part, which was durable and goes.
                    files::sync(&existing)?;
                    self.keep = false;
                    return Ok(Settled::Same);
                }
                (Some(_), Some(part_name)) if self.force => {
                    self.folder.replace(part_name, &self.target_name)?;
                    return Ok(self.settled());
                }
                (Some(_), _) => return Err(LandingError::Exists),
                // Somebody removed it since.
                (None, _) => {}
            }
        }
        Err(LandingError::Exists)
    }

    fn name_new(&self, part: &File) -> io::Result<()> {
        match &self.part_name {
            Some(part_name) => self.folder.rename_new(part_name, &self.target_name),
            None => self.folder.link_new(part, &self.target_name),
        }
    }

    fn settled(&mut self) -> Settled {
        self.keep = true;
        Settled::New
    }

    /// Makes the name durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.folder.sync()
    }

    fn journal_name(&self) -> OsString {
        beside(&self.target_name, JOURNAL)
    }
}

/// Opens the part and locks it; `None` when somebody else has it.
fn lock_part(folder: &Folder, name: &OsStr) -> io::Result<Option<File>> {
    for _ in 0..TRIES {
        let file = folder.open_part(name)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had the lock before may have renamed or removed the very file that we opened.
        if folder.is_still(name, &file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// The name and an ending; a name that would get too long keeps its beginning and gets a number made of all of it.
fn beside(target: &OsStr, ending: &[u8]) -> OsString {
    let name = target.as_bytes();
    if name.len() + ending.len() <= NAME_BYTES_MAX {
        return OsString::from_vec([name, ending].concat());
    }
    // A later version finds the part again.
    let hash = blake3::hash(name).to_hex();
    let number = format!("-{}", &hash[..NUMBER]);
    let mut kept = NAME_BYTES_MAX.saturating_sub(number.len() + ending.len());
    // Not within a character.
    while kept > 0 && name.get(kept).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000) {
        kept -= 1;
    }
    let beginning = name.get(..kept).unwrap_or_default();
    OsString::from_vec([beginning, number.as_bytes(), ending].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_all_of_itself_where_that_fits() {
        for length in [1, 100, NAME_BYTES_MAX - PART.len()] {
            let name = "a".repeat(length);
            assert_eq!(beside(OsStr::new(&name), PART), *format!("{name}.p2pci-part"));
        }
    }

    #[test]
    fn long_names_differ_and_fit() {
        for ending in [PART, JOURNAL] {
            let names = ["a".repeat(254), "a".repeat(255)].map(|name| beside(OsStr::new(&name), ending));
            assert!(names[0] != names[1], "{names:?}");
            assert!(
                names.iter().all(|name| name.len() <= NAME_BYTES_MAX && name.as_bytes().ends_with(ending))
            );
        }
        let kept = "a".repeat(255 - PART.len() - 17);
        assert_eq!(
            beside(OsStr::new(&"a".repeat(255)), PART),
            *format!("{kept}-3486a9528b3abb15.p2pci-part")
        );
        let name = beside(OsStr::new(&"ü".repeat(127)), PART);
        assert!(name.len() <= NAME_BYTES_MAX && name.to_str().is_some(), "{name:?}");
        // Where no character begins nothing of it is kept.
        let name = beside(OsStr::from_bytes(&[0x80; 255]), PART);
        assert_eq!(name.len(), 1 + NUMBER + PART.len(), "{name:?}");
    }
}

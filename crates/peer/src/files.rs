//! The one module that touches the file system. Everything here blocks: async code calls it in [`on_disk`].
//!
//! Shared files are opened by name within an open folder, never following a symbolic link and never waiting for the writer of
//! a FIFO; what is no regular file after opening is not read.

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use net::blocking::spawn_blocking;
use net::machine;
use rustix::fs::{Access, AtFlags, CWD, FallocateFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// Bytes moved or compared at once.
const CHUNK: usize = 256 * 1024;
/// Files that are made durable one by one; more of them by their file system at once.
#[cfg(target_os = "linux")]
const SYNCED_EACH: usize = 8;
/// Where the system shows what this process has open, by number.
pub(crate) const OPEN_FILES: &str = "/proc/self/fd";

/// Runs what waits for a disk where waiting holds up nobody.
pub(crate) async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime goes down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// An open folder; a clone is the same one, and it stays the same whatever is renamed meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<OwnedFd>);

/// A regular file, open for reading.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    /// In bytes, when it was opened.
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
}

/// Why a file of a folder is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("it is no regular file")]
    NotRegular,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // A bare file name has an empty parent, which means the current folder.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(Arc::new(rustix::fs::open(path, flags, Mode::empty())?)))
    }

    /// The names in it, sorted, `.` and `..` left out.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.0)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Opens a regular file of this very folder for reading.
    pub(crate) fn open_regular(&self, name: &OsStr) -> Result<OpenFile, OpenError> {
        if name.as_bytes().contains(&b'/') {
            return Err(OpenError::NotRegular);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&*self.0, name, flags, Mode::empty());
        let file = File::from(opened.map_err(|errno| match errno {
            // A symbolic link, a socket.
            Errno::LOOP | Errno::NXIO => OpenError::NotRegular,
            errno => OpenError::Io(errno.into()),
        })?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(OpenError::NotRegular);
        }
        Ok(OpenFile { length: metadata.len(), modified: metadata.modified()?, file })
    }

    /// Opens a file for writing, making it if it is not there; what is in it stays.
    pub(crate) fn open_part(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // The umask of the process takes away what its owner does not want.
        let file = File::from(rustix::fs::openat(&*self.0, name, flags, Mode::from_raw_mode(0o666))?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else has that name")),
        }
    }

    /// A file without a name in this folder, to be written and then linked; `None` where the file system has no such.
    pub(crate) fn open_nameless(&self) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        match rustix::fs::openat(&*self.0, ".", flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ISDIR | Errno::NOSYS) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives a file of [`Self::open_nameless`] its name if nothing has it, else fails with `AlreadyExists`.
    pub(crate) fn link_new(&self, file: &File, name: &OsStr) -> io::Result<()> {
        match rustix::fs::linkat(file, "", &*self.0, name, AtFlags::EMPTY_PATH) {
            // Older systems let only a privileged process do it so.
            Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => self.link_by_number(file, name),
            linked => Ok(linked?),
        }
    }

    /// The same by way of the system's list of our open files.
    fn link_by_number(&self, file: &File, name: &OsStr) -> io::Result<()> {
        let path = format!("{OPEN_FILES}/{}", file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, path, &*self.0, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    /// Whether the name still means this open file.
    pub(crate) fn is_still(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        let open = file.metadata()?;
        match rustix::fs::statat(&*self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            #[allow(clippy::useless_conversion, reason = "the width of these fields depends on the system")]
            Ok(named) => Ok((u64::from(named.st_dev), u64::from(named.st_ino)) == (open.dev(), open.ino())),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&*self.0, name, AtFlags::empty())?)
    }

    /// Gives a file its final name, over whatever has it.
    pub(crate) fn replace(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&*self.0, from, &*self.0, to)?)
    }

    /// Gives a file its final name if nothing has it, else fails with `AlreadyExists`.
    pub(crate) fn rename_new(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        match rustix::fs::renameat_with(&*self.0, from, &*self.0, to, RenameFlags::NOREPLACE) {
            // The file system lacks it: look first, which leaves a short moment open.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match self.look(to)? {
                Target::Nothing => self.replace(from, to),
                _ => Err(io::ErrorKind::AlreadyExists.into()),
            },
            renamed => Ok(renamed?),
        }
    }

    /// What has a name, symbolic links followed.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Target> {
        match rustix::fs::statat(&*self.0, name, AtFlags::empty()) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&*self.0, name, flags, Mode::empty())?;
                Ok(Target::File(file.into()))
            }
            Ok(_) => Ok(Target::Other),
            Err(Errno::NOENT) => Ok(Target::Nothing),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes the folder's names durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        if let Some(machine) = machine::current() {
            machine.folder_synced(self.0.as_fd());
        }
        match rustix::fs::fsync(&*self.0) {
            // Some file systems cannot, and then there is nothing to wait for.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            synced => Ok(synced?),
        }
    }
}

/// Makes a file durable.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    if let Some(machine) = machine::current() {
        machine.synced(file.as_fd());
    }
    file.sync_all()
}

/// Makes several files durable: each one, or where they are many their file systems, once each.
pub(crate) fn sync_all<'a>(files: impl Iterator<Item = &'a File> + Clone) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if files.clone().nth(SYNCED_EACH).is_some() {
        let mut synced = HashSet::new();
        for file in files {
            if synced.insert(file.metadata()?.dev()) {
                rustix::fs::syncfs(file)?;
            }
        }
        return Ok(());
    }
    files.into_iter().try_for_each(sync)
}

/// Makes the names of several folders durable: each one's, or where they are many their file systems, once each.
pub(crate) fn sync_folders<'a>(folders: impl Iterator<Item = &'a Folder> + Clone) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if folders.clone().nth(SYNCED_EACH).is_some() {
        let mut synced = HashSet::new();
        for folder in folders {
            if synced.insert(rustix::fs::fstat(&*folder.0)?.st_dev) {
                rustix::fs::syncfs(&*folder.0)?;
            }
        }
        return Ok(());
    }
    folders.into_iter().try_for_each(Folder::sync)
}

/// The number of the disk on which a folder is.
pub(crate) fn disk_of(folder: &Path) -> io::Result<u64> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    Ok(std::fs::metadata(folder)?.dev())
}

/// How many bytes may still be written where this folder is, when so many percent of the disk are to stay free. File systems
/// that do not say how large they are have room.
pub(crate) fn room(folder: &Path, keep_free_percent: u8) -> io::Result<u64> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let disk = rustix::fs::statvfs(folder)?;
    if disk.f_blocks == 0 {
        return Ok(u64::MAX);
    }
    let kept = disk.f_blocks.saturating_mul(disk.f_frsize) / 100 * u64::from(keep_free_percent);
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(kept))
}

/// What has a name.
#[derive(Debug)]
pub(crate) enum Target {
    Nothing,
    File(File),
    /// A folder, a device, a FIFO.
    Other,
}

/// The first bytes of a file, at most `most`.
pub(crate) fn beginning(file: &File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; most];
    let filled = read_full(file, &mut bytes, 0)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Makes folders and those above them, and their names durable: also the names of those that were there, since whoever made them may have been killed
/// before it came to that. Each folder in which such a name stands is synced once; what stands above a folder in which this user
/// may make nothing, or on another disk, is none of ours. Gives back whether there is a new one.
///
/// # Errors
/// The folder, and what the system said of it. That one cannot be opened for reading is none.
pub(crate) fn make_folders<'a>(
    folders: impl IntoIterator<Item = &'a Path>,
) -> Result<bool, (PathBuf, io::Error)> {
    let (mut looked_at, mut holders, mut is_new) = (HashSet::new(), BTreeSet::new(), false);
    for folder in folders {
        is_new |= !folder.as_os_str().is_empty() && !folder.is_dir();
        std::fs::create_dir_all(folder).map_err(|error| (folder.to_path_buf(), error))?;
        let unknown = folder.ancestors().take_while(|folder| looked_at.insert(*folder));
        holders.extend(unknown.map_while(holder));
    }
    let mut opened = Vec::with_capacity(holders.len());
    for path in &holders {
        match Folder::open(path) {
            Ok(folder) => opened.push(folder),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err((path.to_path_buf(), error)),
        }
    }
    let first = holders.first().map_or(Path::new("."), |path| path);
    sync_folders(opened.iter()).map_err(|error| (first.to_path_buf(), error))?;
    Ok(is_new)
}

/// The folder in which a folder has its name, where we may have given it.
fn holder(folder: &Path) -> Option<&Path> {
    let holder = folder.parent()?;
    let place = if holder.as_os_str().is_empty() { Path::new(".") } else { holder };
    rustix::fs::access(place, Access::WRITE_OK).ok()?;
    let is_one_disk = disk_of(folder).ok()? == disk_of(place).ok()?;
    is_one_disk.then_some(holder)
}

/// A file without a name, gone when it is closed.
pub(crate) fn nameless() -> io::Result<File> {
    let folder = std::env::temp_dir();
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match rustix::fs::openat(CWD, &folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::ISDIR | Errno::NOSYS) => named_then_removed(&folder),
        Err(errno) => Err(errno.into()),
    }
}

fn named_then_removed(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!("p2pci-{}-{:016x}", std::process::id(), fastrand::u64(..)));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Asks for the room that a file will need, without making it longer.
pub(crate) fn reserve(file: &File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, length) {
        // What cannot be asked for shows when it is written.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => Ok(()),
        reserved => Ok(reserved?),
    }
}

/// Has the disk begin to write these bytes: what is still to come is not waited for at the end then. A hint.
pub(crate) fn begin_writing_back(file: &File, range: std::ops::Range<u64>) {
    // As a side effect; pages that are being written are kept.
    #[cfg(target_os = "linux")]
    if let Some(length) = std::num::NonZeroU64::new(range.end.saturating_sub(range.start)) {
        let _ = rustix::fs::fadvise(file, range.start, Some(length), rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, range);
}

/// Moves the first `length` bytes of a file back and puts `before` there.
pub(crate) fn put_before(file: &File, length: u64, before: &[u8]) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let shift = before.len() as u64;
    let mut left = length;
    while left > 0 {
        let at = left.saturating_sub(CHUNK as u64);
        let piece = buffer.get_mut(..usize::try_from(left - at).unwrap_or(CHUNK)).unwrap_or_default();
        file.read_exact_at(piece, at)?;
        file.write_all_at(piece, at + shift)?;
        left = at;
    }
    file.write_all_at(before, 0)
}

/// Whether two files hold the same bytes.
pub(crate) fn same_content(one: &File, other: &File) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    loop {
        let (a, b) = (read_full(one, &mut left, at)?, read_full(other, &mut right, at)?);
        match (a, b) {
            (0, 0) => return Ok(true),
            _ if left.get(..a) != right.get(..b) => return Ok(false),
            _ => at += a as u64,
        }
    }
}

/// Copies a file from its beginning.
pub(crate) fn copy_to(file: &File, out: &mut dyn io::Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        let count = read_full(file, &mut buffer, at)?;
        if count == 0 {
            return out.flush();
        }
        out.write_all(buffer.get(..count).unwrap_or_default())?;
        at += count as u64;
    }
}

/// Reads until the buffer is full or the file ends.
pub(crate) fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Fills a buffer with what is in memory of a file already, without waiting for a disk. `never_waits`: whoever asks knows that
/// reading this file does not, which some systems cannot be asked.
///
/// # Errors
/// `WouldBlock` where that is not possible.
pub(crate) fn read_cached(file: &File, buffer: &mut [u8], at: u64, never_waits: bool) -> io::Result<()> {
    if never_waits {
        return file.read_exact_at(buffer, at);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{ReadWriteFlags, preadv2};
        let wanted = buffer.len();
        match preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
            Ok(read) if read == wanted => return Ok(()),
            _ => {}
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameless_file_is_linked_either_way_and_replaces_nothing() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let Some(file) = folder.open_nameless().unwrap() else { return };
        file.write_all_at(b"abc", 0).unwrap();
        assert!(folder.names().unwrap().is_empty());
        folder.link_new(&file, OsStr::new("a")).unwrap();
        folder.link_by_number(&file, OsStr::new("b")).unwrap();
        for name in ["a", "b"] {
            assert_eq!(std::fs::read(place.path().join(name)).unwrap(), b"abc");
            let again =
                [folder.link_new(&file, OsStr::new(name)), folder.link_by_number(&file, OsStr::new(name))];
            assert!(again.into_iter().all(|again| again.unwrap_err().kind() == io::ErrorKind::AlreadyExists));
        }
    }

    #[test]
    fn the_folders_that_hold_names_are_found_up_to_where_nothing_is_ours() {
        let place = tempfile::tempdir().unwrap();
        let (outer, inner) = (place.path().join("a"), place.path().join("a/b"));
        assert!(make_folders([inner.as_path(), &outer]).unwrap(), "they are new");
        assert!(!make_folders([inner.as_path(), &outer]).unwrap(), "they are there");
        assert_eq!(holder(&inner), Some(outer.as_path()));
        assert_eq!(holder(&outer), Some(place.path()));
        assert_eq!(holder(Path::new("src")), Some(Path::new("")), "the folder that one is in");
        assert_eq!(holder(Path::new("/")), None);
        assert_eq!(holder(Path::new("/proc")), None, "another disk");
        std::fs::write(place.path().join("file"), b"").unwrap();
        let wrong = place.path().join("file/folder");
        assert_eq!(make_folders([wrong.as_path()]).unwrap_err().0, wrong);
    }

    #[test]
    fn room_is_less_than_the_disk_by_what_is_kept_free() {
        let place = tempfile::tempdir().unwrap();
        let (all, most) = (room(place.path(), 0).unwrap(), room(place.path(), 100).unwrap());
        assert!(all > 0 && most == 0, "{all} {most}");
    }
}

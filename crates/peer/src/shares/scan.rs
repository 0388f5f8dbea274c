//! Walks a root: finds the files that are shared and counts what is not, folder by folder, each opened beneath the root.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::limits::FILE_BYTES_MAX;
use proto::rfc_text;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::beneath;
use super::file::Stamp;
use super::roots::Base;
use super::rules::{IGNORE_FILE, Level, Skip};

/// Longest ignore file that is read, in bytes.
const IGNORE_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A file that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) stamp: Stamp,
    /// The number in its name, in the top folder of a root.
    pub(super) number: Option<RfcNumber>,
}

/// What a walk meets.
#[derive(Debug)]
pub(super) enum Met<'a> {
    File(Found),
    /// A folder whose files come next, by its path beneath the root.
    Folder(&'a str),
    Skipped(Skip),
}

/// Whether a walk saw everything there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walked {
    Whole,
    /// It was stopped, or the system had no means left: what was not met may well be there.
    InPart,
}

/// What a path beneath a root is.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing that is shared.
    Nothing,
    File(Found),
    /// A folder, and the level of rules of the one that holds it.
    Folder(Arc<Level>),
}

/// Walks everything of a root.
pub(super) fn walk(base: &Base, stop: &AtomicBool, meet: &mut dyn FnMut(Met<'_>)) -> Walked {
    if let Some(only) = &base.only {
        return walk_single(base, only, meet);
    }
    match beneath::root(&base.folder) {
        Ok(root) => Walk { base, root, stop, meet, pending: vec![(String::new(), None)] }.run(),
        Err(error) => {
            meet(Met::Skipped(Skip::Unreadable));
            if is_shortage(&error) { Walked::InPart } else { Walked::Whole }
        }
    }
}

/// Walks one folder beneath a root and everything below it.
pub(super) fn walk_below(
    base: &Base,
    path: &str,
    above: Arc<Level>,
    stop: &AtomicBool,
    meet: &mut dyn FnMut(Met<'_>),
) -> Walked {
    match beneath::root(&base.folder) {
        Ok(root) => Walk { base, root, stop, meet, pending: vec![(path.to_owned(), Some(above))] }.run(),
        Err(_) => Walked::InPart,
    }
}

/// What is at one path beneath a root now.
///
/// # Errors
/// When the system has no means left to look.
pub(super) fn look(base: &Base, path: &str) -> io::Result<Look> {
    if let Some(only) = &base.only {
        return Ok(if path == only {
            single(base, only).map_or(Look::Nothing, Look::File)
        } else {
            Look::Nothing
        });
    }
    match look_below(base, path) {
        Err(error) if is_shortage(&error) => Err(error),
        looked => Ok(looked.unwrap_or(Look::Nothing)),
    }
}

fn look_below(base: &Base, path: &str) -> io::Result<Look> {
    let root = beneath::root(&base.folder)?;
    let mut level = Arc::new(level(base, &root, "", None)?);
    for (at, _) in path.match_indices('/') {
        let above = path.get(..at).unwrap_or_default();
        if base.rules.verdict(&level, above, true).is_some() {
            return Ok(Look::Nothing);
        }
        let folder = beneath::folder(root.as_fd(), above, base.follow_links)?;
        level = Arc::new(self::level(base, &folder, above, Some(level))?);
    }
    let (parent, leaf) = path.rsplit_once('/').unwrap_or(("", path));
    let folder = beneath::folder(root.as_fd(), parent, base.follow_links)?;
    Ok(match judge(base, root.as_fd(), &folder, &level, path, leaf) {
        Ok(Judged::File(found)) => Look::File(found),
        Ok(Judged::Folder) => Look::Folder(level),
        Err(_) => Look::Nothing,
    })
}

fn walk_single(base: &Base, only: &str, meet: &mut dyn FnMut(Met<'_>)) -> Walked {
    meet(Met::Folder(""));
    meet(match single(base, only) {
        Ok(found) => Met::File(found),
        Err(_) => Met::Skipped(Skip::Unreadable),
    });
    Walked::Whole
}

fn single(base: &Base, only: &str) -> io::Result<Found> {
    let stamp = Stamp::of(&base.open(only)?.metadata()?);
    Ok(Found { name: base.name_of(only), stamp, number: rfc_text::number_of(only) })
}

enum Judged {
    File(Found),
    Folder,
}

/// Whether an entry of a folder is shared.
fn judge(
    base: &Base,
    root: BorrowedFd<'_>,
    folder: &OwnedFd,
    level: &Level,
    path: &str,
    leaf: &str,
) -> Result<Judged, Skip> {
    let stat = rustix::fs::statat(folder, leaf, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| Skip::Unreadable)?;
    let (stat, kind) = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink if base.follow_links => {
            let stat = beneath::target(root, path).map_err(|_| Skip::Link)?;
            (stat, FileType::from_raw_mode(stat.st_mode))
        }
        kind => (stat, kind),
    };
    let is_folder = kind == FileType::Directory;
    if let Some(skip) = base.rules.verdict(level, path, is_folder) {
        return Err(skip);
    }
    match kind {
        FileType::Symlink => Err(Skip::Link),
        FileType::Directory if level.is_within(id(&stat)) => Err(Skip::Link),
        FileType::Directory => Ok(Judged::Folder),
        FileType::RegularFile => found(base, path, &stat).map(Judged::File),
        _ => Err(Skip::Special),
    }
}

fn found(base: &Base, path: &str, stat: &Stat) -> Result<Found, Skip> {
    let (name, stamp) = (base.name_of(path), Stamp::of_stat(stat));
    if FileName::parse(name.as_bytes()).is_err() {
        return Err(Skip::Name);
    }
    if stamp.size > FILE_BYTES_MAX {
        return Err(Skip::TooLarge);
    }
    Ok(Found { name, stamp, number: rfc_text::number_of(path) })
}

struct Walk<'a> {
    base: &'a Base,
    root: OwnedFd,
    stop: &'a AtomicBool,
    meet: &'a mut dyn FnMut(Met<'_>),
    /// Folders to be read, each with the level above it.
    pending: Vec<(String, Option<Arc<Level>>)>,
}

impl Walk<'_> {
    fn run(mut self) -> Walked {
        let mut walked = Walked::Whole;
        while let Some((path, above)) = self.pending.pop() {
            if self.stop.load(Ordering::Relaxed) {
                return Walked::InPart;
            }
            if let Err(error) = self.read(&path, above) {
                (self.meet)(Met::Skipped(Skip::Unreadable));
                walked = if is_shortage(&error) { Walked::InPart } else { walked };
            }
        }
        walked
    }

    fn read(&mut self, path: &str, above: Option<Arc<Level>>) -> io::Result<()> {
        let folder = beneath::folder(self.root.as_fd(), path, self.base.follow_links)?;
        let level = Arc::new(level(self.base, &folder, path, above)?);
        (self.meet)(Met::Folder(path));
        for entry in rustix::fs::Dir::read_from(&folder)? {
            let entry = entry?;
            let leaf = entry.file_name().to_bytes();
            if leaf == b"." || leaf == b".." {
                continue;
            }
            let Ok(leaf) = std::str::from_utf8(leaf) else {
                (self.meet)(Met::Skipped(Skip::Name));
                continue;
            };
            let path = if path.is_empty() { leaf.to_owned() } else { format!("{path}/{leaf}") };
            match judge(self.base, self.root.as_fd(), &folder, &level, &path, leaf) {
                Ok(Judged::File(found)) => (self.meet)(Met::File(found)),
                // Whatever lies below a name that cannot travel cannot travel either.
                Ok(Judged::Folder) if FileName::parse(self.base.name_of(&path).as_bytes()).is_err() => {
                    (self.meet)(Met::Skipped(Skip::Name));
                }
                Ok(Judged::Folder) => self.pending.push((path, Some(Arc::clone(&level)))),
                Err(skip) => (self.meet)(Met::Skipped(skip)),
            }
        }
        Ok(())
    }
}

/// The rules of a folder, with its own ignore file read.
fn level(base: &Base, folder: &OwnedFd, path: &str, above: Option<Arc<Level>>) -> io::Result<Level> {
    let mut text = String::new();
    if let Ok(file) = beneath::file(folder.as_fd(), IGNORE_FILE, base.follow_links) {
        // What is not text says nothing.
        let _ = file.take(IGNORE_FILE_BYTES_MAX).read_to_string(&mut text);
    }
    let text = (!text.is_empty()).then_some(text.as_str());
    Ok(Level::new(above, path, id(&rustix::fs::fstat(folder)?), text))
}

#[allow(clippy::useless_conversion, reason = "the width of these fields depends on the system")]
fn id(stat: &Stat) -> (u64, u64) {
    (u64::from(stat.st_dev), u64::from(stat.st_ino))
}

/// Whether the system had no means left, so that nothing was learnt about the disk.
fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS))
}

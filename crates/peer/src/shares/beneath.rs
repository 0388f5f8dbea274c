//! Opens what lies beneath a root, and nothing else: whatever is renamed or linked meanwhile, no path leads out.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::file::Stamp;

/// How long a folder that is kept open is taken for the one that its path leads to.
const SEEN_FOR: Duration = Duration::from_millis(50);
/// Tries for a resolution that a rename came in between of.
const TRIES: usize = 4;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// A FIFO must not hold us up, and a terminal must not become ours.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// A folder by its path, links in it followed.
pub(super) fn root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

/// A regular file by its path, links in it followed.
pub(super) fn regular_at(path: &Path) -> io::Result<File> {
    regular(rustix::fs::open(path, FILE, Mode::empty())?)
}

/// A folder beneath another; an empty path is that folder itself.
pub(super) fn folder(root: BorrowedFd<'_>, path: &str, follow: bool) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    Ok(open(root, path, FOLDER, follow)?)
}

/// A regular file beneath a folder.
pub(super) fn file(root: BorrowedFd<'_>, path: &str, follow: bool) -> io::Result<File> {
    regular(open(root, path, FILE, follow)?)
}

/// A folder that is kept open, so that whatever lies beneath it is one call away.
#[derive(Debug)]
pub(super) struct Kept {
    folder: OwnedFd,
    id: (u64, u64),
    /// It is on a file system that never waits for a disk, and cannot be asked whether it would.
    in_memory: bool,
    since: Instant,
    /// When its path was last seen to lead here, in milliseconds after that.
    seen_ms: AtomicU64,
}

impl Kept {
    /// Opens a folder by its path where that takes no wait for a disk; an error says nothing but that it would.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let folder = cached_root(path)?;
        let stat = rustix::fs::fstat(&folder)?;
        let in_memory = net::body::lives_in_memory(&folder);
        Ok(Self { folder, id: id(&stat), in_memory, since: Instant::now(), seen_ms: AtomicU64::new(0) })
    }

    /// Whether its path still leads here. Looked at every [`SEEN_FOR`]: what was put in its place is found as late as a change of a
    /// file may be, and until then everything beneath is what it was.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The time stands for itself, no other memory hangs on it.
        if now.saturating_sub(self.seen_ms.load(Ordering::Relaxed)) < SEEN_FOR.as_millis() as u64 {
            return true;
        }
        let found = cached_root(path).and_then(|found| Ok(rustix::fs::fstat(found)?));
        self.seen_ms.store(now, Ordering::Relaxed);
        found.is_ok_and(|found| id(&found) == self.id)
    }

    /// A regular file beneath it, as it is now, where the system can open it without waiting for a disk; an error says nothing but
    /// that it cannot.
    pub(super) fn file(&self, path: &str, follow: bool) -> io::Result<(File, Stamp)> {
        let links = if follow { ResolveFlags::NO_MAGICLINKS } else { ResolveFlags::NO_SYMLINKS };
        let how = ResolveFlags::BENEATH | ResolveFlags::CACHED | links;
        let opened = rustix::fs::openat2(&self.folder, path, FILE, Mode::empty(), how)?;
        let stat = rustix::fs::fstat(&opened)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((File::from(opened), Stamp::of_stat(&stat))),
            _ => Err(not_regular()),
        }
    }

    /// Whether reading such a file never waits.
    pub(super) fn never_waits(&self, file: Stamp) -> bool {
        self.in_memory && file.device == self.id.0
    }
}

fn cached_root(path: &Path) -> io::Result<OwnedFd> {
    let (at, none) = (rustix::fs::CWD, Mode::empty());
    Ok(rustix::fs::openat2(at, path, FOLDER, none, ResolveFlags::CACHED)?)
}

#[allow(clippy::useless_conversion, reason = "the width of these fields depends on the system")]
fn id(stat: &rustix::fs::Stat) -> (u64, u64) {
    (u64::from(stat.st_dev), u64::from(stat.st_ino))
}

/// What a path leads to, links followed as long as they stay beneath the folder.
pub(super) fn target(root: BorrowedFd<'_>, path: &str) -> io::Result<rustix::fs::Stat> {
    Ok(rustix::fs::fstat(open(root, path, OFlags::PATH | OFlags::CLOEXEC, true)?)?)
}

fn regular(opened: OwnedFd) -> io::Result<File> {
    let file = File::from(opened);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(not_regular()),
    }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")
}

fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags, follow: bool) -> rustix::io::Result<OwnedFd> {
    let links = if follow { ResolveFlags::NO_MAGICLINKS } else { ResolveFlags::NO_SYMLINKS };
    let how = ResolveFlags::BENEATH | links;
    for _ in 0..TRIES {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), how) {
            Err(Errno::AGAIN) => {}
            // An old kernel, or a sandbox that knows no such call.
            Err(Errno::NOSYS | Errno::PERM) => return step_by_step(root, path, flags),
            opened => return opened,
        }
    }
    Err(Errno::AGAIN)
}

/// The same where the system cannot do it at once; no links are followed at all.
fn step_by_step(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut parts = path.split('/').peekable();
    let mut at: Option<OwnedFd> = None;
    while let Some(part) = parts.next() {
        if part.is_empty() || part == ".." {
            return Err(Errno::XDEV);
        }
        let flags =
            if parts.peek().is_some() { OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC } else { flags };
        let within = at.as_ref().map_or(root, AsFd::as_fd);
        at = Some(rustix::fs::openat(within, part, flags | OFlags::NOFOLLOW, Mode::empty())?);
    }
    at.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn text(opened: OwnedFd) -> String {
        let mut text = String::new();
        File::from(opened).read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn both_ways_stay_beneath_the_root() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("root");
        std::fs::create_dir_all(path.join("a")).unwrap();
        std::fs::write(path.join("a/x"), "in").unwrap();
        std::fs::write(world.path().join("canary"), "out").unwrap();
        for (link, to) in [("l", "a"), ("m", "a/x"), ("o", "../canary"), ("p", "/etc/passwd"), ("q", "..")] {
            std::os::unix::fs::symlink(to, path.join(link)).unwrap();
        }
        let root = root(&path).unwrap();
        let fd = root.as_fd();
        for bad in ["../canary", "a/../../canary", "/etc/passwd", "o", "p", "q/canary", "nothing"] {
            assert!(open(fd, bad, FILE, false).is_err() && open(fd, bad, FILE, true).is_err(), "{bad}");
            assert!(step_by_step(fd, bad, FILE).is_err(), "{bad}");
        }
        for link in ["l/x", "m"] {
            assert!(open(fd, link, FILE, false).is_err() && step_by_step(fd, link, FILE).is_err(), "{link}");
            assert_eq!(text(open(fd, link, FILE, true).unwrap()), "in");
        }
        assert_eq!(text(open(fd, "a/x", FILE, false).unwrap()), "in");
        assert_eq!(text(step_by_step(fd, "a/x", FILE).unwrap()), "in");
        assert!(file(fd, "a", false).is_err());
        assert!(
            folder(fd, "", false).is_ok()
                && folder(fd, "a", false).is_ok()
                && folder(fd, "l", false).is_err()
        );
    }

    #[test]
    fn a_link_that_comes_and_goes_is_never_followed() {
        let world = tempfile::tempdir().unwrap();
        let (path, canary) = (world.path().join("root"), world.path().join("canary"));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(&canary, "out").unwrap();
        std::fs::write(world.path().join("kept"), "in").unwrap();
        let root = root(&path).unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        let flip = || {
            let (link, spare) = (world.path().join("link"), world.path().join("spare"));
            while !over.load(Ordering::Relaxed) {
                std::os::unix::fs::symlink(&canary, &link).unwrap();
                std::fs::hard_link(world.path().join("kept"), &spare).unwrap();
                std::fs::rename(&link, path.join("f")).unwrap();
                std::fs::rename(&spare, path.join("f")).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(flip);
            let (mut in_one, mut in_steps) = (0, 0);
            let end = Instant::now() + Duration::from_secs(20);
            while (in_one < 2000 || in_steps < 2000) && Instant::now() < end {
                for (opened, count) in [
                    (open(root.as_fd(), "f", FILE, false), &mut in_one),
                    (step_by_step(root.as_fd(), "f", FILE), &mut in_steps),
                ] {
                    *count += opened.map_or(0, |file| if text(file) == "in" { 1 } else { i32::MIN });
                }
            }
            over.store(true, Ordering::Relaxed);
            assert!(
                in_one >= 2000 && in_steps >= 2000,
                "{in_one} {in_steps}: something else was opened, or nothing"
            );
        });
    }

    #[test]
    fn a_folder_that_is_kept_open_is_given_up_when_another_one_is_in_its_place() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("root");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("x"), "first").unwrap();
        let kept = Kept::open(&path).unwrap();
        let (mut file, stamp) = kept.file("x", false).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((&*text, stamp.size), ("first", 5));
        for bad in ["../root/x", "/etc/passwd", ".", "nothing"] {
            assert!(kept.file(bad, false).is_err(), "{bad}");
        }
        std::thread::sleep(SEEN_FOR);
        assert!(kept.is_at(&path));
        std::fs::rename(&path, world.path().join("away")).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::thread::sleep(SEEN_FOR);
        assert!(!kept.is_at(&path));
    }
}

//! Opens what lies beneath a root, and nothing else: whatever is renamed or linked meanwhile, no path leads out.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

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

/// A regular file beneath a folder that is given by its path, where the system can open both without waiting for a disk; an error
/// says nothing but that it cannot.
pub(super) fn cached(root: &Path, path: &str, follow: bool) -> io::Result<File> {
    let links = if follow { ResolveFlags::NO_MAGICLINKS } else { ResolveFlags::NO_SYMLINKS };
    let root = rustix::fs::openat2(rustix::fs::CWD, root, FOLDER, Mode::empty(), ResolveFlags::CACHED)?;
    let how = ResolveFlags::BENEATH | ResolveFlags::CACHED | links;
    regular(rustix::fs::openat2(root, path, FILE, Mode::empty(), how)?)
}

/// What a path leads to, links followed as long as they stay beneath the folder.
pub(super) fn target(root: BorrowedFd<'_>, path: &str) -> io::Result<rustix::fs::Stat> {
    Ok(rustix::fs::fstat(open(root, path, OFlags::PATH | OFlags::CLOEXEC, true)?)?)
}

fn regular(opened: OwnedFd) -> io::Result<File> {
    let file = File::from(opened);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")),
    }
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
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::os::unix::fs::symlink(&canary, &link).unwrap();
                std::fs::hard_link(world.path().join("kept"), &spare).unwrap();
                std::fs::rename(&link, path.join("f")).unwrap();
                std::fs::rename(&spare, path.join("f")).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(flip);
            let (mut in_one, mut in_steps) = (0, 0);
            let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while (in_one < 2000 || in_steps < 2000) && std::time::Instant::now() < end {
                for (opened, count) in [
                    (open(root.as_fd(), "f", FILE, false), &mut in_one),
                    (step_by_step(root.as_fd(), "f", FILE), &mut in_steps),
                ] {
                    *count += opened.map_or(0, |file| if text(file) == "in" { 1 } else { i32::MIN });
                }
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(
                in_one >= 2000 && in_steps >= 2000,
                "{in_one} {in_steps}: something else was opened, or nothing"
            );
        });
    }
}

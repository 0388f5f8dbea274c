//! What a process gives up before it hears the first byte from anybody: files beyond those that it needs, connections of its own, more
//! rights than it has, and images of its memory on the disk.
//!
//! Landlock does it (landlock(7), Linux 5.13 and newer), as far as the system has it. It holds for the thread that asks for it and those
//! that it starts, so it comes before all others.

use std::path::{Path, PathBuf};

/// What a command needs, and nothing else.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Files and folders that it reads, with all that is beneath.
    pub read: Vec<PathBuf>,
    /// Folders in which it makes files.
    pub write: Vec<PathBuf>,
    /// It connects to others.
    pub connects: bool,
}

/// What a program needs that looks up names, counts processors and tells machines apart.
const SYSTEM: [&str; 17] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/services",
    "/lib",
    "/lib64",
    "/nix/store",
    "/proc/self",
    "/proc/sys/kernel/random/boot_id",
    "/run/systemd/resolve",
    "/sys/fs/cgroup",
    "/usr/lib",
    "/usr/share/zoneinfo",
];

/// A look-up whose answer is long goes on over TCP (RFC 7766).
const DNS: u16 = 53;

impl Needs {
    /// A file that may be replaced by another one of its name: by a rename in its folder, or as a link that leads elsewhere beneath it.
    pub fn reads_again(&mut self, file: &Path) {
        let real = file.canonicalize().ok();
        let folder = |path: &Path| match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        self.read.extend([Some(file), real.as_deref()].into_iter().flatten().map(folder));
    }
}

/// No image of the memory, where keys are, is written to the disk when the process crashes.
pub fn leave_no_core() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Less is always allowed.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Gives up everything else, as far as the system can; says whether all of it is.
#[cfg(target_os = "linux")]
pub fn enter(needs: &Needs) -> bool {
    use landlock::RulesetStatus;
    restrict(needs).is_ok_and(|status| status == RulesetStatus::FullyEnforced)
}

/// Nothing of the kind is there.
#[cfg(not(target_os = "linux"))]
pub fn enter(_needs: &Needs) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn restrict(needs: &Needs) -> Result<landlock::RulesetStatus, landlock::RulesetError> {
    use landlock::{
        ABI, Access, AccessFs, AccessNet, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
        path_beneath_rules,
    };
    // The newest that is known: what an older system lacks is left out.
    const KNOWN: ABI = ABI::V6;
    let system = SYSTEM.map(PathBuf::from);
    let ruleset = Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
    let connects = NetPort::new(DNS, AccessNet::ConnectTcp);
    let ruleset = match needs.connects {
        true => ruleset.create()?,
        false => ruleset.handle_access(AccessNet::ConnectTcp)?.create()?.add_rule(connects)?,
    };
    // Paths that are not there are passed over.
    let restricted = ruleset
        .add_rules(path_beneath_rules(
            system.iter().chain(&needs.read),
            AccessFs::ReadFile | AccessFs::ReadDir,
        ))?
        .add_rules(path_beneath_rules(&needs.write, AccessFs::from_all(KNOWN) & !AccessFs::Execute))?
        .restrict_self()?;
    Ok(restricted.ruleset)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn nothing_but_what_is_needed_is_within_reach() {
        let (place, listener) = (tempfile::tempdir().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        for folder in ["read", "write", "other"] {
            fs::create_dir(place.path().join(folder)).unwrap();
            fs::write(place.path().join(folder).join("file"), "text").unwrap();
        }
        let at = |path: &str| place.path().join(path);
        let mut needs = Needs { write: vec![at("write")], ..Needs::default() };
        needs.reads_again(&at("read/file"));
        // It holds for this thread, and no other test runs on it.
        let looked = std::thread::scope(|scope| {
            let look = || {
                let is_whole = enter(&needs);
                let kind = |result: std::io::Result<()>| result.map_err(|error| error.kind());
                let reads = |path| kind(fs::read(at(path)).map(drop));
                let writes = |path| kind(fs::write(at(path), "new"));
                let connects = kind(TcpStream::connect(listener.local_addr().unwrap()).map(drop));
                let tries = [
                    reads("read/file"),
                    writes("read/new"),
                    writes("write/new"),
                    reads("other/file"),
                    connects,
                ];
                (is_whole, tries)
            };
            scope.spawn(look).join().unwrap()
        });
        let denied = Err(ErrorKind::PermissionDenied);
        // A system without Landlock, or with an old one, has nothing to show.
        let (is_whole, tries) = looked;
        assert!(!is_whole || tries == [Ok(()), denied, Ok(()), denied, denied], "{tries:?}");
    }
}

//! Commands from Debian, and packages from npm and PyPI, that some tests need beyond cargo: fetched by themselves where that is
//! possible, so that a fresh machine tests as much as the developer's. As root, commands are installed; otherwise they are unpacked
//! under `target/parts/`, where the packages always go, and nothing outside of it changes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::process::{Ended, run_logged};

mod packages;

/// A command that tests need.
#[derive(Debug)]
struct Part {
    command: &'static str,
    package: &'static str,
    /// Which tests skip without it.
    why: &'static str,
}

const PARTS: &[Part] = &[
    Part { command: "ip", package: "iproute2", why: "addresses and links of network namespaces" },
    Part { command: "unshare", package: "util-linux", why: "network namespaces without being root" },
    Part { command: "redis-server", package: "redis-server", why: "the measurements beside it" },
    Part { command: "curl", package: "curl", why: "downloads by programs that know nothing of this" },
    Part { command: "wget", package: "wget", why: "downloads by programs that know nothing of this" },
    Part { command: "aria2c", package: "aria2", why: "Metalinks" },
    Part { command: "wrk", package: "wrk", why: "the measurements over HTTP" },
    Part { command: "nginx", package: "nginx", why: "the measurements over HTTP" },
    Part { command: "valgrind", package: "valgrind", why: "instructions of the decoder and the directory" },
    Part { command: "strace", package: "strace", why: "the order of write, fsync and rename" },
    Part { command: "chromium", package: "chromium", why: "the dashboard in a real browser" },
    Part { command: "node", package: "nodejs", why: "the script that leads the browser" },
    Part { command: "npm", package: "npm", why: "the packages of that script" },
    Part { command: "pip3", package: "python3-pip", why: "the program that tries the API" },
];

/// Commands that only measurements need. They are unpacked, never installed: this one's package would start it as a service.
const BENCH_PARTS: &[Part] =
    &[Part { command: "opentracker", package: "opentracker", why: "the measurements of swarms" }];

/// The bound for each command of the package manager; a slow mirror needs most of it.
const PACKAGE_LIMIT: Duration = Duration::from_secs(180);

/// Where administrators' commands live: a user's PATH often lacks these.
const ADMIN_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// What the child steps need in order to find the parts, and the sentence for the step's line.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) did: String,
}

/// Makes the parts available, as far as this machine allows. A part that stays missing is no error: the tests that need it
/// skip and say so. `folder` is `target/parts`.
pub(crate) fn fetch(folder: &Path, offline: bool) -> anyhow::Result<Fetched> {
    let missing = missing(&search_path(folder));
    let has_apt = on_path("apt-get", &search_path(folder));
    let is_root = rustix::process::geteuid().is_root();
    let packages = missing.iter().map(|part| part.package).collect::<Vec<_>>().join(" ");
    let outcome = match decide(&missing, offline, has_apt, is_root) {
        Plan::Nothing => Ok("nothing to fetch"),
        Plan::Leave(reason) => Ok(reason),
        Plan::Install => {
            println!("parts: running as root, so installing with apt-get: {packages}");
            install(&missing, folder).map(|()| "installed")
        }
        Plan::Unpack => unpack(&missing, folder).map(|()| "unpacked under target/parts"),
    };
    let outcome = outcome.map_or_else(|error| format!("{error:#}"), String::from);
    Ok(Fetched {
        environment: environment(folder)?,
        did: format!("{}; packages {}", describe(&outcome, folder), packages::fetch(folder, offline)),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Nothing,
    Leave(&'static str),
    Install,
    Unpack,
}

fn decide(missing: &[&Part], offline: bool, has_apt: bool, is_root: bool) -> Plan {
    match (missing.is_empty(), offline, has_apt, is_root) {
        (true, ..) => Plan::Nothing,
        (_, true, ..) => Plan::Leave("--offline fetches nothing"),
        (_, _, false, _) => Plan::Leave("no apt-get here"),
        (.., true) => Plan::Install,
        (.., false) => Plan::Unpack,
    }
}

fn describe(outcome: &str, folder: &Path) -> String {
    let still_missing = missing(&search_path(folder));
    let here: Vec<_> = PARTS
        .iter()
        .map(|part| part.command)
        .filter(|command| still_missing.iter().all(|part| part.command != *command))
        .collect();
    let mut text = format!("{outcome}; here: {}", here.join(", "));
    for part in still_missing {
        text.push_str(&format!("; missing: {} (package {}, for {})", part.command, part.package, part.why));
    }
    text
}

fn missing(search: &[PathBuf]) -> Vec<&'static Part> {
    PARTS.iter().filter(|part| !on_path(part.command, search)).collect()
}

/// Where a command is, among those of the machine and those that were fetched.
pub(crate) fn find(command: &str, folder: &Path) -> Option<PathBuf> {
    search_path(folder).into_iter().map(|folder| folder.join(command)).find(|path| path.is_file())
}

/// The same, and where there is none it is fetched and unpacked under `target/parts`; to be run with [`environment`].
pub(crate) fn provide(command: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    if let Some(found) = find(command, folder) {
        return Ok(found);
    }
    let part = PARTS.iter().chain(BENCH_PARTS).find(|part| part.command == command);
    let part = part.with_context(|| format!("no package has {command}"))?;
    println!("parts: unpacking {} under target/parts", part.package);
    unpack(&[part], folder).with_context(|| format!("this machine has no {command}"))?;
    find(command, folder).with_context(|| format!("the package {} has no {command}", part.package))
}

fn on_path(command: &str, search: &[PathBuf]) -> bool {
    search.iter().any(|folder| folder.join(command).is_file())
}

/// Folders in which the child steps find commands: the unpacked ones last, so that the machine's own win.
fn search_path(folder: &Path) -> Vec<PathBuf> {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let unpacked = ["usr/bin", "usr/sbin", "bin", "sbin"].map(|name| folder.join(name));
    std::env::split_paths(&own).chain(ADMIN_FOLDERS.map(PathBuf::from)).chain(unpacked).collect()
}

/// Where fetched commands and their libraries are, for the processes that use them.
pub(crate) fn environment(folder: &Path) -> anyhow::Result<Vec<(&'static str, OsString)>> {
    let path =
        std::env::join_paths(search_path(folder)).context("PATH cannot be extended by the parts' folder")?;
    let mut variables = vec![("PATH", path)];
    let libraries = library_folders(folder);
    if !libraries.is_empty() {
        let own = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let all = std::env::split_paths(&own).filter(|own| !own.as_os_str().is_empty()).chain(libraries);
        let all =
            std::env::join_paths(all).context("LD_LIBRARY_PATH cannot be extended by the parts' folder")?;
        variables.push(("LD_LIBRARY_PATH", all));
    }
    Ok(variables)
}

/// Debian puts libraries in a folder named after the machine: `usr/lib/x86_64-linux-gnu`.
fn library_folders(folder: &Path) -> Vec<PathBuf> {
    let parents = ["usr/lib", "lib"].map(|name| folder.join(name));
    let children = parents.iter().filter_map(|parent| fs::read_dir(parent).ok()).flatten().flatten();
    let mut found: Vec<_> = children.map(|entry| entry.path()).filter(|path| is_triplet(path)).collect();
    found.sort();
    found
}

fn is_triplet(path: &Path) -> bool {
    path.is_dir() && path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.contains("-linux-gnu"))
}

fn install(missing: &[&Part], folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).context("cannot make the parts' folder")?;
    let apt = Apt { folder, options: Vec::new() };
    apt.run("apt-get", ["update"])?;
    let packages = missing.iter().map(|part| part.package);
    apt.run("apt-get", ["install", "-y", "--no-install-recommends"].into_iter().chain(packages)).map(drop)
}

/// A user cannot write the system's package lists, so this keeps its own beside the parts. A rehearsed installation tells
/// which other packages, mostly libraries, this machine lacks.
fn unpack(missing: &[&Part], folder: &Path) -> anyhow::Result<()> {
    let own = folder.join("apt");
    for name in ["state/lists/partial", "cache/archives/partial", "debs"] {
        fs::create_dir_all(own.join(name)).context("cannot make the parts' folder")?;
    }
    let apt = Apt { folder, options: private_lists(&own) };
    apt.run("apt-get", ["update"])?;
    let packages = missing.iter().map(|part| part.package);
    let rehearsal =
        apt.run("apt-get", ["install", "--simulate", "--no-install-recommends"].into_iter().chain(packages))?;
    let needed = to_be_installed(&rehearsal);
    // A command may be gone although its package counts as installed; then the rehearsal names nothing.
    let needed = if needed.is_empty() { missing.iter().map(|part| part.package).collect() } else { needed };
    apt.run("apt-get", ["download"].into_iter().chain(needed))?;
    for entry in fs::read_dir(own.join("debs")).context("cannot list the fetched packages")?.flatten() {
        let archive = entry.path();
        apt.run("dpkg", [OsStr::new("-x"), archive.as_os_str(), folder.as_os_str()])?;
    }
    Ok(())
}

fn private_lists(own: &Path) -> Vec<OsString> {
    let option = |key: &str, value: &Path| {
        let mut text = OsString::from(format!("{key}="));
        text.push(value);
        ["-o".into(), text]
    };
    [
        option("Dir::State", &own.join("state")),
        option("Dir::State::status", Path::new("/var/lib/dpkg/status")),
        option("Dir::Cache", &own.join("cache")),
    ]
    .concat()
}

/// The packages in the lines `Inst NAME (VERSION …)` of a simulated installation.
fn to_be_installed(rehearsal: &str) -> Vec<&str> {
    rehearsal.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_whitespace().next()).collect()
}

/// The package manager, with the options of one way to use it.
struct Apt<'a> {
    folder: &'a Path,
    options: Vec<OsString>,
}

impl Apt<'_> {
    /// Runs one of its commands in the folder for archives and returns what it said.
    fn run<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<String> {
        let archives = self.folder.join("apt/debs");
        let log = self.folder.join("fetch.log");
        let mut command = Command::new(program);
        if program == "apt-get" {
            command.args(&self.options);
        }
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command.current_dir(if archives.is_dir() { &archives } else { self.folder });
        let ended = run_logged(&mut command, &log, PACKAGE_LIMIT)
            .with_context(|| format!("cannot start {program}"))?;
        let said = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("without a word");
        match ended {
            Ended::Exited(status) if status.success() => Ok(said),
            Ended::Exited(_) => bail!("{program} failed: {last}"),
            Ended::TimedOut => bail!("{program} took more than {} s", PACKAGE_LIMIT.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fetched_offline_or_without_need() {
        let all: Vec<&Part> = PARTS.iter().collect();
        assert_eq!(decide(&[], false, true, true), Plan::Nothing);
        assert_eq!(decide(&all, true, true, true), Plan::Leave("--offline fetches nothing"));
        assert_eq!(decide(&all, false, false, true), Plan::Leave("no apt-get here"));
        assert_eq!(decide(&all, false, true, true), Plan::Install);
        assert_eq!(decide(&all, false, true, false), Plan::Unpack);
    }

    #[test]
    fn an_unpacked_part_is_found_with_its_libraries() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!on_path("no-such-part", &search_path(folder.path())));
        fs::create_dir_all(folder.path().join("sbin")).unwrap();
        fs::write(folder.path().join("sbin/no-such-part"), "").unwrap();
        assert!(on_path("no-such-part", &search_path(folder.path())));
        assert!(environment(folder.path()).unwrap().iter().all(|(name, _)| *name != "LD_LIBRARY_PATH"));
        let libraries = folder.path().join("usr/lib/x86_64-linux-gnu");
        fs::create_dir_all(&libraries).unwrap();
        fs::create_dir_all(folder.path().join("usr/lib/other")).unwrap();
        assert_eq!(library_folders(folder.path()), [libraries]);
        assert!(environment(folder.path()).unwrap().iter().any(|(name, _)| *name == "LD_LIBRARY_PATH"));
    }

    #[test]
    fn a_command_of_no_package_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let refused = provide("no-such-part", folder.path()).unwrap_err().to_string();
        assert_eq!(refused, "no package has no-such-part");
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("bin/no-such-part"), "").unwrap();
        assert_eq!(provide("no-such-part", folder.path()).unwrap(), folder.path().join("bin/no-such-part"));
    }

    #[test]
    fn a_rehearsal_names_the_libraries_too() {
        let said = "Reading package lists...\nInst libmnl0 (1.0.4-3 Debian [amd64])\nInst iproute2 (6.1 Debian)\nConf libmnl0\n";
        assert_eq!(to_be_installed(said), ["libmnl0", "iproute2"]);
        assert!(to_be_installed("0 upgraded, 0 newly installed\n").is_empty());
    }
}

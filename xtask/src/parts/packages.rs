//! What some tests need from npm and PyPI: scripts that lead a browser, and a program that tries an API. Always under
//! `target/parts/`, in the versions that are named here, so that the same tests run everywhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{PACKAGE_LIMIT, on_path, search_path};
use crate::process::{Ended, run_logged};

/// A package and where it is found once it is there.
#[derive(Debug)]
struct Package {
    source: Source,
    name: &'static str,
    version: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Npm,
    Pypi,
}

const PACKAGES: &[Package] = &[
    Package { source: Source::Npm, name: "playwright-core", version: "1.65.1" },
    Package { source: Source::Npm, name: "axe-core", version: "4.14.1" },
    Package { source: Source::Pypi, name: "schemathesis", version: "4.32.5" },
];

impl Package {
    fn is_here(&self, folder: &Path) -> bool {
        let Self { source, name, version } = self;
        match source {
            Source::Npm => {
                let about = folder.join("npm/node_modules").join(name).join("package.json");
                let wanted = format!("\"version\": \"{version}\"");
                fs::read_to_string(about).is_ok_and(|text| text.contains(&wanted))
            }
            Source::Pypi => folder.join("pip").join(format!("{name}-{version}.dist-info")).is_dir(),
        }
    }
}

/// Fetches what is missing. Says what is here, and what is not and why.
pub(super) fn fetch(folder: &Path, offline: bool) -> String {
    let mut said = Vec::new();
    for source in [Source::Npm, Source::Pypi] {
        let packages: Vec<&Package> = PACKAGES.iter().filter(|package| package.source == source).collect();
        let all_here = || packages.iter().all(|package| package.is_here(folder));
        let names = packages.iter().map(|package| package.name).collect::<Vec<_>>().join(", ");
        let trouble = match (all_here(), offline) {
            (true, _) => None,
            (false, true) => Some("--offline fetches nothing".to_owned()),
            (false, false) => install(source, &packages, folder).err(),
        };
        said.push(match trouble {
            None if all_here() => format!("here: {names}"),
            None => format!("missing: {names} (not where they should be)"),
            Some(reason) => format!("missing: {names} ({reason})"),
        });
    }
    said.join("; ")
}

fn install(source: Source, packages: &[&Package], folder: &Path) -> Result<(), String> {
    let search = search_path(folder);
    let program = ["npm", "python3"][usize::from(source == Source::Pypi)];
    if !on_path(program, &search) {
        return Err(format!("no {program} here"));
    }
    let own = folder.join(["npm", "pip"][usize::from(source == Source::Pypi)]);
    fs::create_dir_all(&own).map_err(|error| format!("cannot make a folder: {error}"))?;
    let mut command = Command::new(program);
    match source {
        // Nothing of theirs runs while they are installed; the browser is Debian's.
        Source::Npm => {
            command.args([
                "install",
                "--no-save",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                ".",
            ]);
            command.args(packages.iter().map(|package| format!("{}@{}", package.name, package.version)));
        }
        Source::Pypi => {
            command.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target", "."]);
            command.args(packages.iter().map(|package| format!("{}=={}", package.name, package.version)));
        }
    }
    command.current_dir(&own);
    match run_logged(&mut command, &folder.join(format!("{program}.log")), PACKAGE_LIMIT) {
        Ok(Ended::Exited(status)) if status.success() => Ok(()),
        Ok(Ended::Exited(_)) => Err(format!("{program} failed, see target/parts/{program}.log")),
        Ok(Ended::TimedOut) => Err(format!("{program} took more than {} s", PACKAGE_LIMIT.as_secs())),
        Err(error) => Err(format!("cannot start {program}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_in_its_version_and_nothing_is_fetched_offline() {
        let folder = tempfile::tempdir().unwrap();
        let said = fetch(folder.path(), true);
        assert_eq!(said.matches("missing").count(), 2, "{said}");
        for package in PACKAGES {
            let at = match package.source {
                Source::Npm => folder.path().join("npm/node_modules").join(package.name),
                Source::Pypi => folder.path().join("pip").join(format!("{}-0.1.dist-info", package.name)),
            };
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("package.json"), "{\"version\": \"0.1\"}").unwrap();
            assert!(!package.is_here(folder.path()), "{package:?}");
            fs::write(at.join("package.json"), format!("{{\"version\": \"{}\"}}", package.version)).unwrap();
            let right =
                folder.path().join("pip").join(format!("{}-{}.dist-info", package.name, package.version));
            fs::create_dir_all(right).unwrap();
            assert!(package.is_here(folder.path()), "{package:?}");
        }
        assert!(!fetch(folder.path(), true).contains("missing"));
    }
}

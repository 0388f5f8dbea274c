//! Nothing in the repository names a machine's folders or a package registry: both are settings of the machine that builds,
//! and would be wrong on every other.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use super::source::files_below;

/// What no file may contain, in two parts so that this file does not either.
const NEEDLES: &[(&str, &str, &str)] = &[
    ("/work", "/", "a machine's folder"),
    ("/farm", "/", "a machine's folder"),
    ("crates", ".io", "a registry host"),
    ("deb.", "debian.org", "a registry host"),
    ("security.", "debian.org", "a registry host"),
    ("archive.", "ubuntu.com", "a registry host"),
    ("pypi", ".org", "a registry host"),
    ("npmjs", ".org", "a registry host"),
    ("proxy.", "golang.org", "a registry host"),
    ("docker", ".io", "a registry host"),
    ("ghcr", ".io", "a registry host"),
];

/// Settings that send cargo to another registry belong to the machine.
const CARGO_NEEDLES: &[(&str, &str, &str)] =
    &[("[sour", "ce", "another registry"), ("[regis", "tr", "another registry")];

/// cargo itself writes the name of the default registry here; it may name no other.
const LOCK_FILE: &str = "Cargo.lock";
const DEFAULT_REGISTRY: &str = "source = \"registry+https://github.com/rust-lang/";

/// Each file and line that names such a place.
pub(super) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let files = files_of_git(root).map_or_else(|| files_below(root), Ok)?;
    let mut findings = Vec::new();
    for path in files {
        match fs::read(root.join(&path)) {
            Ok(bytes) => findings.extend(check_file(&path, &String::from_utf8_lossy(&bytes))),
            // git still lists a file that was deleted but not yet committed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        }
    }
    Ok(findings)
}

/// The files that are in the repository or could be added to it: what is ignored is a developer's own. `None` without git, as
/// in an unpacked archive.
fn files_of_git(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).stdin(Stdio::null()).output().ok()?;
    let listed = String::from_utf8_lossy(&output.stdout);
    let files: Vec<String> = listed.split('\0').filter(|path| !path.is_empty()).map(String::from).collect();
    (output.status.success() && !files.is_empty()).then_some(files)
}

fn check_file(path: &str, text: &str) -> Vec<String> {
    if path == LOCK_FILE || path.ends_with("/Cargo.lock") {
        let sources = text.lines().filter(|line| line.starts_with("source = "));
        let others = sources.filter(|line| !line.starts_with(DEFAULT_REGISTRY));
        return others.map(|line| format!("{path}: names another registry: {line}")).collect();
    }
    let of_cargo = if path.contains(".cargo/") { CARGO_NEEDLES } else { &[] };
    let mut findings = Vec::new();
    for (front, back, what) in NEEDLES.iter().chain(of_cargo) {
        let needle = format!("{front}{back}");
        let lines = text.lines().enumerate().filter(|(_, line)| line.contains(&needle));
        findings.extend(lines.map(|(index, _)| format!("{path}:{}: names {what}: {needle}", index + 1)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_needle_is_found_with_its_line() {
        for (front, back, what) in NEEDLES {
            let found = check_file("docs/a.md", &format!("one\ntwo {front}{back} three\n"));
            assert_eq!(found, [format!("docs/a.md:2: names {what}: {front}{back}")]);
        }
        assert!(check_file("docs/a.md", "a framework/ of /workers and crates").is_empty());
    }

    #[test]
    fn what_git_ignores_is_a_developers_own_and_without_git_every_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let named = format!("/farm{}a\n", "/");
        fs::write(folder.path().join("ignored.log"), &named).unwrap();
        fs::write(folder.path().join("new.md"), &named).unwrap();
        fs::write(folder.path().join(".gitignore"), "*.log\n").unwrap();
        assert_eq!(check(folder.path()).unwrap().len(), 2);
        let git = Command::new("git").args(["init", "--quiet"]).current_dir(folder.path()).status().unwrap();
        assert!(git.success());
        assert_eq!(
            check(folder.path()).unwrap(),
            [format!("new.md:1: names a machine's folder: {}", named.trim_end_matches("a\n"))]
        );
    }

    #[test]
    fn cargo_is_sent_nowhere_else() {
        let settings = format!("[sour{}.mirror]\n", "ce");
        assert_eq!(check_file(".cargo/config.toml", &settings).len(), 1);
        assert!(check_file("docs/a.toml", &settings).is_empty());
        let registry = format!("{DEFAULT_REGISTRY}index\"\n");
        assert!(check_file(LOCK_FILE, &registry).is_empty());
        assert_eq!(check_file(LOCK_FILE, "source = \"registry+https://mirror.example/index\"\n").len(), 1);
    }
}

//! House rules that a linter lacks, with messages that say what to do. They run as `cargo xtask tidy` and as ordinary tests.

mod heads;
mod imports;
mod places;
mod prints;
mod sizes;
mod source;

use std::path::Path;

use crate::repository;

/// Prints each finding; `false` when there is one.
pub(crate) fn command() -> anyhow::Result<bool> {
    let findings = check(&repository::root())?;
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "tidy: {}",
        if findings.is_empty() { "ok".into() } else { format!("{} to put right", findings.len()) }
    );
    Ok(findings.is_empty())
}

/// All findings in the repository at `root`, each a line that names the place.
pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<String>> {
    let sources = source::read_all(root)?;
    let metadata = repository::metadata(root)?;
    let mut findings = heads::check(&sources);
    findings.extend(sizes::check(&sources));
    findings.extend(prints::check(&sources));
    findings.extend(imports::check(&metadata));
    findings.extend(places::check(root)?);
    Ok(findings)
}

/// The rules on the repository itself, one test a rule.
#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Vec<source::Source> {
        let sources = source::read_all(&repository::root()).unwrap();
        assert!(
            sources.iter().any(|source| source.path == "xtask/src/tidy.rs"),
            "the walk finds this very file"
        );
        sources
    }

    fn assert_none(findings: &[String]) {
        assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
    }

    #[test]
    fn every_file_says_at_its_head_why_it_exists() {
        assert_none(&heads::check(&sources()));
    }

    #[test]
    fn functions_and_files_stay_within_their_sizes() {
        assert_none(&sizes::check(&sources()));
    }

    #[test]
    fn only_the_one_file_prints() {
        assert_none(&prints::check(&sources()));
    }

    #[test]
    fn crates_import_only_whom_they_may() {
        assert_none(&imports::check(&repository::metadata(&repository::root()).unwrap()));
    }

    #[test]
    fn no_file_names_a_machine_or_a_registry() {
        assert_none(&places::check(&repository::root()).unwrap());
    }
}

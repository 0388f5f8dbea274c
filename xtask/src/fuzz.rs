//! `cargo xtask fuzz`: the fuzz bodies of `crates/proto`, on stable by seeded mutation, or guided by coverage where nightly and
//! cargo-fuzz are there.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::repository;

pub(crate) const USAGE: &str = "  fuzz [--runs N | --minutes M] [--seed S] [--body NAME]
                     hostile bytes for everything that parses: seeded mutations of fuzz/corpus, 1,000,000 by default
  fuzz --guided NAME [--minutes M]
                     the same for one body, guided by coverage; what it finds grows fuzz/corpus. Needs nightly and
                     cargo-fuzz
";

/// What is asked of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The arguments of the example that does it.
    Mutate(Vec<String>),
    /// One body, for so many minutes.
    Guided { body: String, minutes: u64 },
}

/// Inputs that `cargo xtask test` runs.
const RUNS_IN_TESTS: &str = "20000000";
const CORPUS: &str = "fuzz/corpus";

/// The step of `cargo xtask test`, as it is typed.
pub(crate) fn step() -> String {
    format!(
        "run --release --quiet --package proto --features fuzz --example fuzz -- {CORPUS} --runs {RUNS_IN_TESTS}"
    )
}

pub(crate) fn parse(words: &[&str]) -> Result<Asked, String> {
    let (mut guided, mut minutes) = (None, None);
    let pairs = words.chunks_exact(2);
    if let [extra] = pairs.remainder() {
        return Err(format!("unknown argument '{extra}', or its value is missing"));
    }
    for pair in pairs {
        match pair {
            ["--guided", body] => guided = Some((*body).to_owned()),
            ["--minutes" | "--runs" | "--seed", value] => {
                let number: u64 = value.parse().map_err(|_| format!("'{value}' is no number"))?;
                minutes = if pair.first() == Some(&"--minutes") { Some(number) } else { minutes };
            }
            ["--body", _] => {}
            _ => return Err(format!("unknown argument '{}'", pair.first().unwrap_or(&""))),
        }
    }
    match guided {
        None => Ok(Asked::Mutate(words.iter().map(|word| (*word).to_owned()).collect())),
        Some(body) if words.len() <= 4 => Ok(Asked::Guided { body, minutes: minutes.unwrap_or(1) }),
        Some(_) => Err("--guided goes with --minutes and nothing else".to_owned()),
    }
}

/// Runs it with its output on ours; `false` when a body failed.
pub(crate) fn command(asked: &Asked) -> anyhow::Result<bool> {
    let root = repository::root();
    let mut command = match asked {
        Asked::Mutate(words) => {
            let mut command = Command::new(repository::cargo());
            command.args(step().split_whitespace().take_while(|word| *word != CORPUS));
            command.arg(CORPUS).args(words);
            command
        }
        Asked::Guided { body, minutes } => {
            let mut command = Command::new("cargo");
            // cargo's own variables would send the inner one to this toolchain.
            command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
            let words = ["+nightly", "fuzz", "run", "--sanitizer", "none", body.as_str(), "--"];
            command.args(words.map(OsString::from)).arg(format!("-max_total_time={}", minutes * 60));
            command.args(["-max_len=4096", "-timeout=5", "-rss_limit_mb=512"]);
            let known = root.join("fuzz/targets").join(format!("{body}.rs")).is_file();
            ensure!(known, "there is no body '{body}'; fuzz/targets has them all");
            command
        }
    };
    let status = command.current_dir(&root).stdin(Stdio::null()).status().context("cannot start cargo")?;
    if matches!(asked, Asked::Guided { .. }) && status.code() == Some(101) {
        println!("fuzz: --guided needs both: rustup toolchain install nightly; cargo install cargo-fuzz");
    }
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn what_was_typed_is_handed_on_or_named() {
        let words = ["--runs", "5", "--body", "runs"].map(String::from).to_vec();
        assert_eq!(parsed("--runs 5 --body runs"), Ok(Asked::Mutate(words)));
        assert_eq!(parsed(""), Ok(Asked::Mutate(Vec::new())));
        let guided = Asked::Guided { body: "runs".to_owned(), minutes: 3 };
        assert_eq!(parsed("--guided runs --minutes 3"), Ok(guided));
        for wrong in ["--runs", "--runs many", "--walk 3", "--guided runs --minutes 1 --seed 2"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}

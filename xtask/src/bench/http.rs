//! `bench http`: uploads, redirects and Metalinks beside nginx, with programs from Debian as clients.
//!
//! Server and client have a core each. Every round measures all servers in turn, so a ratio is of one moment.

mod aria2;
mod large;
mod processes;
mod small;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use self::processes::Files;
use super::stats::median;
use super::{pin, report};
use crate::{parts, repository};

/// `bench http`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Http {
    parts: Vec<Part>,
    quick: bool,
}

/// A group of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Small,
    Large,
    Redirect,
    Aria2,
}

const PARTS: [(&str, Part); 4] =
    [("small", Part::Small), ("large", Part::Large), ("redirect", Part::Redirect), ("aria2", Part::Aria2)];

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: usize,
    /// Of each run of wrk.
    window: Duration,
    /// Bytes of the large file.
    large: u64,
}

impl Http {
    /// Reads the words after `bench http`.
    pub(crate) fn parse(typed: &[&str]) -> Result<Self, String> {
        let mut http = Self { parts: Vec::new(), quick: false };
        for word in typed {
            match PARTS.iter().find(|(name, _)| name == word) {
                _ if *word == "--quick" => http.quick = true,
                Some((_, part)) => http.parts.push(*part),
                None => return Err(format!("there is no part '{word}'")),
            }
        }
        if http.parts.is_empty() {
            http.parts = PARTS.map(|(_, part)| part).to_vec();
        }
        Ok(http)
    }

    fn effort(&self) -> Effort {
        match self.quick {
            true => Effort { rounds: 1, window: Duration::from_millis(500), large: 128 << 20 },
            false => Effort { rounds: 5, window: Duration::from_secs(3), large: 1 << 30 },
        }
    }
}

/// The programs that are measured, and those that measure.
struct Programs {
    p2pci: PathBuf,
    nginx: PathBuf,
    wrk: PathBuf,
    aria2: PathBuf,
}

impl Programs {
    fn find() -> anyhow::Result<Self> {
        let target = repository::metadata(&repository::root())?.target_directory;
        let part = |name: &str| {
            let found = parts::find(name, &target.join("parts"));
            found.with_context(|| format!("this machine has no {name}"))
        };
        Ok(Self {
            nginx: part("nginx")?,
            wrk: part("wrk")?,
            aria2: part("aria2c")?,
            p2pci: target.join("release/p2pci"),
        })
    }
}

/// Measures what was asked for.
pub(super) fn command(http: &Http) -> anyhow::Result<bool> {
    let programs = Programs::find()?;
    let effort = http.effort();
    report::begin(http.quick);
    let files = Files::make(effort.large)?;
    let _pinned = pin::to(pin::GENERATOR)?;
    for part in &http.parts {
        match part {
            Part::Small => small::files(&programs, &files, effort)?,
            Part::Large => large::rows(&programs, &files, effort)?,
            Part::Redirect => small::redirects(&programs, &files, effort)?,
            Part::Aria2 => aria2::rows(&programs, &files, effort)?,
        }
    }
    Ok(true)
}

/// A line of two servers with the median ratio of their rounds.
fn compare(what: &str, unit: &str, rounds: &[(f64, f64)]) {
    let (ours, theirs): (Vec<f64>, Vec<f64>) = rounds.iter().copied().unzip();
    let ratios: Vec<f64> = rounds.iter().map(|(ours, theirs)| ours / theirs).collect();
    println!(
        "{what:<44} p2pci {:>10.0}  nginx {:>10.0} {unit:<28} ratio {:.2}",
        median(&ours),
        median(&theirs),
        median(&ratios)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_flags_are_understood_and_typing_errors_named() {
        assert_eq!(Http::parse(&[]).unwrap().parts.len(), PARTS.len());
        let some = Http { parts: vec![Part::Large, Part::Small], quick: true };
        assert_eq!(Http::parse(&["large", "--quick", "small"]), Ok(some));
        assert!(Http::parse(&["lost"]).is_err());
    }
}

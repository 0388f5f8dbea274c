//! `bench instructions`: what reading requests and the directory cost, counted under callgrind. Such counts hardly depend on the
//! machine's load, so they can fail a build where a time could not.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::{parts, repository, skips};

/// Work of the engine, and the most instructions that one piece of it may take: half as much again as when it was measured, as
/// compilers differ, and so do the seeds of hash tables.
const BOUNDS: [(&str, u64); 6] = [
    ("decode-lookup", 1_330),
    ("decode-add", 1_320),
    ("add", 1_500),
    ("lookup", 550),
    ("list", 100),
    ("leave", 2_590),
];

/// Pieces in the shorter and in the longer run. The difference of the two has neither start nor filling in it.
const TIMES: [u64; 2] = [100_000, 200_000];

/// Counts all of them; `false` when one takes more than it may.
pub(super) fn command() -> anyhow::Result<bool> {
    let root = repository::root();
    let target = repository::metadata(&root)?.target_directory;
    let Some(valgrind) = parts::find("valgrind", &target.join("parts")) else {
        return skip("bench instructions: no valgrind on this machine").map(|()| true);
    };
    super::build_engine(&root)?;
    let engine = target.join("release/examples/engine");
    println!("| work | instructions | at most |\n|---|---|---|");
    let mut is_ok = true;
    for (what, bound) in BOUNDS {
        let each = instructions(&valgrind, &engine, what)?;
        let verdict = if each <= bound { "" } else { " **too many**" };
        println!("| {what} | {each} | {bound}{verdict} |");
        is_ok &= each <= bound;
    }
    Ok(is_ok)
}

/// What one piece takes.
fn instructions(valgrind: &Path, engine: &Path, what: &str) -> anyhow::Result<u64> {
    let [short, long] = TIMES;
    let count = |times| count(valgrind, engine, what, times);
    Ok(count(long)?.saturating_sub(count(short)?) / (long - short))
}

fn count(valgrind: &Path, engine: &Path, what: &str, times: u64) -> anyhow::Result<u64> {
    let mut command = Command::new(valgrind);
    // One that was only unpacked looks for its tools where it would have been installed.
    let own = valgrind.ancestors().nth(2).map(|usr| usr.join("libexec/valgrind"));
    if let Some(tools) = own.filter(|tools| tools.is_dir()) {
        command.env("VALGRIND_LIB", tools);
    }
    let output = command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(engine)
        .args([what, &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("cannot start valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind failed: {}", said.trim());
    collected(&said).with_context(|| format!("valgrind counted nothing: {}", said.trim()))
}

/// The number in callgrind's line `==1== Collected : 4711`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// Says aloud that nothing was counted, also to the run that this may be a step of.
fn skip(reason: &str) -> anyhow::Result<()> {
    println!("skipped: {reason}");
    if let Some(file) = std::env::var_os(skips::VARIABLE) {
        let mut file = OpenOptions::new().append(true).open(file).context("cannot note what was skipped")?;
        writeln!(file, "{reason}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_among_what_valgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(said), Some(1_234_567));
        assert_eq!(collected("==7== nothing\n"), None);
    }
}

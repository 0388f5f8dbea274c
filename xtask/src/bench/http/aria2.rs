//! aria2 with a Metalink, from four peers that are each limited: together they should give the sum of their rates.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::processes::{Files, Running};
use super::{Effort, Programs};
use crate::bench::server::wait_for;
use crate::bench::stats::median;

/// What each peer gives, in MiB a second.
const RATE: u64 = 8;
const PEERS: u64 = 4;
/// What is fetched, in MiB.
const SIZE: u64 = 128;

/// The rate of aria2 as a part of the sum.
pub(super) fn rows(programs: &Programs, _: &Files, effort: Effort) -> anyhow::Result<()> {
    // Short enough that the rounds end, long enough that the bursts at the beginning do not count.
    let files = Files::make(SIZE << 20)?;
    let index = Running::index(programs, &files)?;
    let limit = format!("{RATE}M");
    let names = (0..PEERS).map(|number| format!("peer{number}"));
    let peers: anyhow::Result<Vec<Running>> = names
        .map(|name| Running::peer(programs, &files, &name, index.address, &["--upload-limit", &limit]))
        .collect();
    let peers = peers?;
    let url = format!("http://{}/file/large.meta4", index.address);
    wait_for("all sources", || (sources(&files, &url) == Some(peers.len())).then_some(()))?;
    let mut rates = Vec::new();
    for _ in 0..effort.rounds {
        let into = tempfile::tempdir_in(files.path())?;
        let began = Instant::now();
        // All peers have one address here, and it counts connections by that.
        let status = Command::new(&programs.aria2)
            .args([
                "--no-conf",
                "--no-proxy=*",
                "--split=8",
                "--min-split-size=1M",
                "--max-connection-per-server=8",
            ])
            .args(["--file-allocation=none", "--quiet", "--max-concurrent-downloads=1", &url])
            .current_dir(into.path())
            .stdin(Stdio::null())
            .status()
            .context("cannot start aria2c")?;
        ensure!(status.success(), "aria2c failed");
        rates.push(SIZE as f64 / began.elapsed().as_secs_f64());
    }
    let (rate, sum) = (median(&rates), (RATE * PEERS) as f64);
    println!(
        "{:<44} {rate:.1} MiB a second of {sum:.0}: {:.2} of the sum",
        "aria2 with a Metalink, four limited peers",
        rate / sum
    );
    Ok(())
}

/// How many sources a Metalink names; asking is also what has its digests computed.
fn sources(files: &Files, url: &str) -> Option<usize> {
    let path = files.path().join("asked.meta4");
    let curl = Command::new("curl").args(["-q", "-s", "-f", "-o"]).arg(&path).arg(url).status().ok()?;
    let text = std::fs::read_to_string(&path).ok().filter(|_| curl.success())?;
    text.contains("<pieces").then(|| text.matches("<url ").count())
}

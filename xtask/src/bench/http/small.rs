//! Short answers by keep-alive: files of 10 KiB, and redirects. What counts is how many of them a second of the server's core gives.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use super::processes::{Files, Running};
use super::{Effort, Programs, compare};
use crate::bench::server::wait_for;

/// Connections of wrk.
const CONNECTIONS: &str = "16";

/// A file of 10 KiB from the upload port.
pub(super) fn files(programs: &Programs, files: &Files, effort: Effort) -> anyhow::Result<()> {
    let (nginx, index) = (Running::nginx(programs, files)?, Running::index(programs, files)?);
    let peer = Running::peer(programs, files, "peer", index.address, &[])?;
    let (mut by_cpu, mut by_time) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let ours = rate(programs, &peer, "/file/small", effort.window)?;
        let theirs = rate(programs, &nginx, "/small", effort.window)?;
        by_cpu.push((ours.0, theirs.0));
        by_time.push((ours.1, theirs.1));
    }
    compare("10 KiB by keep-alive", "requests a server-CPU-second", &by_cpu);
    compare("the same", "requests a second", &by_time);
    Ok(())
}

/// Redirects of the index, to the peer that has the file.
pub(super) fn redirects(programs: &Programs, files: &Files, effort: Effort) -> anyhow::Result<()> {
    let (nginx, index) = (Running::nginx(programs, files)?, Running::index(programs, files)?);
    let _peer = Running::peer(programs, files, "peer", index.address, &[])?;
    wait_for("a redirect", || is_redirected(index.address).then_some(()))?;
    let mut by_cpu = Vec::new();
    for _ in 0..effort.rounds {
        let ours = rate(programs, &index, "/file/small", effort.window)?;
        let theirs = rate(programs, &nginx, "/redirect", effort.window)?;
        by_cpu.push((ours.0, theirs.0));
    }
    compare("redirects by keep-alive", "requests a server-CPU-second", &by_cpu);
    Ok(())
}

fn is_redirected(index: SocketAddr) -> bool {
    super::large::first_line(index, "/file/small").is_ok_and(|line| line.contains(" 307 "))
}

/// Requests a second of the server's core, and a second of the clock.
fn rate(programs: &Programs, server: &Running, path: &str, window: Duration) -> anyhow::Result<(f64, f64)> {
    let url = format!("http://{}{path}", server.address);
    // Rounded up: wrk counts in whole seconds.
    let seconds = window.as_secs().max(1);
    let before = server.cpu()?;
    let output = Command::new(&programs.wrk)
        .args(["-t", "1", "-c", CONNECTIONS, "-d", &format!("{seconds}s"), &url])
        .output()
        .context("cannot start wrk")?;
    let cpu = server.cpu()? - before;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && !said.contains("Socket errors"), "wrk: {said}");
    let requests: f64 = said
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .with_context(|| format!("wrk does not say how many requests: {said}"))?;
    Ok((requests / cpu.as_secs_f64(), requests / seconds as f64))
}

//! What a second core is good for: to the server, and to the directory alone.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::{CONNECTIONS, Effort, RECORDS, put_in};
use crate::bench::load::{Load, Numbers};
use crate::bench::pin;
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::stats::{median, percentile};
use crate::bench::talk;

const ONE: &[usize] = &[pin::SERVER];
/// The second one is the generator's, which works there as well.
const BOTH: &[usize] = &[pin::SERVER, pin::GENERATOR];
/// Pieces of work of each thread of the directory alone: about a second.
const PIECES: u32 = 4_000_000;

pub(super) fn rows(programs: &Programs, effort: Effort) -> anyhow::Result<()> {
    for batch in [1, 16] {
        let (mut one, mut both) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            one.push(server_cpu(programs, effort, ONE, batch)?);
            both.push(server_cpu(programs, effort, BOTH, batch)?);
        }
        let name = format!("LOOKUP P={batch}, server CPU with 2 workers / with 1");
        let remark = format!(
            "{} against {} CPU-s a million; the generator works beside the second",
            figure(median(&both)),
            figure(median(&one))
        );
        ratio(name, &both, &one, Target::AtMost(1.10), &remark);
    }
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        one.push(directory_rate(programs, effort, 1)?);
        two.push(directory_rate(programs, effort, 2)?);
    }
    let name = "directory alone, rate of 2 threads / of 1".to_owned();
    let remark = format!(
        "7 LOOKUP to 1 ADD; {} against {} million a second",
        figure(median(&two) / 1e6),
        figure(median(&one) / 1e6)
    );
    ratio(name, &two, &one, Target::AtLeast(1.8), &remark);
    Ok(())
}

/// CPU seconds of the server for a million look-ups.
fn server_cpu(programs: &Programs, effort: Effort, cores: &[usize], batch: usize) -> anyhow::Result<f64> {
    let server = Server::start_on(cores, Kind::Index, programs, &[])?;
    let records = RECORDS / effort.divisor;
    let _held = put_in(&server, Kind::Index, records)?;
    let talks = (0..CONNECTIONS).map(|at| (talk::lookup(Kind::Index), Numbers::random(at, records)));
    let mut load = Load::connect(server.address, talks)?;
    Ok(load.closed(batch, effort.window, &server, &mut |_| {})?.cpu_per_million())
}

/// Pieces of work a second of so many threads in one directory. Starting and filling it are a few hundredths of the time.
fn directory_rate(programs: &Programs, effort: Effort, threads: u32) -> anyhow::Result<f64> {
    let _pinned = pin::to_all(BOTH)?;
    let pieces = PIECES / effort.divisor;
    let started = Instant::now();
    let status = Command::new(programs.target.join("release/examples/engine"))
        .args([format!("threads-{threads}"), pieces.to_string()])
        .stdin(Stdio::null())
        .status()
        .context("cannot start the engine")?;
    ensure!(status.success(), "the engine failed");
    Ok(f64::from(threads * pieces) / started.elapsed().as_secs_f64())
}

/// The median of the ratios within each round.
fn ratio(name: String, ours: &[f64], other: &[f64], target: Target, remark: &str) {
    let ratios: Vec<f64> = ours.iter().zip(other).map(|(ours, other)| ours / other).collect();
    let (low, high) = (percentile(&ratios, 0.0), percentile(&ratios, 100.0));
    let remark = format!("{remark}; {} to {} in {} rounds", figure(low), figure(high), ratios.len());
    report::row(&Row { name, reached: median(&ratios), unit: "", target, remark });
}

//! LIST of a million records: how soon it begins, how fast it goes, and what it holds while its reader does not read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::Effort;
use crate::bench::load::{Load, Numbers};
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::{Kind, Programs, Server, wait_for};
use crate::bench::stats::median;
use crate::bench::talk;

const RECORDS: u32 = 1_000_000;
const PER_PEER: u32 = 10_000;
/// Readers that do not read, for the memory of a LIST in flight.
const STALLED: u32 = 200;
pub(crate) const REQUEST: &[u8] = b"LIST ALL P2P-CI/1.0\nHost: reader.example.org\nPort: 50000\n\n";
const READ: usize = 256 * 1024;
/// Twice the same resident size, this long apart: nothing grows any more.
const SETTLED: Duration = Duration::from_millis(500);

pub(super) fn rows(programs: &Programs, effort: Effort) -> anyhow::Result<()> {
    let (records, per_peer) = (RECORDS / effort.divisor, PER_PEER / effort.divisor);
    let server = Server::start(Kind::Index, programs)?;
    let talks = (0..records / per_peer).map(|peer| {
        let row = Numbers::Row { at: peer * per_peer, left: per_peer, count: records };
        (talk::add(Kind::Index, peer as usize), row)
    });
    let mut load = Load::connect(server.address, talks)?;
    load.fill()?;
    server.when_idle()?;
    let (mut firsts, mut rates, mut bytes) = (Vec::new(), Vec::new(), 0);
    for _ in 0..effort.rounds {
        let read = read_all(&server, records)?;
        firsts.push(read.first_byte.as_secs_f64() * 1e3);
        rates.push(read.bytes as f64 / 1e6 / read.elapsed.as_secs_f64());
        bytes = read.bytes;
    }
    let size = format!("{records} records, {} MB", figure(bytes as f64 / 1e6));
    let row = |name: &str, reached, unit, target, remark| {
        report::row(&Row { name: name.into(), reached, unit, target, remark });
    };
    row("LIST, first byte", median(&firsts), "ms", Target::AtMost(10.0), size.clone());
    row("LIST, rate", median(&rates), "MB/s", Target::AtLeast(500.0), size);
    let held = held_while_stalled(&server)? / 1024.0;
    row(
        "LIST in flight, memory",
        held,
        "KiB",
        Target::AtMost(64.0),
        format!("{STALLED} readers that do not read"),
    );
    Ok(())
}

/// How a LIST came.
pub(crate) struct Reading {
    first_byte: Duration,
    elapsed: Duration,
    bytes: u64,
}

/// Reads a whole LIST.
pub(crate) fn read_all(server: &Server, records: u32) -> anyhow::Result<Reading> {
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let started = Instant::now();
    stream.write_all(REQUEST)?;
    let (mut room, mut bytes, mut lines, mut last) = (vec![0; READ], 0, 0_u64, [0; 2]);
    let mut first_byte = None;
    while last != *b"\n\n" {
        let count = stream.read(&mut room)?;
        first_byte.get_or_insert_with(|| started.elapsed());
        ensure!(count > 0, "the LIST was cut");
        bytes += count as u64;
        lines += room[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
        for byte in &room[count.saturating_sub(2)..count] {
            last = [last[1], *byte];
        }
    }
    let elapsed = started.elapsed();
    ensure!(lines == u64::from(records) + 2, "{lines} lines for {records} records");
    Ok(Reading { first_byte: first_byte.unwrap_or(elapsed), elapsed, bytes })
}

/// How much each LIST holds whose reader has gone to sleep, its connection counted.
fn held_while_stalled(server: &Server) -> anyhow::Result<f64> {
    let before = server.resident()?;
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut stream = TcpStream::connect(server.address)?;
        stream.write_all(REQUEST)?;
        stalled.push(stream);
    }
    let mut last = 0;
    wait_for("the server to stop growing", || {
        std::thread::sleep(SETTLED);
        let now = server.resident().ok()?;
        let settled = now == last;
        last = now;
        settled.then_some(())
    })?;
    Ok(last.saturating_sub(before) as f64 / f64::from(STALLED))
}

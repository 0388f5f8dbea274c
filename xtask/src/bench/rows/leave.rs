//! A peer with many records leaves: how long until they are gone, and what the others notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{CONNECTIONS, Effort, RECORDS, put_in};
use crate::bench::load::{Load, Measured, Numbers, Window};
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::stats::{median, percentile};
use crate::bench::talk;

const LEAVES_WITH: u32 = 10_000;
/// When it leaves, since the others began.
const AT: Duration = Duration::from_millis(1000);
/// What counts as "meanwhile".
const MEANWHILE: f64 = 0.050;
const WINDOW: Window = Window { warm_up: Duration::from_millis(300), measured: Duration::from_millis(1700) };

pub(super) fn rows(programs: &Programs, effort: Effort) -> anyhow::Result<()> {
    let (mut gone, mut ratios, mut worst) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let server = Server::start(Kind::Index, programs)?;
        let records = RECORDS / effort.divisor;
        let _held = put_in(&server, Kind::Index, records)?;
        gone.push(time_to_be_gone(&server, join(&server, records)?, records)?);
        let measured = others_meanwhile(&server, join(&server, records)?, records)?;
        let left = AT.as_secs_f64();
        let (before, meanwhile) = (p99(&measured, 0.3, left), p99(&measured, left, left + MEANWHILE));
        ratios.push(meanwhile / before);
        worst.push(longest(&measured, left, left + MEANWHILE) * 1e3);
    }
    let remark = "from the close of its connection until a look-up finds none of its files; nobody else asks";
    let row = |name: String, reached, unit, target, remark: String| {
        report::row(&Row { name, reached, unit, target, remark });
    };
    let name = format!("a peer with {LEAVES_WITH} records leaves");
    row(name, median(&gone), "ms", Target::AtMost(10.0), remark.into());
    let remark = format!(
        "others' p99 within {} ms of it / before, server full; the longest {} ms",
        MEANWHILE * 1e3,
        figure(median(&worst))
    );
    row("others' p99 meanwhile".into(), median(&ratios), "", Target::AtMost(2.0), remark);
    Ok(())
}

/// A peer with files of its own, after those that are there.
fn join(server: &Server, records: u32) -> anyhow::Result<Load> {
    let row = Numbers::Row { at: records, left: LEAVES_WITH, count: records + LEAVES_WITH };
    let mut load = Load::connect(server.address, [(talk::add(Kind::Index, 1), row)])?;
    load.fill()?;
    Ok(load)
}

fn time_to_be_gone(server: &Server, peer: Load, records: u32) -> anyhow::Result<f64> {
    let mut asking = TcpStream::connect(server.address)?;
    asking.set_nodelay(true)?;
    asking.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mine = [0, LEAVES_WITH / 2, LEAVES_WITH - 1].map(|at| talk::FIRST_NUMBER + records + at);
    let started = Instant::now();
    drop(peer);
    for number in mine {
        while is_there(&mut asking, number)? {}
    }
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn is_there(asking: &mut TcpStream, number: u32) -> anyhow::Result<bool> {
    let (mut request, mut room, mut answer) = (Vec::new(), [0; 512], Vec::new());
    talk::lookup(Kind::Index).request.write(number, &mut request);
    asking.write_all(&request)?;
    while !answer.ends_with(b"\n\n") {
        let count = asking.read(&mut room)?;
        anyhow::ensure!(count > 0, "the index closed the connection");
        answer.extend_from_slice(&room[..count]);
    }
    Ok(answer.starts_with(b"P2P-CI/1.0 200"))
}

fn others_meanwhile(server: &Server, peer: Load, records: u32) -> anyhow::Result<Measured> {
    let talks = (0..CONNECTIONS).map(|at| (talk::lookup(Kind::Index), Numbers::random(at, records)));
    let mut others = Load::connect(server.address, talks)?;
    let mut peer = Some(peer);
    others.closed(1, WINDOW, server, &mut |since| {
        if since >= AT {
            drop(peer.take());
        }
    })
}

/// Of the requests answered between these times.
fn p99(measured: &Measured, from: f64, to: f64) -> f64 {
    percentile(&between(measured, from, to), 99.0)
}

fn longest(measured: &Measured, from: f64, to: f64) -> f64 {
    percentile(&between(measured, from, to), 100.0)
}

fn between(measured: &Measured, from: f64, to: f64) -> Vec<f64> {
    let within = measured.latencies.iter().filter(|(at, _)| (from..to).contains(at));
    within.map(|(_, latency)| *latency).collect()
}

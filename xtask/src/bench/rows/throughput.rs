//! LOOKUP and ADD: rates, time on the server's core and latencies, beside the floor and redis, in turn.

use super::{CONNECTIONS, Effort, RECORDS, put_in};
use crate::bench::load::{Load, Measured, Numbers};
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::stats::{median, percentile};
use crate::bench::talk::{self, Talk};

/// Requests in one write.
const PIPELINED: usize = 16;
/// Of the floor's rate, for the open loop: busy, and far from full.
const OPEN_SHARE: f64 = 0.4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Lookup,
    Add,
}

/// What the rounds of one kind of server gave.
#[derive(Debug)]
struct Series {
    kind: Kind,
    runs: Vec<Measured>,
}

impl Series {
    fn rates(&self) -> Vec<f64> {
        self.runs.iter().map(Measured::rate).collect()
    }

    fn cpus(&self) -> Vec<f64> {
        self.runs.iter().map(Measured::cpu_per_million).collect()
    }

    fn latency_us(&self, percent: f64) -> f64 {
        let each = |run: &Measured| {
            let all: Vec<f64> = run.latencies.iter().map(|(_, latency)| *latency).collect();
            percentile(&all, percent) * 1e6
        };
        median(&self.runs.iter().map(each).collect::<Vec<_>>())
    }
}

pub(super) fn lookup(programs: &Programs, effort: Effort) -> anyhow::Result<()> {
    let [ours, floor, redis] = closed(programs, effort, Verb::Lookup, 1)?;
    ratio("LOOKUP P=1, rate / floor", &ours, &floor, Series::rates, Target::AtLeast(0.90));
    ratio("LOOKUP P=1, server CPU / floor", &ours, &floor, Series::cpus, Target::AtMost(1.15));
    ratio("LOOKUP P=1, rate / redis SMEMBERS", &ours, &redis, Series::rates, Target::AtLeast(1.2));
    open(programs, effort, median(&floor.rates()) * OPEN_SHARE)?;
    let [ours, floor, redis] = closed(programs, effort, Verb::Lookup, PIPELINED)?;
    ratio("LOOKUP P=16, rate / floor", &ours, &floor, Series::rates, Target::AtLeast(0.80));
    ratio("LOOKUP P=16, rate / redis SMEMBERS", &ours, &redis, Series::rates, Target::AtLeast(2.5));
    Ok(())
}

pub(super) fn add(programs: &Programs, effort: Effort) -> anyhow::Result<()> {
    let [ours, floor, redis] = closed(programs, effort, Verb::Add, PIPELINED)?;
    ratio("ADD P=16, rate / redis SADD", &ours, &redis, Series::rates, Target::AtLeast(1.2));
    ratio("ADD P=16, rate / floor", &ours, &floor, Series::rates, Target::None);
    Ok(())
}

/// We, the floor and redis, in turn.
fn closed(programs: &Programs, effort: Effort, verb: Verb, batch: usize) -> anyhow::Result<[Series; 3]> {
    let mut all = [Kind::Index, floor_for(verb), Kind::Redis].map(|kind| Series { kind, runs: Vec::new() });
    for _ in 0..effort.rounds {
        for series in &mut all {
            if series.kind == Kind::Redis && programs.redis.is_none() {
                continue;
            }
            let (server, _records, mut load) = prepare(programs, series.kind, verb, effort)?;
            series.runs.push(load.closed(batch, effort.window, &server, &mut |_| {})?);
        }
    }
    for series in all.iter().filter(|series| !series.runs.is_empty()) {
        let name = format!("{verb:?} P={batch}, {}", series.kind.name()).to_uppercase();
        let remark = format!(
            "{} CPU-s per million; p50 {} us, p99 {} us",
            figure(median(&series.cpus())),
            figure(series.latency_us(50.0)),
            figure(series.latency_us(99.0)),
        );
        let reached = median(&series.rates()) / 1000.0;
        report::row(&Row { name, reached, unit: "k/s", target: Target::None, remark });
    }
    Ok(all)
}

/// Latencies at a fixed rate, of us and of the floor.
fn open(programs: &Programs, effort: Effort, rate: f64) -> anyhow::Result<()> {
    for kind in [Kind::Index, floor_for(Verb::Lookup)] {
        let mut series = Series { kind, runs: Vec::new() };
        for _ in 0..effort.rounds {
            let (server, _records, mut load) = prepare(programs, kind, Verb::Lookup, effort)?;
            series.runs.push(load.open(rate, effort.window, &server)?);
        }
        let name = format!("LOOKUP open loop at {} k/s, {}: p99", figure(rate / 1000.0), kind.name());
        let remark =
            format!("p50 {}, p99.9 {} us", figure(series.latency_us(50.0)), figure(series.latency_us(99.9)));
        let reached = series.latency_us(99.0);
        report::row(&Row { name, reached, unit: "us", target: Target::None, remark });
    }
    Ok(())
}

/// A fresh server with its records, and the connections that will ask. The first load holds the records.
fn prepare(
    programs: &Programs,
    kind: Kind,
    verb: Verb,
    effort: Effort,
) -> anyhow::Result<(Server, Option<Load>, Load)> {
    let server = Server::start(kind, programs)?;
    let records = RECORDS / effort.divisor;
    let is_floor = matches!(kind, Kind::Floor { .. });
    let held = if is_floor { None } else { Some(put_in(&server, kind, records)?) };
    if !is_floor {
        server.check(&talk::lookup(kind), talk::FIRST_NUMBER)?;
    }
    let talks = (0..CONNECTIONS).map(|at| (talk_of(verb, kind, at + 1), Numbers::random(at, records)));
    let load = Load::connect(server.address, talks)?;
    Ok((server, held, load))
}

fn talk_of(verb: Verb, kind: Kind, connection: usize) -> Talk {
    match verb {
        Verb::Lookup => talk::lookup(kind),
        Verb::Add => talk::add(kind, connection),
    }
}

/// The floor reads and writes as many bytes as we do.
fn floor_for(verb: Verb) -> Kind {
    let Talk { request, answer } = talk_of(verb, Kind::Index, 1);
    Kind::Floor { request: request.len(), answer: answer.len() }
}

/// The median of the ratios within each round.
fn ratio(name: &str, ours: &Series, other: &Series, of: impl Fn(&Series) -> Vec<f64>, target: Target) {
    let ratios: Vec<f64> = of(ours).iter().zip(of(other)).map(|(ours, other)| ours / other).collect();
    if ratios.is_empty() {
        return;
    }
    let (low, high) = (percentile(&ratios, 0.0), percentile(&ratios, 100.0));
    let remark = format!("{} to {} in {} rounds", figure(low), figure(high), ratios.len());
    report::row(&Row { name: name.into(), reached: median(&ratios), unit: "", target, remark });
}

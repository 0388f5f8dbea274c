//! `bench index`: the rows in their order, and what they share.

mod idle;
mod leave;
pub(crate) mod list;
mod memory;
mod scaling;
mod search;
mod throughput;

use std::time::Duration;

use super::asked::{Index, Part};
use super::load::{Load, Numbers, Window};
use super::server::{Kind, Programs, Server};
use super::{pin, report, talk};
use crate::{parts, repository};

/// Connections of every row on throughput.
const CONNECTIONS: usize = 50;
/// Records that are there meanwhile.
const RECORDS: u32 = 100_000;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: usize,
    window: Window,
    /// Divides the sizes of what is put in.
    divisor: u32,
}

impl Effort {
    fn of(index: &Index) -> Self {
        let (rounds, warm_up, measured, divisor) =
            if index.quick { (1, 100, 300, 100) } else { (5, 300, 2000, 1) };
        let (warm_up, measured) = (Duration::from_millis(warm_up), Duration::from_millis(measured));
        Self { rounds, window: Window { warm_up, measured }, divisor }
    }
}

/// Measures what was asked for.
pub(super) fn command(index: &Index) -> anyhow::Result<bool> {
    let target = repository::metadata(&repository::root())?.target_directory;
    let redis = parts::find("redis-server", &target.join("parts"));
    let programs = Programs::new(target, redis)?;
    let effort = Effort::of(index);
    report::begin(index.quick);
    let _pinned = pin::to(pin::GENERATOR)?;
    for part in &index.parts {
        match part {
            Part::Lookup => throughput::lookup(&programs, effort)?,
            Part::Add => throughput::add(&programs, effort)?,
            Part::List => list::rows(&programs, effort)?,
            Part::Memory => memory::rows(&programs, effort, index.records)?,
            Part::Idle => idle::rows(&programs, effort)?,
            Part::Leave => leave::rows(&programs, effort)?,
            Part::Scaling => scaling::rows(&programs, effort)?,
            Part::Search => search::rows(&programs, effort, index.records)?,
        }
    }
    if programs.redis.is_none() {
        println!("\nredis: not measured, this machine has no redis-server");
    }
    Ok(true)
}

/// Puts records in over [`CONNECTIONS`] connections, which must be kept.
fn put_in(server: &Server, kind: Kind, records: u32) -> anyhow::Result<Load> {
    let each = records / CONNECTIONS as u32;
    let talks = (0..CONNECTIONS).map(|connection| {
        // One host for all, as the answers to look-ups must all have the same text.
        let row = Numbers::Row { at: connection as u32 * each, left: each, count: records };
        (talk::add(kind, 0), row)
    });
    let mut load = Load::connect(server.address, talks)?;
    load.fill()?;
    server.when_idle()?;
    Ok(load)
}

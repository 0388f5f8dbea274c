//! Memory for each record: how much the server grew, divided by what was put in.

use super::{Effort, put_in};
use crate::bench::load::{Load, Numbers};
use crate::bench::report::{self, Row, Target};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::talk;

/// Records of one row: so many files, each held by so many peers, which have so many files each.
#[derive(Debug, Clone, Copy)]
struct Shape {
    files: u32,
    holders: u32,
    per_peer: u32,
}

impl Shape {
    fn records(self) -> u32 {
        self.files * self.holders
    }
}

pub(super) fn rows(programs: &Programs, effort: Effort, records: Option<u32>) -> anyhow::Result<()> {
    let divisor = effort.divisor;
    let popular = Shape { files: 100_000 / divisor, holders: 10, per_peer: 10_000 / divisor };
    let rare = Shape { files: 1_000_000 / divisor, holders: 1, per_peer: 10_000 / divisor };
    let name = |shape: Shape| format!("memory a record, {} files x {} peers", shape.files, shape.holders);
    each(programs, &name(popular), popular, Target::AtMost(64.0))?;
    each(programs, &name(rare), rare, Target::AtMost(136.0))?;
    if let Some(records) = records {
        let all = Shape { files: records / 10, holders: 10, per_peer: (records / 1000).max(1) };
        let grown = grown(programs, all)?;
        let reached = grown / 1e6;
        let remark = format!("{:.1} B a record, over {} connections", grown / f64::from(all.records()), 1000);
        let name = format!("memory in all, {} records, {} files x 10 peers", all.records(), all.files);
        report::row(&Row { name, reached, unit: "MB", target: Target::AtMost(900.0), remark });
    }
    Ok(())
}

fn each(programs: &Programs, name: &str, shape: Shape, target: Target) -> anyhow::Result<()> {
    let reached = grown(programs, shape)? / f64::from(shape.records());
    let remark = format!("resident; {} connections, title of 40 B", shape.records() / shape.per_peer);
    report::row(&Row { name: name.into(), reached, unit: "B", target, remark });
    Ok(())
}

/// How many bytes a server grows by these records. The connections are counted too, as they are needed.
fn grown(programs: &Programs, shape: Shape) -> anyhow::Result<f64> {
    let server = Server::start(Kind::Index, programs)?;
    // What the process sets up once, for the first connections, is no record's.
    drop(put_in(&server, Kind::Index, 1000)?);
    let before = server.resident()?;
    let talks = (0..shape.records() / shape.per_peer).map(|connection| {
        let at = connection * shape.per_peer % shape.files;
        let row = Numbers::Row { at, left: shape.per_peer, count: shape.files };
        (talk::add_titled(Kind::Index, connection as usize, talk::LONG_TITLE), row)
    });
    let mut load = Load::connect(server.address, talks)?;
    load.fill()?;
    Ok(server.resident()?.saturating_sub(before) as f64)
}

//! Memory for each record: how much the server grew, divided by what was put in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::ensure;

use super::{Effort, put_in};
use crate::bench::load::{Load, Numbers};
use crate::bench::report::{self, Row, Target};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::talk;

/// What searching takes is a row of its own: `bench index search`.
const WITHOUT_SEARCH: &[&str] = &["--no-search"];
/// The longest answer.
const ANSWER: Duration = Duration::from_secs(20);

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
    files(programs, effort)?;
    if let Some(records) = records {
        let all = Shape { files: records / 10, holders: 10, per_peer: (records / 1000).max(1) };
        let grown = grown(programs, all)?;
        let reached = grown / 1e6;
        let remark = format!(
            "{:.1} B a record, without search; over {} connections",
            grown / f64::from(all.records()),
            1000
        );
        let name = format!("memory in all, {} records, {} files x 10 peers", all.records(), all.files);
        report::row(&Row { name, reached, unit: "MB", target: Target::AtMost(900.0), remark });
    }
    Ok(())
}

fn each(programs: &Programs, name: &str, shape: Shape, target: Target) -> anyhow::Result<()> {
    let reached = grown(programs, shape)? / f64::from(shape.records());
    let remark =
        format!("resident, without search; {} connections, title of 40 B", shape.records() / shape.per_peer);
    report::row(&Row { name: name.into(), reached, unit: "B", target, remark });
    Ok(())
}

/// How many bytes a server grows by these records. The connections are counted too, as they are needed.
fn grown(programs: &Programs, shape: Shape) -> anyhow::Result<f64> {
    let server = Server::start_with(Kind::Index, programs, WITHOUT_SEARCH)?;
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
    server.when_idle()?;
    Ok(server.resident()?.saturating_sub(before) as f64)
}

/// Files of 1.1 of one peer, and in one request.
const FILES_PER_PEER: u32 = 10_000;
const FILES_AT_ONCE: u32 = 2_500;

/// Files of 1.1, each with one source: a hash, a size, a time and a path of 40 bytes.
fn files(programs: &Programs, effort: Effort) -> anyhow::Result<()> {
    let (files, per_peer) = (1_000_000 / effort.divisor, FILES_PER_PEER / effort.divisor);
    let server = Server::start_with(Kind::Index, programs, WITHOUT_SEARCH)?;
    drop(put_in(&server, Kind::Index, 1000)?);
    let before = server.resident()?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut peers = Vec::new();
    for peer in 0..files / per_peer {
        let mut stream = TcpStream::connect(server.address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let names: Vec<u32> = (peer * per_peer..(peer + 1) * per_peer).collect();
        for names in names.chunks(FILES_AT_ONCE as usize) {
            add_files(&mut stream, peer, names, &mut random)?;
        }
        peers.push(stream);
    }
    server.when_idle()?;
    let reached = server.resident()?.saturating_sub(before) as f64 / f64::from(files);
    let name = "memory of a file of 1.1 with one source".into();
    let remark = format!("resident, without search; {files} files of {} peers, path of 40 B", peers.len());
    report::row(&Row { name, reached, unit: "B", target: Target::AtMost(240.0), remark });
    Ok(())
}

fn add_files(
    stream: &mut TcpStream,
    peer: u32,
    names: &[u32],
    random: &mut fastrand::Rng,
) -> anyhow::Result<()> {
    let mut body = String::new();
    for name in names {
        let hash: String = (0..4).map(|_| format!("{:016x}", random.u64(..))).collect();
        body += &format!(
            "{{\"name\":\"shared/folder/of/model/file-{name:07}.data\",\"size\":{},\"modified\":1764000000,\"hash\":\"{hash}\"}}\n",
            random.u32(..)
        );
    }
    let head = format!(
        "ADD FILES P2P-CI/1.1\r\nHost: host{peer:05}.example.org\r\nPort: 50000\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let (mut answer, mut room) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"}\n") {
        let count = stream.read(&mut room)?;
        ensure!(count > 0, "the index closed the connection");
        answer.extend_from_slice(&room[..count]);
    }
    let said = String::from_utf8_lossy(&answer);
    ensure!(said.contains(&format!("\"taken\":{},", names.len())), "not all were taken: {said}");
    Ok(())
}

//! What a peer costs that has registered a file and is silent.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::Effort;
use crate::bench::load::{Numbers, join};
use crate::bench::report::{self, Row, Target};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::talk::{self, FIRST_NUMBER};

/// As many as the descriptors of one process allow here.
const PEERS: u32 = 18_000;

pub(super) fn rows(programs: &Programs, effort: Effort) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let peers = PEERS / effort.divisor;
    let talk = talk::add(Kind::Index, 0);
    let floor = Kind::Floor { request: talk.request.len(), answer: talk.answer.len() };
    for (kind, target) in [(Kind::Index, Target::AtMost(1331.0)), (floor, Target::None)] {
        let server = Server::start(kind, programs)?;
        let before = server.resident()?;
        let talks = (0..peers).map(|peer| {
            let row = Numbers::Row { at: peer, left: 1, count: peers };
            (talk::add(kind, peer as usize), row)
        });
        let _joined = join(server.address, talks)?;
        server.when_idle()?;
        let reached = server.resident()?.saturating_sub(before) as f64 / f64::from(peers);
        let name = format!("memory of an idle peer with one record, {}", kind.name());
        let remark = format!("resident; {peers} connections from {FIRST_NUMBER} on, each with one file");
        report::row(&Row { name, reached, unit: "B", target, remark });
    }
    Ok(())
}

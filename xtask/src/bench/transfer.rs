//! `bench transfer`: one large file from one process to another, beside bare loops, nginx and curl in the same run.
//!
//! The server has a core of its own. Who discards what comes has the other one; who keeps it may use both, we and everybody
//! we are compared with, because hashing beside receiving is what a second core is for.

mod asked;
mod files;
mod kept;
mod loops;
mod resident;
mod send;
mod served;
mod sources;
mod tls;
mod world;

pub(crate) use asked::Transfer;
pub(crate) use send::serve as send;
pub(crate) use tls::send as send_tls;

use asked::Part;
use world::World;

use super::report;
use super::stats::{median, percentile};

/// Bytes of a MiB, in which rates are told.
const MIB: f64 = 1024.0 * 1024.0;

/// Measures what was asked for.
pub(super) fn command(asked: &Transfer) -> anyhow::Result<bool> {
    report::begin(asked.quick);
    let rounds = if asked.quick { 1 } else { 5 };
    let world = World::new(asked.size)?;
    for part in &asked.parts {
        match part {
            Part::Serve => served::rows(&world, rounds)?,
            Part::Shm => kept::rows(&world, rounds, &world.memory(), &kept::IN_MEMORY)?,
            Part::Disk => kept::rows(&world, rounds, &world.disk(), &kept::ON_DISK)?,
            Part::Sources => sources::rows(&world, rounds)?,
            Part::Tls => tls::rows(&world, rounds)?,
            Part::Memory => resident::rows(&world)?,
        }
    }
    if world.nginx.is_none() || world.curl.is_none() {
        println!("\nnginx with curl: not measured, this machine lacks one of them");
    }
    Ok(true)
}

/// The ratios of two rows of the same rounds: their median, and their range in words.
fn ratio(ours: &[f64], theirs: &[f64]) -> (f64, String) {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
    let (least, most) = (percentile(&ratios, 0.0), percentile(&ratios, 100.0));
    (median(&ratios), format!("{} to {}", report::figure(least), report::figure(most)))
}

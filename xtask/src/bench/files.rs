//! `bench files`: folders that are published, and small files that are fetched, beside what the same machine does with less.
//!
//! What is shared lies in memory, so that no disk is measured on the sending side. Ratios are taken within a round.

mod asked;
mod hashing;
mod publishing;
mod resident;
mod running;
mod small;
mod world;

pub(crate) use asked::Files;

use asked::Part;
use world::World;

use super::report;
use super::stats::{median, percentile};

/// Bytes of a MiB, in which rates and memory are told.
const MIB: f64 = 1024.0 * 1024.0;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Effort {
    rounds: usize,
    /// Divides the sizes of what is shared.
    divisor: usize,
}

/// Measures what was asked for.
pub(super) fn command(asked: &Files) -> anyhow::Result<bool> {
    let effort =
        if asked.quick { Effort { rounds: 1, divisor: 20 } } else { Effort { rounds: 5, divisor: 1 } };
    let world = World::new()?;
    report::begin(asked.quick);
    for part in &asked.parts {
        match part {
            Part::Hashing => hashing::rows(&world, effort)?,
            Part::Publishing => publishing::rows(&world, effort)?,
            Part::Small => small::rows(&world, effort)?,
            Part::Memory => resident::rows(&world, effort)?,
        }
    }
    if world.nginx.is_none() || world.curl.is_none() {
        println!("\nnginx with curl: not measured, this machine lacks one of them");
    }
    Ok(true)
}

/// The middle, with the range in words.
fn spread(values: &[f64]) -> (f64, String) {
    let (least, most) = (percentile(values, 0.0), percentile(values, 100.0));
    (median(values), format!("{} to {}", report::figure(least), report::figure(most)))
}

/// One divided by the other, round by round.
fn ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

//! Several sources, each slower than the receiver: what they give together.

use std::fs;

use super::super::report::{Row, Target, figure, row};
use super::super::stats::{median, percentile};
use super::MIB;
use super::world::World;

/// Sources.
const SOURCES: usize = 4;
/// Seconds that one round is to take.
const SECONDS: u64 = 4;

pub(super) fn rows(world: &World, rounds: usize) -> anyhow::Result<()> {
    // Far below what one connection carries here, and not above what a link of 1 Gbit/s does.
    let each = (world.size / SECONDS / SOURCES as u64).min(30 << 20);
    let peers = world.peers(SOURCES, &["--upload-limit", &each.to_string()])?;
    let copy = world.memory().join("copy");
    let mut shares = Vec::new();
    let sum = (each * SOURCES as u64) as f64;
    let small = world.size.min(each * SOURCES as u64 * SECONDS);
    for _ in 0..rounds {
        let elapsed = world.get(&peers, &copy)?;
        fs::remove_file(&copy)?;
        shares.push(world.size as f64 / elapsed.as_secs_f64() / sum);
    }
    let (least, most) = (percentile(&shares, 0.0), percentile(&shares, 100.0));
    let remark = format!(
        "{} to {}; {} MiB/s each, {} MiB",
        figure(least),
        figure(most),
        figure(each as f64 / MIB),
        figure(small as f64 / MIB)
    );
    let name = format!("get from {SOURCES} sources with a limit each, rate / their sum");
    row(&Row { name, reached: median(&shares), unit: "", target: Target::AtLeast(0.95), remark });
    Ok(())
}

//! Keeping: `p2pci get` of the file, verified and synced, beside loops and programs that verify nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::report::{Row, Target, figure, row};
use super::super::stats::median;
use super::loops::{Bytes, receive};
use super::world::{Peers, Served, World};
use super::{MIB, ratio};

/// Where copies are kept, and what is to be reached there.
pub(super) struct Kept {
    name: &'static str,
    /// Least ratio to nginx with curl.
    curl: f64,
}

pub(super) const IN_MEMORY: Kept = Kept { name: "in memory", curl: 1.1 };
pub(super) const ON_DISK: Kept = Kept { name: "on disk", curl: 1.7 };

/// Rates in MiB a second of each round.
#[derive(Default)]
struct Rates {
    written: Vec<f64>,
    spliced: Vec<f64>,
    got: Vec<f64>,
    curl: Vec<f64>,
}

struct Round<'a> {
    world: &'a World,
    sender: Served,
    nginx: Option<Served>,
    peers: Peers,
    copy: PathBuf,
}

impl Round<'_> {
    fn measure(&self, rates: &mut Rates) -> anyhow::Result<()> {
        let size = self.world.size;
        let raw = |bytes| receive(self.sender.server.address, &self.sender.path, size, bytes);
        rates.written.push(self.rate(raw(Bytes::Written(&self.copy))?)?);
        rates.got.push(self.rate(self.world.get(&self.peers, &self.copy)?)?);
        rates.spliced.push(self.rate(raw(Bytes::Spliced(&self.copy))?)?);
        if let Some(nginx) = &self.nginx
            && let Some(elapsed) = self.world.curl(nginx, &self.copy)?
        {
            rates.curl.push(self.rate(elapsed)?);
        }
        Ok(())
    }

    /// The rate, with the copy out of the way of the next one.
    fn rate(&self, elapsed: Duration) -> anyhow::Result<f64> {
        fs::remove_file(&self.copy)?;
        Ok(self.world.size as f64 / MIB / elapsed.as_secs_f64())
    }
}

pub(super) fn rows(world: &World, rounds: usize, folder: &Path, kept: &Kept) -> anyhow::Result<()> {
    let (sender, nginx, peers) = (world.sender()?, world.nginx()?, world.peers(1, &[])?);
    let round = Round { world, sender, nginx, peers, copy: folder.join("copy") };
    let mut rates = Rates::default();
    for _ in 0..rounds {
        round.measure(&mut rates)?;
    }
    let Rates { written, spliced, got, curl } = rates;
    let rates = [("p2pci", &got), ("written", &written), ("spliced", &spliced), ("nginx with curl", &curl)];
    let behind = rates.map(|(name, rates)| format!("{name} {}", figure(median(rates)))).join(", ");
    let mut lines = vec![
        ("receiving and writing, verifying nothing", &written, Target::AtLeast(0.9)),
        ("splicing, verifying nothing", &spliced, Target::AtLeast(0.8)),
    ];
    if !curl.is_empty() {
        lines.push(("nginx with curl", &curl, Target::AtLeast(kept.curl)));
    }
    for (number, (other, rates, target)) in lines.into_iter().enumerate() {
        let (reached, range) = ratio(&got, rates);
        let remark = if number == 0 { format!("{range}; MiB/s: {behind}") } else { range };
        row(&Row { name: format!("get {}, rate / {other}", kept.name), reached, unit: "", target, remark });
    }
    Ok(())
}

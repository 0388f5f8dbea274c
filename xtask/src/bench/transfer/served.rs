//! Serving: the rate at which one file goes to a receiver that discards it, and what that costs the server.

use super::super::pin;
use super::super::report::{Row, Target, figure, row};
use super::super::stats::median;
use super::loops::{Bytes, receive};
use super::world::{Served, World};
use super::{MIB, ratio};

/// Rates in MiB a second, and CPU seconds a GiB, of each round.
#[derive(Default)]
struct Rounds {
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl Rounds {
    fn measure(&mut self, served: &Served, size: u64) -> anyhow::Result<()> {
        let before = served.server.cpu()?;
        let elapsed = receive(served.server.address, &served.path, size, Bytes::Discarded)?;
        let cpu = served.server.cpu()?.saturating_sub(before);
        self.rates.push(size as f64 / MIB / elapsed.as_secs_f64());
        self.cpu.push(cpu.as_secs_f64() / (size as f64 / MIB / 1024.0));
        Ok(())
    }

    fn in_words(&self, name: &str) -> String {
        format!("{name} {} MiB/s, {} CPU-s/GiB", figure(median(&self.rates)), figure(median(&self.cpu)))
    }
}

pub(super) fn rows(world: &World, rounds: usize) -> anyhow::Result<()> {
    let peers = world.peers(1, &[])?;
    let (sender, nginx) = (world.sender()?, world.nginx()?);
    let _pinned = pin::to(pin::GENERATOR)?;
    let (mut ours, mut theirs, mut bare) = (Rounds::default(), Rounds::default(), Rounds::default());
    for _ in 0..rounds {
        for share in &peers.shares {
            ours.measure(share, world.size)?;
        }
        if let Some(nginx) = &nginx {
            theirs.measure(nginx, world.size)?;
        }
        bare.measure(&sender, world.size)?;
    }
    let behind =
        [ours.in_words("p2pci"), theirs.in_words("nginx"), bare.in_words("bare sendfile")].join("; ");
    if nginx.is_some() {
        let (rate, range) = ratio(&ours.rates, &theirs.rates);
        let name = "serving a file, rate / nginx".to_owned();
        row(&Row {
            name,
            reached: rate,
            unit: "",
            target: Target::AtLeast(0.95),
            remark: format!("{range}; {behind}"),
        });
        let (cpu, range) = ratio(&ours.cpu, &theirs.cpu);
        let name = "serving a file, server CPU / nginx".to_owned();
        row(&Row { name, reached: cpu, unit: "", target: Target::AtMost(1.05), remark: range });
    }
    let (rate, range) = ratio(&ours.rates, &bare.rates);
    let name = "serving a file, rate / bare sendfile".to_owned();
    row(&Row { name, reached: rate, unit: "", target: Target::None, remark: range });
    Ok(())
}

//! Runs worlds from the command line: many random ones, or one swarm to look at.

use std::io::{Write as _, stdout};

use sim::judge::judge;
use sim::scenario::Scenario;

/// Swarms that are shown.
const SWARMS: u64 = 5;

fn main() -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let mut words = std::env::args().skip(1);
    let (mut worlds, mut first, mut swarm) = (1000_u64, 0_u64, false);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse().ok());
        match word.as_str() {
            "--worlds" => worlds = number().ok_or_else(|| anyhow::anyhow!("--worlds of how many?"))?,
            "--seed" => {
                first = number().ok_or_else(|| anyhow::anyhow!("--seed of what number?"))?;
                worlds = 1;
            }
            "--swarm" => swarm = true,
            _ => anyhow::bail!("unknown argument '{word}'; there are --worlds N, --seed N and --swarm"),
        }
    }
    if swarm {
        for seed in first..first.saturating_add(worlds.min(SWARMS)) {
            show_swarm(&Scenario::swarm(8, 64, seed), &mut out)?;
        }
        return Ok(());
    }
    let (mut bad, mut events) = (0, 0);
    for seed in first..first.saturating_add(worlds) {
        let (report, faults) = judge(&Scenario::random(seed));
        events += report.events;
        if worlds == 1 {
            writeln!(out, "{report:#?}")?;
        }
        for fault in &faults {
            writeln!(out, "world {seed}: {fault}; again with --seed {seed}")?;
        }
        bad += u64::from(!faults.is_empty());
    }
    writeln!(out, "{worlds} worlds, {events} events, {bad} worlds with faults")?;
    anyhow::ensure!(bad == 0, "{bad} worlds with faults");
    Ok(())
}

/// One seed and eight downloaders, as the bench has them.
fn show_swarm(scenario: &Scenario, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let seed = scenario.seed;
    let (report, faults) = judge(scenario);
    let file = (f64::from(scenario.blocks) - 0.5) * 1_048_576.0;
    let bound = file / sim::scenario::MBIT_80;
    let last = report.outcomes.iter().map(|outcome| outcome.at).fold(0.0, f64::max);
    let twice: u32 = report.outcomes.iter().map(|outcome| outcome.twice).sum();
    writeln!(
        out,
        "seed {seed}: last done after {last:.2} s, {:.2} of the bound; the seed sent {:.2} of the file; {twice} blocks twice; {faults:?}",
        last / bound,
        report.sent.first().copied().unwrap_or_default() / file,
    )?;
    Ok(())
}

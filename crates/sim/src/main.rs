//! Runs worlds from the command line: many random ones, or one swarm to look at.

use std::io::{Write as _, stdout};

use sim::judge::judge;
use sim::scenario::Scenario;

/// Worlds that are played where nothing else is said.
const WORLDS: u64 = 1000;
/// Swarms that are shown.
const SWARMS: u64 = 5;

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    worlds: u64,
    first: u64,
    swarm: bool,
}

/// A seed alone is one world, to look at; `--worlds` counts from it, in whichever order they stand.
fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Asked> {
    let (mut worlds, mut first, mut swarm) = (None, None, false);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|text| text.parse::<u64>().ok());
        match word.as_str() {
            "--worlds" => worlds = Some(number().ok_or_else(|| anyhow::anyhow!("--worlds of how many?"))?),
            "--seed" => first = Some(number().ok_or_else(|| anyhow::anyhow!("--seed of what number?"))?),
            "--swarm" => swarm = true,
            _ => anyhow::bail!("unknown argument '{word}'; there are --worlds N, --seed N and --swarm"),
        }
    }
    let worlds = worlds.unwrap_or(if first.is_some() { 1 } else { WORLDS });
    Ok(Asked { worlds, first: first.unwrap_or(0), swarm })
}

fn main() -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let Asked { worlds, first, swarm } = read(std::env::args().skip(1))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_world_unless_their_number_is_said() {
        let asked = |text: &str| read(text.split_whitespace().map(str::to_owned)).unwrap();
        let of = |worlds, first| Asked { worlds, first, swarm: false };
        assert_eq!(asked(""), of(1000, 0));
        assert_eq!(asked("--seed 7"), of(1, 7));
        assert_eq!(asked("--worlds 20 --seed 7"), of(20, 7));
        assert_eq!(asked("--seed 7 --worlds 20"), of(20, 7));
    }
}

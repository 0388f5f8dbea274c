//! Runs simulations from the command line: many random ones, or one to look at.

mod asked;
mod worlds;

use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use sim::swarm::judge::judge;
use sim::swarm::scenario::{MBIT_80, Scenario};

use self::asked::{Asked, What};

/// Swarms that are shown.
const SWARMS: usize = 5;

fn main() -> ExitCode {
    match simulate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where nobody hears it the exit code says it.
            let _ = writeln!(stderr(), "sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn simulate() -> anyhow::Result<()> {
    let mut out = stdout().lock();
    let asked = asked::read(std::env::args().skip(1))?;
    match asked.what {
        What::Systems => worlds::play_all(&asked, &mut out),
        What::World(seed) => worlds::play(seed, &mut out),
        What::Plans => play_swarms(&asked, &mut out),
        What::Shown => asked
            .seeds()
            .take(SWARMS)
            .try_for_each(|seed| show_swarm(&Scenario::swarm(8, 64, seed), &mut out)),
    }
}

/// The plans of downloads alone.
fn play_swarms(asked: &Asked, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let (mut swarms, mut bad, mut events, mut banned) = (0_u64, 0, 0, 0);
    for seed in asked.seeds() {
        swarms += 1;
        let (report, faults) = judge(&Scenario::random(seed));
        events += report.events;
        banned += report.outcomes.iter().map(|outcome| outcome.banned.len()).sum::<usize>();
        if asked.is_one() {
            writeln!(out, "{report:#?}")?;
        }
        for fault in &faults {
            writeln!(out, "swarm {seed}: {fault}; again with --plans --seed {seed}")?;
        }
        bad += u64::from(!faults.is_empty());
    }
    writeln!(
        out,
        "{swarms} swarms from seed {}, {events} events, {banned} liars banned by a downloader after one block each, {bad} swarms with faults",
        asked.first
    )?;
    anyhow::ensure!(bad == 0, "{bad} swarms with faults");
    Ok(())
}

/// One seed and eight downloaders, as the bench has them.
fn show_swarm(scenario: &Scenario, out: &mut impl std::io::Write) -> anyhow::Result<()> {
    let seed = scenario.seed;
    let (report, faults) = judge(scenario);
    let file = (f64::from(scenario.blocks) - 0.5) * 1_048_576.0;
    let bound = file / MBIT_80;
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

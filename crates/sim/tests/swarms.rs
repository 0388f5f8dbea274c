//! Random worlds keep their promises, and a world can be had again from its seed.

use std::time::Duration;

use sim::swarm::judge::judge;
use sim::swarm::scenario::{Host, MBIT_80, Nature, Role, Scenario};
use sim::swarm::world::run;

/// Here as many as take a moment without optimisation; `cargo xtask test` runs a thousand as they are released.
const WORLDS: u64 = 12;

#[test]
fn random_worlds_keep_every_promise() {
    for seed in 0..WORLDS {
        let (_, faults) = judge(&Scenario::random(seed));
        assert!(faults.is_empty(), "cargo xtask sim --seed {seed}: {faults:#?}");
    }
}

#[test]
fn the_same_seed_is_the_same_world_to_the_last_event() {
    let traces: Vec<_> = (0..3).map(|seed| run(&Scenario::random(seed))).collect();
    for (seed, first) in (0..).zip(&traces) {
        let again = run(&Scenario::random(seed));
        assert_eq!((&again.trace, again.events), (&first.trace, first.events));
    }
    assert!(traces.windows(2).all(|pair| pair[0].trace != pair[1].trace), "other seeds are other worlds");
}

#[test]
fn a_judge_who_is_asked_about_a_world_without_a_good_source_says_so() {
    let mut scenario = Scenario::swarm(1, 4, 1);
    scenario.hosts[0].nature = Nature::Claims;
    let (_, faults) = judge(&scenario);
    assert_eq!(faults.len(), 2, "{faults:?}");
}

#[test]
fn eight_downloaders_are_near_the_bound_and_the_seed_sends_the_file_about_once() {
    for seed in 0..2 {
        let scenario = Scenario::swarm(8, 64, seed);
        let (report, faults) = judge(&scenario);
        assert!(faults.is_empty(), "{faults:?}");
        let file = 63.5 * 1_048_576.0;
        let last = report.outcomes.iter().map(|outcome| outcome.at).fold(0.0, f64::max);
        assert!(last < 1.3 * file / MBIT_80, "seed {seed}: {last} s");
        assert!(
            report.sent[0] < 1.2 * file,
            "seed {seed}: the seed sent {} of the file",
            report.sent[0] / file
        );
    }
}

#[test]
fn one_slow_and_one_killed_peer_hold_nobody_up() {
    for seed in 0..2 {
        let mut scenario = Scenario::swarm(8, 64, seed);
        (scenario.hosts[1].up, scenario.hosts[1].down) = (MBIT_80 / 10.0, MBIT_80 / 10.0);
        scenario.hosts[2].killed = Some(Duration::from_secs(4));
        let (report, faults) = judge(&scenario);
        assert!(faults.is_empty(), "{faults:?}");
        let others = report.outcomes.iter().filter(|outcome| outcome.host > 2);
        let last = others.map(|outcome| outcome.at).fold(0.0, f64::max);
        assert!(last < 1.7 * 63.5 * 1_048_576.0 / MBIT_80, "seed {seed}: {last} s");
    }
}

#[test]
fn seven_liars_of_eight_cost_seven_blocks_at_most() {
    let natures = [
        Nature::Wrong(1),
        Nature::Claims,
        Nature::Announces,
        Nature::OtherBlocks,
        Nature::Silent,
        Nature::Drips,
        Nature::Vanishes(1),
    ];
    for seed in 0..2 {
        let mut scenario = Scenario::swarm(1, 24, seed);
        scenario.hosts.extend(natures.map(|nature| Host { nature, ..Host::usual(Role::Seed) }));
        let (report, faults) = judge(&scenario);
        assert!(faults.is_empty(), "{faults:?}");
        assert!(report.outcomes[0].wrong.len() <= 1 && report.outcomes[0].took < 40.0, "{report:?}");
    }
}

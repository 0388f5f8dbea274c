//! What must hold in each world.

use proto::transfer::plan::Action;

use super::scenario::{Nature, Role, Scenario};
use super::world::{Report, run};

/// Runs a world; what is wrong with it, one sentence for each.
#[must_use]
pub fn judge(scenario: &Scenario) -> (Report, Vec<String>) {
    let report = run(scenario);
    let faults = faults(scenario, &report);
    (report, faults)
}

fn faults(scenario: &Scenario, report: &Report) -> Vec<String> {
    let mut faults = Vec::new();
    let nature = |host: usize| scenario.hosts[host].nature;
    let is_killed = |host: usize| scenario.hosts[host].killed.is_some();
    let liars = scenario.hosts.iter().filter(|host| matches!(host.nature, Nature::Wrong(_))).count();
    let good = scenario.hosts.iter().filter(|host| host.role == Role::Seed && host.nature == Nature::Good);
    if good.count() == 0 {
        faults.push("there is no good source".to_owned());
    }
    for outcome in &report.outcomes {
        let host = outcome.host;
        let is_done = outcome.end == Some(Action::Done);
        if !is_done && !is_killed(host) {
            faults.push(format!("host {host} did not end: {:?}, {} blocks", outcome.end, outcome.blocks));
        }
        if is_done && outcome.blocks != scenario.blocks {
            faults.push(format!("host {host} is done with {} blocks", outcome.blocks));
        }
        for banned in outcome.banned.iter().filter(|host| !matches!(nature(**host), Nature::Wrong(_))) {
            faults.push(format!("host {host} banned {banned}, which is {:?}", nature(*banned)));
        }
        for dropped in
            outcome.dropped.iter().filter(|host| !matches!(nature(**host), Nature::Drips | Nature::Silent))
        {
            faults.push(format!("host {host} dropped {dropped}, which is {:?}", nature(*dropped)));
        }
        if outcome.wrong as usize > liars {
            faults.push(format!("host {host} took {} wrong blocks from {liars} liars", outcome.wrong));
        }
    }
    faults
}

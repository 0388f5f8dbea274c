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
        // The first wrong block of a liar is its last: both lists are in the order in which it happened.
        if outcome.wrong != outcome.banned {
            faults.push(format!(
                "host {host} took wrong blocks of {:?} and banned {:?}",
                outcome.wrong, outcome.banned
            ));
        }
        let mut liars = outcome.wrong.clone();
        liars.sort_unstable();
        if liars.windows(2).any(|two| two[0] == two[1]) {
            faults
                .push(format!("host {host} took a second wrong block of the same liar: {:?}", outcome.wrong));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Host;
    use super::*;

    #[test]
    fn a_liar_that_is_not_banned_at_once_and_a_good_one_that_is_are_complained_of() {
        let mut scenario = Scenario::swarm(1, 4, 1);
        scenario.hosts.push(Host { nature: Nature::Wrong(1), ..Host::usual(Role::Seed) });
        let (report, faults_of_it) = judge(&scenario);
        assert!(faults_of_it.is_empty() && report.outcomes[0].wrong == [2], "{report:?}");
        let complaints = |wrong: &[usize], banned: &[usize]| {
            let mut report = report.clone();
            (report.outcomes[0].wrong, report.outcomes[0].banned) = (wrong.to_vec(), banned.to_vec());
            faults(&scenario, &report).len()
        };
        assert_eq!(complaints(&[2], &[2]), 0);
        assert_eq!(complaints(&[2], &[]), 1, "it was not banned");
        assert_eq!(complaints(&[2, 2], &[2]), 2, "it was banned late");
        assert_eq!(complaints(&[2], &[2, 0]), 2, "a good one was banned");
    }
}

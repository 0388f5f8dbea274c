//! How fast bytes flow: each host's rate is shared fairly by those who use it (max-min), as TCP does in the long run.

/// A flow from one host to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Flow {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// It can have no more than this, whatever is free.
    pub(crate) at_most: f64,
    /// Its share beside others: TCP is not exactly fair.
    pub(crate) weight: f64,
}

/// The rate of each flow. `up` and `down` are what each host can send and receive.
pub(crate) fn rates(flows: &[Flow], up: &[f64], down: &[f64]) -> Vec<f64> {
    let hosts = up.len();
    let mut free: Vec<f64> = up.iter().chain(down).copied().collect();
    let mut users = vec![0.0; hosts * 2];
    let mut rates = vec![0.0; flows.len()];
    let mut open: Vec<usize> = (0..flows.len()).collect();
    for flow in flows {
        users[flow.from] += flow.weight;
        users[hosts + flow.to] += flow.weight;
    }
    while !open.is_empty() {
        // The narrowest place decides for all who pass it.
        let share = |place: usize| free[place] / users[place].max(f64::MIN_POSITIVE);
        let fair = |flow: &Flow| share(flow.from).min(share(hosts + flow.to)).min(flow.at_most / flow.weight);
        let least = open.iter().map(|at| fair(&flows[*at])).fold(f64::INFINITY, f64::min);
        let (settled, rest): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|at| fair(&flows[*at]) <= least * 1.000_001);
        for at in settled {
            rates[at] = least * flows[at].weight;
            for place in [flows[at].from, hosts + flows[at].to] {
                free[place] = (free[place] - rates[at]).max(0.0);
                users[place] -= flows[at].weight;
            }
        }
        open = rest;
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_place_decides_and_what_is_left_is_used() {
        let flow = |from, to| Flow { from, to, at_most: f64::INFINITY, weight: 1.0 };
        let flows = [flow(0, 1), flow(0, 2), flow(3, 2)];
        // Host 2 receives 4 in all, so 0 can give 8 to host 1.
        let rates = rates(&flows, &[10.0, 0.0, 0.0, 100.0], &[100.0, 100.0, 4.0, 0.0]);
        assert_eq!(rates, [8.0, 2.0, 2.0]);
        let slow = super::rates(&[Flow { at_most: 1.0, ..flow(0, 1) }], &[10.0, 0.0], &[0.0, 10.0]);
        assert_eq!(slow, [1.0]);
    }
}

//! What a world is made of.

use std::time::Duration;

use fastrand::Rng;
use proto::transfer::blocks::BLOCK_BYTES;

use super::network::{HostId, Link};

/// The machine on which the index runs.
pub const INDEX: HostId = 0;

/// What runs on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// The index.
    Index,
    /// Shares these contents, by their numbers.
    Shares {
        /// Which.
        contents: Vec<usize>,
        /// The bytes on its disk are others than it says.
        lies: bool,
    },
    /// Fetches a content, and shares it then.
    Fetches {
        /// Which.
        content: usize,
        /// When it begins.
        starts: Duration,
    },
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// What runs on it.
    pub does: Does,
    /// How it is connected.
    pub link: Link,
    /// How long its disk takes at most for anything.
    pub slowest_disk: Duration,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A process is killed, and started again later.
    Kill {
        /// On which machine.
        host: HostId,
        /// Not at once but where the program makes something durable: before the so-manieth such moment from now on.
        at_sync: Option<u32>,
        /// For how long it is away.
        away: Duration,
    },
    /// A machine loses its power, and comes back later.
    PowerLoss {
        /// Which.
        host: HostId,
        /// As above.
        at_sync: Option<u32>,
        /// For how long it is away.
        away: Duration,
    },
    /// Nothing passes between two machines.
    Cut {
        /// Which.
        between: (HostId, HostId),
        /// For how long.
        lasts: Duration,
    },
    /// The calendar of all machines jumps.
    Jump {
        /// By so many seconds.
        seconds: i64,
    },
}

/// A world before it begins.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Decides all chance.
    pub seed: u64,
    /// Sizes of the contents in bytes.
    pub contents: Vec<u64>,
    /// Who is there; the first is the index.
    pub hosts: Vec<Host>,
    /// What goes wrong, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// From then on nothing goes wrong any more, and everybody is there.
    pub calm_at: Duration,
}

impl Scenario {
    /// Any world in which each content has an honest source.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let contents: Vec<u64> = (0..rng.usize(1..3)).map(|_| random_size(&mut rng)).collect();
        let mut hosts = vec![random_host(&mut rng, Does::Index)];
        for content in 0..contents.len() {
            let mut shared = vec![content];
            shared.extend((0..contents.len()).filter(|other| *other != content && rng.bool()));
            hosts.push(random_host(&mut rng, Does::Shares { contents: shared, lies: false }));
        }
        if rng.u8(0..3) == 0 {
            let contents = (0..contents.len()).collect();
            hosts.push(random_host(&mut rng, Does::Shares { contents, lies: true }));
        }
        for _ in 0..rng.usize(1..4) {
            let (content, starts) = (rng.usize(0..contents.len()), Duration::from_millis(rng.u64(0..20_000)));
            hosts.push(random_host(&mut rng, Does::Fetches { content, starts }));
        }
        let calm_at = Duration::from_secs(*rng.choice(&[20, 60, 300]).unwrap_or(&60));
        let mut faults: Vec<(Duration, Fault)> = (0..rng.usize(0..33))
            .map(|_| (calm_at.mul_f64(rng.f64()), random_fault(&mut rng, hosts.len(), calm_at)))
            .collect();
        faults.sort_by_key(|(at, _)| *at);
        Self { seed, contents, hosts, faults, calm_at }
    }
}

fn random_size(rng: &mut Rng) -> u64 {
    match rng.u8(0..6) {
        0 => rng.u64(1..BLOCK_BYTES),
        1 => BLOCK_BYTES * rng.u64(1..4),
        _ => rng.u64(BLOCK_BYTES..5 * BLOCK_BYTES),
    }
}

fn random_host(rng: &mut Rng, does: Does) -> Host {
    let rate = |rng: &mut Rng| 10f64.powf(5.5 + rng.f64() * 2.5);
    let link = Link {
        up: rate(rng),
        down: rate(rng),
        delay: Duration::from_micros(rng.u64(50..100_000)),
        loss: *rng.choice(&[0, 0, 200, 20]).unwrap_or(&0),
    };
    let slowest_disk = Duration::from_millis(*rng.choice(&[1, 1, 50, 3000]).unwrap_or(&1));
    Host { does, link, slowest_disk }
}

fn random_fault(rng: &mut Rng, hosts: usize, calm_at: Duration) -> Fault {
    // Short and long ones alike.
    let away = |rng: &mut Rng| Duration::from_secs_f64(10f64.powf(rng.f64() * 3.5 - 1.0));
    let host = rng.usize(0..hosts);
    match rng.u8(0..9) {
        0..3 => {
            let at_sync = rng.bool().then(|| rng.u32(0..3));
            Fault::Kill { host, at_sync, away: away(rng) }
        }
        3..6 => {
            let at_sync = rng.bool().then(|| rng.u32(0..3));
            Fault::PowerLoss { host, at_sync, away: away(rng) }
        }
        6..8 => {
            let other = (host + rng.usize(1..hosts)) % hosts;
            Fault::Cut { between: (host, other), lasts: away(rng).min(calm_at) }
        }
        _ => Fault::Jump { seconds: rng.i64(-100_000_000..100_000_000) },
    }
}

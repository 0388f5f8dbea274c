//! What a world is made of.

use std::time::Duration;

use fastrand::Rng;
use proto::transfer::plan::Pace;

/// Bytes a second of a link of 80 Mbit/s, with what headers take away.
pub const MBIT_80: f64 = 10_000_000.0 * 1448.0 / 1514.0;

/// How a host behaves as a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Sends what it is asked for.
    Good,
    /// One block in so many is wrong.
    Wrong(u32),
    /// Says that it has everything, and has nothing.
    Claims,
    /// Says over and over that everything is on its way to it.
    Announces,
    /// Answers with other blocks than those that were asked for.
    OtherBlocks,
    /// Takes requests and says nothing.
    Silent,
    /// Brings one byte a second.
    Drips,
    /// Is gone after so many blocks.
    Vanishes(u32),
}

/// What a host is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Has the file.
    Seed,
    /// Wants the file.
    Downloader,
}

/// A host.
#[derive(Debug, Clone)]
pub struct Host {
    /// What it is there for.
    pub role: Role,
    /// How it behaves towards others; whoever downloads is good.
    pub nature: Nature,
    /// Bytes a second that it can send, all together.
    pub up: f64,
    /// Bytes a second that it can receive, all together.
    pub down: f64,
    /// From it to the middle of the net.
    pub delay: Duration,
    /// When it starts.
    pub starts: Duration,
    /// When it is killed.
    pub killed: Option<Duration>,
}

impl Host {
    /// One with a rate of 80 Mbit/s each way that is there from the start.
    pub fn usual(role: Role) -> Self {
        let delay = Duration::from_micros(200);
        Self {
            role,
            nature: Nature::Good,
            up: MBIT_80,
            down: MBIT_80,
            delay,
            starts: Duration::ZERO,
            killed: None,
        }
    }
}

/// A world before it begins.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Decides all chance.
    pub seed: u64,
    /// Blocks of 1 MiB; the last one is half.
    pub blocks: u32,
    /// Who is there.
    pub hosts: Vec<Host>,
    /// How many bodies a host sends at once.
    pub at_once: usize,
    /// Connections that break or stand still, for each second of the world.
    pub faults_per_second: f64,
    /// How long it takes until others know of a host that has come.
    pub learnt_after: Duration,
    /// What the plans go by.
    pub pace: Pace,
}

impl Scenario {
    /// One seed and so many downloaders that start together, all of them usual.
    pub fn swarm(downloaders: usize, blocks: u32, seed: u64) -> Self {
        let mut hosts = vec![Host::usual(Role::Seed)];
        hosts.extend((0..downloaders).map(|_| Host::usual(Role::Downloader)));
        let learnt_after = Duration::from_millis(50);
        Self {
            seed,
            blocks,
            hosts,
            at_once: 64,
            faults_per_second: 0.0,
            learnt_after,
            pace: Pace::in_swarm(),
        }
    }

    /// Any world in which there is a good seed.
    pub fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut hosts = vec![random_host(&mut rng, Role::Seed)];
        hosts.extend((0..rng.usize(1..6)).map(|_| random_host(&mut rng, Role::Downloader)));
        for _ in 0..rng.usize(0..5) {
            let nature = random_nature(&mut rng);
            hosts.push(Host { nature, ..random_host(&mut rng, Role::Seed) });
        }
        for host in hosts.iter_mut().skip(1).filter(|host| host.role == Role::Downloader) {
            if rng.u8(0..4) == 0 {
                host.killed = Some(host.starts + Duration::from_millis(rng.u64(0..20_000)));
            }
        }
        // The good seed is not always the first of whom others hear.
        let first = rng.usize(0..hosts.len());
        hosts.swap(0, first);
        Self {
            seed,
            blocks: rng.u32(1..40),
            hosts,
            at_once: *rng.choice(&[4, 64]).unwrap_or(&64),
            faults_per_second: *rng.choice(&[0.0, 0.0, 0.3]).unwrap_or(&0.0),
            learnt_after: Duration::from_millis(rng.u64(1..1500)),
            pace: Pace::in_swarm(),
        }
    }
}

fn random_host(rng: &mut Rng, role: Role) -> Host {
    let rate = |rng: &mut Rng| 10f64.powf(5.3 + rng.f64() * 2.5);
    let starts = if role == Role::Seed { 0 } else { rng.u64(0..4000) };
    Host {
        role,
        nature: Nature::Good,
        up: rate(rng),
        down: rate(rng),
        delay: Duration::from_micros(rng.u64(50..100_000)),
        starts: Duration::from_millis(starts),
        killed: None,
    }
}

fn random_nature(rng: &mut Rng) -> Nature {
    match rng.u8(0..8) {
        0 => Nature::Good,
        1 => Nature::Wrong(rng.u32(1..5)),
        2 => Nature::Claims,
        3 => Nature::Announces,
        4 => Nature::OtherBlocks,
        5 => Nature::Silent,
        6 => Nature::Drips,
        _ => Nature::Vanishes(rng.u32(0..5)),
    }
}

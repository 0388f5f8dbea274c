//! `bench swarm`: one seed and many downloaders on hosts with a rate each, beside a BitTorrent swarm and a single server.
//!
//! What counts is the time from the start of the downloaders' processes until the last of them has its whole file, against the
//! bound that no scheme can beat, and against the others on the same links in the same run.

pub(crate) mod net;
mod programs;
mod torrent;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use self::net::Net;
use self::programs::{INTERRUPTED, Place, Running, System};
use super::asked::{Swarm, SwarmPart};
use super::report::{self, Row, Target};
use super::stats::median;
use crate::repository;

/// Bits a second of each host, each way.
const RATE: u64 = 80_000_000;
/// What a link carries beside the file: each 1448 bytes have 1514 on the wire.
const HEADERS: f64 = 1514.0 / 1448.0;
const DOWNLOADERS: usize = 8;
const MIB: u64 = 1024 * 1024;

/// What one run came to.
struct Run {
    times: Vec<Duration>,
    /// Bytes that the seed sent, as a part of the file.
    seed_sent: f64,
}

impl Run {
    fn last(&self) -> f64 {
        self.times.iter().max().copied().unwrap_or_default().as_secs_f64()
    }
}

/// Measures what was asked for.
pub(super) fn command(swarm: &Swarm) -> anyhow::Result<bool> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces with rates need root");
    end_in_order()?;
    let target = repository::metadata(&repository::root())?.target_directory;
    let memory = std::path::Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { target.join("bench") };
    let folder = base.join(format!("p2pci-swarm-{}", std::process::id()));
    let bytes = if swarm.quick { 16 * MIB } else { 64 * MIB };
    let place = Place { p2pci: target.join("release/p2pci"), folder, bytes, parts: target.join("parts") };
    report::begin(swarm.quick);
    let measured = place.prepare(DOWNLOADERS + 1).and_then(|()| measure(swarm, &place));
    std::fs::remove_dir_all(&place.folder).context("cannot remove the files of the measurement")?;
    measured.map(|()| true)
}

/// The default would end us and leave the namespaces behind.
fn end_in_order() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let signal = tokio::signal::ctrl_c();
            let _ = ready.send(());
            if signal.await.is_ok() {
                INTERRUPTED.store(true, Ordering::Relaxed);
            }
        });
    });
    is_ready.recv().context("no handler for Ctrl+C")
}

fn measure(swarm: &Swarm, place: &Place) -> anyhow::Result<()> {
    for part in &swarm.parts {
        match part {
            SwarmPart::Even => even(swarm, place)?,
            SwarmPart::Uneven => uneven(swarm, place)?,
            SwarmPart::Late => late(swarm, place)?,
            SwarmPart::Sources => sources(swarm, place)?,
            SwarmPart::Nginx => {
                let run = all_at_once(System::Nginx, place)?;
                row(
                    "one nginx and 8 curl, last done",
                    run.last(),
                    "s",
                    Target::None,
                    &format!("{:.2} of the bound", run.last() / bound(place)),
                );
            }
        }
    }
    Ok(())
}

/// Seconds that the file takes on one link.
fn bound(place: &Place) -> f64 {
    place.bytes as f64 * 8.0 * HEADERS / RATE as f64
}

fn row(name: &str, reached: f64, unit: &'static str, target: Target, remark: &str) {
    report::row(&Row { name: name.into(), reached, unit, target, remark: remark.into() });
}

fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{} runs, {least:.2} to {most:.2}", values.len())
}

/// Equal hosts that all start at once.
fn even(swarm: &Swarm, place: &Place) -> anyhow::Result<()> {
    let (mut ours, mut theirs, mut ratios, mut sent, mut sent_theirs) =
        (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..swarm.runs {
        let run = all_at_once(System::P2pci, place)?;
        if swarm.only_ours {
            println!("  {:.2} s, seed {:.2}", run.last(), run.seed_sent);
        } else {
            let other = all_at_once(System::Aria2, place)?;
            ratios.push(run.last() / other.last());
            theirs.push(other.last());
            sent_theirs.push(other.seed_sent);
        }
        ours.push(run.last());
        sent.push(run.seed_sent);
    }
    let bound = bound(place);
    let times: Vec<f64> = ours.iter().map(|time| time / bound).collect();
    row(
        "swarm, last of 8 done, of the bound",
        median(&times),
        "",
        Target::AtMost(1.25),
        &format!("{:.2} s; {}", median(&ours), spread(&ours)),
    );
    row("the seed sends, of the file", median(&sent), "", Target::AtMost(1.2), &spread(&sent));
    if !swarm.only_ours {
        row(
            "of aria2's time",
            median(&ratios),
            "",
            Target::AtMost(0.67),
            &format!("aria2 {:.2} s; {}", median(&theirs), spread(&theirs)),
        );
        row("aria2's seed sends, of the file", median(&sent_theirs), "", Target::None, &spread(&sent_theirs));
    }
    Ok(())
}

fn all_at_once(system: System, place: &Place) -> anyhow::Result<Run> {
    let net = Net::new(DOWNLOADERS + 1, RATE)?;
    let mut running = place.serve(system, &net, &[0])?;
    let hosts: Vec<usize> = (1..=DOWNLOADERS).collect();
    let before = net.sent(0)?;
    let began = Instant::now();
    for host in &hosts {
        place.fetch(system, &net, *host, &mut running)?;
    }
    let times = place.wait(system, &hosts, began)?;
    finish(place, &net, running, &hosts, times, before)
}

fn finish(
    place: &Place,
    net: &Net,
    running: Running,
    hosts: &[usize],
    times: Vec<Duration>,
    before: u64,
) -> anyhow::Result<Run> {
    let sent = net.sent(0)?.saturating_sub(before);
    drop(running);
    hosts.iter().try_for_each(|host| place.check(*host))?;
    place.tidy(DOWNLOADERS + 1)?;
    Ok(Run { times, seed_sent: sent as f64 / (place.bytes as f64 * HEADERS) })
}

/// One host has a tenth of the rate, another one is killed half-way: what the other six need.
fn uneven(swarm: &Swarm, place: &Place) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..swarm.runs {
        let net = Net::new(DOWNLOADERS + 1, RATE)?;
        let (slow, killed) = (1, 2);
        net.limit(slow, RATE / 10)?;
        let mut running = place.serve(System::P2pci, &net, &[0])?;
        let before = net.sent(0)?;
        let began = Instant::now();
        let first = running.count();
        for host in 1..=DOWNLOADERS {
            place.fetch(System::P2pci, &net, host, &mut running)?;
        }
        std::thread::sleep(Duration::from_secs_f64(bound(place) / 2.0).saturating_sub(began.elapsed()));
        running.kill(first + killed - 1)?;
        let hosts: Vec<usize> = (3..=DOWNLOADERS).collect();
        let done = place.wait(System::P2pci, &hosts, began)?;
        times.push(finish(place, &net, running, &hosts, done, before)?.last());
    }
    // Without the two, six want the file and seven can send it: the links to the six are the bound.
    let of_bound: Vec<f64> = times.iter().map(|time| time / bound(place)).collect();
    row(
        "one at a tenth, one killed: the others, of their bound",
        median(&of_bound),
        "",
        Target::AtMost(1.5),
        &format!("{:.2} s; {}", median(&times), spread(&times)),
    );
    Ok(())
}

/// Downloaders that come one a second; the slowest of them, measured from its own start.
fn late(swarm: &Swarm, place: &Place) -> anyhow::Result<()> {
    let mut slowest = Vec::new();
    for _ in 0..swarm.runs {
        let net = Net::new(DOWNLOADERS + 1, RATE)?;
        let mut running = place.serve(System::P2pci, &net, &[0])?;
        let before = net.sent(0)?;
        let began = Instant::now();
        let mut starts = Vec::new();
        for host in 1..=DOWNLOADERS {
            std::thread::sleep(Duration::from_secs(host as u64 - 1).saturating_sub(began.elapsed()));
            starts.push(began.elapsed());
            place.fetch(System::P2pci, &net, host, &mut running)?;
            // Who is done in the meantime was not slow; it is seen below.
        }
        let hosts: Vec<usize> = (1..=DOWNLOADERS).collect();
        let ends = place.ends(&hosts, began)?;
        let own = ends.iter().zip(&starts).map(|(end, start)| end.saturating_sub(*start).as_secs_f64());
        slowest.push(own.fold(0.0, f64::max));
        finish(place, &net, running, &hosts, ends, before)?;
    }
    let of_bound: Vec<f64> = slowest.iter().map(|time| time / bound(place)).collect();
    row(
        "one comes each second: the slowest, of its bound",
        median(&of_bound),
        "",
        Target::AtMost(1.5),
        &spread(&slowest),
    );
    Ok(())
}

/// Four sources, each with a quarter of the receiver's rate.
fn sources(swarm: &Swarm, place: &Place) -> anyhow::Result<()> {
    let mut rates = Vec::new();
    for _ in 0..swarm.runs {
        let net = Net::new(5, RATE)?;
        (0..4).try_for_each(|host| net.limit_each_way(host, RATE / 4, RATE))?;
        let mut running = place.serve(System::P2pci, &net, &[0, 1, 2, 3])?;
        let before = net.sent(0)?;
        let began = Instant::now();
        place.fetch(System::P2pci, &net, 4, &mut running)?;
        let done = place.wait(System::P2pci, &[4], began)?;
        let run = finish(place, &net, running, &[4], done, before)?;
        rates.push(bound(place) / run.last());
    }
    row(
        "four sources at a quarter each, of the sum",
        median(&rates),
        "",
        Target::AtLeast(0.95),
        &spread(&rates),
    );
    Ok(())
}

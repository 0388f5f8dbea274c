//! `cargo xtask soak`: one released index for as long as is wanted, peers that come and go all the time, and a look at its memory
//! and descriptors each second. What leaks shows as a slope.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::bench::server::{Kind, Programs, Server, wait_for};
use crate::repository;

pub(crate) const USAGE: &str = "  soak [--minutes M] [--peers N] [--churn N]
                     an index with N peers (5,000) of ten records, of which N a second (50) leave and as many join, beside
                     look-ups, LISTs, searches and pages; its memory must have no slope, nothing may fail
";

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    minutes: u64,
    peers: usize,
    churn: usize,
}

const RECORDS: u32 = 10;
/// The part of the time that is not looked at: buffers and tables grow to their size.
const WARM_UP: f64 = 0.25;
/// More than this is a leak.
const SLOPE_MAX: f64 = 1.0;
/// A slope over less time than this is noise, and only shown.
const JUDGED_FROM: Duration = Duration::from_secs(20 * 60);
const ANSWER: Duration = Duration::from_secs(20);
const MIB: f64 = 1_048_576.0;

pub(crate) fn parse(words: &[&str]) -> Result<Asked, String> {
    let mut asked = Asked { minutes: 60, peers: 5_000, churn: 50 };
    let pairs = words.chunks_exact(2);
    if let [extra] = pairs.remainder() {
        return Err(format!("unknown argument '{extra}', or its value is missing"));
    }
    for pair in pairs {
        let number = || pair[1].parse::<usize>().map_err(|_| format!("'{}' is no number", pair[1]));
        match pair[0] {
            "--minutes" => asked.minutes = number()? as u64,
            "--peers" => asked.peers = number()?,
            "--churn" => asked.churn = number()?,
            other => return Err(format!("unknown argument '{other}'")),
        }
    }
    Ok(asked)
}

/// One look at the index.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: f64,
    resident: f64,
    descriptors: usize,
}

/// Runs it; `false` when memory has a slope or descriptors have grown, which was printed then.
pub(crate) fn command(asked: Asked) -> anyhow::Result<bool> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let target = repository::metadata(&repository::root())?.target_directory;
    let server = Server::start(Kind::Index, &Programs::new(target, None)?)
        .context("cannot start the index; cargo build --release --package p2pci")?;
    let mut crowd = Crowd::new(server.address);
    for _ in 0..asked.peers {
        crowd.join()?;
    }
    let (started, length) = (Instant::now(), Duration::from_secs(asked.minutes * 60));
    let mut samples = Vec::new();
    for second in 1.. {
        for _ in 0..asked.churn {
            crowd.leave();
            crowd.join()?;
        }
        crowd.ask(second)?;
        samples.push(look(&server, started.elapsed().as_secs_f64())?);
        if started.elapsed() >= length {
            break;
        }
        let due = started + Duration::from_secs(second);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let expected = (asked.peers as u64, asked.peers as u64 * u64::from(RECORDS));
    let mut counted = (0, 0);
    let settled = wait_for("the index to have exactly the records of who is there", || {
        counted = crowd.counted().ok()?;
        (counted == expected).then_some(())
    });
    settled.with_context(|| format!("it has (peers, records) {counted:?}, and should have {expected:?}"))?;
    Ok(told(&samples, started.elapsed()))
}

/// Peers with one connection each, the oldest first.
#[derive(Debug)]
struct Crowd {
    index: SocketAddr,
    peers: VecDeque<TcpStream>,
    /// How many have ever joined.
    joined: u32,
}

impl Crowd {
    fn new(index: SocketAddr) -> Self {
        Self { index, peers: VecDeque::new(), joined: 0 }
    }

    /// One more, with records of its own; some of its numbers others have too.
    fn join(&mut self) -> anyhow::Result<()> {
        let mut requests = String::new();
        for at in 0..RECORDS {
            let number = 1 + (self.joined * 7 + at * 1_001) % 50_000;
            requests.push_str(&format!(
                "ADD RFC {number} P2P-CI/1.0\r\nHost: host{}\r\nPort: 5000\r\nTitle: Title {} of {}\r\n\r\n",
                self.joined, at, self.joined
            ));
        }
        let mut stream = connect(self.index)?;
        stream.write_all(requests.as_bytes())?;
        let mut answers = BufReader::new(&stream);
        for _ in 0..RECORDS {
            let said = answer(&mut answers)?;
            ensure!(said.starts_with("P2P-CI/1.0 200"), "a record was refused: {said:?}");
        }
        self.peers.push_back(stream);
        self.joined += 1;
        Ok(())
    }

    fn leave(&mut self) {
        self.peers.pop_front();
    }

    /// What others ask meanwhile.
    fn ask(&self, second: u64) -> anyhow::Result<()> {
        let number = 1 + second * 13 % 50_000;
        let lookup = format!("LOOKUP RFC {number} P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: t\r\n\r\n");
        let said = self.once(&lookup)?;
        ensure!(said.starts_with("P2P-CI/1.0 200") || said.starts_with("P2P-CI/1.0 404"), "LOOKUP: {said}");
        let pages =
            ["/metrics", "/api/v1/status", "/api/v1/files?limit=100", "/api/v1/search?query=title", "/"];
        let page = pages[second as usize % pages.len()];
        let request = format!("GET {page} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let said = self.once(&request)?;
        ensure!(said.starts_with("HTTP/1.1 200"), "{page}: {}", said.lines().next().unwrap_or("nothing"));
        if second.is_multiple_of(10) {
            let said = self.once("LIST ALL P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n\r\n")?;
            ensure!(said.starts_with("P2P-CI/1.0 200"), "LIST: {}", said.lines().next().unwrap_or("nothing"));
        }
        Ok(())
    }

    /// Peers and records, as the index counts them.
    fn counted(&self) -> anyhow::Result<(u64, u64)> {
        let said = self.once("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let gauge = |name: &str| {
            let value = said.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            value.map(|value| value as u64).with_context(|| format!("the metrics have no {name}"))
        };
        Ok((gauge("p2pci_peers ")?, gauge("p2pci_records ")?))
    }

    /// A connection for one question; everything that comes.
    fn once(&self, request: &str) -> anyhow::Result<String> {
        let mut stream = connect(self.index)?;
        stream.write_all(request.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut said = Vec::new();
        stream.read_to_end(&mut said)?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    }
}

fn connect(index: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(index).context("cannot connect")?;
    stream.set_read_timeout(Some(ANSWER))?;
    Ok(stream)
}

/// The status line of the answer to an ADD, which is read to its end: an empty line, the record, and another empty line.
fn answer(from: &mut impl std::io::BufRead) -> anyhow::Result<String> {
    let mut status = String::new();
    from.read_line(&mut status)?;
    for _ in 0..3 {
        ensure!(
            from.read_line(&mut String::new())? > 0,
            "the index closed within an answer that began with {status:?}"
        );
    }
    Ok(status)
}

fn look(server: &Server, at: f64) -> anyhow::Result<Sample> {
    let descriptors = fs::read_dir(format!("/proc/{}/fd", server.process()))?.count();
    Ok(Sample { at, resident: server.resident()? as f64, descriptors })
}

/// MiB an hour: the line with the least squares through what is resident.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (at, resident) = (mean(|sample| sample.at), mean(|sample| sample.resident));
    let above: f64 = samples.iter().map(|sample| (sample.at - at) * (sample.resident - resident)).sum();
    let below: f64 = samples.iter().map(|sample| (sample.at - at).powi(2)).sum();
    if below == 0.0 { 0.0 } else { above / below * 3600.0 / MIB }
}

fn told(samples: &[Sample], took: Duration) -> bool {
    let settled = &samples[(samples.len() as f64 * WARM_UP) as usize..];
    let range = |of: fn(&Sample) -> f64| {
        let values = settled.iter().map(of);
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (low, high) = range(|sample| sample.resident);
    let (fewest, most) = range(|sample| sample.descriptors as f64);
    let slope = slope(settled);
    println!("soak of {:.0} s, {} looks after the first quarter", took.as_secs_f64(), settled.len());
    println!("memory: {:.1} to {:.1} MiB, {slope:+.2} MiB an hour", low / MIB, high / MIB);
    println!("descriptors: {fewest} to {most}");
    let is_flat = slope < SLOPE_MAX || took < JUDGED_FROM;
    if !is_flat {
        println!("more than {SLOPE_MAX} MiB an hour is a leak");
    }
    let kept = most - fewest <= 200.0;
    if !kept {
        println!("descriptors may vary by 200: those who leave and join at the same time");
    }
    is_flat && kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_shows_as_a_slope() {
        let sample = |second: u32| Sample {
            at: f64::from(second),
            resident: 1e6 + f64::from(second) * MIB / 1800.0,
            descriptors: 1,
        };
        let samples: Vec<Sample> = (0..100).map(sample).collect();
        assert!((slope(&samples) - 2.0).abs() < 1e-6);
        assert!(slope(&samples[..1]).abs() < 1e-6);
        assert!(!told(&samples, JUDGED_FROM));
    }

    #[test]
    fn flags_are_read_or_named() {
        assert_eq!(parse(&["--minutes", "3"]), Ok(Asked { minutes: 3, peers: 5_000, churn: 50 }));
        assert!(parse(&["--minutes"]).is_err() && parse(&["--hours", "1"]).is_err());
    }
}

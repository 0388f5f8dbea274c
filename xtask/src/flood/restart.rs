//! An index that is killed and started again under thousands of peers that come back by themselves.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::bench::server::{Programs, Server};
use crate::repository;

const PEERS: usize = 10_000;
const RECORDS_EACH: usize = 10;
/// When the last record must be back.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// A busy machine may take so much longer before it counts as a hang.
const HANG: Duration = Duration::from_secs(150);
/// The first tries come within this time, and no part of it may see more than so many times the mean of all parts.
const FIRST: u64 = 5000;
const PART: u64 = 100;
const SPIKE: f64 = 3.0;

/// The peers, in a process of their own. Dropping it kills it.
struct Crowd {
    child: Child,
    told: Receiver<(u64, String)>,
    began: Instant,
}

impl Crowd {
    fn start(server: &Server, folder: &Path) -> anyhow::Result<Self> {
        let built = Command::new(repository::cargo())
            .args(["build", "--quiet", "--release", "--package", "peer", "--example", "crowd"])
            .current_dir(repository::root())
            .status()?;
        ensure!(built.success(), "the peers cannot be built");
        let program =
            repository::metadata(&repository::root())?.target_directory.join("release/examples/crowd");
        let mut command = Command::new(program);
        command.arg(server.address.to_string()).arg(folder).arg(PEERS.to_string());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let began = Instant::now();
        let out = child.stdout.take().context("it has no output")?;
        let (tell, told) = channel();
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let Some((at, what)) = line.split_once(' ') else { continue };
                if tell.send((at.parse().unwrap_or_default(), what.to_owned())).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, told, began })
    }

    /// Waits until every peer has registered everything; the moments of it, and of the tries before.
    fn all_registered(&self) -> anyhow::Result<(Vec<u64>, Vec<u64>)> {
        let (started, mut registered, mut tries) = (Instant::now(), Vec::new(), Vec::new());
        let whole = format!("registered {RECORDS_EACH}, refused 0");
        while registered.len() < PEERS {
            let left = HANG.saturating_sub(started.elapsed());
            let (at, what) = self.told.recv_timeout(left).with_context(|| {
                format!("of {PEERS} peers {} were registered after {HANG:?}", registered.len())
            })?;
            match what.as_str() {
                "tries" => tries.push(at),
                "lost" => {}
                what if what == whole => registered.push(at),
                // An index that was too slow with its first answer was taken for one of 1.0, until it was looked at again.
                "registered 0, refused 0" => {}
                what => bail!("a peer said: {what}"),
            }
        }
        Ok((registered, tries))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// See the module.
pub(super) fn run(server: Server, programs: &Programs) -> anyhow::Result<bool> {
    let place = tempfile::tempdir()?;
    let folder = place.path().join("crowd");
    fs::create_dir(&folder)?;
    for at in 0..RECORDS_EACH {
        fs::write(folder.join(format!("file{at}")), at.to_string())?;
    }
    let crowd = Crowd::start(&server, &folder)?;
    crowd.all_registered()?;
    let address = server.address;
    // Dropping it is a SIGKILL.
    let killed = u64::try_from(crowd.began.elapsed().as_millis())?;
    drop(server);
    let server = Server::again(address, programs)?;
    let down = crowd.began.elapsed().as_millis() as u64 - killed;
    let (mut back, tries) = crowd.all_registered()?;
    back.iter_mut().for_each(|at| *at = at.saturating_sub(killed));
    back.sort_unstable();
    let (half, most, last) = (back[PEERS / 2], back[PEERS * 99 / 100], back[PEERS - 1]);
    let records = server.records()?;
    ensure!(records == PEERS * RECORDS_EACH, "the index has {records} records in the end");
    let spike = spike(&tries, killed);
    println!(
        "{PEERS} peers with {RECORDS_EACH} records each; the index was away for {down} ms; records back after {:.1} s (half), {:.1} s (99 of 100), \
         {:.1} s (all; at most {}); in the first {} s no tenth of a second saw more than {spike:.2} times the mean of tries (at most {SPIKE})",
        half as f64 / 1e3,
        most as f64 / 1e3,
        last as f64 / 1e3,
        BACK_WITHIN.as_secs(),
        FIRST / 1000,
    );
    Ok(last <= BACK_WITHIN.as_millis() as u64 && spike <= SPIKE)
}

/// The most tries in any part of the first seconds after `killed`, in means.
fn spike(tries: &[u64], killed: u64) -> f64 {
    let mut parts = [0_u64; (FIRST / PART) as usize];
    for at in tries {
        if let Some(part) = parts.get_mut((at.saturating_sub(killed) / PART) as usize) {
            *part += 1;
        }
    }
    let mean = parts.iter().sum::<u64>() as f64 / parts.len() as f64;
    parts.iter().copied().max().unwrap_or_default() as f64 / mean.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_is_told_in_means() {
        let even: Vec<u64> = (0..5000).map(|at| 700 + at).collect();
        assert!((spike(&even, 700) - 1.0).abs() < 1e-9);
        let all_at_once = [800; 100];
        assert!((spike(&all_at_once, 700) - 50.0).abs() < 1e-9);
        assert!(spike(&[], 0) < 1.0);
    }
}

//! Memory of our own: what `share` and `get` hold while files travel, whatever their size.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;

use super::super::report::{Row, Target, row};
use super::super::server::anonymous;
use super::MIB;
use super::loops::{Bytes, receive};
use super::world::{Peers, World};

/// Transfers at once.
const TRANSFERS: usize = 64;
/// Most MiB of anonymous memory.
const MOST: f64 = 64.0;
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(5);

pub(super) fn rows(world: &World) -> anyhow::Result<()> {
    let peers = world.peers(1, &[])?;
    let (share, get) = (sharing(world, &peers)?, getting(world, &peers)?);
    let size = format!("{:.0} MiB", world.size as f64 / MIB);
    let names = [format!("share, {TRANSFERS} uploads at once"), "get of one file".to_owned()];
    for (name, reached) in names.into_iter().zip([share, get]) {
        let (name, target) = (format!("{name}, most anonymous memory"), Target::AtMost(MOST));
        row(&Row { name, reached: reached as f64 / MIB, unit: "MiB", target, remark: size.clone() });
    }
    Ok(())
}

/// The most that the peer holds while so many take all of the file at once.
fn sharing(world: &World, peers: &Peers) -> anyhow::Result<u64> {
    let Some(share) = peers.shares.first() else { return Ok(0) };
    let (address, done) = (share.server.address, AtomicBool::new(false));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..TRANSFERS)
            .map(|_| scope.spawn(|| receive(address, &share.path, world.size, Bytes::Discarded)))
            .collect();
        let watching = scope.spawn(|| most(share.server.id(), &done));
        let received: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        done.store(true, Ordering::Relaxed);
        ensure!(received.iter().all(|received| matches!(received, Ok(Ok(_)))), "an upload failed");
        Ok(watching.join().unwrap_or(0))
    })
}

/// The most that `get` holds.
fn getting(world: &World, peers: &Peers) -> anyhow::Result<u64> {
    let copy = world.memory().join("copy");
    let mut child = world.getter(peers, &copy).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut most = 0;
    let status = loop {
        // It reads as nothing once the process has ended.
        most = most.max(anonymous(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    ensure!(status.success(), "get failed");
    fs::remove_file(&copy)?;
    Ok(most)
}

fn most(process: u32, done: &AtomicBool) -> u64 {
    let mut most = 0;
    while !done.load(Ordering::Relaxed) {
        most = most.max(anonymous(process).unwrap_or(0));
        std::thread::sleep(LOOK);
    }
    most
}

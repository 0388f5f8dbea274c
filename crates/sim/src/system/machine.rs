//! The machine under one host, for the program's seam.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use net::machine::{Connecting, Inlet, Machine};

use super::disk::Disk;
use super::ends;
use super::network::{HostId, Network};

/// A machine: its place in the network, its disk, its run.
#[derive(Debug)]
pub(super) struct OwnMachine {
    host: HostId,
    network: Network,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: Rng,
    disk: Disk,
    /// How long the disk takes at most.
    slowest: Duration,
    run: u64,
    /// Before how many more moments at which something is made durable the power fails.
    fails_in: Option<u32>,
    /// The power has failed, and this is what is left.
    left: Option<BTreeMap<String, Vec<u8>>>,
}

impl OwnMachine {
    pub(super) fn new(host: HostId, network: Network, disk: Disk, slowest: Duration, seed: u64) -> Self {
        let rng = Rng::with_seed(seed ^ (host as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let state = State { rng, disk, slowest, run: 1, fails_in: None, left: None };
        Self { host, network, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> PathBuf {
        self.state().disk.folder().to_owned()
    }

    /// Every file as it is.
    pub(super) fn files(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        self.state().disk.files()
    }

    /// A process that is killed takes nothing away with it: what its end has removed is put back.
    pub(super) fn put_back(&self, files: BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        self.state().disk.put_back(files)
    }

    /// The power is to fail before the so-manieth moment from now on at which something is made durable; never with `None`.
    pub(super) fn fail_in(&self, syncs: Option<u32>) {
        self.state().fails_in = syncs;
    }

    /// The power fails. The process may go on for a moment, in vain.
    pub(super) fn lose_power(&self) -> io::Result<()> {
        let mut state = self.state();
        self.network.lose_power(self.host);
        self.fail(&mut state)
    }

    fn fail(&self, state: &mut State) -> io::Result<()> {
        state.left = Some(state.disk.left(&mut state.rng)?);
        state.fails_in = None;
        Ok(())
    }

    /// Whether the power has failed, and the process only does not know it yet.
    pub(super) fn is_dead(&self) -> bool {
        self.state().left.is_some()
    }

    /// The process is gone: what is left becomes the disk, and the next run is another one.
    pub(super) fn end_run(&self) -> io::Result<()> {
        let mut state = self.state();
        state.run += 1;
        match state.left.take() {
            Some(left) => state.disk.replace(left),
            None => Ok(()),
        }
    }

    /// Whether the power lasts until this is durable.
    fn lasts(&self, state: &mut State) -> bool {
        match &mut state.fails_in {
            _ if state.left.is_some() => return false,
            None => return true,
            Some(0) => {}
            Some(more) => {
                *more -= 1;
                return true;
            }
        }
        self.network.lose_power(self.host);
        self.fail(state).expect("a folder that was written can be read");
        false
    }
}

impl Machine for OwnMachine {
    fn connect(&self, to: SocketAddr) -> Connecting {
        ends::connect(&self.network, self.host, to)
    }

    fn listen(&self, port: u16) -> io::Result<Box<dyn Inlet>> {
        ends::listen(&self.network, self.host, port)
    }

    fn resolve(&self, host: &str) -> Option<IpAddr> {
        host.parse().ok()
    }

    fn disk_wait(&self) -> Duration {
        let mut state = self.state();
        let share = state.rng.f64();
        // Nearly always it is quick.
        state.slowest.mul_f64(share.powi(8))
    }

    fn synced(&self, file: BorrowedFd<'_>) {
        let mut state = self.state();
        if self.lasts(&mut state) {
            state.disk.synced(file).expect("a file that is synced can be read");
        }
    }

    fn folder_synced(&self, folder: BorrowedFd<'_>) {
        let mut state = self.state();
        if self.lasts(&mut state) {
            state.disk.folder_synced(folder).expect("a folder that is synced can be read");
        }
    }

    fn run(&self) -> [u8; 16] {
        u128::from(self.state().run).to_be_bytes()
    }
}

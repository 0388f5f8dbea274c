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

use super::disk::{Disk, Files, Remains};
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
    /// Before how many more moments at which something is made durable it comes to which end.
    ends_in: Option<(u32, End)>,
    /// It has come to its end, and this is what is left.
    left: Option<Left>,
}

/// How the run of a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is killed.
    Kill,
    /// The machine loses its power.
    PowerLoss,
}

#[derive(Debug)]
enum Left {
    AfterKill(Files),
    AfterPowerLoss(BTreeMap<String, Remains>),
}

impl OwnMachine {
    pub(super) fn new(host: HostId, network: Network, disk: Disk, slowest: Duration, seed: u64) -> Self {
        let rng = Rng::with_seed(seed ^ (host as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let state = State { rng, disk, slowest, run: 1, ends_in: None, left: None };
        Self { host, network, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where its files are.
    pub(super) fn folder(&self) -> PathBuf {
        self.state().disk.folder().to_owned()
    }

    /// The run is to end before the so-manieth moment from now on at which something is made durable; never with `None`.
    pub(super) fn end_in(&self, syncs: Option<(u32, End)>) {
        self.state().ends_in = syncs;
    }

    /// It ends now. The process may go on for a moment, in vain.
    pub(super) fn end(&self, how: End) -> io::Result<()> {
        self.end_now(&mut self.state(), how)
    }

    fn end_now(&self, state: &mut State, how: End) -> io::Result<()> {
        state.ends_in = None;
        state.left = Some(match how {
            End::Kill => Left::AfterKill(state.disk.files()?),
            End::PowerLoss => {
                self.network.lose_power(self.host);
                Left::AfterPowerLoss(state.disk.left(&mut state.rng)?)
            }
        });
        Ok(())
    }

    /// Whether the end has come, and the process only does not know it yet.
    pub(super) fn is_dead(&self) -> bool {
        self.state().left.is_some()
    }

    /// The process is gone. What it did in vain is taken back; after a loss of power the next run is another one.
    pub(super) fn clear_up(&self) -> io::Result<()> {
        let mut state = self.state();
        match state.left.take() {
            Some(Left::AfterPowerLoss(files)) => {
                state.run += 1;
                state.disk.replace(files)
            }
            Some(Left::AfterKill(files)) => state.disk.take_back(files),
            None => Ok(()),
        }
    }

    /// Whether the run lasts until this is durable.
    fn lasts(&self, state: &mut State) -> bool {
        let how = match &mut state.ends_in {
            _ if state.left.is_some() => return false,
            None => return true,
            Some((0, how)) => *how,
            Some((more, _)) => {
                *more -= 1;
                return true;
            }
        };
        self.end_now(state, how).expect("a folder that was written can be read");
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

    fn change_time(&self, file: BorrowedFd<'_>) -> i128 {
        self.state().disk.change_time(file).expect("an open file has a time of its last change")
    }

    fn run(&self) -> [u8; 16] {
        u128::from(self.state().run).to_be_bytes()
    }
}

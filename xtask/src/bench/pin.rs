//! Cores: the server has one, the generator the other, so that neither takes the other's time.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of every server that is measured.
pub(crate) const SERVER: usize = 0;
/// The core of the generator.
pub(crate) const GENERATOR: usize = 1;

/// Puts this thread on a core until the guard is dropped; what it starts meanwhile stays there.
pub(crate) fn to(core: usize) -> anyhow::Result<Pinned> {
    to_all(&[core])
}

/// The same on some cores.
pub(crate) fn to_all(cores: &[usize]) -> anyhow::Result<Pinned> {
    let before = sched_getaffinity(None).context("cannot ask on which cores we may run")?;
    let mut only = CpuSet::new();
    cores.iter().for_each(|core| only.set(*core));
    sched_setaffinity(None, &only).with_context(|| format!("there are no cores {cores:?} to measure on"))?;
    Ok(Pinned { before })
}

/// Gives the cores back.
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // We had them before, so this can only fail if they were taken from us meanwhile.
        let _ = sched_setaffinity(None, &self.before);
    }
}

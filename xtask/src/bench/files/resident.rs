//! Memory of our own while one very large file travels.

use std::fs::File;

use anyhow::ensure;

use super::running::{Asking, Known, Running};
use super::world::{Place, World};
use super::{Effort, MIB};
use crate::bench::report::{Row, Target, row};

/// Bytes of the file. It is sparse: its copy takes room, it does not.
const BYTES: u64 = 4 << 30;

pub(super) fn rows(world: &World, effort: Effort) -> anyhow::Result<()> {
    let folder = world.folder("sparse")?;
    let bytes = BYTES / effort.divisor as u64;
    File::create(folder.join("file"))?.set_len(bytes)?;
    let sharing = world.share(&folder)?;
    Asking::connect(sharing.index.address)?.wait(&["sparse/file".to_owned()], Known::Hash)?;
    let after_hashing = sharing.share.anonymous().unwrap_or(0);
    let into = world.copies(Place::Memory)?;
    let get = Running::start(world.get(&sharing, &["sparse/file"], &into), &folder.with_extension("log"))?;
    let (getting, status) = get.watch()?;
    ensure!(status.success(), "get failed");
    let sharing = sharing.share.anonymous().unwrap_or(0).max(after_hashing);
    let size = format!("one file of {:.0} MiB", bytes as f64 / MIB);
    for (name, reached) in [("share", sharing), ("get", getting)] {
        let name = format!("{name}, most anonymous memory");
        let reached = reached as f64 / MIB;
        row(&Row { name, reached, unit: "MiB", target: Target::AtMost(64.0), remark: size.clone() });
    }
    world.copies(Place::Memory).map(drop)
}

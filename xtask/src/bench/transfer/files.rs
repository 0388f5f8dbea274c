//! The file that travels and the folders for it; they are large, and gone when this ends.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// A folder that was not there before and will not be there afterwards. One that an interrupted run left is removed first.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(path: PathBuf) -> anyhow::Result<Self> {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).context("cannot clear a folder");
            }
            _ => {}
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Fails unless there is room for so many bytes.
    pub(super) fn needs(self, bytes: u64) -> anyhow::Result<Self> {
        let system = rustix::fs::statvfs(&self.0).context("cannot ask for free space")?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        let path = self.0.display();
        ensure!(free >= bytes, "{path} has {free} bytes free, and {bytes} are needed: --size makes it less");
        Ok(self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to be told; the next run tries again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a file of bytes that nothing can pack, no two MiB of them the same.
pub(super) fn fill(path: &Path, size: u64) -> anyhow::Result<()> {
    const PIECE: u64 = 1 << 20;
    let mut file = File::create(path)?;
    let mut random = fastrand::Rng::with_seed(size);
    let mut piece = vec![0; PIECE as usize];
    let mut left = size;
    while left > 0 {
        random.fill(&mut piece);
        let count = left.min(PIECE);
        file.write_all(piece.get(..count as usize).unwrap_or_default())?;
        left -= count;
    }
    Ok(())
}

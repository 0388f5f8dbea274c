//! Files as an index of 1.1 knows them, and contents to share.

use serde_json::Value;

use super::{Index, PATIENCE, run, wait_for};

/// A block of a verified download, in bytes.
pub(crate) const BLOCK: u64 = 1024 * 1024;

impl Index {
    /// Every file, as `list --json` shows it.
    pub(crate) fn files(&self) -> Vec<Value> {
        run(["list", "--json", "--server", &self.address()])
            .objects()
            .into_iter()
            .filter(|object| object["type"] == "file")
            .collect()
    }

    /// The names of all files, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.files().iter().filter_map(|file| file["name"].as_str().map(str::to_owned)).collect();
        names.sort_unstable();
        names
    }

    /// Waits until it lists exactly so many files and knows the hash of each; gives them.
    pub(crate) fn wait_hashed(&self, count: usize) -> Vec<Value> {
        wait_for(PATIENCE, &format!("{count} files with hashes"), || {
            let files = self.files();
            (files.len() == count && files.iter().all(|file| file["hash"].is_string())).then_some(files)
        })
    }
}

/// So many bytes, no two blocks the same, others for another seed.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

//! Blocks that go straight into the part, before anybody has looked at them: who may write where.
//!
//! Invariant: each place of the part has at most one writer, and that of a verified block has none, now and for ever. A block
//! that comes a second time meanwhile goes through memory; if it verifies first, the writer of the place is sent away.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use net::straight::Straight;
use proto::transfer::blocks::Layout;
use proto::transfer::runs::Runs;

use super::partial::Notes;

/// The places of one part. Clones are the same ones.
#[derive(Debug, Clone)]
pub(super) struct InPlace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    part: File,
    notes: Notes,
    layout: Layout,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Verified: not to be written again.
    verified: Runs,
    taken: HashMap<u32, Permission>,
    closed: bool,
}

/// Whether the writer of a place may write; held while it does.
type Permission = Arc<Mutex<bool>>;

/// The right to write one block where it belongs; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    places: Arc<Shared>,
    block: u32,
    /// Where it begins, in bytes.
    start: u64,
    may_write: Permission,
}

impl InPlace {
    pub(super) fn new(part: File, notes: Notes, layout: Layout, verified: Runs) -> Self {
        let state = Mutex::new(State { verified, taken: HashMap::new(), closed: false });
        Self(Arc::new(Shared { part, notes, layout, state }))
    }

    /// The right to write a block; `None` while somebody has it, and once the block is verified.
    pub(super) fn claim(&self, block: u32) -> Option<Arc<Claim>> {
        let start = self.0.layout.range(block)?.start;
        let mut state = self.0.state();
        if state.closed || state.verified.contains(block) || state.taken.contains_key(&block) {
            return None;
        }
        let may_write = Arc::new(Mutex::new(true));
        state.taken.insert(block, Arc::clone(&may_write));
        drop(state);
        Some(Arc::new(Claim { places: Arc::clone(&self.0), block, start, may_write }))
    }

    /// The block is, or will at once be, verified: nobody writes there any more. Waits for whoever is just writing.
    pub(super) fn settle(&self, block: u32) {
        let mut state = self.0.state();
        state.verified.insert(block);
        let taken = state.taken.remove(&block);
        drop(state);
        taken.iter().for_each(forbid);
    }

    /// Nobody writes anywhere any more.
    pub(super) fn close(&self) {
        let mut state = self.0.state();
        state.closed = true;
        let taken = std::mem::take(&mut state.taken);
        drop(state);
        taken.values().for_each(forbid);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change of it is one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forbid(permission: &Permission) {
    *permission.lock().unwrap_or_else(PoisonError::into_inner) = false;
}

impl Claim {
    /// Writes bytes of the block, from this one on. May wait for the disk.
    pub(super) fn put(&self, bytes: &[u8], from: u64) -> io::Result<()> {
        match *self.permission() {
            true => self.noted(|part| part.write_all_at(bytes, self.start.saturating_add(from))),
            false => Ok(()),
        }
    }

    /// Moves what came to where it belongs, from this byte of the block on. May wait for the disk.
    pub(super) fn land(&self, straight: &mut Straight, from: u64) -> io::Result<()> {
        let permission = self.permission();
        match *permission {
            true => self.noted(|part| straight.land(part, self.start.saturating_add(from))),
            false => straight.discard(),
        }
    }

    fn noted(&self, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
        let Shared { part, notes, .. } = &*self.places;
        notes.around(part, || write(part))
    }

    fn permission(&self) -> MutexGuard<'_, bool> {
        self.may_write.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if state.taken.get(&self.block).is_some_and(|taken| Arc::ptr_eq(taken, &self.may_write)) {
            state.taken.remove(&self.block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::transfer::journal::Subject;
    use proto::value::digest::Digest;

    fn places(size: u64) -> (InPlace, File) {
        let part = tempfile::tempfile().unwrap();
        let layout = Layout::new(size).unwrap();
        let subject = Subject { root: Digest([7; 32]), layout };
        let notes = Notes::new(tempfile::tempfile().unwrap(), &subject);
        (InPlace::new(part.try_clone().unwrap(), notes, layout, Runs::default()), part)
    }

    fn bytes(part: &File) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(part.metadata().unwrap().len()).unwrap()];
        part.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn a_place_has_one_writer_and_a_verified_block_none() {
        let (places, part) = places(3 << 20);
        let first = places.claim(1).unwrap();
        assert!(places.claim(1).is_none() && places.claim(3).is_none());
        first.put(b"abc", 1 << 10).unwrap();
        assert!(bytes(&part).ends_with(b"\0abc"));
        drop(first);
        let second = places.claim(1).unwrap();
        // Another source's copy verifies: what this one still brings is thrown away.
        places.settle(1);
        let before = bytes(&part);
        second.put(b"xyz", 1 << 10).unwrap();
        assert!(bytes(&part) == before);
        drop(second);
        assert!(places.claim(1).is_none());
    }

    #[test]
    fn nobody_writes_once_it_is_closed() {
        let (places, part) = places(3 << 20);
        let claim = places.claim(0).unwrap();
        places.close();
        claim.put(b"abc", 0).unwrap();
        assert!(bytes(&part).is_empty() && places.claim(2).is_none());
    }
}

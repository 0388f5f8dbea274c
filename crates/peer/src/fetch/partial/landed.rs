//! Blocks that lie in the part already when they are looked at.

use std::io;

use net::straight::Straight;
use proto::transfer::blocks::BlockList;
use proto::transfer::runs::Runs;

use super::Open;
use crate::fetch::in_place::InPlace;
use crate::files;

/// Bytes looked at together: they stay in the core's cache while they are hashed.
const LOOKED_AT: usize = 64 * 1024;

impl Open {
    /// Places for blocks that go straight into the part; `None` where the system has no such way.
    pub(in crate::fetch) fn in_place(&self, there: &Runs) -> Option<InPlace> {
        Straight::new()?;
        Some(InPlace::new(self.part.try_clone().ok()?, self.notes.clone(), self.layout, there.clone()))
    }

    /// Whether what lies in the part is the block.
    pub(in crate::fetch) fn holds(&self, block: u32, list: &BlockList) -> io::Result<bool> {
        let (Some(range), Some(mut check)) = (self.layout.range(block), list.check_in_pieces(block)) else {
            return Ok(false);
        };
        let mut buffer = vec![0; LOOKED_AT];
        let mut at = range.start;
        while at < range.end {
            let most = usize::try_from(range.end - at).unwrap_or(LOOKED_AT).min(LOOKED_AT);
            let count = files::read_full(&self.part, buffer.get_mut(..most).unwrap_or_default(), at)?;
            if count == 0 {
                return Ok(false);
            }
            check.update(buffer.get(..count).unwrap_or_default());
            at += count as u64;
        }
        Ok(check.is_passed())
    }

    /// Notes that a block lies in the part and is verified.
    pub(in crate::fetch) fn note(&mut self, block: u32) -> io::Result<()> {
        self.notes.done(block, &self.part)?;
        if let Some(range) = self.layout.range(block) {
            files::begin_writing_back(&self.part, range);
        }
        Ok(())
    }
}

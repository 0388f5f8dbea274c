//! The part of a file and its journal. Everything here blocks.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use net::machine;
use proto::limits::RESERVE_MAX;
use proto::transfer::blocks::{BlockList, Layout, TreeHasher};
use proto::transfer::journal::{self, Boot, ChangeTime, Record, Resumed, Subject};
use proto::transfer::runs::Runs;
use proto::value::digest::Digest;

use super::{Check, FetchError, Outcome};
use crate::files;
use crate::landing::{Landing, Settled};

mod landed;
mod notes;

pub(super) use notes::Notes;

/// Longest journal that is read, in bytes: twice what the largest file needs.
const JOURNAL_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes of the unit in which a file's room on the disk is counted.
const DISK_UNIT: u64 = 512;
/// Bytes hashed at once.
const HASHED: usize = 256 * 1024;

/// The part of a file, locked.
#[derive(Debug)]
pub(super) struct Partial {
    root: Digest,
    path: PathBuf,
    landing: Landing,
    part: File,
    /// What the journal is worth; `None` when there is none of this file.
    found: Option<(Layout, Resumed)>,
}

/// How it begins.
#[derive(Debug)]
pub(super) enum Begun {
    /// The content is there under its name; its length in bytes.
    Here(u64),
    /// There is something to do.
    Partial(Box<Partial>),
}

impl Partial {
    /// Locks the part of this target and reads what an earlier download left.
    pub(super) fn begin(path: &Path, force: bool, root: Digest) -> Result<Begun, FetchError> {
        let disk = |source| FetchError::disk(path, source);
        let landing_error = |error| FetchError::landing(path, error);
        let (mut landing, part) = Landing::open(path, force).map_err(landing_error)?;
        // A part that is empty is of no use to anybody.
        let begun_before = part.metadata().map_err(disk)?.len() > 0;
        landing.keep(begun_before);
        if let Some(existing) = landing.existing().map_err(landing_error)? {
            if hash_of(&existing).map_err(disk)? == root {
                // A download that died after it gave the name may have left it to the next one to make that durable, and whoever else
                // put the content there may have left that too.
                files::sync(&existing).map_err(disk)?;
                landing.sync().map_err(disk)?;
                landing.keep(false);
                // A rest of a download that died after its last step; most often there is none.
                let _ = landing.remove_journal();
                return Ok(Begun::Here(existing.metadata().map_err(disk)?.len()));
            }
            if !force {
                return Err(FetchError::Exists { path: path.into() });
            }
        }
        let found = match begun_before {
            true => read_journal(&landing, &part, root).map_err(disk)?,
            false => None,
        };
        Ok(Begun::Partial(Box::new(Self { root, path: path.into(), landing, part, found })))
    }

    /// The layout that an earlier download proved: its journal would not be there else.
    pub(super) fn proven(&self) -> Option<Layout> {
        self.found.as_ref().map(|(layout, _)| *layout)
    }

    /// Its size, if all of it is there from an earlier download, for which then nobody has to be asked.
    pub(super) fn is_whole(&self) -> Result<Option<u64>, FetchError> {
        let Some((layout, found)) = &self.found else { return Ok(None) };
        if found.verified.count() != layout.blocks() {
            return Ok(None);
        }
        let long_enough = self.part.metadata().map_err(|source| self.disk(source))?.len() >= layout.size();
        if found.trusted && long_enough {
            return Ok(Some(layout.size()));
        }
        let whole = hash_of(&self.part).map_err(|source| self.disk(source))? == self.root;
        Ok(whole.then_some(layout.size()))
    }

    /// Whether what is there has to be hashed again before it counts.
    pub(super) fn needs_hashing(&self) -> bool {
        self.found.as_ref().is_some_and(|(_, found)| !found.trusted && !found.verified.is_empty())
    }

    /// Goes on where the last download stopped, or begins: which blocks are there, and where to write further ones.
    pub(super) fn open(
        mut self,
        list: &BlockList,
        keep_free_percent: u8,
    ) -> Result<(Open, Runs), FetchError> {
        let layout = list.layout();
        self.check_room(&layout, keep_free_percent)?;
        let journal = self.landing.open_journal().map_err(|source| self.disk(source))?;
        self.landing.keep(true);
        let path = self.path.clone();
        let subject = Subject { root: self.root, layout };
        let found = self.found.filter(|(found, _)| *found == layout).map(|(_, resumed)| resumed);
        let mut open = Open {
            path: self.path,
            landing: self.landing,
            part: self.part,
            notes: Notes::new(journal, &subject),
            layout,
        };
        let verified = match found {
            Some(resumed) => open.go_on(resumed, list),
            None => open.start().map(|()| Runs::default()),
        };
        verified.map(|verified| (open, verified)).map_err(|source| FetchError::disk(&path, source))
    }

    /// Gives a part that [`Self::is_whole`] its name.
    pub(super) fn finish(self, size: u64, check: Option<&Check>) -> Result<Outcome, FetchError> {
        finish(self.landing, &self.part, &self.path, size, check, |_| {})
    }

    /// Whether there is room for what is missing, before anything is written.
    fn check_room(&self, layout: &Layout, keep_free_percent: u8) -> Result<(), FetchError> {
        let there = self.part.metadata().map_or(0, |part| part.blocks().saturating_mul(DISK_UNIT));
        let needed = layout.size().saturating_sub(there);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        match files::room(folder, keep_free_percent) {
            Ok(free) if needed > free => Err(FetchError::NoRoom { path: self.path.clone(), needed, free }),
            // Who cannot be asked says so when it is written to.
            _ => Ok(()),
        }
    }

    fn disk(&self, source: io::Error) -> FetchError {
        FetchError::disk(&self.path, source)
    }
}

/// A part that blocks are written to.
#[derive(Debug)]
pub(super) struct Open {
    path: PathBuf,
    landing: Landing,
    part: File,
    notes: Notes,
    layout: Layout,
}

impl Open {
    /// The part, for those who read from it.
    pub(super) fn shared(&self) -> io::Result<File> {
        self.part.try_clone()
    }

    /// Writes a verified block.
    pub(super) fn put(&mut self, block: u32, bytes: &[u8]) -> io::Result<()> {
        let Some(range) = self.layout.range(block) else { return Err(io::ErrorKind::InvalidInput.into()) };
        self.notes.around(&self.part, || {
            self.part.write_all_at(bytes, range.start)?;
            self.notes.done(block, &self.part)
        })?;
        files::begin_writing_back(&self.part, range);
        Ok(())
    }

    /// Makes the part durable and gives it its name; before that, when it does not change any more, it is shown.
    pub(super) fn finish(
        self,
        check: Option<&Check>,
        show: impl FnOnce(&File),
    ) -> Result<Outcome, FetchError> {
        finish(self.landing, &self.part, &self.path, self.layout.size(), check, show)
    }

    /// Removes a part to which no block ever came.
    pub(super) fn discard(mut self) {
        self.landing.keep(false);
        let _ = self.landing.remove_journal();
    }

    fn start(&mut self) -> io::Result<()> {
        // The journal first: what it said about the part is over.
        self.notes.begin()?;
        self.part.set_len(0)?;
        files::reserve(&self.part, self.layout.size().min(RESERVE_MAX))?;
        self.notes.append(&[Record::Opened(boot())])
    }

    fn go_on(&mut self, resumed: Resumed, list: &BlockList) -> io::Result<Runs> {
        let Resumed { mut verified, trusted, length } = resumed;
        self.notes.go_on(length as u64, verified.iter().next())?;
        if trusted {
            return Ok(verified);
        }
        let lost = self.lost(&verified, list)?;
        for block in &lost {
            verified.remove(*block);
        }
        // The losses come first: if we die in between, the next download hashes again.
        let mut records: Vec<Record> = lost.into_iter().map(Record::Lost).collect();
        records.push(Record::Opened(boot()));
        if let Some(there) = verified.iter().next() {
            records.push(Record::Done(there, change_time(&self.part)?));
        }
        self.notes.append(&records)?;
        Ok(verified)
    }

    /// Blocks that the journal names and that are not what they were.
    fn lost(&self, verified: &Runs, list: &BlockList) -> io::Result<Vec<u32>> {
        let mut buffer = Vec::new();
        let mut lost = Vec::new();
        for block in verified.iter() {
            let start = self.layout.range(block).unwrap_or_default().start;
            buffer.resize(usize::try_from(self.layout.block_len(block)).unwrap_or(0), 0);
            let filled = files::read_full(&self.part, &mut buffer, start)?;
            if !list.verify(block, buffer.get(..filled).unwrap_or_default()) {
                lost.push(block);
            }
        }
        Ok(lost)
    }
}

fn finish(
    mut landing: Landing,
    part: &File,
    path: &Path,
    size: u64,
    check: Option<&Check>,
    show: impl FnOnce(&File),
) -> Result<Outcome, FetchError> {
    let disk = |source| FetchError::disk(path, source);
    if part.metadata().map_err(disk)?.len() != size {
        part.set_len(size).map_err(disk)?;
    }
    if let Err(source) = files::sync(part) {
        // After that nobody knows what of the part is on the disk, so the journal must not vouch for it.
        let _ = landing.remove_journal();
        return Err(disk(source));
    }
    let passed = check.map_or(Ok(true), |Check(passes)| passes(part)).map_err(disk)?;
    if !passed {
        landing.keep(false);
        let _ = landing.remove_journal();
        return Err(FetchError::Refused { path: path.into() });
    }
    show(part);
    let settled = landing.settle(part).map_err(|error| FetchError::landing(path, error))?;
    // Also where somebody else gave it its name, who may have died since.
    landing.sync().map_err(disk)?;
    // A journal that stays is garbage to the next download, which removes it.
    let _ = landing.remove_journal();
    Ok(match settled {
        Settled::New => Outcome::Saved,
        Settled::Same => Outcome::AlreadyHere,
    })
}

fn read_journal(landing: &Landing, part: &File, root: Digest) -> io::Result<Option<(Layout, Resumed)>> {
    let journal = landing.open_journal()?;
    let bytes = files::beginning(&journal, journal_bytes(&journal)?)?;
    let Some(layout) = journal::layout_of(&bytes, root) else { return Ok(None) };
    let resumed = journal::read(&bytes, &Subject { root, layout }, change_time(part)?, boot());
    Ok(resumed.map(|resumed| (layout, resumed)))
}

fn journal_bytes(journal: &File) -> io::Result<usize> {
    Ok(usize::try_from(journal.metadata()?.len()).unwrap_or(usize::MAX).min(JOURNAL_BYTES_MAX))
}

/// The root hash of a whole file.
pub(super) fn hash_of(file: &File) -> io::Result<Digest> {
    let mut hasher = TreeHasher::new();
    let mut buffer = vec![0; HASHED];
    let mut at = 0;
    loop {
        let filled = files::read_full(file, &mut buffer, at)?;
        if filled == 0 {
            return Ok(hasher.finish().0);
        }
        hasher.update(buffer.get(..filled).unwrap_or_default());
        at += filled as u64;
    }
}

fn change_time(file: &File) -> io::Result<ChangeTime> {
    if let Some(machine) = machine::current() {
        return Ok(ChangeTime(machine.change_time(file.as_fd())));
    }
    let metadata = file.metadata()?;
    Ok(ChangeTime(i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())))
}

/// Which run of the machine this is; where the system does not say, each moment is another one.
fn boot() -> Boot {
    if let Some(machine) = machine::current() {
        return Boot(machine.run());
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    Boot(u128::from_str_radix(&digits, 16).unwrap_or_else(|_| now()).to_be_bytes())
}

//! What is there already, and whether there is room for what is not. Everything here blocks.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::Path;

use super::names::again;
use crate::fetch::partial::hash_of;
use crate::fetch::{FetchError, Request};
use crate::files::{self, Folder};

/// Files that are open at once to be made durable.
const OPEN_AT_ONCE: usize = 256;

/// What was found of a file: its length in bytes where its content is there already.
pub(super) type Here = Result<Option<u64>, FetchError>;

/// Looks at each file. Where there is no room for all of those that are missing in a folder, none of them is fetched: half of
/// them would be of little use, and a full disk harms everybody.
pub(super) fn look_at_all(requests: Vec<(usize, Request)>) -> Vec<(usize, Request, Here)> {
    let mut needed: HashMap<&Path, u64> = HashMap::new();
    let mut found: Vec<Here> = Vec::with_capacity(requests.len());
    for (_, request) in &requests {
        let here = look(request);
        if matches!(here, Ok(None)) {
            *needed.entry(folder(request)).or_default() += request.size.unwrap_or(0);
        }
        found.push(here);
    }
    make_durable(&requests, &mut found);
    let room = Rooms::of(&requests, &needed);
    for ((_, request), here) in requests.iter().zip(&mut found) {
        if matches!(here, Ok(None)) {
            *here = room.check(request).map(|()| None);
        }
    }
    drop(needed);
    requests.into_iter().zip(found).map(|((at, request), here)| (at, request, here)).collect()
}

/// A download that died after it gave names may have left it to the next one to make them durable, and whoever else put contents
/// there may have left that too.
fn make_durable(requests: &[(usize, Request)], found: &mut [Here]) {
    let is_here = |found: &Here| matches!(found, Ok(Some(_)));
    let here = requests.iter().zip(found.iter()).filter(|(_, found)| is_here(found));
    let here: Vec<&Request> = here.map(|((_, request), _)| request).collect();
    let Err(error) = sync_contents(&here).and_then(|()| sync_names(&here)) else { return };
    for ((_, request), found) in requests.iter().zip(found).filter(|(_, found)| is_here(found)) {
        *found = Err(FetchError::disk(&request.target, again(&error)));
    }
}

fn sync_contents(here: &[&Request]) -> io::Result<()> {
    // Few are open at once, and of many one of each lot stands for its file system.
    here.chunks(OPEN_AT_ONCE).try_for_each(|some| {
        let opened: io::Result<Vec<File>> = some.iter().map(|request| File::open(&request.target)).collect();
        files::sync_all(opened?.iter())
    })
}

fn sync_names(here: &[&Request]) -> io::Result<()> {
    let folders: BTreeSet<&Path> = here.iter().map(|request| folder(request)).collect();
    let opened: io::Result<Vec<Folder>> = folders.into_iter().map(Folder::open).collect();
    files::sync_folders(opened?.iter())
}

fn folder(request: &Request) -> &Path {
    request.target.parent().unwrap_or(Path::new("."))
}

/// What is missing on each disk, and what may be written there; by the disk's number.
#[derive(Default)]
struct Rooms {
    needed: HashMap<u64, u64>,
    free: HashMap<u64, u64>,
    disks: HashMap<std::path::PathBuf, u64>,
}

impl Rooms {
    fn of(requests: &[(usize, Request)], needed: &HashMap<&Path, u64>) -> Self {
        let mut rooms = Self::default();
        let Some((_, first)) = requests.first() else { return rooms };
        for (folder, bytes) in needed {
            // A folder that is not there, or cannot be asked, is named when a file is written.
            let Ok(disk) = files::disk_of(folder) else { continue };
            *rooms.needed.entry(disk).or_default() += bytes;
            if let Ok(free) = files::room(folder, first.keep_free_percent) {
                rooms.free.insert(disk, free);
            }
            rooms.disks.insert((*folder).into(), disk);
        }
        rooms
    }

    fn check(&self, request: &Request) -> Result<(), FetchError> {
        let disk = self.disks.get(folder(request));
        let both = disk.and_then(|disk| Some((*self.needed.get(disk)?, *self.free.get(disk)?)));
        match both {
            Some((needed, free)) if needed > free => {
                Err(FetchError::NoRoom { path: request.target.clone(), needed, free })
            }
            _ => Ok(()),
        }
    }
}

/// Whether the content is there already; then its length in bytes.
fn look(request: &Request) -> Result<Option<u64>, FetchError> {
    let path = &request.target;
    let disk = |source| FetchError::disk(path, source);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // That there is no folder shows when the file is written.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(disk(error)),
    };
    if !metadata.is_file() {
        return Err(FetchError::NotAFile { path: path.clone() });
    }
    match File::open(path).and_then(|file| hash_of(&file)).map_err(disk)? == request.hash {
        true => Ok(Some(metadata.len())),
        false if request.force => Ok(None),
        false => Err(FetchError::Exists { path: path.clone() }),
    }
}

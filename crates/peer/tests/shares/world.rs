//! A folder to share, a table that shares it, and what its threads told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use peer::notice::{Notice, Observer, ShareNotice};
use peer::shares::{CacheFolder, Options, Prefix, Published, Root, ShareTable, SharedFile};
use proto::value::digest::Digest;
use proto::value::file_name::FileName;

/// Longest wait for something that has to happen: far above the second that is promised, for busy machines.
const BOUND: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<ShareNotice>>);

impl Observer for Told {
    fn notice(&self, notice: Notice) {
        if let Notice::Shares(notice) = notice {
            self.0.lock().unwrap().push(notice);
        }
    }
}

pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) table: ShareTable,
    told: Arc<Told>,
}

pub(crate) fn options() -> Options {
    Options { home: None, cache: CacheFolder::Nowhere, ..Options::default() }
}

pub(crate) fn root(path: &Path) -> Root {
    Root { path: path.to_owned(), prefix: Prefix::OwnName }
}

pub(crate) fn name(name: &str) -> FileName<'_> {
    FileName::parse(name.as_bytes()).unwrap()
}

pub(crate) fn hash(content: impl AsRef<[u8]>) -> Digest {
    Digest(*blake3::hash(content.as_ref()).as_bytes())
}

/// Lets a file look as if it had been written long ago.
pub(crate) fn age(path: &Path) {
    let time = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + BOUND;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("share")).unwrap();
        Self { dir, table: ShareTable::new(), told: Arc::default() }
    }

    /// A path beside the shared folder `share`, or in it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The same, written long ago.
    pub(crate) fn write_old(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.write(path, content);
        age(&path);
        path
    }

    pub(crate) fn publish(&self, options: &Options) -> Published {
        self.publish_roots(&[root(&self.path("share"))], options)
    }

    pub(crate) fn publish_roots(&self, roots: &[Root], options: &Options) -> Published {
        let told: Arc<dyn Observer> = Arc::clone(&self.told) as _;
        self.table.publish(roots, options, &told).unwrap()
    }

    /// Ends the table and begins an empty one, as a restart of the program does.
    pub(crate) fn restart(&mut self) {
        self.table = ShareTable::new();
        self.told = Arc::default();
    }

    pub(crate) fn told(&self) -> Vec<ShareNotice> {
        self.told.0.lock().unwrap().clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.table.snapshot().into_iter().map(|file| file.name.to_string()).collect()
    }

    pub(crate) fn file(&self, name: &str) -> Option<SharedFile> {
        self.table.snapshot().into_iter().find(|file| &*file.name == name)
    }

    pub(crate) fn hash_of(&self, name: &str) -> Option<Digest> {
        self.file(name)?.hash
    }

    pub(crate) fn wait_until_hashed(&self) {
        wait_for("every hash", || self.table.snapshot().iter().all(|file| file.hash.is_some()));
    }

    /// Everything beneath the shared folder: names, sizes, times and contents.
    pub(crate) fn disk(&self) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
        let mut all = BTreeMap::new();
        let mut pending = vec![self.path("share")];
        while let Some(path) = pending.pop() {
            let metadata = path.symlink_metadata().unwrap();
            let content = if metadata.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            if metadata.is_dir() {
                pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            all.insert(path, (metadata.modified().unwrap(), content));
        }
        all
    }
}

//! A download goes on where it stopped, however it stopped, and however often.

mod kills;
mod parts;
mod proxy;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::transfer::blocks::Layout;
use proto::transfer::journal::{self, Boot, ChangeTime, Subject};
use proto::value::digest::Digest;
use serde_json::Value;

use crate::places::{empty_folder, hash_of, tree};
use crate::world::{Finished, Index, Process, Sharer, noise, p2pci, run_in};

/// A shared file and a folder into which it is fetched.
struct Download {
    index: Index,
    sharer: Sharer,
    root: PathBuf,
    content: Vec<u8>,
    hash: Digest,
    here: tempfile::TempDir,
    _outer: tempfile::TempDir,
}

impl Download {
    /// Of so many bytes, which the sharer sends at most this fast.
    fn new(size: u64, rate: &str) -> Self {
        let content = noise(42, usize::try_from(size).unwrap());
        let hash = hash_of(&content).parse().unwrap();
        let (outer, root) = tree("big", &[("file", &content)]);
        let index = Index::start();
        let sharer = Sharer::with(&root, &index.address(), &["--upload-limit", rate]);
        index.wait_hashed(1);
        Self { index, sharer, root, content, hash, here: empty_folder(), _outer: outer }
    }

    fn size(&self) -> u64 {
        self.content.len() as u64
    }

    /// Begins to fetch it, by its name or from a single peer.
    fn begin(&self, from: Option<&str>) -> Process {
        let mut command = p2pci(self.args(from));
        command.current_dir(self.here.path());
        Process::start(command)
    }

    /// Fetches it, to the end.
    fn run(&self, from: Option<&str>) -> Finished {
        run_in(self.here.path(), self.args(from))
    }

    fn args(&self, from: Option<&str>) -> Vec<String> {
        let target = from.map_or("big/file".to_owned(), |_| self.hash.to_string());
        let place = match from {
            Some(peer) => ["--from".to_owned(), peer.to_owned()],
            None => ["--server".to_owned(), self.index.address()],
        };
        let fixed = ["get", &target, "--json", "-o", "file"].map(str::to_owned);
        fixed.into_iter().chain(place).collect()
    }

    fn part(&self) -> PathBuf {
        self.here.path().join("file.p2pci-part")
    }

    fn journal(&self) -> PathBuf {
        self.here.path().join("file.p2pci-part.journal")
    }

    /// The blocks that the journal holds as verified.
    fn verified(&self) -> Vec<u32> {
        let bytes = fs::read(self.journal()).unwrap_or_default();
        let subject = Subject { root: self.hash, layout: Layout::new(self.size()).unwrap() };
        let read = journal::read(&bytes, &subject, ChangeTime(0), Boot([0; 16]));
        read.map(|resumed| resumed.verified.iter().collect()).unwrap_or_default()
    }

    /// Bytes of the verified blocks.
    fn verified_bytes(&self) -> u64 {
        let layout = Layout::new(self.size()).unwrap();
        self.verified().into_iter().map(|block| layout.block_len(block)).sum()
    }

    /// Begins, and kills it when so many blocks are verified.
    fn kill_after(&self, blocks: usize) {
        let mut getting = self.begin(None);
        crate::world::wait_for(Duration::from_secs(60), "some verified blocks", || {
            assert!(!getting.has_ended(), "it was too fast: {}", getting.stderr());
            (self.verified().len() >= blocks).then_some(())
        });
        getting.kill();
    }

    /// The download ended well: the file is whole, and nothing else is there. Gives what it told.
    fn whole(&self, got: &Finished) -> Fetched {
        assert_eq!(got.code, Some(0), "{}{}", got.text(), got.stderr);
        assert!(fs::read(self.here.path().join("file")).unwrap() == self.content, "the file differs");
        assert_eq!(crate::places::names_in(self.here.path()), ["file"]);
        let objects = got.objects();
        let object = objects.iter().find(|object| object["type"] == "fetched").expect("a last line");
        let number = |name: &str| object[name].as_u64().unwrap();
        let told = Fetched { fetched: number("fetched"), resumed: number("resumed") };
        assert_eq!(told.fetched + told.resumed, self.size(), "{object}");
        told
    }
}

/// What a download told of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fetched {
    fetched: u64,
    resumed: u64,
}

/// What a program says when it does not trust what is there.
const CHECKING: &str = "checking what is here from before";

/// Changes one byte of a file.
fn flip(path: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Bytes that all answers of a sharer had which came to their end.
fn uploaded(sharer: &mut Sharer) -> u64 {
    let lines = sharer.process().lines();
    let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|object| object["type"] == "uploaded").filter_map(|object| object["bytes"].as_u64()).sum()
}

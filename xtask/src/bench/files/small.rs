//! Many small files beside one file with as many bytes, and beside nginx with curl.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::ensure;

use super::running::{Asking, Known, Running};
use super::world::{Place, Sharing, World, timed, write_old};
use super::{Effort, ratios, spread};
use crate::bench::report::{Row, Target, figure, row};
use crate::bench::server::wait_for;
use crate::bench::stats::median;

const FILES: usize = 10_000;
const BYTES: usize = 10 * 1024;
/// Folders over which they are spread.
const FOLDERS: usize = 100;

/// Seconds of each round.
#[derive(Default)]
struct Rounds {
    large: Vec<f64>,
    small: Vec<f64>,
    curl: Vec<f64>,
}

pub(super) fn rows(world: &World, effort: Effort) -> anyhow::Result<()> {
    let root = world.folder("small")?;
    let files = FILES / effort.divisor;
    let mut random = fastrand::Rng::with_seed(3);
    fs::create_dir(root.join("files"))?;
    for folder in 0..FOLDERS {
        fs::create_dir(root.join("files").join(format!("{folder:02}")))?;
    }
    for number in 0..files {
        write_old(&root.join("files").join(name(number)), BYTES, &mut random)?;
    }
    // As many bytes in one file.
    write_old(&root.join("large"), files * BYTES, &mut random)?;
    let sharing = world.share(&root)?;
    let all: Vec<String> = (0..files).map(|number| format!("small/files/{}", name(number))).collect();
    let mut asking = Asking::connect(sharing.index.address)?;
    asking.wait(&["small/large".to_owned()], Known::Hash)?;
    asking.wait(&all, Known::Hash)?;
    let nginx = world.nginx.as_ref().map(|nginx| world.nginx(nginx, &root)).transpose()?;
    for (place, most) in [(Place::Memory, 4.0), (Place::Disk, 6.0)] {
        let mut rounds = Rounds::default();
        for _ in 0..effort.rounds {
            rounds.run(world, &sharing, nginx.as_ref(), place, files)?;
        }
        rounds.tell(place, files, most);
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("{:02}/f{number}", number % FOLDERS)
}

impl Rounds {
    fn run(
        &mut self,
        world: &World,
        sharing: &Sharing,
        nginx: Option<&(Running, u16)>,
        place: Place,
        files: usize,
    ) -> anyhow::Result<()> {
        let into = world.copies(place)?;
        self.large.push(timed(world.get(sharing, &["large"], &into))?.as_secs_f64());
        let into = world.copies(place)?;
        self.small.push(timed(world.get(sharing, &["-r", "small/files"], &into))?.as_secs_f64());
        check(&into.join("small/files"), files)?;
        if let (Some((_, port)), Some(curl)) = (nginx, &world.curl) {
            let into = world.copies(place)?;
            self.curl.push(with_curl(curl, *port, &into, place, files)?.as_secs_f64());
            check(&into, files)?;
        }
        // So that nobody pays for what was written before.
        world.copies(place).map(drop)
    }

    fn tell(&self, place: Place, files: usize, most: f64) {
        let place = if place == Place::Memory { "memory" } else { "disk" };
        let seconds = |name: &str, values: &[f64]| format!("{name} {} s", figure(median(values)));
        let behind = [seconds("one file", &self.large), seconds("small ones", &self.small)].join(", ");
        let (reached, range) = spread(&ratios(&self.small, &self.large));
        let name = format!("get -r of {files} files of 10 KiB to {place} / one file of as many bytes");
        let remark = format!("{range}; {behind}");
        row(&Row { name, reached, unit: "", target: Target::AtMost(most), remark });
        if !self.curl.is_empty() {
            let (reached, range) = spread(&ratios(&self.curl, &self.small));
            let name = format!("the same to {place}, rate / curl --parallel from nginx");
            let remark = format!("{range}; {}", seconds("curl", &self.curl));
            row(&Row { name, reached, unit: "", target: Target::AtLeast(3.0), remark });
        }
    }
}

/// curl is told all addresses at once. On the disk a `sync` of its file system belongs to it: we wait for the disk too.
fn with_curl(curl: &Path, port: u16, into: &Path, place: Place, files: usize) -> anyhow::Result<Duration> {
    let mut wanted = String::from("parallel\nsilent\nfail\ncreate-dirs\n");
    for number in 0..files {
        let (name, into) = (name(number), into.display());
        writeln!(wanted, "url = \"http://127.0.0.1:{port}/files/{name}\"\noutput = \"{into}/{name}\"")?;
    }
    let list = into.with_extension("curl");
    fs::write(&list, wanted)?;
    let mut command = Command::new(curl);
    // It shows its progress whatever it is told.
    command.arg("-K").arg(&list).stderr(Stdio::null());
    let mut elapsed = timed(command)?;
    if place == Place::Disk {
        let mut sync = Command::new("sync");
        sync.arg("-f").arg(into);
        elapsed += timed(sync)?;
    }
    fs::remove_file(list)?;
    Ok(elapsed)
}

/// Every file is there with its length.
fn check(folder: &Path, files: usize) -> anyhow::Result<()> {
    let there = wait_for("the folder to be read", || {
        (0..files).map(|number| fs::metadata(folder.join(name(number))).ok()).collect::<Option<Vec<_>>>()
    })?;
    ensure!(there.iter().all(|file| file.len() == BYTES as u64), "a file has another length");
    Ok(())
}

//! Threat I11: the wall clock jumps by years, on the real program. Its clock is the system's with a file of the test's in between
//! (`jumping.c`); what waits must not notice, and what is dated must.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::places::{empty_folder, tree};
use crate::world::v11::PING;
use crate::world::{
    BLOCK, Index, PATIENCE, Process, Sharer, http_get, noise, on_path, p2pci, skip, spec, wait_for,
};

const HOUR: i64 = 3600;
pub(crate) const YEAR: i64 = 365 * 24 * HOUR;

/// A clock that can be set, for programs that are started with it.
#[derive(Debug)]
pub(crate) struct Clock {
    _folder: TempDir,
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// The system's, until it is set; where there is no compiler, counts `test` as skipped.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !on_path("cc") {
            skip(test, "no C compiler here");
            return None;
        }
        let folder = empty_folder();
        let (source, library, file) =
            (folder.path().join("jumping.c"), folder.path().join("jumping.so"), folder.path().join("clock"));
        fs::write(&source, include_str!("clock/jumping.c")).unwrap();
        fs::write(&file, 0_i64.to_ne_bytes()).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source);
        assert!(cc.status().unwrap().success());
        Some(Self { _folder: folder, library, file })
    }

    /// The command with this clock.
    pub(crate) fn on(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", &self.library).env("P2PCI_TEST_CLOCK", &self.file);
        command
    }

    /// Sets it so many seconds before or after the system's.
    pub(crate) fn set(&self, ahead: i64) {
        let file = fs::OpenOptions::new().write(true).open(&self.file).unwrap();
        file.write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }
}

/// The date that an index tells.
fn told_date(index: &Index) -> SystemTime {
    let answer = http_get(index.port(), "/healthz");
    httpdate::parse_http_date(answer.header("Date").expect("a date")).expect("a date that can be read")
}

#[test]
fn i11_a_wall_clock_that_jumps_by_years_ends_no_wait_and_loses_no_record() {
    let test = "i11_a_wall_clock_that_jumps_by_years_ends_no_wait_and_loses_no_record";
    let Some(clock) = Clock::new(test) else { return };
    let index = Index::from_command(clock.on(p2pci(Index::args("127.0.0.1:0", &[]))));
    let bytes = noise(5, 4 * BLOCK as usize);
    let (_outer, root) = tree("some", &[("large", &bytes)]);
    let flags = ["--upload-limit", "512K"];
    let _sharer = Sharer::from_command(clock.on(p2pci(Sharer::args(&root, &index.address(), &flags))));
    index.wait_hashed(1);
    let mut old = index.raw();
    old.exchange(spec::add(1, "One", "127.0.0.1", 5001), spec::ok(&["RFC 1 One 127.0.0.1 5001"]));
    let mut watch = index.raw();
    watch.ask("WATCH ALL P2P-CI/1.1\r\n\r\n");
    let here = empty_folder();
    let mut get = p2pci(["get", "some/large", "--no-upload", "--server", &index.address()]);
    get.current_dir(here.path());
    let mut get = Process::start(clock.on(get));
    wait_for(PATIENCE, "the download to begin", || {
        here.path().join("large.p2pci-part").exists().then_some(())
    });
    let before = index.status();

    // Ahead and behind, by an hour, a day and a bit, and years; before 1970 as well.
    for ahead in [HOUR, -HOUR, 30 * HOUR, YEAR, -YEAR, 70 * YEAR, -60 * YEAR, 0] {
        let mut half = index.raw();
        let request = spec::lookup(1);
        let (first, rest) = request.split_at(10);
        half.send(first);
        clock.set(ahead);
        // A request of which half was there has as much time as before.
        half.exchange(rest, spec::ok(&["RFC 1 One 127.0.0.1 5001"]));
        old.exchange(spec::lookup(1), spec::ok(&["RFC 1 One 127.0.0.1 5001"]));
        assert!(index.raw().ask(PING).starts_with("P2P-CI/1.1 200 OK"), "{ahead}");
        let files = index.files();
        assert_eq!(files.len(), 2, "{ahead}: {files:?}");
        assert!(
            watch.is_silent_for(Duration::from_millis(100)),
            "{ahead}: something is said to have changed"
        );
        assert!(!get.has_ended() || get.exit_code(PATIENCE) == Some(0), "{ahead}: {}", get.stderr());
        // What is dated follows the clock, so it was indeed set.
        if ahead > -50 * YEAR {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
            let told = told_date(&index).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
            assert!((told - now - ahead).abs() < 60, "{ahead}: {told}, and it is {now}");
        } else {
            assert_eq!(
                http_get(index.port(), "/healthz").status,
                200,
                "before 1970 there is an answer as well"
            );
        }
    }
    assert_eq!(get.exit_code(PATIENCE), Some(0), "{}", get.stderr());
    assert!(fs::read(here.path().join("large")).unwrap() == bytes);
    wait_for(PATIENCE, "everything to be as before", || {
        let after = index.status();
        (after.records == before.records && after.tasks <= before.tasks).then_some(())
    });
    old.exchange(spec::lookup(1), spec::ok(&["RFC 1 One 127.0.0.1 5001"]));
}

//! What a service manager hears of an index and of a share.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::places::{empty_folder, folder};
use crate::world::{Index, PATIENCE, Process, p2pci};

/// A manager that wants a sign of life every two seconds at least.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn at(place: &Path) -> Self {
        let path = place.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    fn starts(&self, mut command: Command) -> Process {
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "2000000");
        Process::start(command)
    }

    /// Everything that is said until a line, and that too.
    fn hears(&self, line: &str) -> Vec<String> {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        while !heard.iter().any(|heard| heard == line) {
            let count =
                self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{line}: {error}; {heard:?}"));
            heard.extend(std::str::from_utf8(&buffer[..count]).unwrap().lines().map(str::to_owned));
        }
        heard
    }
}

#[test]
fn a_service_manager_hears_when_an_index_is_ready_alive_reading_again_and_stopping() {
    let place = empty_folder();
    let manager = Manager::at(place.path());
    let mut index = manager.starts(p2pci(Index::args("127.0.0.1:0", &[])));
    let heard = manager.hears("STATUS=0 peers, 0 records");
    assert_eq!(heard.first().map(String::as_str), Some("READY=1"), "{heard:?}");
    manager.hears("WATCHDOG=1");
    index.signal(Signal::HUP);
    let heard = manager.hears("RELOADING=1");
    assert!(heard.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{heard:?}");
    manager.hears("READY=1");
    index.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    assert_eq!(index.exit_code(PATIENCE), Some(0));
}

#[test]
fn a_service_manager_hears_when_a_share_is_ready_alive_and_stopping() {
    let (place, files, index) = (empty_folder(), folder(&[(1, "one")]), Index::start());
    let manager = Manager::at(place.path());
    let mut command = p2pci(["share", files.path().to_str().unwrap(), "--server", &index.address()]);
    command.arg("--state-dir").arg(place.path());
    let mut sharer = manager.starts(command);
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    sharer.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    assert_eq!(sharer.exit_code(PATIENCE), Some(0));
}

//! The vocabulary of the tests: programs that end with the test, raw conversations, texts, waits with a bound.

mod authority;
mod browser;
mod client;
mod engine;
mod files;
mod http;
mod index;
mod namespace;
mod process;
mod raw;
mod sharer;
pub(crate) mod spec;
mod texts;
pub(crate) mod v11;

pub(crate) use authority::Authority;
pub(crate) use browser::Browser;
pub(crate) use client::Client;
pub(crate) use engine::{Engine, EngineTls};
pub(crate) use files::{BLOCK, noise};
pub(crate) use http::{HttpAnswer, http, http_get};
pub(crate) use index::Index;
pub(crate) use namespace::{Namespace, ip};
pub(crate) use process::{Finished, Process, p2pci, p2pci_behind, run, run_command, run_in};
pub(crate) use raw::Raw;
pub(crate) use sharer::Sharer;
pub(crate) use texts::texts;

use std::io::Write;
use std::time::{Duration, Instant};

/// Bound of a wait that has no bound of its own: far above what any step takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Longest pause between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Waits until `condition` gives a value.
///
/// # Panics
/// When it has not after `bound`; `what` completes the sentence "waited … for".
pub(crate) fn wait_for<T>(bound: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < bound, "waited {bound:?} in vain for {what}");
        // What takes long may be noticed a little later, so that waiting does not keep the machine busy.
        std::thread::sleep(began.elapsed().div_f32(10.0).clamp(Duration::from_millis(2), LOOK_AGAIN));
    }
}

/// Whether a program is where the tests look for programs.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Says that a test cannot run here, and why; the run of all tests counts these lines.
pub(crate) fn skip(test: &str, reason: &str) {
    eprintln!("skipped {test}: {reason}");
    let Some(file) = std::env::var_os("P2PCI_SKIPS") else { return };
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
    writeln!(file, "{test}: {reason}").unwrap();
}

/// Whether this test may make namespaces and mounts.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Bytes as text in which every byte that is no printable ASCII shows, for messages.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

//! A network namespace of its own: addresses off loopback, on which nobody else listens.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{is_root, skip};

/// A namespace with addresses on its loopback interface. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// Makes one with these addresses (`ADDRESS/BITS`); where that is not allowed, counts `test` as skipped.
    pub(crate) fn with(test: &str, addresses: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            skip(test, "network namespaces need root");
            return None;
        }
        let name = format!("p2pci-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        if let Err(error) = ip(&["netns", "add", &name]) {
            skip(test, &format!("no network namespaces here: {error}"));
            return None;
        }
        let namespace = Self(name);
        ip(&["-n", &namespace.0, "link", "set", "lo", "up"]).unwrap();
        for address in addresses {
            ip(&["-n", &namespace.0, "address", "add", address, "dev", "lo", "nodad"]).unwrap();
        }
        Some(namespace)
    }

    /// Its name, for `ip -n`.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// What to put before a command that shall run in it.
    pub(crate) fn before(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.0]
    }

    /// Does something in it, such as connecting: a socket stays in the namespace in which it was made.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let place = File::open(format!("/run/netns/{}", self.0)).unwrap();
        // A thread of its own, because a thread that has moved does not come back.
        let moved = move || {
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(moved).join().unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What is left of it says so itself; the test's own result matters more.
        let _ = ip(&["netns", "delete", &self.0]);
    }
}

/// Runs `ip`; the error is what it said.
pub(crate) fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

//! A peer that shares a folder: `p2pci share`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Process, Raw, p2pci};

/// A running peer whose first registration is done.
#[derive(Debug)]
pub(crate) struct Sharer {
    process: Process,
    sharing: Value,
    registered: Value,
}

impl Sharer {
    /// Shares a folder at this index (`HOST:PORT`).
    pub(crate) fn start(folder: &Path, server: &str) -> Self {
        Self::with(folder, server, &[])
    }

    /// The same with more flags.
    pub(crate) fn with(folder: &Path, server: &str, flags: &[&str]) -> Self {
        Self::from_command(p2pci(Self::args(folder, server, flags)))
    }

    /// A peer started by a command that ends in [`Self::args`].
    pub(crate) fn from_command(command: Command) -> Self {
        let mut process = Process::start(command);
        let mut wait = |kind: &str| {
            process.wait_in_lines(&format!("the sharer's '{kind}' line"), |lines| {
                let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                objects.into_iter().find(|object| object["type"] == kind)
            })
        };
        let (sharing, registered) = (wait("sharing"), wait("registered"));
        Self { process, sharing, registered }
    }

    /// The arguments of a peer that shares a folder and says so in JSON.
    pub(crate) fn args<'a>(folder: &'a Path, server: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
        let folder = folder.to_str().expect("a path in UTF-8");
        [&["share", folder, "--server", server, "--json"], flags].concat()
    }

    /// Its upload port.
    pub(crate) fn port(&self) -> u16 {
        self.sharing["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("an upload port")
    }

    /// What to type after `--from` on this machine.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// What it said when it began to share.
    pub(crate) fn sharing(&self) -> &Value {
        &self.sharing
    }

    /// What it said when its first registration was done.
    pub(crate) fn registered(&self) -> &Value {
        &self.registered
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A new raw conversation with its upload server.
    pub(crate) fn raw(&self) -> Raw {
        Raw::connect(self.port())
    }
}

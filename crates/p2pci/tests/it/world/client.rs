//! The peer with a menu: `p2pci client`, driven by key strokes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{PATIENCE, Process, p2pci, wait_for};

/// A running client. What it says is read in order: each wait begins where the last one ended.
#[derive(Debug)]
pub(crate) struct Client {
    process: Process,
    read: usize,
}

impl Client {
    /// A client of this index (`HOST:PORT`) with this folder.
    pub(crate) fn start(folder: &Path, server: &str) -> Self {
        Self::with(folder, server, &[])
    }

    /// The same with more flags.
    pub(crate) fn with(folder: &Path, server: &str, flags: &[&str]) -> Self {
        let folder = folder.to_str().expect("a path in UTF-8");
        Self::from_command(p2pci([&["client", server, "--dir", folder], flags].concat()))
    }

    /// A client started by this command.
    pub(crate) fn from_command(command: Command) -> Self {
        Self { process: Process::start(command), read: 0 }
    }

    /// Waits until it has said this, and gives what it said since the last wait, this included.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let Self { process, read } = self;
        let end = wait_for(PATIENCE, &format!("the client to say {text:?}"), || {
            let ended = process.has_ended();
            let said = process.stdout();
            let found = find(&said[*read..], text.as_bytes()).map(|at| *read + at + text.len());
            let new = String::from_utf8_lossy(&said[*read..]);
            assert!(
                found.is_some() || !ended,
                "the client ended before {text:?}: {new}\n{}",
                process.stderr()
            );
            found
        });
        let said = String::from_utf8_lossy(&process.stdout()[*read..end]).into_owned();
        *read = end;
        said
    }

    /// Types a line.
    pub(crate) fn enter(&mut self, line: &str) {
        self.process.type_in(format!("{line}\n").as_bytes());
    }

    /// Waits for a prompt, then types a line; gives what was said up to the prompt.
    pub(crate) fn answer(&mut self, prompt: &str, line: &str) -> String {
        let said = self.until(prompt);
        self.enter(line);
        said
    }

    /// Waits for its end; gives its exit code and what it said since the last wait.
    pub(crate) fn ends(&mut self, bound: Duration) -> (Option<i32>, String) {
        let code = self.process.exit_code(bound);
        let said = String::from_utf8_lossy(&self.process.stdout()[self.read..]).into_owned();
        (code, said)
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

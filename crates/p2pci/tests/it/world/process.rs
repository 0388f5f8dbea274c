//! The binary as a process: its output is collected while it runs, and it does not outlive its owner.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, wait_for};

/// The binary with these arguments, without any setting from the environment of the tests.
pub(crate) fn p2pci<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    wrapped(Command::new(env!("CARGO_BIN_EXE_p2pci")), args)
}

/// The same behind another program, such as `ip netns exec NAME`, that becomes it.
pub(crate) fn p2pci_behind<S: AsRef<OsStr>>(before: &[&str], args: impl IntoIterator<Item = S>) -> Command {
    let (program, rest) = before.split_first().expect("a program to be behind");
    let mut command = Command::new(program);
    command.args(rest).arg(env!("CARGO_BIN_EXE_p2pci"));
    wrapped(command, args)
}

fn wrapped<S: AsRef<OsStr>>(mut command: Command, args: impl IntoIterator<Item = S>) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"P2PCI_") {
            command.env_remove(name);
        }
    }
    // Nor with the hashes that whoever runs the tests keeps.
    command.env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
    command.args(args);
    command
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Collected,
    stderr: Collected,
}

impl Process {
    /// Starts it with pipes to standard input, output and error.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            stdin: child.stdin.take(),
            stdout: Collected::from(child.stdout.take().expect("a pipe")),
            stderr: Collected::from(child.stderr.take().expect("a pipe")),
            child,
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line about memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Everything on its standard output so far.
    pub(crate) fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Everything on its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.bytes()).into_owned()
    }

    /// Every whole line of its standard output so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let bytes = self.stdout();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&bytes[..whole]).lines().map(str::to_owned).collect()
    }

    /// Waits for something in the lines of its standard output; fails at once when the program has ended without it.
    pub(crate) fn wait_in_lines<T>(&mut self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        wait_for(PATIENCE, what, || {
            let ended = self.has_ended();
            let found = find(&self.lines());
            assert!(
                found.is_some() || !ended,
                "the program ended before {what}\nstdout: {}\nstderr: {}",
                String::from_utf8_lossy(&self.stdout()),
                self.stderr()
            );
            found
        })
    }

    /// Whether it has ended and all that it wrote is here.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some() && self.stdout.is_whole() && self.stderr.is_whole()
    }

    /// Types into its standard input.
    pub(crate) fn type_in(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().expect("standard input was closed before").write_all(bytes).unwrap();
    }

    /// Ends its standard input.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end and gives its exit code; `None` when a signal ended it.
    pub(crate) fn exit_code(&mut self, bound: Duration) -> Option<i32> {
        wait_for(bound, "the program's end", || self.has_ended().then_some(()));
        self.child.wait().unwrap().code()
    }

    /// Kills it as `kill -9` does, and waits for its end.
    pub(crate) fn kill(&mut self) {
        // Killing what has already ended is no failure.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a thread has read from a pipe so far.
#[derive(Debug, Clone)]
struct Collected(Arc<Mutex<(Vec<u8>, bool)>>);

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let collected = Self(Arc::default());
        let filled = collected.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                filled.0.lock().unwrap().0.extend_from_slice(&buffer[..count]);
            }
            filled.0.lock().unwrap().1 = true;
        });
        collected
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }

    fn is_whole(&self) -> bool {
        self.0.lock().unwrap().1
    }
}

/// How a program ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output.
    pub(crate) stdout: Vec<u8>,
    /// Its standard error.
    pub(crate) stderr: String,
}

impl Finished {
    /// Its standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard output as JSON Lines.
    pub(crate) fn objects(&self) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a JSON object on each line"))
            .collect()
    }
}

/// Runs the binary to its end, with empty input.
pub(crate) fn run<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Finished {
    run_command(p2pci(args))
}

/// The same in a folder.
pub(crate) fn run_in<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Finished {
    let mut command = p2pci(args);
    command.current_dir(folder);
    run_command(command)
}

/// Runs a command to its end, with empty input.
pub(crate) fn run_command(command: Command) -> Finished {
    let mut process = Process::start(command);
    process.end_input();
    let code = process.exit_code(PATIENCE);
    Finished { code, stdout: process.stdout(), stderr: process.stderr() }
}

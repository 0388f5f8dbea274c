//! The index: `p2pci server`, with its log as events.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::{PATIENCE, Process, Raw, p2pci, wait_for};

/// A running index with its log in JSON.
#[derive(Debug)]
pub(crate) struct Index {
    process: Process,
    port: u16,
}

/// What the index says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Connections.
    pub(crate) peers: u64,
    /// Records.
    pub(crate) records: u64,
    /// Tasks.
    pub(crate) tasks: u64,
}

impl Index {
    /// An index on a free port of 127.0.0.1.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// The same with more flags.
    pub(crate) fn with(flags: &[&str]) -> Self {
        Self::on("127.0.0.1:0", flags)
    }

    /// An index that listens there.
    pub(crate) fn on(listen: &str, flags: &[&str]) -> Self {
        Self::from_command(p2pci(Self::args(listen, flags)))
    }

    /// An index started by a command that ends in [`Self::args`].
    pub(crate) fn from_command(command: Command) -> Self {
        let mut process = Process::start(command);
        let listening = process.wait_in_lines("the index to listen", |lines| lines.first().cloned());
        let listening: Value = serde_json::from_str(&listening).expect("the first line is a JSON object");
        assert_eq!(listening["type"], "listening", "{listening}");
        let port = listening["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        Self { process, port }
    }

    /// The arguments of an index that listens there and logs in JSON. It is warm from the start, so that what nobody has is told
    /// at once, unless the flags say otherwise.
    pub(crate) fn args<'a>(listen: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
        let warm: &[&str] = if flags.contains(&"--warm-up") { &[] } else { &["--warm-up", "0s"] };
        [&["server", "--listen", listen, "--log-format", "json"], warm, flags].concat()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What to type after `--server` on this machine.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A new raw conversation with it.
    pub(crate) fn raw(&self) -> Raw {
        Raw::connect(self.port)
    }

    /// The same from this address of 127.0.0.0/8.
    pub(crate) fn raw_from(&self, source: Ipv4Addr) -> Raw {
        Raw::connect_from(IpAddr::V4(source), SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// Everything that it has logged so far.
    ///
    /// # Panics
    /// When a line is no JSON object with a type and a time.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.process.lines().iter().map(|line| event(line)).collect()
    }

    /// Everything of this type that it has logged so far.
    pub(crate) fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// Waits for an event.
    pub(crate) fn wait_event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(PATIENCE, what, || self.events().into_iter().find(&wanted))
    }

    /// Asks it for its status. Twice: a line that it told by itself a moment before may come first.
    pub(crate) fn status(&self) -> Status {
        let before = self.events_of("status").len();
        let ask = |at: usize| {
            self.process.signal(Signal::USR1);
            wait_for(PATIENCE, "a status line", || self.events_of("status").into_iter().nth(at))
        };
        ask(before);
        let status = ask(before + 1);
        let number = |name: &str| status[name].as_u64().unwrap_or_else(|| panic!("no {name} in {status}"));
        Status { peers: number("peers"), records: number("records"), tasks: number("tasks") }
    }

    /// Its open file descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Ends it with SIGTERM and gives its exit code.
    pub(crate) fn stop(&mut self, bound: Duration) -> Option<i32> {
        self.process.signal(Signal::TERM);
        self.process.exit_code(bound)
    }
}

fn event(line: &str) -> Value {
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("no JSON: {error}: {line}"));
    assert!(event["type"].is_string() && event["time"].is_string(), "an event has a type and a time: {line}");
    event
}

//! One run of a command under strace, in which the N-th call of a kind fails, or in which the process is killed before it.
//!
//! strace counts by thread: where several threads come to their N-th call of a kind, it fails in each of them. So no call of any
//! thread is left out, and some runs have more than one fault.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// What happens at the N-th call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Blow {
    Error(&'static str),
    Kill,
}

/// Where it happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point<'a> {
    pub(super) call: &'a str,
    pub(super) blow: Blow,
    pub(super) nth: u32,
}

impl std::fmt::Display for Point<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.blow {
            Blow::Error(error) => write!(f, "{} number {} fails with {error}", self.call, self.nth),
            Blow::Kill => write!(f, "killed at {} number {}", self.call, self.nth),
        }
    }
}

/// What one run showed.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The command came as far as that call.
    pub(super) reached: bool,
    pub(super) status: ExitStatus,
    /// Both of its streams.
    pub(super) said: String,
    /// The fault was one that no system has, and it was ended early for that.
    pub(super) implausible: bool,
}

impl Outcome {
    /// Whether it ended as a program may: with an exit code, or killed where it was to be killed, and without a panic.
    pub(super) fn fault(&self, blow: Blow) -> Option<String> {
        if self.implausible {
            return None;
        }
        if ["internal error", "panicked at", "RUST_BACKTRACE"].iter().any(|words| self.said.contains(words)) {
            return Some(format!("it panicked: {}", self.said.trim()));
        }
        match (self.status.signal(), blow) {
            (Some(signal), Blow::Error(_)) => Some(format!("signal {signal} ended it: {}", self.said.trim())),
            _ => None,
        }
    }
}

/// The number of SIGKILL; strace ends by the signal that ended the command.
const KILLED: i32 = 9;
/// What the runtime says, or where it is, when it cannot wake itself up or hear of a signal. It does both by what lies within the process, an
/// eventfd and a pair of sockets: they fail with none of the errors that a file or a connection can have, and strace cannot tell them
/// apart. Such a run is ended and counts as a kill.
const IMPLAUSIBLE: [&str; 2] = ["runtime/io/driver.rs", "Bad read on self-pipe"];
/// How a trace shows that the handler of a signal could not tell of it: nobody will ever hear of that signal.
const SIGNAL_LOST: &str = "\"\\1\", 1, MSG_NOSIGNAL";

fn is_implausible(said: &str, trace: &str) -> bool {
    let is_lost = |line: &str| line.contains(SIGNAL_LOST) && line.contains("(INJECTED)");
    IMPLAUSIBLE.iter().any(|words| said.contains(words)) || trace.lines().any(is_lost)
}

/// How often a command that runs is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// No command of a torture takes longer than this on any machine; what does hangs.
const LIMIT: Duration = Duration::from_secs(90);

/// A command under strace. Dropping it kills both.
#[derive(Debug)]
pub(super) struct Injected {
    strace: Child,
    trace: PathBuf,
    said: PathBuf,
    started: Instant,
}

impl Injected {
    /// Starts it; its trace and what it says go to files of this folder.
    pub(super) fn start(command: &Command, point: Point<'_>, folder: &Path) -> anyhow::Result<Self> {
        let blow = match point.blow {
            Blow::Error(error) => format!("error={error}"),
            Blow::Kill => "signal=SIGKILL".to_owned(),
        };
        let call = point.call;
        let flags = ["-e".to_owned(), format!("inject={call}:{blow}:when={}", point.nth)];
        Self::spawn(command, call, &flags, folder)
    }

    fn spawn(command: &Command, traced: &str, flags: &[String], folder: &Path) -> anyhow::Result<Self> {
        let (trace, said) = (folder.join("trace"), folder.join("said"));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "signal=none", "-e", &format!("trace={traced}")]).args(flags);
        strace.arg("-o").arg(&trace).arg("--").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            strace.env(name, value.unwrap_or_default());
        }
        if let Some(at) = command.get_current_dir() {
            strace.current_dir(at);
        }
        let log = File::create(&said)?;
        strace.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let strace = strace.spawn().context("cannot start strace")?;
        Ok(Self { strace, trace, said, started: Instant::now() })
    }

    /// Everything that it has said so far.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.said).unwrap_or_default()).into_owned()
    }

    fn trace(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.trace).unwrap_or_default()).into_owned()
    }

    /// Whether a fault that no system has keeps it from going on.
    pub(super) fn is_implausible(&self) -> bool {
        is_implausible(&self.said(), &self.trace())
    }

    /// Whether it has ended.
    pub(super) fn ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.strace.try_wait()?.is_some())
    }

    /// Asks it to stop, as a service manager does. Who has ended already is not missed.
    pub(super) fn terminate(&self) {
        self.end(Signal::TERM);
    }

    fn end(&self, signal: Signal) {
        for pid in self.traced() {
            let _ = kill_process(pid, signal);
        }
    }

    fn traced(&self) -> Vec<Pid> {
        let children = format!("/proc/{0}/task/{0}/children", self.strace.id());
        let children = fs::read_to_string(children).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    }

    /// Waits until `done`, its end, or an implausible fault; `false` when none of them came in time.
    pub(super) fn wait_until(&mut self, mut done: impl FnMut(&str) -> bool) -> anyhow::Result<bool> {
        while !self.ended()? && !done(&self.said()) && !self.is_implausible() {
            if self.started.elapsed() > LIMIT {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
        Ok(true)
    }

    /// Waits for its end.
    pub(super) fn outcome(mut self) -> anyhow::Result<Outcome> {
        if !self.wait_until(|_| false)? {
            bail!("it hangs after having said: {}", self.said());
        }
        let implausible = self.is_implausible();
        if implausible {
            self.end(Signal::KILL);
        }
        let status = self.strace.wait()?;
        let reached = self.trace().contains("(INJECTED)") || status.signal() == Some(KILLED);
        Ok(Outcome { reached, status, said: self.said(), implausible })
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        self.end(Signal::KILL);
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// The kinds of calls in a trace of everything.
fn calls_in(trace: &str) -> BTreeSet<String> {
    let call = |line: &str| {
        let (_, rest) = line.split_once(char::is_whitespace)?;
        let (name, _) = rest.trim_start().split_once('(')?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_name && !name.is_empty()).then(|| name.to_owned())
    };
    trace.lines().filter_map(call).collect()
}

/// Runs a command in which nothing fails, and tells which calls it makes. `done` says when it is to be stopped.
pub(super) fn calls(
    command: &Command,
    folder: &Path,
    done: impl FnMut(&str) -> bool,
) -> anyhow::Result<(BTreeSet<String>, Outcome)> {
    let mut injected = Injected::spawn(command, "all", &[], folder)?;
    if !injected.wait_until(done)? {
        bail!("it hangs under strace after having said: {}", injected.said());
    }
    injected.terminate();
    let trace = injected.trace.clone();
    let outcome = injected.outcome()?;
    Ok((calls_in(&String::from_utf8_lossy(&fs::read(trace)?)), outcome))
}

/// Runs a command to its good end; the trace of these calls, with more flags for strace.
pub(super) fn traced(
    command: &Command,
    calls: &str,
    flags: &[String],
    folder: &Path,
) -> anyhow::Result<String> {
    let injected = Injected::spawn(command, calls, flags, folder)?;
    let trace = injected.trace.clone();
    let outcome = injected.outcome()?;
    ensure!(outcome.status.success(), "{command:?} fails without a fault: {}", outcome.said);
    Ok(String::from_utf8_lossy(&fs::read(trace)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_from_whole_and_from_interrupted_lines() {
        let trace = "12 openat(AT_FDCWD, \"/x\") = 3\n13  read(3, <unfinished ...>\n13 <... read resumed>) = 0\n12 +++ exited with 0 +++\n";
        assert_eq!(calls_in(trace).into_iter().collect::<Vec<_>>(), ["openat", "read"]);
    }

    #[test]
    fn what_fails_within_the_runtime_is_implausible_and_what_fails_on_a_connection_is_not() {
        let lost = "7 sendto(6, \"\\1\", 1, MSG_NOSIGNAL, NULL, 0) = -1 EPIPE (Broken pipe) (INJECTED)\n";
        assert!(is_implausible("", lost));
        assert!(!is_implausible("", &lost.replace(" (INJECTED)", "")));
        assert!(!is_implausible("", &lost.replace("\\1\", 1", "HTTP/1.1 200 OK\", 15")));
        assert!(is_implausible("internal error at tokio-1/src/runtime/io/driver.rs:279:27", ""));
        assert!(!is_implausible("No space left on device", ""));
    }

    #[test]
    fn a_point_reads_as_a_sentence() {
        let point = Point { call: "fsync", blow: Blow::Error("EIO"), nth: 2 };
        assert_eq!(point.to_string(), "fsync number 2 fails with EIO");
        assert_eq!(Point { blow: Blow::Kill, ..point }.to_string(), "killed at fsync number 2");
    }
}

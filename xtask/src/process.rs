//! Runs a command with a bound on its time: a test that hangs must end the run with a message, not hang CI.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How often a running command is asked whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// It, and whatever it had started, was killed when its time was over.
    TimedOut,
}

/// Runs a command whose output goes where ours goes. It gets no input.
pub(crate) fn run_live(command: &mut Command, limit: Duration) -> io::Result<Ended> {
    wait(command.stdin(Stdio::null()).spawn()?, limit)
}

/// Runs a command whose output, both streams in the order written, goes to the file `log`. It gets no input.
pub(crate) fn run_logged(command: &mut Command, log: &Path, limit: Duration) -> io::Result<Ended> {
    let file = File::create(log)?;
    command.stdout(file.try_clone()?).stderr(file);
    run_live(command, limit)
}

fn wait(mut child: Child, limit: Duration) -> io::Result<Ended> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::Exited(status));
        }
        if started.elapsed() >= limit {
            kill_tree(&mut child)?;
            return Ok(Ended::TimedOut);
        }
        std::thread::sleep(POLL);
    }
}

/// Kills the child and its descendants. A process group of its own would be simpler, but then Ctrl+C at the terminal would
/// end us and leave the child running.
fn kill_tree(child: &mut Child) -> io::Result<()> {
    let descendants = descendants_of(child.id());
    child.kill()?;
    for pid in descendants {
        // It may have ended by itself since it was listed.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    child.wait().map(drop)
}

/// All descendants as the kernel lists them, for each thread those that it forked; none where there is no `/proc`.
fn descendants_of(pid: u32) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|number| number.parse::<i32>().ok()) {
            found.extend(Pid::from_raw(child));
            found.extend(descendants_of(child.unsigned_abs()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_reach_the_log_and_the_exit_code_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let ended = run_logged(&mut shell("echo one; echo two >&2; exit 3"), &log, LONG).unwrap();
        assert!(matches!(ended, Ended::Exited(status) if status.code() == Some(3)));
        assert_eq!(fs::read_to_string(log).unwrap(), "one\ntwo\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn when_the_time_is_over_the_grandchild_ends_too() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = "sleep 300 & echo $!; wait";
        let ended = run_logged(&mut shell(script), &log, Duration::from_secs(2)).unwrap();
        assert!(matches!(ended, Ended::TimedOut));
        let grandchild: i32 = fs::read_to_string(log).unwrap().trim().parse().unwrap();
        let started = Instant::now();
        while is_running(grandchild) {
            assert!(started.elapsed() < LONG, "process {grandchild} is still running");
            std::thread::sleep(POLL);
        }
    }

    /// A killed orphan may stay as a zombie for as long as the container's first process does not collect it.
    #[cfg(target_os = "linux")]
    fn is_running(pid: i32) -> bool {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    }
}

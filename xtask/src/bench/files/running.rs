//! Processes of this bench and what the system says of them; a conversation with the index that asks for one name.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

/// Pause between two looks at a process.
const LOOK: Duration = Duration::from_millis(2);
/// The longest wait for an answer of the index.
const ANSWER: Duration = Duration::from_secs(20);

/// A process. Dropping it kills it.
#[derive(Debug)]
pub(super) struct Running(Child);

impl Running {
    /// Starts a command whose output goes to this file; what it says when the others of its round end is of no interest.
    pub(super) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(File::create(log)?).stderr(Stdio::null());
        Ok(Self(command.spawn().with_context(|| format!("cannot start {command:?}"))?))
    }

    /// Its anonymous memory in bytes; `None` when it has ended.
    pub(super) fn anonymous(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    }

    /// Waits for its end; the most anonymous memory that it was seen to have, and how it ended.
    pub(super) fn watch(mut self) -> anyhow::Result<(u64, ExitStatus)> {
        let mut most = 0;
        loop {
            most = most.max(self.anonymous().unwrap_or(0));
            if let Some(status) = self.0.try_wait()? {
                return Ok((most, status));
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A connection on which the index is asked for names.
#[derive(Debug)]
pub(super) struct Asking(BufReader<TcpStream>);

/// What the index knows of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    Name,
    /// Its hash as well.
    Hash,
}

impl Asking {
    pub(super) fn connect(index: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(index)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Asks for a name made of letters, digits and `/`.
    pub(super) fn ask(&mut self, name: &str) -> anyhow::Result<Known> {
        let request = format!("LOOKUP FILE {name} P2P-CI/1.1\r\nHost: bench\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (String::new(), 0);
        self.0.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            ensure!(self.0.read_line(&mut line)? > 0, "the index closed the connection");
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body);
        Ok(match (status.contains(" 200 "), body.contains("\"hash\":")) {
            (true, true) => Known::Hash,
            (true, false) => Known::Name,
            (false, _) => Known::Nothing,
        })
    }

    /// Asks until this much is known of all these names.
    pub(super) fn wait(&mut self, names: &[String], least: Known) -> anyhow::Result<()> {
        for name in names {
            loop {
                let known = self.ask(name)?;
                if known == least || known == Known::Hash {
                    break;
                }
                std::thread::sleep(LOOK);
            }
        }
        Ok(())
    }
}

//! The servers that are measured: each a process on the server's core, with what the kernel says about it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::pin;

/// The longest start of a server.
const START: Duration = Duration::from_secs(20);
/// Without a hundredth of a second of work in so long, a server has nothing to do.
const IDLE_FOR: Duration = Duration::from_millis(250);
/// A server that worked for so long after everything was said has failed.
const IDLE_WITHIN: Duration = Duration::from_secs(120);
/// How often a starting server is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Whom we measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `p2pci server`
    Index,
    /// The bare server, for requests and answers of these sizes.
    Floor { request: usize, answer: usize },
    /// `redis-server`
    Redis,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Index => "p2pci",
            Self::Floor { .. } => "floor",
            Self::Redis => "redis",
        }
    }
}

/// Where the programs are, and where their logs may go.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) target: PathBuf,
    /// `None`: this machine has none, and its column stays empty.
    pub(crate) redis: Option<PathBuf>,
}

impl Programs {
    pub(crate) fn new(target: PathBuf, redis: Option<PathBuf>) -> anyhow::Result<Self> {
        fs::create_dir_all(target.join("bench")).context("cannot make the folder for logs")?;
        Ok(Self { target, redis })
    }

    fn folder(&self) -> PathBuf {
        self.target.join("bench")
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one on the server's core and waits until it listens.
    pub(crate) fn start(kind: Kind, programs: &Programs) -> anyhow::Result<Self> {
        Self::start_with(kind, programs, &[])
    }

    /// The same with more flags, for one that announces itself.
    pub(crate) fn start_with(kind: Kind, programs: &Programs, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_on(&[pin::SERVER], kind, programs, flags)
    }

    /// Starts an index where one was before.
    pub(crate) fn again(address: SocketAddr, programs: &Programs) -> anyhow::Result<Self> {
        let log = programs.folder().join("again.log");
        Self::announced(index(programs, &address.to_string()), &log)
    }

    /// The same on other cores. One on tokio has as many workers.
    pub(crate) fn start_on(
        cores: &[usize],
        kind: Kind,
        programs: &Programs,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let pinned = pin::to_all(cores)?;
        let (mut command, announced) = match kind {
            Kind::Index => (index(programs, "127.0.0.1:0"), true),
            Kind::Floor { request, answer } => (floor(programs, request, answer), true),
            Kind::Redis => (Command::new(programs.redis.as_ref().context("no redis-server here")?), false),
        };
        if announced {
            let log = programs.folder().join(format!("{}.log", kind.name()));
            command.args(flags).stdin(Stdio::null()).stdout(File::create(&log)?);
            let child = command.spawn().with_context(|| format!("cannot start {}", kind.name()))?;
            drop(pinned);
            return Self::when_announced(child, &log);
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let port_text = port.to_string();
        let folder = programs.folder();
        command.args(["--bind", "127.0.0.1", "--port", &port_text, "--save", "", "--appendonly", "no"]);
        let child = command.arg("--dir").arg(folder).stdout(Stdio::null()).stdin(Stdio::null()).spawn()?;
        let server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        wait_for("redis to listen", || TcpStream::connect(server.address).is_ok().then_some(()))?;
        Ok(server)
    }

    /// Starts a program on the server's core that says its port in the first line of its output, which goes to this file.
    pub(crate) fn announced(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let pinned = pin::to(pin::SERVER)?;
        command.stdin(Stdio::null()).stdout(File::create(log)?);
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        drop(pinned);
        Self::when_announced(child, log)
    }

    /// Starts a program on the server's core that will listen on this port, and waits until it does.
    pub(crate) fn listening(mut command: Command, port: u16, name: &str) -> anyhow::Result<Self> {
        let pinned = pin::to(pin::SERVER)?;
        command.stdout(Stdio::null()).stdin(Stdio::null());
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        drop(pinned);
        let server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        let listens = || TcpStream::connect(server.address).is_ok().then_some(());
        wait_for(&format!("{name} to listen"), listens)?;
        Ok(server)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn when_announced(child: Child, log: &Path) -> anyhow::Result<Self> {
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let line = wait_for("the server to listen", || first_line(log))?;
        server.address.set_port(port_in(&line).with_context(|| format!("no port in {line:?}"))?);
        Ok(server)
    }

    /// The time that it has had on a core, user and system.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.child.id())
    }

    /// Waits until it has nothing more to do: after many ADDs an index goes on for a while to take them in for searching, which would
    /// be counted as something else's time and memory.
    pub(crate) fn when_idle(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let before = self.cpu()?;
            std::thread::sleep(IDLE_FOR);
            if self.cpu()? == before {
                return Ok(());
            }
            ensure!(started.elapsed() < IDLE_WITHIN, "the server does not come to rest");
        }
    }

    /// Its number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to end.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::TERM)?)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// The body of what it answers to a GET.
    pub(crate) fn http(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(START))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        let (_, body) = said.split_once("\r\n\r\n").context("no answer in HTTP")?;
        Ok(body.to_owned())
    }

    /// How many records the index says that it has.
    pub(crate) fn records(&self) -> anyhow::Result<usize> {
        let said = self.http("/api/v1/status")?;
        let status: serde_json::Value = serde_json::from_str(&said).context("the status is no JSON")?;
        let records = status["records"].as_u64().context("the status has no records")?;
        Ok(usize::try_from(records)?)
    }

    /// Its resident memory in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        status(self.child.id(), "VmRSS:")
    }

    /// One request and its answer, byte for byte, on a connection of its own.
    pub(crate) fn check(&self, talk: &super::talk::Talk, number: u32) -> anyhow::Result<()> {
        let (mut request, mut expected) = (Vec::new(), Vec::new());
        talk.request.write(number, &mut request);
        talk.answer.write(number, &mut expected);
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(START))?;
        stream.write_all(&request)?;
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).context("the answer is too short")?;
        let said = String::from_utf8_lossy(&answer);
        ensure!(answer == expected, "answered {said:?}, not {:?}", String::from_utf8_lossy(&expected));
        Ok(())
    }
}

/// The time that a process has had on a core, user and system.
pub(crate) fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let stat = proc(process, "stat")?;
    // The name, in parentheses, may hold spaces; fields 14 and 15 of the whole are 12 and 13 after it.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
    let all = ticks(11).zip(ticks(12)).map(|(user, system)| user + system);
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs_f64(all.context("cannot read its times")? as f64 / per_second as f64))
}

/// Memory of a process that no file stands behind, in bytes.
pub(crate) fn anonymous(process: u32) -> anyhow::Result<u64> {
    status(process, "RssAnon:")
}

fn status(process: u32, name: &str) -> anyhow::Result<u64> {
    let status = proc(process, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().context("no number")?;
    Ok(kibibytes * 1024)
}

fn proc(process: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{process}/{name}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}: has the server ended?"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn index(programs: &Programs, listen: &str) -> Command {
    let mut command = Command::new(programs.target.join("release/p2pci"));
    command.args(["server", "--quiet", "--listen", listen, "--log-format", "json"]);
    command.args(["--max-per-address", "100000"]);
    command
}

fn floor(programs: &Programs, request: usize, answer: usize) -> Command {
    let mut command = Command::new(programs.target.join("release/xtask"));
    command.args(["bench", "floor", &request.to_string(), &answer.to_string()]);
    command
}

fn first_line(log: &Path) -> Option<String> {
    let mut line = String::new();
    BufReader::new(File::open(log).ok()?).read_line(&mut line).ok()?;
    line.ends_with('\n').then_some(line)
}

/// The floor says its port and nothing else, the index an object with a `port`.
fn port_in(line: &str) -> Option<u16> {
    match serde_json::from_str::<serde_json::Value>(line).ok()? {
        serde_json::Value::Number(port) => port.as_u64(),
        object => object.get("port")?.as_u64(),
    }
    .and_then(|port| u16::try_from(port).ok())
}

/// Waits until something is there.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if started.elapsed() > START {
            bail!("waited {} s for {what}", START.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_announcements_name_the_port() {
        assert_eq!(port_in("4711\n"), Some(4711));
        assert_eq!(port_in("{\"type\":\"listening\",\"port\":7734}\n"), Some(7734));
        assert_eq!(port_in("{\"type\":\"other\"}\n"), None);
        assert_eq!(port_in("70000"), None);
    }
}

//! Six processes of redis-server as a cluster: three masters, a replica each.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::bench::server::Programs;

const MASTERS: usize = 3;
pub(super) const BUCKETS: u32 = 256;
const SLOTS: usize = 16384;
/// Starts of a process, each on other ports.
const TRIES: usize = 5;
/// Bound of every wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// Dropping it ends the processes.
#[derive(Debug)]
pub(super) struct Engine {
    nodes: Vec<Node>,
    _folder: TempDir,
}

#[derive(Debug)]
struct Node {
    child: Child,
    port: u16,
    bus: u16,
}

impl Engine {
    pub(super) fn start(programs: &Programs) -> anyhow::Result<Self> {
        let redis = programs.redis.as_ref().context("no redis-server here")?;
        let folder = tempfile::tempdir()?;
        let mut nodes = Vec::new();
        for _ in 0..2 * MASTERS {
            nodes.push(Node::start(redis, folder.path())?);
        }
        let engine = Self { nodes, _folder: folder };
        engine.form()?;
        Ok(engine)
    }

    fn form(&self) -> anyhow::Result<()> {
        let (first, _) = self.nodes.split_first().context("there is a node")?;
        for (at, node) in self.nodes.iter().enumerate() {
            if at < MASTERS {
                let (begin, end) = (SLOTS * at / MASTERS, SLOTS * (at + 1) / MASTERS - 1);
                node.until(&format!("CLUSTER ADDSLOTSRANGE {begin} {end}"), "+OK")?;
            }
            if at > 0 {
                node.until(&format!("CLUSTER MEET 127.0.0.1 {} {}", first.port, first.bus), "+OK")?;
            }
        }
        for node in &self.nodes {
            node.until("CLUSTER INFO", &format!("cluster_known_nodes:{}\r", self.nodes.len()))?;
            node.until("CLUSTER INFO", "cluster_state:ok")?;
        }
        for (node, master) in self.nodes[MASTERS..].iter().zip(&self.nodes) {
            let id = master.ask("CLUSTER MYID").context("no answer")?;
            let id = id.lines().nth(1).context("no id")?.to_owned();
            node.until(&format!("CLUSTER REPLICATE {id}"), "+OK")?;
        }
        self.nodes[MASTERS..]
            .iter()
            .try_for_each(|node| node.until("INFO replication", "master_link_status:up"))
    }

    /// What to type after `--store`.
    pub(super) fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The masters and their last slots, in order.
    pub(super) fn masters(&self) -> Vec<(SocketAddr, usize)> {
        let master = |(at, node): (usize, &Node)| (node.address(), SLOTS * (at + 1) / MASTERS - 1);
        self.nodes.iter().take(MASTERS).enumerate().map(master).collect()
    }

    /// Which of the masters, as they were at the start, has a bucket.
    pub(super) fn master_of(&self, bucket: u32) -> anyhow::Result<usize> {
        let has = |node: &Node| Some(node.ask(&format!("EXISTS pci:{{{bucket}}}:q"))?.starts_with(':'));
        let at = self.nodes.iter().take(MASTERS).position(|node| has(node) == Some(true));
        at.context("nobody has the bucket")
    }

    /// What whoever has a bucket by now answers: a command, up to the bucket, and what follows it.
    pub(super) fn ask_bucket(&self, command: &str, bucket: u32, rest: &str) -> anyhow::Result<Vec<u8>> {
        let words = format!("{command} pci:{{{bucket}}}:{rest}");
        let answers = self.nodes.iter().filter_map(|node| node.ask_bytes(&words));
        answers
            .into_iter()
            .find(|answer| !answer.starts_with(b"-"))
            .with_context(|| format!("{words}: nobody"))
    }

    /// The runs of nodes that have records in a bucket.
    pub(super) fn owners(&self, bucket: u32) -> anyhow::Result<Vec<String>> {
        let answer = self.ask_bucket("HKEYS", bucket, "n")?;
        let text = String::from_utf8(answer).context("no text")?;
        Ok(text.lines().skip(1).filter(|line| !line.starts_with('$')).map(str::to_owned).collect())
    }

    /// All records that it has.
    pub(super) fn records(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for bucket in 0..BUCKETS {
            for owner in self.owners(bucket)? {
                let answer = self.ask_bucket("HLEN", bucket, &format!("r:{owner}"))?;
                let text = String::from_utf8(answer).context("no text")?;
                sum += text.trim_start_matches(':').trim().parse::<u64>().context("no number")?;
            }
        }
        Ok(sum)
    }

    /// Kills one as `kill -9` does.
    pub(super) fn kill(&mut self, at: usize) -> anyhow::Result<()> {
        let node = self.nodes.get_mut(at).context("no such process")?;
        node.child.kill()?;
        node.child.wait()?;
        Ok(())
    }

    /// Stops all of them where they are, or lets them go on.
    pub(super) fn signal_all(&self, signal: Signal) -> anyhow::Result<()> {
        self.nodes.iter().try_for_each(|node| Ok(kill_process(Pid::from_child(&node.child), signal)?))
    }

    /// Commands that kept a master for more than 10 ms, which is its own measure of slowness: how many of each.
    pub(super) fn slow(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut slow = BTreeMap::new();
        for node in self.nodes.iter().take(MASTERS) {
            let answer = node.ask_bytes("SLOWLOG GET 1000").context("no answer")?;
            let answer = String::from_utf8_lossy(&answer);
            // Each entry is a number, a time, how long it took, and the words of the command.
            let mut lines = answer.lines();
            while let Some(line) = lines.next() {
                if line == "*6" {
                    let name = lines.by_ref().skip(3).find(|line| !line.starts_with(['*', '$']));
                    *slow.entry(name.unwrap_or_default().to_lowercase()).or_default() += 1;
                }
            }
        }
        Ok(slow)
    }

    /// Bytes that the masters use.
    pub(super) fn memory(&self) -> anyhow::Result<u64> {
        let used = |node: &Node| {
            let info = node.ask("INFO memory").context("no answer")?;
            let line =
                info.lines().find_map(|line| line.strip_prefix("used_memory:")).context("no such line")?;
            line.trim().parse::<u64>().context("no number")
        };
        self.nodes.iter().take(MASTERS).map(used).sum()
    }
}

impl Node {
    /// On ports that were free a moment ago; on others when somebody else has taken one meanwhile.
    fn start(redis: &Path, folder: &Path) -> anyhow::Result<Self> {
        for _ in 0..TRIES {
            let (port, bus) = (free_port()?, free_port()?);
            let mut command = Command::new(redis);
            command.args(["--port", &port.to_string(), "--cluster-port", &bus.to_string()]);
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--cluster-enabled",
                "yes",
            ]);
            command.args(["--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"]);
            command.args(["--cluster-require-full-coverage", "no"]);
            command.args(["--cluster-config-file", &format!("nodes-{port}.conf"), "--loglevel", "warning"]);
            command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
            let child = command.spawn().context("cannot start redis-server")?;
            let mut node = Self { child, port, bus };
            let began = Instant::now();
            while node.child.try_wait()?.is_none() {
                // Whoever answers must be the one that was started.
                let identity = format!("process_id:{}\r", node.child.id());
                if node.ask("INFO server").is_some_and(|info| info.contains(&identity)) {
                    return Ok(node);
                }
                ensure!(began.elapsed() < PATIENCE, "redis-server does not answer");
                sleep(Duration::from_millis(20));
            }
        }
        bail!("redis-server ended {TRIES} times at its start")
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn ask(&self, words: &str) -> Option<String> {
        String::from_utf8(self.ask_bytes(words)?).ok()
    }

    fn ask_bytes(&self, words: &str) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address(), Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        answer.strip_suffix(b"+OK\r\n").map(<[u8]>::to_vec)
    }

    fn until(&self, words: &str, expected: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let answer = self.ask(words);
            if answer.as_ref().is_some_and(|answer| answer.contains(expected)) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("{words}: {answer:?}, not {expected:?}");
            }
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> anyhow::Result<u16> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    ensure!(port > 0);
    Ok(port)
}

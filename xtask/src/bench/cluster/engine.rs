//! Six processes of redis-server as a cluster: three masters, a replica each.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::bench::server::Programs;

const MASTERS: usize = 3;
const SLOTS: usize = 16384;
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
            let (port, bus) = (free_port()?, free_port()?);
            let mut command = Command::new(redis);
            command.args([
                "--port",
                &port.to_string(),
                "--cluster-port",
                &bus.to_string(),
                "--bind",
                "127.0.0.1",
            ]);
            command.args(["--save", "", "--appendonly", "no", "--cluster-enabled", "yes"]);
            command.args(["--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"]);
            command.args(["--cluster-config-file", &format!("nodes-{port}.conf"), "--loglevel", "warning"]);
            command.arg("--dir").arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
            nodes.push(Node { child: command.spawn().context("cannot start redis-server")?, port, bus });
        }
        let engine = Self { nodes, _folder: folder };
        engine.form()?;
        Ok(engine)
    }

    fn form(&self) -> anyhow::Result<()> {
        let (first, _) = self.nodes.split_first().context("there is a node")?;
        for (at, node) in self.nodes.iter().enumerate() {
            let identity = format!("process_id:{}\r", node.child.id());
            node.until("INFO server", &identity)?;
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

    /// Commands that kept a master for more than 10 ms, which is its own measure of slowness.
    pub(super) fn slow(&self) -> anyhow::Result<u64> {
        let count = |node: &Node| {
            let answer = node.ask("SLOWLOG LEN").context("no answer")?;
            answer.trim_start_matches(':').trim().parse::<u64>().context("no number")
        };
        self.nodes.iter().take(MASTERS).map(count).sum()
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
    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn ask(&self, words: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.address(), Duration::from_secs(1)).ok()?;
        stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.strip_suffix("+OK\r\n").map(str::to_owned)
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

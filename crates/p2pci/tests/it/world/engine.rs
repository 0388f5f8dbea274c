//! A Redis Cluster on loopback, made of Debian's redis-server or of what `P2PCI_ENGINE` names (a valkey-server, say): for one test,
//! and gone with it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{PATIENCE, on_path, skip, wait_for};

/// How long an engine waits for a node before it takes it for gone.
const NODE_TIMEOUT_MS: &str = "1500";
const SLOTS: usize = 16384;
/// Starts of a process, each on other ports.
const STARTS: usize = 10;

/// A cluster of several processes. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct Engine {
    nodes: Vec<Node>,
    masters: usize,
    _folder: TempDir,
}

#[derive(Debug)]
struct Node {
    child: Child,
    port: u16,
    bus: u16,
    /// Where it speaks TLS, if it does.
    tls: Option<u16>,
}

/// What an engine shows itself with in TLS, and whose certificates it asks of others: files.
#[derive(Debug)]
pub(crate) struct EngineTls {
    pub(crate) ca: String,
    pub(crate) identity: [String; 2],
}

impl Engine {
    /// Three masters, each with so many replicas that have their copy; where there is no redis-server, counts `test` as skipped.
    pub(crate) fn start(test: &str, replicas: usize) -> Option<Self> {
        Self::with(test, 3, replicas)
    }

    /// The same with another number of masters.
    pub(crate) fn with(test: &str, masters: usize, replicas: usize) -> Option<Self> {
        Self::made(test, masters, replicas, None)
    }

    /// Masters that speak TLS with whoever uses them.
    pub(crate) fn secure(test: &str, masters: usize, tls: &EngineTls) -> Option<Self> {
        Self::made(test, masters, 0, Some(tls))
    }

    fn made(test: &str, masters: usize, replicas: usize, tls: Option<&EngineTls>) -> Option<Self> {
        let program = program();
        // The system finds it, or it is a file with a path.
        if !on_path(&program) {
            skip(test, &format!("there is no {program}"));
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let count = masters * (1 + replicas);
        let nodes = (0..count).map(|_| Node::start(folder.path(), tls)).collect();
        let engine = Self { nodes, masters, _folder: folder };
        engine.form();
        Some(engine)
    }

    /// Nodes that know nothing of each other become a cluster.
    fn form(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            // Whatever listens there now must be what was started, before a byte is written.
            wait_for(PATIENCE, "an engine to be the one that was started", || {
                let info = node.ask("INFO server")?;
                info.contains(&format!("process_id:{}\r", node.child.id())).then_some(())
            });
            if at < self.masters {
                let (first, last) = (SLOTS * at / self.masters, SLOTS * (at + 1) / self.masters - 1);
                assert!(
                    node.ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).unwrap().starts_with("+OK")
                );
            }
            let first = &self.nodes[0];
            if at > 0 {
                let meet = format!("CLUSTER MEET 127.0.0.1 {} {}", first.port, first.bus);
                assert!(node.ask(&meet).unwrap().starts_with("+OK"));
            }
        }
        for node in &self.nodes {
            let all = format!("cluster_known_nodes:{}\r", self.nodes.len());
            wait_for(PATIENCE, "the engines to know each other", || {
                let info = node.ask("CLUSTER INFO")?;
                (info.contains("cluster_state:ok") && info.contains(&all)).then_some(())
            });
        }
        for (at, node) in self.nodes.iter().enumerate().skip(self.masters) {
            let master = bulk(&self.nodes[at % self.masters].ask("CLUSTER MYID").unwrap());
            wait_for(PATIENCE, "a replica to know its master", || {
                node.ask(&format!("CLUSTER REPLICATE {master}"))?.starts_with("+OK").then_some(())
            });
        }
        for node in &self.nodes[self.masters..] {
            wait_for(PATIENCE, "a replica to have its copy", || {
                node.ask("INFO replication")?.contains("master_link_status:up").then_some(())
            });
        }
    }

    /// What to type after `--store`.
    pub(crate) fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    /// The same in TLS, with who logs in.
    pub(crate) fn tls_url(&self, login: &str) -> String {
        let nodes = self.nodes.iter().filter_map(|node| node.tls);
        let nodes: Vec<String> = nodes.map(|port| format!("127.0.0.1:{port}")).collect();
        format!("rediss+cluster://{login}{}", nodes.join(","))
    }

    /// Asks one node, in the words that one would type.
    pub(crate) fn ask(&self, node: usize, words: &str) -> String {
        self.nodes[node].ask(words).unwrap_or_else(|| panic!("node {node} does not answer {words}"))
    }

    /// Asks whoever has it.
    pub(crate) fn ask_any(&self, words: &str) -> String {
        let answers = self.nodes.iter().take(self.masters).filter_map(|node| node.ask(words));
        answers.into_iter().find(|answer| !answer.starts_with("-MOVED")).expect("an answer")
    }

    /// Keys at all masters.
    pub(crate) fn keys(&self) -> u64 {
        let size =
            |node: &Node| node.ask("DBSIZE").unwrap().trim_start_matches(':').trim().parse::<u64>().unwrap();
        self.nodes.iter().take(self.masters).map(size).sum()
    }

    /// Which of the first nodes is the master of a key's slot, whether the key is there or not.
    pub(crate) fn master_of(&self, key: &str) -> usize {
        let answer = |node: &Node| node.ask(&format!("EXISTS {key}"));
        let has = |node: &Node| answer(node).is_some_and(|answer| answer.starts_with(':'));
        self.nodes.iter().take(self.masters).position(has).expect("a master")
    }

    /// The places of a master's replicas, as they were at the start.
    pub(crate) fn replicas_of(&self, master: usize) -> impl Iterator<Item = usize> + use<> {
        let masters = self.masters;
        (masters..self.nodes.len()).filter(move |at| at % masters == master)
    }

    /// Stops one where it is, or lets it go on.
    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        kill_process(Pid::from_child(&self.nodes[node].child), signal).unwrap();
    }

    /// Kills one as `kill -9` does.
    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Stops all of them where they are, or lets them go on.
    pub(crate) fn signal_all(&self, signal: Signal) {
        (0..self.nodes.len()).for_each(|node| self.signal(node, signal));
    }
}

impl Node {
    fn start(folder: &Path, tls: Option<&EngineTls>) -> Self {
        for _ in 0..STARTS {
            let (port, bus) = (free_port(), free_port());
            let mut command = Command::new(program());
            command.args(["--port", &port.to_string(), "--cluster-port", &bus.to_string()]);
            command.args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--loglevel",
                "warning",
            ]);
            command.args(["--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"]);
            command.args(["--cluster-node-timeout", NODE_TIMEOUT_MS, "--repl-diskless-sync-delay", "0"]);
            command.args(["--cluster-config-file", &format!("nodes-{port}.conf")]);
            let secure = tls.map(|files| {
                let (port, [certificate, key]) = (free_port(), &files.identity);
                command.args(["--tls-port", &port.to_string(), "--tls-cluster", "yes", "--tls-ca-cert-file"]);
                command.args([&files.ca, "--tls-cert-file", certificate, "--tls-key-file", key]);
                port
            });
            command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().expect("an engine starts");
            let mut node = Self { child, port, bus, tls: secure };
            // Another program may have taken a port meanwhile.
            let answers = wait_for(PATIENCE, "an engine to answer or to end", || {
                let has_ended = node.child.try_wait().unwrap().is_some();
                (has_ended || node.ask("PING").is_some()).then_some(!has_ended)
            });
            if answers {
                return node;
            }
        }
        panic!("the engine ended {STARTS} times at its start; does it know all flags?")
    }

    /// One question on a connection of its own; `None` when there is no answer.
    fn ask(&self, words: &str) -> Option<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(format!("{words}\r\nQUIT\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.strip_suffix("+OK\r\n").map(str::to_owned)
    }

    fn kill(&mut self) {
        // One that was stopped would not end by itself; one that has ended is no failure.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn program() -> String {
    std::env::var("P2PCI_ENGINE").unwrap_or_else(|_| "redis-server".to_owned())
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The text of an answer with a length before it.
fn bulk(answer: &str) -> String {
    answer.lines().nth(1).unwrap_or_default().to_owned()
}

//! A node, and peers that tell it what they have.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::engine::Engine;
use crate::bench::pin;
use crate::bench::server::{Kind, Programs, Server};

/// Bound of every wait.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines of one ADD FILES.
const LINES: u32 = 500;

/// A file's name: 28 bytes.
pub(super) fn name(number: u32) -> String {
    format!("folder/of/files/{number:012}")
}

/// A running node.
pub(super) struct Node {
    pub(super) server: Server,
}

impl Node {
    /// One that knows what the others have.
    pub(super) fn start(programs: &Programs, engine: &Engine) -> anyhow::Result<Self> {
        Self::start_on(&[pin::SERVER], programs, engine)
    }

    /// The same on these cores.
    pub(super) fn start_on(cores: &[usize], programs: &Programs, engine: &Engine) -> anyhow::Result<Self> {
        let flags = ["--store", &engine.url()];
        let node = Self { server: Server::start_on(cores, Kind::Index, programs, &flags)? };
        node.until("the node to be ready", || Ok(node.get("/readyz")?.starts_with("HTTP/1.1 200")))?;
        Ok(node)
    }

    /// One that stands alone, on these cores.
    pub(super) fn alone_on(cores: &[usize], programs: &Programs) -> anyhow::Result<Self> {
        Ok(Self { server: Server::start_on(cores, Kind::Index, programs, &[])? })
    }

    fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.server.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let answer = self.get("/metrics")?;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.context("no such metric")?.parse().context("no number")
    }

    fn until(&self, what: &str, is_so: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let began = Instant::now();
        while !is_so()? {
            if began.elapsed() > PATIENCE {
                bail!("waited in vain for {what}");
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until the engine has been told everything.
    pub(super) fn wait_told(&self) -> anyhow::Result<()> {
        self.until("the engine to be told", || Ok(self.metric("p2pci_cluster_waiting")? == 0.0))
    }

    /// Waits until the node knows so many records.
    pub(super) fn wait_records(&self, count: u64) -> anyhow::Result<()> {
        self.until("all records", || Ok(self.metric("p2pci_records")? >= count as f64)).with_context(|| {
            let figures = ["p2pci_records", "p2pci_cluster_waiting", "p2pci_cluster_left_out"];
            let said = figures.map(|name| format!("{name} {}", self.metric(name).unwrap_or(f64::NAN)));
            format!("of {count} records: {}", said.join(", "))
        })
    }

    /// Waits until the node knows at most so many.
    pub(super) fn wait_no_more_than(&self, count: u64) -> anyhow::Result<()> {
        self.until("records to go", || Ok(self.metric("p2pci_records")? <= count as f64))
    }

    /// Different files, from as many connections as that takes.
    pub(super) fn add_files(&self, count: u32, of_one: u32) -> anyhow::Result<Vec<Peer>> {
        let mut peers = Vec::new();
        for begin in (0..count).step_by(of_one as usize) {
            let mut peer = Peer::connect(self)?;
            peer.add((begin..count.min(begin + of_one)).map(|number| (name(number), number)))?;
            peers.push(peer);
        }
        peers.iter_mut().try_for_each(Peer::answered)?;
        Ok(peers)
    }

    /// So many records of fewer files: each file from so many connections.
    pub(super) fn add_same_files(&self, count: u32, peers_a_name: u32) -> anyhow::Result<Vec<Peer>> {
        let each = count / peers_a_name.max(10);
        let mut peers = Vec::new();
        for at in 0..peers_a_name.max(10) {
            let begin = if peers_a_name == 1 { at * each } else { 0 };
            let mut peer = Peer::connect(self)?;
            peer.add((begin..begin + each).map(|number| (name(number), number)))?;
            peer.answered()?;
            peers.push(peer);
        }
        Ok(peers)
    }

    /// A peer with files of its own.
    pub(super) fn add_folder(&self, peer: u32, each: u32) -> anyhow::Result<Peer> {
        let mut connection = Peer::connect(self)?;
        connection.add((0..each).map(|at| (name(peer * each + at), peer * each + at)))?;
        connection.answered()?;
        Ok(connection)
    }

    /// Everything, page by page: how many records were told, and how many different ones.
    pub(super) fn list_all(&self) -> anyhow::Result<(usize, usize)> {
        let mut seen = HashSet::new();
        let told = Peer::connect(self)?.list("", |file| {
            seen.insert((file.name.to_owned(), file.port));
        })?;
        Ok((told, seen.len()))
    }

    /// The names of everything, sorted, with those that are there more than once.
    pub(super) fn names(&self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        Peer::connect(self)?.list("", |file| names.push(file.name.to_owned()))?;
        names.sort_unstable();
        Ok(names)
    }
}

/// A line of a LIST.
pub(super) struct Listed<'a> {
    pub(super) name: &'a str,
    pub(super) size: u32,
    port: u16,
}

impl<'a> Listed<'a> {
    fn parse(line: &'a str) -> anyhow::Result<Self> {
        let name = line.split('"').nth(3).context("no name")?;
        Ok(Self { name, size: number(line, "\"size\":")?, port: number(line, "\"port\":")? })
    }
}

fn number<N: std::str::FromStr>(line: &str, label: &str) -> anyhow::Result<N> {
    let rest = line.split_once(label).map(|(_, rest)| rest);
    let digits = rest.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
    digits.and_then(|digits| digits.parse().ok()).with_context(|| format!("no {label} in {line}"))
}

/// How long after an ADD at one node a LOOKUP at another one finds it.
pub(super) fn seen_after(told: &Node, asked: &Node, number: u32) -> anyhow::Result<Duration> {
    let new = format!("new/{number}");
    let (mut adding, mut asking) = (Peer::connect(told)?, Peer::connect(asked)?);
    write!(asking.out, "LOOKUP FILE {new} P2P-CI/1.1\r\nWait: 60\r\n\r\n")?;
    let began = Instant::now();
    adding.add([(new, number)])?;
    let found = asking.answer()?;
    ensure!(found.status == 200, "it was not found: {}", found.status);
    let elapsed = began.elapsed();
    // It stays, as long as the process does.
    std::mem::forget(adding);
    Ok(elapsed)
}

/// A connection to a node.
pub(super) struct Peer {
    out: TcpStream,
    input: BufReader<TcpStream>,
    port: u16,
    awaited: usize,
}

struct Answer {
    status: u16,
    cursor: Option<String>,
    body: String,
}

impl Peer {
    pub(super) fn connect(node: &Node) -> anyhow::Result<Self> {
        let out = TcpStream::connect(node.server.address)?;
        out.set_nodelay(true)?;
        out.set_read_timeout(Some(PATIENCE))?;
        let port = out.local_addr()?.port();
        Ok(Self { input: BufReader::new(out.try_clone()?), out, port, awaited: 0 })
    }

    /// Sends files with hashes; the answers are still to come.
    pub(super) fn add(&mut self, files: impl IntoIterator<Item = (String, u32)>) -> anyhow::Result<()> {
        let (mut body, mut lines) = (String::new(), 0);
        for (name, number) in files {
            writeln!(body, r#"{{"name":"{name}","size":{number},"modified":0,"hash":"{number:064x}"}}"#)?;
            lines += 1;
            if lines % LINES == 0 {
                self.send(&std::mem::take(&mut body))?;
            }
        }
        if body.is_empty() { Ok(()) } else { self.send(&body) }
    }

    fn send(&mut self, body: &str) -> anyhow::Result<()> {
        let head = format!(
            "ADD FILES P2P-CI/1.1\r\nHost: 127.0.0.1\r\nPort: {}\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        self.out.write_all(head.as_bytes())?;
        self.out.write_all(body.as_bytes())?;
        self.awaited += 1;
        Ok(())
    }

    /// Reads the answers to what was added.
    ///
    /// # Errors
    /// Also when something was refused.
    pub(super) fn answered(&mut self) -> anyhow::Result<()> {
        for _ in 0..std::mem::take(&mut self.awaited) {
            let answer = self.answer()?;
            ensure!(answer.status == 200 && answer.body.contains("\"refused_in_all\":0"), "{}", answer.body);
        }
        Ok(())
    }

    /// Everything whose name begins so, page by page; says how many lines there were.
    pub(super) fn list(&mut self, prefix: &str, mut each: impl FnMut(Listed<'_>)) -> anyhow::Result<usize> {
        let only = if prefix.is_empty() { String::new() } else { format!("Prefix: {prefix}\r\n") };
        let (mut cursor, mut told): (Option<String>, usize) = (None, 0);
        loop {
            let after = cursor.map(|cursor| format!("Cursor: {cursor}\r\n")).unwrap_or_default();
            write!(self.out, "LIST ALL P2P-CI/1.1\r\n{only}{after}Limit: 1000\r\n\r\n")?;
            let answer = self.answer()?;
            ensure!(answer.status == 200, "LIST: {}", answer.status);
            for line in answer.body.lines() {
                told += 1;
                each(Listed::parse(line)?);
            }
            cursor = answer.cursor;
            if cursor.is_none() {
                return Ok(told);
            }
        }
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let (mut answer, mut length) = (Answer { status: 0, cursor: None, body: String::new() }, 0);
        loop {
            let mut line = String::new();
            self.input.read_line(&mut line)?;
            let line = line.trim_end();
            match line.split_once(": ") {
                None if line.is_empty() => break,
                None => answer.status = line.split(' ').nth(1).context("no status")?.parse()?,
                Some(("Content-Length", value)) => length = value.parse()?,
                Some(("Cursor", value)) => answer.cursor = Some(value.to_owned()),
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.input.read_exact(&mut body)?;
        answer.body = String::from_utf8(body)?;
        Ok(answer)
    }
}

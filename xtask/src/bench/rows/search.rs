//! SEARCH over titles of their own for each record: how long, how much memory, and what it costs those who add.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::Effort;
use crate::bench::report::{self, Row, Target, figure};
use crate::bench::server::{Kind, Programs, Server};
use crate::bench::stats::{median, percentile};
use crate::bench::titles::{Titles, WORDS};

/// Titles without `--records`.
const RECORDS: u32 = 1_000_000;
/// As many as one connection may have.
const PER_CONNECTION: u32 = 100_000;
/// Requests in one write.
const BATCH: u32 = 200;
const QUERIES: u32 = 2000;
const NEW_TITLES: u32 = 50;
/// How long a search may be behind after so much came at once.
const CATCHES_UP: Duration = Duration::from_secs(60);
const SEED: u64 = 7;

pub(super) fn rows(programs: &Programs, effort: Effort, records: Option<u32>) -> anyhow::Result<()> {
    let records = records.unwrap_or(RECORDS / effort.divisor);
    let without = Filled::fill(programs, &["--no-search"], records)?;
    let (memory_without, cpu_without) = (without.grown()?, without.server.cpu()?);
    drop(without);
    let mut with = Filled::fill(programs, &[], records)?;
    with.wait_until_found(records - 1)?;
    let (memory_with, cpu_with) = (with.grown()?, with.server.cpu()?);
    let millions = f64::from(records) / 1e6;
    let row = |name: &str, reached, unit, target, remark: String| {
        report::row(&Row { name: name.into(), reached, unit, target, remark });
    };
    let memory = (memory_with - memory_without) / f64::from(records);
    let remark = format!(
        "{records} titles of six words out of {WORDS}; resident, {} B with and {} B without",
        figure(memory_with / f64::from(records)),
        figure(memory_without / f64::from(records)),
    );
    row("memory a title for SEARCH", memory, "B", Target::AtMost(150.0), remark);
    let remark = format!(
        "CPU-s per million new titles until they are found; {} without search",
        figure(cpu_without.as_secs_f64() / millions)
    );
    row("ADD of a new title, with search", cpu_with.as_secs_f64() / millions, "s", Target::None, remark);
    let searched = with.search_all(QUERIES / effort.divisor.min(10))?;
    let remark = format!(
        "p50 {}, longest {} ms; {} queries of two words, one misspelt; {} ended at the limit, {} found nothing",
        figure(median(&searched.times)),
        figure(percentile(&searched.times, 100.0)),
        searched.times.len(),
        searched.incomplete,
        searched.empty,
    );
    row("SEARCH, p99", percentile(&searched.times, 99.0), "ms", Target::AtMost(20.0), remark);
    let found = with.new_titles()?;
    let remark = format!("the longest of {NEW_TITLES}, from its ADD; median {} ms", figure(median(&found)));
    row("a new title is found", percentile(&found, 100.0), "ms", Target::AtMost(100.0), remark);
    Ok(())
}

/// A server with titles, and the connections that keep them there.
struct Filled {
    server: Server,
    empty: u64,
    _connections: Vec<TcpStream>,
    asking: TcpStream,
    titles: Titles,
    /// Every so many a title, for queries.
    samples: Vec<String>,
    last: String,
}

struct Searched {
    times: Vec<f64>,
    incomplete: usize,
    empty: usize,
}

impl Filled {
    fn fill(programs: &Programs, flags: &[&str], records: u32) -> anyhow::Result<Self> {
        let server = Server::start_with(Kind::Index, programs, flags)?;
        let empty = server.resident()?;
        let mut titles = Titles::new(SEED);
        let (mut connections, mut samples, mut last) = (Vec::new(), Vec::new(), String::new());
        let every = (records / QUERIES).max(1);
        for first in (0..records).step_by(PER_CONNECTION as usize) {
            let mut connection = connect(server.address)?;
            for at in (first..records.min(first + PER_CONNECTION)).step_by(BATCH as usize) {
                let (mut requests, mut expected) = (Vec::new(), 0);
                for number in at..records.min(at + BATCH).min(first + PER_CONNECTION) {
                    last = titles.next();
                    expected += put(number, &last, &mut requests)?;
                    if number % every == 0 {
                        samples.push(last.clone());
                    }
                }
                connection.write_all(&requests)?;
                connection.read_exact(&mut vec![0; expected]).context("an answer to ADD")?;
            }
            connections.push(connection);
        }
        let asking = connect(server.address)?;
        Ok(Self { server, empty, _connections: connections, asking, titles, samples, last })
    }

    fn grown(&self) -> anyhow::Result<f64> {
        Ok(self.server.resident()?.saturating_sub(self.empty) as f64)
    }

    /// Waits for the title that was added last.
    fn wait_until_found(&mut self, number: u32) -> anyhow::Result<()> {
        let (begun, title) = (Instant::now(), self.last.clone());
        let wanted = format!("\"rfc\":{},", number + 1);
        while !self.search(&title)?.contains(&wanted) {
            ensure!(begun.elapsed() < CATCHES_UP, "the last title is not found");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn search_all(&mut self, queries: u32) -> anyhow::Result<Searched> {
        let mut searched = Searched { times: Vec::new(), incomplete: 0, empty: 0 };
        let samples = std::mem::take(&mut self.samples);
        for title in samples.iter().take(queries as usize) {
            let query = self.titles.misspelt(title);
            let asked = Instant::now();
            let answer = self.search(&query)?;
            searched.times.push(asked.elapsed().as_secs_f64() * 1e3);
            searched.incomplete += usize::from(answer.contains("\r\nIncomplete: true\r\n"));
            searched.empty += usize::from(answer.ends_with("\r\n\r\n"));
        }
        Ok(searched)
    }

    /// Adds titles with a word of their own; gives how long each took to be found.
    fn new_titles(&mut self) -> anyhow::Result<Vec<f64>> {
        let mut adding = connect(self.server.address)?;
        let mut times = Vec::new();
        for at in 0..NEW_TITLES {
            let title = format!("{} unheard{at}", self.titles.next());
            let mut request = Vec::new();
            let expected = put(at, &title, &mut request)?;
            let added = Instant::now();
            adding.write_all(&request)?;
            adding.read_exact(&mut vec![0; expected]).context("an answer to ADD")?;
            while self.search(&format!("unheard{at}"))?.ends_with("\r\n\r\n") {
                ensure!(added.elapsed() < CATCHES_UP, "a new title is not found");
            }
            times.push(added.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times)
    }

    /// Asks, and gives the answer. Its body is 20 lines at most, as many as `p2pci search` shows.
    fn search(&mut self, query: &str) -> anyhow::Result<String> {
        let query = query.replace(' ', "%20");
        let request = format!("SEARCH ALL P2P-CI/1.1\r\nQuery: {query}\r\nLimit: 20\r\n\r\n");
        self.asking.write_all(request.as_bytes())?;
        let (mut answer, mut room) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let count = self.asking.read(&mut room).context("an answer to SEARCH")?;
            ensure!(count > 0, "the index closed the connection");
            answer.extend_from_slice(&room[..count]);
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                ensure!(head.starts_with("P2P-CI/1.1 200 OK"), "answered {head:?}");
                let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
                let length: usize = length.context("no length")?.parse()?;
                if body.len() >= length {
                    return Ok(text.into_owned());
                }
            }
        }
    }
}

fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(CATCHES_UP))?;
    Ok(stream)
}

/// Appends an ADD of a number, counted from 0; gives the length of its answer.
fn put(number: u32, title: &str, out: &mut Vec<u8>) -> anyhow::Result<usize> {
    let number = number + 1;
    write!(out, "ADD RFC {number} P2P-CI/1.0\nHost: host.example.org\nPort: 50000\nTitle: {title}\n\n")?;
    Ok(format!("P2P-CI/1.0 200 OK\nRFC {number} {title} host.example.org 50000\n\n").len())
}

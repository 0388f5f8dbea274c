//! Thousands whose cable is pulled in one moment: nobody tells the index, and it goes on serving others meanwhile.
//!
//! Index and peers are in network namespaces of their own, with a bridge between them; the busy peer is on the index's loopback.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{RECORDS, busy, fill, row, told};
use crate::bench::load::{Load, Window, join};
use crate::bench::server::{Kind, Programs, Server, wait_for};
use crate::bench::swarm::net::Net;
use crate::bench::talk;

const PEERS: u32 = 2_000;
const RECORDS_EACH: u32 = 10;
/// What the index is told: nobody's records may be there for longer.
const PRESENCE: Duration = Duration::from_secs(10);
/// A busy machine may take so much longer before it counts as a hang.
const HANG: Duration = Duration::from_secs(50);
/// Between two looks at how many records there are.
const LOOK: Duration = Duration::from_millis(50);
/// The index keeps room that it has needed, so they come twice, and the second time must leave no more than this behind that the first has not.
const BYTES_MAX: u64 = 2 << 20;
/// The links are not what is measured.
const RATE: u64 = 10_000_000_000;
/// The busy peer is looked at until after the last record must be gone.
const WINDOW: Window = Window { warm_up: Duration::from_millis(500), measured: Duration::from_secs(12) };
/// The machine of the peers, and another one: a bridge with nobody on it would notice.
const HOSTS: usize = 2;
const CROWD: usize = 0;

/// When records of those who were cut off went, after the cable was pulled.
struct Gone {
    first: Duration,
    last: Duration,
}

/// See the module.
pub(super) fn run(programs: &Programs) -> anyhow::Result<bool> {
    let net = Net::new(HOSTS, RATE).context("network namespaces need root")?;
    // Everything but the peers' connections is on the machine of the index.
    net.enter_hub(|| flood(&net, programs))?
}

fn flood(net: &Net, programs: &Programs) -> anyhow::Result<bool> {
    let mut command = net.on_the_hub(&programs.target.join("release/p2pci"));
    command.args(["server", "--quiet", "--listen", "0.0.0.0:0", "--log-format", "json"]);
    command.args(["--max-per-address", "100000", "--presence", &format!("{}s", PRESENCE.as_secs())]);
    let server = Server::announced(command, &programs.target.join("bench/half-open.log"))?;
    let _rich = fill(&server, 0)?;
    println!("memory: {:.1} MiB before they come", mib(server.resident()?));
    let first = come_and_go(net, &server)?;
    let second = come_and_go(net, &server)?;
    let more = second.memory.saturating_sub(first.memory);
    println!(
        "the second time left {:.1} MiB that the first had not (at most {})",
        mib(more),
        BYTES_MAX >> 20
    );
    Ok(first.kept && second.kept && more <= BYTES_MAX)
}

/// What is there after the peers came and their cable was pulled.
struct Left {
    kept: bool,
    /// Resident, in bytes.
    memory: u64,
}

fn come_and_go(net: &Net, server: &Server) -> anyhow::Result<Left> {
    net.plug(CROWD)?;
    let before = descriptors(server)?;
    let crowd = net.enter(CROWD, || crowd(server))??;
    server.when_idle()?;
    let beside = descriptors(server)?;
    ensure!(beside >= before + PEERS as usize, "only {} of them are there", beside - before);
    let memory = server.resident()?;
    net.unplug(CROWD)?;
    let pulled = Instant::now();
    let (measured, gone) = thread::scope(|scope| {
        let busy = scope.spawn(|| net.enter_hub(|| busy(server, RECORDS, WINDOW))?);
        let gone = until_gone(server, pulled)?;
        let measured = busy.join().map_err(|_| anyhow::anyhow!("the busy peer panicked"))??;
        anyhow::Ok((measured, gone))
    })?;
    let kept = told(&measured, &format!("{PEERS} peers whose cable was pulled"));
    wait_for("the descriptors to be free", || (descriptors(server).ok()? <= before).then_some(()))?;
    server.when_idle()?;
    let left = Left { kept: kept && gone.last <= PRESENCE, memory: server.resident()? };
    println!(
        "their {} records: the first went after {:.1} s, all were gone after {:.1} s (at most {}); descriptors {before} before, {beside} beside them, {} after; \
         memory {:.1} MiB beside them, {:.1} after",
        PEERS * RECORDS_EACH,
        gone.first.as_secs_f64(),
        gone.last.as_secs_f64(),
        PRESENCE.as_secs(),
        descriptors(server)?,
        mib(memory),
        mib(left.memory),
    );
    drop(crowd);
    Ok(left)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// The peers, with numbers after those of the million.
fn crowd(server: &Server) -> anyhow::Result<Vec<Load>> {
    let index = SocketAddr::from((Net::hub_address(), server.address.port()));
    let count = RECORDS + PEERS * RECORDS_EACH;
    let talks = (0..PEERS).map(|at| {
        (talk::add(Kind::Index, at as usize), row(RECORDS + at * RECORDS_EACH, RECORDS_EACH, count))
    });
    join(index, talks).context("the peers cannot register")
}

/// Looks at the number of records until those of the million are left.
fn until_gone(server: &Server, pulled: Instant) -> anyhow::Result<Gone> {
    let all = (RECORDS + PEERS * RECORDS_EACH) as usize;
    let mut first = None;
    loop {
        let (records, at) = (server.records()?, pulled.elapsed());
        ensure!(
            records >= RECORDS as usize,
            "records are gone of which the peer is there: {records} are left"
        );
        if records < all {
            first = first.or(Some(at));
        }
        if records == RECORDS as usize {
            return Ok(Gone { first: first.unwrap_or(at), last: at });
        }
        ensure!(at < HANG, "{} records are still there after {HANG:?}", records - RECORDS as usize);
        thread::sleep(LOOK);
    }
}

/// How many the index has open.
fn descriptors(server: &Server) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", server.process()))?.count())
}

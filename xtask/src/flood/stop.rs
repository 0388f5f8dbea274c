//! An index that is told to end while thousands await answers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{fill, row};
use crate::bench::load::join;
use crate::bench::server::{Kind, Server};
use crate::bench::talk;

const PEERS: u32 = 10_000;
/// Requests that each awaits answers to, in one segment.
const AWAITED: usize = 20;
/// When it must have ended.
const END_WITHIN: Duration = Duration::from_secs(35);
/// A busy machine may take so much longer before it counts as a hang.
const HANG: Duration = Duration::from_secs(175);

/// See the module.
pub(super) fn run(mut server: Server) -> anyhow::Result<bool> {
    let _rich = fill(&server, 0)?;
    let idle = (0..PEERS / 2).map(|at| (talk::add(Kind::Index, at as usize), row(at, 1, PEERS / 2)));
    let idle = join(server.address, idle).context("the idle peers cannot register")?;
    let mut asking = Vec::new();
    let request = b"LOOKUP RFC 7 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: T\r\n\r\n".repeat(AWAITED);
    for _ in PEERS / 2..PEERS {
        let mut stream = TcpStream::connect(server.address).context("cannot connect")?;
        stream.write_all(&request)?;
        asking.push(stream);
    }
    let began = Instant::now();
    server.terminate()?;
    let (mut cut, mut answers) = (0, 0);
    for stream in &mut asking {
        let said = all_of(stream)?;
        answers += said.windows(4).filter(|end| end == b"\r\n\r\n").count();
        cut += usize::from(!said.is_empty() && !said.ends_with(b"\r\n\r\n"));
    }
    while !server.has_ended()? {
        ensure!(began.elapsed() < HANG, "it has not ended after {HANG:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    drop(idle);
    println!(
        "{PEERS} peers, half of them with {AWAITED} requests on their way: it had ended after {:.2} s (at most {}); {answers} answers came, and {cut} \
         connections ended within one",
        took.as_secs_f64(),
        END_WITHIN.as_secs(),
    );
    Ok(took <= END_WITHIN && cut == 0)
}

/// Everything until the end. Requests that were not read when the index ended make that a reset.
fn all_of(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    stream.set_read_timeout(Some(HANG))?;
    let (mut said, mut room) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut room) {
            Ok(0) => return Ok(said),
            Ok(count) => said.extend_from_slice(&room[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(said),
            Err(error) => return Err(error).context("a connection did not end"),
        }
    }
}

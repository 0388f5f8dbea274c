//! Thousands who send a request byte by byte, each byte late.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::{busy, fill, told};
use crate::bench::load::Window;
use crate::bench::server::Server;

const WRITERS: usize = 15_000;
/// What each says at once: enough to tell what it speaks, so that it is not one of those who have said nothing and may have to go.
const FIRST: usize = 12;
/// Between two bytes of one of them.
const DRIP: Duration = Duration::from_secs(5);
/// Between two looks at all of them.
const LOOK: Duration = Duration::from_millis(100);
/// When the last of them must be cut, from its own first byte.
const CUT_WITHIN: Duration = Duration::from_secs(12);
/// A busy machine may take so much longer before it counts as a hang.
const HANG: Duration = Duration::from_secs(60);
/// More memory for all of them.
const BYTES_MAX: u64 = 160 << 20;
/// The busy peer is looked at for as long as they last.
const WINDOW: Window = Window { warm_up: Duration::from_millis(500), measured: Duration::from_secs(12) };
const REQUEST: &[u8] = b"LOOKUP RFC 1 P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: T\r\n\r\n";

struct Writer {
    stream: TcpStream,
    began: Instant,
    sent: usize,
}

impl Writer {
    fn begin(server: &Server) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(server.address).context("cannot connect")?;
        stream.set_nonblocking(true)?;
        let mut writer = Self { stream, began: Instant::now(), sent: 0 };
        writer.drip();
        Ok(writer)
    }

    /// Sends what it is time for. Where it does not arrive is seen by [`Self::is_there`].
    fn drip(&mut self) {
        let due = FIRST + (self.began.elapsed().as_millis() / DRIP.as_millis()) as usize;
        if let Some(bytes) = REQUEST.get(self.sent..due).filter(|bytes| !bytes.is_empty())
            && self.stream.write(bytes).is_ok()
        {
            self.sent = due;
        }
    }

    fn is_there(&mut self) -> bool {
        let mut said = [0; 512];
        loop {
            match self.stream.read(&mut said) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

/// See the module.
pub(super) fn run(server: &Server) -> anyhow::Result<bool> {
    const RECORDS: u32 = super::RECORDS;
    let _rich = fill(server, 0)?;
    let before = server.resident()?;
    let (measured, seen) = thread::scope(|scope| {
        let dripping = scope.spawn(|| drip(server));
        let measured = busy(server, RECORDS, WINDOW)?;
        let seen = dripping.join().map_err(|_| anyhow::anyhow!("the writers panicked"))??;
        anyhow::Ok((measured, seen))
    })?;
    let kept = told(&measured, &format!("{WRITERS} who drip"));
    let grown = seen.resident.saturating_sub(before);
    println!(
        "memory: {:.1} MiB more (at most {}); {} were there at once; the last was cut {:.1} s after its first byte (at most {})",
        grown as f64 / 1_048_576.0,
        BYTES_MAX >> 20,
        seen.at_once,
        seen.longest.as_secs_f64(),
        CUT_WITHIN.as_secs(),
    );
    Ok(kept && grown <= BYTES_MAX && seen.longest <= CUT_WITHIN)
}

struct Seen {
    resident: u64,
    longest: Duration,
    at_once: usize,
}

fn drip(server: &Server) -> anyhow::Result<Seen> {
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        writers.push(Writer::begin(server)?);
    }
    let mut seen = Seen { resident: 0, longest: Duration::ZERO, at_once: 0 };
    while !writers.is_empty() {
        writers.retain_mut(|writer| {
            writer.drip();
            let is_there = writer.is_there();
            if !is_there {
                seen.longest = seen.longest.max(writer.began.elapsed());
            }
            is_there
        });
        seen.at_once = seen.at_once.max(writers.len());
        seen.resident = seen.resident.max(server.resident()?);
        let late = writers.iter().find(|writer| writer.began.elapsed() > HANG);
        ensure!(late.is_none(), "{} are still there after {HANG:?}", writers.len());
        thread::sleep(LOOK);
    }
    Ok(seen)
}

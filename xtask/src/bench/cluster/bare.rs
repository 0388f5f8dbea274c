//! The bare loop: nothing but the script of the index, run at the masters with records that are there already, in batches of 64.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::thread;

use anyhow::{Context, ensure};

use super::engine::Engine;

const SCRIPT: &str = include_str!("../../../../crates/index/src/store/cluster/put.lua");
const BATCH: u32 = 64;
const BUCKETS: u32 = 256;
/// Batches that are on their way to one master.
const IN_FLIGHT: usize = 16;

/// One connection to each master, with the buckets that it has.
pub(super) struct Bare {
    masters: Vec<(TcpStream, Vec<u32>)>,
    digest: String,
}

impl Bare {
    pub(super) fn connect(engine: &Engine) -> anyhow::Result<Self> {
        let ends = engine.masters();
        let mut masters = Vec::new();
        let mut digest = String::new();
        for (at, (address, last)) in ends.iter().enumerate() {
            let begin = if at == 0 { 0 } else { ends[at - 1].1 + 1 };
            let has = |bucket: &u32| (begin..=*last).contains(&slot(*bucket));
            let mut stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.write_all(&command(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()]))?;
            let mut lines = BufReader::new(stream.try_clone()?).lines();
            lines.next().context("no answer")??;
            digest = lines.next().context("no digest")??;
            masters.push((stream, (0..BUCKETS).filter(has).collect()));
        }
        Ok(Self { masters, digest })
    }

    /// Puts so many records, spread over all buckets.
    pub(super) fn put(&self, records: u32) -> anyhow::Result<()> {
        let of_each = records / BUCKETS;
        thread::scope(|scope| {
            let putting: Vec<_> = self
                .masters
                .iter()
                .map(|(stream, buckets)| scope.spawn(move || put_at(stream, buckets, of_each, &self.digest)))
                .collect();
            putting.into_iter().try_for_each(|putting| {
                putting.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))?
            })
        })
    }
}

fn put_at(stream: &TcpStream, buckets: &[u32], of_each: u32, digest: &str) -> anyhow::Result<()> {
    let mut commands = Vec::new();
    for bucket in buckets {
        for (number, begin) in (0..of_each).step_by(BATCH as usize).enumerate() {
            commands.push(batch(*bucket, number + 1, begin..of_each.min(begin + BATCH), digest));
        }
    }
    let (mut out, mut answers) = (stream.try_clone()?, BufReader::new(stream).lines());
    for (at, command) in commands.iter().enumerate() {
        out.write_all(command)?;
        if at >= IN_FLIGHT {
            answered(&mut answers)?;
        }
    }
    (0..commands.len().min(IN_FLIGHT)).try_for_each(|_| answered(&mut answers))
}

fn answered(answers: &mut impl Iterator<Item = std::io::Result<String>>) -> anyhow::Result<()> {
    let answer = answers.next().context("the connection ended")??;
    ensure!(answer.starts_with(':'), "{answer}");
    Ok(())
}

fn batch(bucket: u32, batch: usize, numbers: std::ops::Range<u32>, digest: &str) -> Vec<u8> {
    let tag = format!("pci:{{{bucket}}}");
    let keys =
        [format!("{tag}:q"), format!("{tag}:n"), format!("{tag}:r:0123456789abcdef"), format!("{tag}:ev")];
    let (mut parts, mut message) = (Vec::new(), Vec::new());
    let count = numbers.len();
    for number in numbers {
        // As long as those of the files that the nodes are told.
        let field = format!("12345678n{}", super::peers::name(bucket * 1_000_000 + number)).into_bytes();
        let value = vec![b'v'; 9 + 16 + 32];
        message.extend([b'+', 0, field.len() as u8]);
        message.extend(&field);
        message.extend([0, value.len() as u8]);
        message.extend(&value);
        parts.push(field);
        parts.push(value);
    }
    let (batch, puts) = (batch.to_string(), count.to_string());
    let mut words: Vec<&[u8]> = vec![b"EVALSHA", digest.as_bytes(), b"4"];
    words.extend(keys.iter().map(String::as_bytes));
    words.extend([b"0123456789abcdef".as_slice(), batch.as_bytes(), puts.as_bytes(), &message]);
    words.extend(parts.iter().map(Vec::as_slice));
    command(&words)
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend(format!("${}\r\n", word.len()).into_bytes());
        out.extend(*word);
        out.extend(b"\r\n");
    }
    out
}

/// The slot of a bucket: CRC-16 of its number.
fn slot(bucket: u32) -> usize {
    let crc = bucket.to_string().bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 }
        })
    });
    usize::from(crc % 16384)
}

//! The bare receivers: loops that ask once and take what comes, for ourselves and everybody else alike.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};

/// Bytes read at once by a loop that discards: they stay in the core's cache.
const DISCARDED: usize = 64 * 1024;
/// Bytes read and written at once.
const WRITTEN: usize = 256 * 1024;
/// Bytes of the pipe between socket and file.
const PIPE: usize = 1024 * 1024;

/// Seconds that a reader waits for its turn, where there is a queue: many large files take their time.
const PATIENCE: u32 = 600;

/// What becomes of the bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bytes<'a> {
    Discarded,
    /// Read, written to a file of this name, synced.
    Written(&'a Path),
    /// Spliced from the socket into that file, synced.
    Spliced(&'a Path),
}

/// Asks for a path in HTTP and takes the body: from before the connection until it is done, or on the disk.
pub(super) fn receive(
    server: SocketAddr,
    path: &str,
    expected: u64,
    bytes: Bytes<'_>,
) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(server)?;
    let prefer = format!("Prefer: wait={PATIENCE}");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n{prefer}\r\nConnection: close\r\n\r\n")?;
    while head(&mut stream)?.starts_with("HTTP/1.1 102 ") {}
    let came = match bytes {
        Bytes::Discarded => discard(&mut stream)?,
        Bytes::Written(path) => write(&mut stream, &File::create(path)?)?,
        Bytes::Spliced(path) => splice_all(&stream, &File::create(path)?)?,
    };
    let elapsed = began.elapsed();
    ensure!(came == expected, "{came} bytes came instead of {expected}");
    Ok(elapsed)
}

/// One head; there are interim ones while somebody waits in a queue.
fn head(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).context("no whole head came")?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let is_one = ["HTTP/1.1 200 ", "HTTP/1.1 102 "].iter().any(|status| head.starts_with(status));
    ensure!(is_one, "answered {head:?}");
    Ok(head)
}

fn discard(stream: &mut TcpStream) -> anyhow::Result<u64> {
    let mut buffer = vec![0; DISCARDED];
    let mut came = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(came),
            count => came += count as u64,
        }
    }
}

fn write(stream: &mut TcpStream, mut file: &File) -> anyhow::Result<u64> {
    let mut buffer = vec![0; WRITTEN];
    let mut came = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        file.write_all(buffer.get(..count).unwrap_or_default())?;
        came += count as u64;
    }
    file.sync_all()?;
    Ok(came)
}

fn splice_all(stream: &TcpStream, file: &File) -> anyhow::Result<u64> {
    let (out, into) = pipe()?;
    fcntl_setpipe_size(&into, PIPE)?;
    let mut came = 0;
    loop {
        let mut held = splice(stream, None, &into, None, PIPE, SpliceFlags::MOVE)?;
        if held == 0 {
            break;
        }
        came += held as u64;
        while held > 0 {
            held -= splice(&out, None, file, None, held, SpliceFlags::MOVE)?;
        }
    }
    file.sync_all()?;
    Ok(came)
}

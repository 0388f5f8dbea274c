//! One large file from the memory file system, to a reader that throws it away.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::processes::{Files, Running};
use super::{Effort, Programs, compare};

/// How it is asked for.
fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

/// The whole file, from the first byte of the request to the last of the answer.
pub(super) fn rows(programs: &Programs, files: &Files, effort: Effort) -> anyhow::Result<()> {
    let (nginx, index) = (Running::nginx(programs, files)?, Running::index(programs, files)?);
    let peer = Running::peer(programs, files, "peer", index.address, &[])?;
    let (mut by_time, mut by_cpu) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let ours = drain(&peer, "/file/large", effort.large)?;
        let theirs = drain(&nginx, "/large", effort.large)?;
        by_time.push((ours.0, theirs.0));
        by_cpu.push((ours.1, theirs.1));
    }
    compare("one large file", "MiB a second", &by_time);
    compare("the same", "MiB a server-CPU-second", &by_cpu);
    Ok(())
}

/// MiB a second of the clock, and of the server's core.
fn drain(server: &Running, path: &str, size: u64) -> anyhow::Result<(f64, f64)> {
    let mut stream = TcpStream::connect(server.address)?;
    let (before, began) = (server.cpu()?, Instant::now());
    stream.write_all(request(path).as_bytes())?;
    let mut buffer = vec![0; 1 << 20];
    let mut all = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => all += count as u64,
        }
    }
    let (elapsed, cpu) = (began.elapsed(), server.cpu()? - before);
    ensure!(all > size, "only {all} bytes came");
    let mebibytes = size as f64 / f64::from(1 << 20);
    Ok((mebibytes / elapsed.as_secs_f64(), mebibytes / cpu.as_secs_f64().max(0.01)))
}

/// The status line of an answer.
pub(super) fn first_line(server: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(request(path).as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("no answer")?;
    Ok(line)
}

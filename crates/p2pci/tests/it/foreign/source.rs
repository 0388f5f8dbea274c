//! Sources of 1.1, in HTTP, of all kinds.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proto::transfer::blocks::TreeHasher;

use super::{Scripted, hold};
use crate::world::BLOCK;

/// How a source behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    Good,
    /// One bit of this byte is wrong.
    Flips(usize),
    /// One bit of this byte of every block is wrong: whichever block it is asked for, it lies.
    FlipsEach(usize),
    /// States this size.
    Claims(u64),
    /// Closes after so many bytes of a body.
    Cuts(usize),
    /// Brings a byte every 20 ms.
    Drips,
    /// Takes requests and says nothing.
    Silent,
    /// Says what it has, and after so many bytes of a body nothing more; the connection stays.
    Stops(usize),
    /// Answers everything with a 404.
    Nothing,
    /// Waits this long before each quarter of a MiB.
    Slow(Duration),
}

/// A source of one content.
pub(crate) fn source(content: &[u8], nature: Nature) -> Scripted {
    source_telling(content, nature, || {})
}

/// The same, which tells when it has sent a whole body.
pub(crate) fn source_telling(
    content: &[u8],
    nature: Nature,
    sent: impl Fn() + Send + Sync + 'static,
) -> Scripted {
    let mut hasher = TreeHasher::new();
    hasher.update(content);
    let (hash, list) = hasher.finish();
    let play = Arc::new(Play {
        content: content.to_vec(),
        hash: hash.to_string(),
        list: list.as_bytes().to_vec(),
        nature,
        sent: Box::new(sent),
    });
    Scripted::start(move |stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some((line, range)) = request(&mut reader) {
            if play.answer(&line, range.as_ref(), &mut stream).is_none() {
                return;
            }
        }
    })
}

struct Play {
    content: Vec<u8>,
    hash: String,
    list: Vec<u8>,
    nature: Nature,
    sent: Box<dyn Fn() + Send + Sync>,
}

impl Play {
    /// `None` closes the connection.
    fn answer(&self, line: &str, range: Option<&Range<usize>>, stream: &mut TcpStream) -> Option<()> {
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let file = format!("/hash/{}", self.hash);
        let is_list = target.strip_prefix(&file).is_some_and(|rest| rest == "/blocks");
        if self.nature == Nature::Silent {
            hold(stream);
            return None;
        }
        if self.nature == Nature::Nothing || (target != file && !is_list) {
            return send(stream, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }
        if is_list {
            send(stream, head("200 OK", "", self.list.len() as u64).as_bytes())?;
            return send(stream, &self.list);
        }
        let said = match self.nature {
            Nature::Claims(said) => said,
            _ => self.content.len() as u64,
        };
        if method == "HEAD" {
            return send(stream, head("200 OK", "", said).as_bytes());
        }
        let bytes = range.cloned().unwrap_or(0..usize::try_from(said).ok()?);
        let of = format!("Content-Range: bytes {}-{}/{said}\r\n", bytes.start, bytes.end.saturating_sub(1));
        match range {
            Some(_) => send(stream, head("206 Partial Content", &of, bytes.len() as u64).as_bytes())?,
            None => send(stream, head("200 OK", "", said).as_bytes())?,
        }
        self.body(bytes, stream)
    }

    fn body(&self, bytes: Range<usize>, stream: &mut TcpStream) -> Option<()> {
        let end = bytes.end.min(self.content.len());
        let mut body = self.content[bytes.start.min(end)..end].to_vec();
        body.resize(bytes.len(), 0);
        match self.nature {
            Nature::Flips(at) if bytes.contains(&at) => body[at - bytes.start] ^= 1,
            Nature::FlipsEach(at) => {
                let wrong = bytes.clone().filter(|byte| byte % BLOCK as usize == at);
                wrong.for_each(|byte| body[byte - bytes.start] ^= 1);
            }
            Nature::Stops(after) => {
                send(stream, &body[..after.min(body.len())])?;
                hold(stream);
                return None;
            }
            Nature::Cuts(after) if after < body.len() => {
                send(stream, &body[..after])?;
                return None;
            }
            _ => {}
        }
        let (step, pause) = match self.nature {
            Nature::Drips => (1, Duration::from_millis(20)),
            Nature::Slow(pause) => (256 * 1024, pause),
            _ => (256 * 1024, Duration::ZERO),
        };
        for piece in body.chunks(step) {
            std::thread::sleep(pause);
            send(stream, piece)?;
        }
        (self.sent)();
        Some(())
    }
}

fn head(status: &str, more: &str, length: u64) -> String {
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: {length}\r\n\r\n")
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> Option<()> {
    stream.write_all(bytes).ok()
}

/// The request line, and the range that is asked for; `None` at the end.
fn request(reader: &mut impl BufRead) -> Option<(String, Option<Range<usize>>)> {
    let (mut first, mut range) = (None, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if let Some((from, to)) = line.strip_prefix("Range: bytes=").and_then(|bytes| bytes.split_once('-')) {
            range = Some(from.parse().ok()?..to.parse::<usize>().ok()? + 1);
        }
        match line {
            "" => return Some((first?, range)),
            line => first = first.or_else(|| Some(line.to_owned())),
        }
    }
}

//! Lines typed by the user, or piped in.

use std::io::BufRead;

use tokio::sync::mpsc;

use crate::exit::Failure;
use crate::thread;

/// Longest line that is read, in bytes; the rest of a longer one is the next line.
const LINE_MAX: usize = 4096;

/// Standard input, line by line.
#[derive(Debug)]
pub struct StdinLines(mpsc::Receiver<String>);

impl StdinLines {
    /// Starts to read. The thread that does it ends with the input, or with the program: a blocked read cannot be called off,
    /// so it must not be a task that the runtime would wait for.
    pub fn start() -> Result<Self, Failure> {
        let (sender, receiver) = mpsc::channel(1);
        thread::start("typed", move || {
            let mut input = std::io::stdin().lock();
            while let Some(line) = read_line(&mut input) {
                if sender.blocking_send(line).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// The next line without its end and without white space around it; `None` at the end of the input.
    pub async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}

fn read_line(input: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let mut limited = std::io::Read::take(input, LINE_MAX as u64);
    match limited.read_until(b'\n', &mut line) {
        Ok(1..) => Some(String::from_utf8_lossy(&line).trim().to_owned()),
        Ok(0) | Err(_) => None,
    }
}

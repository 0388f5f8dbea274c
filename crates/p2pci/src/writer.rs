//! The thread that writes what is noticed in the midst of serving.
//!
//! Serving must not wait for whoever reads: a terminal that was halted with Ctrl+S, or a full pipe, would halt the index and with it
//! every peer, or a peer and with it every upload. Nor must it end with whoever reads, or when the disk with the log is full. Nor should thousands of lines a second wake a thread and write thousands of times:
//! the first line after a pause is written at once, and what comes after it within a moment is written together.

use std::fmt::Write as _;
use std::mem;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::exit::Failure;
use crate::out::{self, Out};
use crate::thread;

/// Lines that wait for a slow reader; further ones are counted as not shown.
const LINES_WAITING: usize = 4096;
/// What is written within such a time is written together.
const GATHER: Duration = Duration::from_millis(20);

/// A line, ready to be written.
#[derive(Debug)]
pub enum Line {
    Text(String),
    Object(Value),
    /// On standard error.
    Note(String),
}

/// What the thread and the others share.
#[derive(Debug, Default)]
struct Desk {
    tray: Mutex<Tray>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Tray {
    lines: Vec<Line>,
    /// Told when every line before is written.
    end: Option<SyncSender<()>>,
    /// The thread waits for a line; else it looks by itself soon.
    is_idle: bool,
    /// Nobody will write any more.
    is_over: bool,
}

/// Hands lines to the thread.
#[derive(Debug)]
pub struct Writer(Arc<Desk>);

impl Writer {
    /// Starts the thread. It ends when this is dropped, or with the program.
    pub fn start(out: Out) -> Result<Self, Failure> {
        out::serving_begins();
        let desk = Arc::<Desk>::default();
        let own = Arc::clone(&desk);
        thread::start("lines", move || write_all(out, &own))?;
        Ok(Self(desk))
    }

    /// Has a line written after those before it; `false` when too many wait already.
    pub fn write(&self, line: Line) -> bool {
        let mut tray = self.0.tray();
        if tray.lines.len() >= LINES_WAITING {
            return false;
        }
        tray.lines.push(line);
        if mem::take(&mut tray.is_idle) {
            drop(tray);
            self.0.wake.notify_one();
        }
        true
    }

    /// Waits until everything is written, at most this long.
    pub fn finish(&self, within: Duration) {
        let (ended, has_ended) = sync_channel(1);
        self.0.tray().end = Some(ended);
        self.0.wake.notify_one();
        // Whichever way this ends, nobody is left to wait for.
        let _ = has_ended.recv_timeout(within);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.tray().is_over = true;
        self.0.wake.notify_one();
    }
}

impl Desk {
    fn tray(&self) -> MutexGuard<'_, Tray> {
        // Nothing panics while it is held.
        self.tray.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is to write, once `until` has come or somebody wants an end; `None` when there will be nothing more.
    fn take(&self, until: Instant) -> Option<(Vec<Line>, Option<SyncSender<()>>)> {
        let mut tray = self.tray();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if tray.end.is_some() || (left.is_zero() && !tray.lines.is_empty()) {
                return Some((mem::take(&mut tray.lines), tray.end.take()));
            }
            if tray.is_over && tray.lines.is_empty() {
                return None;
            }
            if left.is_zero() {
                tray.is_idle = true;
                tray = self.wake.wait(tray).unwrap_or_else(PoisonError::into_inner);
            } else {
                tray = self.wake.wait_timeout(tray, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}

fn write_all(out: Out, desk: &Desk) {
    let mut next = Instant::now();
    while let Some((lines, end)) = desk.take(next) {
        write_together(out, lines);
        next = Instant::now() + GATHER;
        if let Some(end) = end {
            // Nobody waits any more when this fails.
            let _ = end.try_send(());
        }
    }
}

/// In the order in which they came, with one write for those that stand together on standard output.
fn write_together(out: Out, lines: Vec<Line>) {
    let mut text = String::new();
    for line in lines {
        // Writing to a string cannot fail.
        let _ = match line {
            Line::Text(line) => writeln!(text, "{line}"),
            Line::Object(object) => writeln!(text, "{}", out.json_line(&object)),
            Line::Note(note) => {
                out.lines(&mem::take(&mut text));
                out.note(note);
                Ok(())
            }
        };
    }
    out.lines(&text);
}

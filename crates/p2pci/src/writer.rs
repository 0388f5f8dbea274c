//! The thread that writes what is noticed in the midst of serving.
//!
//! Serving must not wait for whoever reads: a terminal that was halted with Ctrl+S, or a full pipe, would halt the index and with it
//! every peer, or a peer and with it every upload.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::out::Out;

/// Lines that wait for a slow reader; further ones are counted as not shown.
const LINES_WAITING: usize = 512;
/// How often the end is tried again while the queue is full.
const RETRY: Duration = Duration::from_millis(10);

/// A line, ready to be written.
#[derive(Debug)]
pub enum Line {
    Text(String),
    Object(Value),
    /// On standard error.
    Note(String),
}

#[derive(Debug)]
enum Order {
    Write(Line),
    /// To be answered when everything before it is written.
    End(SyncSender<()>),
}

/// Hands lines to the thread.
#[derive(Debug)]
pub struct Writer(SyncSender<Order>);

impl Writer {
    /// Starts the thread. It ends with the program.
    pub fn start(out: Out) -> Self {
        let (orders, to_do) = sync_channel(LINES_WAITING);
        std::thread::spawn(move || write_all(out, &to_do));
        Self(orders)
    }

    /// Has a line written after those before it; `false` when too many wait already.
    pub fn write(&self, line: Line) -> bool {
        self.0.try_send(Order::Write(line)).is_ok()
    }

    /// Waits until everything is written, at most this long.
    pub fn finish(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let (ended, has_ended) = sync_channel(1);
        let mut order = Order::End(ended);
        while let Err(TrySendError::Full(again)) = self.0.try_send(order) {
            if Instant::now() >= deadline {
                return;
            }
            order = again;
            std::thread::sleep(RETRY);
        }
        // Whichever way this ends, nobody is left to wait for.
        let _ = has_ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

fn write_all(out: Out, orders: &Receiver<Order>) {
    for order in orders {
        match order {
            Order::Write(Line::Text(line)) => out.line(line),
            Order::Write(Line::Object(object)) => out.object(&object),
            Order::Write(Line::Note(line)) => out.note(line),
            // Nobody waits any more when this fails.
            Order::End(ended) => drop(ended.try_send(())),
        }
    }
}

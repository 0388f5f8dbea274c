//! The only file that prints. Whatever came from the network is escaped by the callers with [`proto::escape`], or handed to
//! [`Out::as_it_came`], which does it here.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the place")]

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use proto::escape;
use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::Failure;

mod json_line;

/// How a command shows its results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// JSON Lines, each an object with a `type`: `docs/json.md`.
    Json,
}

/// Standard output and standard error.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    format: Format,
}

impl Out {
    /// An output of this format.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether results are shown as JSON Lines.
    pub fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// One result: a line for people, or the object that says the same.
    pub fn result(self, line: impl Display, object: &Value) {
        match self.format {
            Format::Text => self.line(line),
            Format::Json => self.object(object),
        }
    }

    /// A line for people; nothing when the format is JSON.
    pub fn remark(self, line: impl Display) {
        if self.format == Format::Text {
            self.line(line);
        }
    }

    /// A line.
    pub fn line(self, line: impl Display) {
        settle(writeln!(io::stdout().lock(), "{line}"));
    }

    /// Whole lines, in one write.
    pub fn lines(self, lines: &str) {
        if !lines.is_empty() {
            settle(io::stdout().lock().write_all(lines.as_bytes()));
        }
    }

    /// A JSON object on a line.
    pub fn object(self, object: &Value) {
        self.line(self.json_line(object));
    }

    /// A JSON object as it stands on a line.
    pub fn json_line(self, object: &Value) -> impl Display {
        json_line::JsonLine(object)
    }

    /// The same of one whose fields stand in order already: `type` first, the rest by name.
    pub fn json_line_of(self, object: impl Serialize) -> impl Display {
        json_line::Ordered(object)
    }

    /// Bytes from the network, line ends kept, every other control character escaped.
    pub fn as_it_came(self, bytes: &[u8]) {
        let mut out = io::stdout().lock();
        settle(write!(out, "{}", escape::Text(bytes)).and_then(|()| out.flush()));
    }

    /// A question, without a line end.
    pub fn prompt(self, question: &str) {
        let mut out = io::stdout().lock();
        settle(write!(out, "{question}").and_then(|()| out.flush()));
    }

    /// Why the command failed: the program's last words.
    pub fn failure(self, failure: &Failure) {
        let message = escape::Line(failure.message.as_bytes()).to_string();
        match self.format {
            Format::Text => self.note(format_args!("p2pci: {message}")),
            Format::Json => {
                self.object(&json!({"type": "error", "code": failure.code as u8, "message": message}));
            }
        }
    }

    /// A line on standard error: what is no result.
    pub fn note(self, line: impl Display) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
}

/// Whether others are served, who need this process more than a reader does.
static SERVES: AtomicBool = AtomicBool::new(false);
/// Whether it was said that nothing can be shown.
static SAID: AtomicBool = AtomicBool::new(false);

/// Says that from now on others are served: what cannot be written is lost, and the process goes on.
pub fn serving_begins() {
    SERVES.store(true, Ordering::Relaxed);
}

/// A reader that has gone away (`p2pci list | head`) ends the program quietly, as with any other tool; but not one that serves.
fn settle(written: io::Result<()>) {
    let Err(error) = written else { return };
    let why = format_args!("p2pci: cannot write to standard output: {error}");
    // Nobody is left to tell when standard error is gone.
    if SERVES.load(Ordering::Relaxed) {
        if !SAID.swap(true, Ordering::Relaxed) {
            let _ =
                writeln!(io::stderr().lock(), "{why}; serving goes on, and what would stand there is lost");
        }
    } else if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    } else {
        let _ = writeln!(io::stderr().lock(), "{why}");
        std::process::exit(1);
    }
}

/// Whether the runtime has its threads.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Says that from now on a panic is a fault of ours.
pub fn threads_have_started() {
    STARTED.store(true, Ordering::Relaxed);
}

/// Shows a panic as one sentence: what it means to the user, and how to report it. A backtrace helps nobody at a terminal.
/// Before the threads have started it is the runtime's way of saying that the system gives none, and it would wait for those that it has.
pub fn install_panic_message() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let cause = panic.payload_as_str().unwrap_or("no message");
        if !STARTED.load(Ordering::Relaxed) {
            eprintln!("p2pci: cannot start: {cause}. Are processes or memory limited here (ulimit -a)?");
            std::process::exit(1);
        }
        eprintln!("p2pci: internal error at {place}: {cause}. Please report this line.");
    }));
}

/// Whether a person watches standard error.
pub fn errors_are_watched() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

/// Standard output as a place for a file's bytes.
pub fn bytes() -> Box<dyn Write + Send> {
    Box::new(io::stdout())
}

//! What the index shows while it runs: who comes and goes, and each request, as the original's console did.

mod json;
mod text;

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use index::notice::{LeftWhy, Notice, Observer};
use net::accept::{AcceptNotice, AcceptObserver, RefusedReason};
use net::tls::HandshakeError;
use proto::limits::LOG_LINES_PER_SECOND;
use proto::value::digest::Digest;
use proto::wire::refusal::Refusal;
use proto::wire::request::Request;

use crate::cli::LogFormat;
use crate::exit::Failure;
use crate::line_budget::LineBudget;
use crate::out::Out;
use crate::writer::{Line, Writer};

/// How long the end waits for a reader of the log.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Everything that the index has to say.
#[derive(Debug)]
enum Event<'a> {
    Connected { source: SocketAddr },
    Left { source: SocketAddr, records: usize, why: String },
    Request { source: SocketAddr, request: &'a Request<'a>, status: &'static str, records: usize },
    Refused { source: SocketAddr, refusal: &'a Refusal<'a>, status: &'static str },
    Http { source: SocketAddr, method: &'static str, path: &'a str, status: u16 },
    HttpRefused { source: SocketAddr, reason: String, status: u16 },
    NotServed { source: SocketAddr, reason: String },
    Trouble { message: String },
    Cluster { trouble: Option<String> },
    Hidden { lines: u64 },
    Status { peers: usize, records: usize, tasks: usize },
    Stopping,
}

/// How loud the log is, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// `--log-format`
    pub format: LogFormat,
    /// `--quiet`: neither connections nor requests.
    pub quiet: bool,
    /// `--explain`: dialect and departures of each request.
    pub explain: bool,
}

/// The index's log.
#[derive(Debug)]
pub struct ServerLog {
    writer: Writer,
    style: Style,
    budget: Mutex<LineBudget>,
}

impl ServerLog {
    /// A log that begins at `now`.
    pub fn new(out: Out, style: Style, now: Instant) -> Result<Self, Failure> {
        Ok(Self {
            writer: Writer::start(out)?,
            style,
            budget: Mutex::new(LineBudget::new(LOG_LINES_PER_SECOND, now)),
        })
    }

    /// Where the index listens.
    pub fn listening(&self, address: SocketAddr, fingerprint: Option<Digest>, lines: &str) {
        self.write(match self.style.format {
            LogFormat::Text => Line::Text(lines.to_owned()),
            LogFormat::Json => Line::Object(json::listening(address, fingerprint)),
        });
    }

    /// How many peers and records there are, and how many tasks the process runs. Shown even when quiet if it was asked for.
    pub fn status(&self, status: &index::status::Status, tasks: usize, asked: bool) {
        if asked || !self.style.quiet {
            self.show(&Event::Status { peers: status.peers, records: status.records, tasks });
        }
    }

    /// A connection that spoke what is not served here has been answered and closed.
    pub fn turned_away(&self, source: SocketAddr, plain_text: bool) {
        let why = match plain_text {
            true => "spoke plain text, and only TLS is served",
            false => "spoke HTTP or TLS, which is not served",
        };
        self.show_limited(&Event::Left { source, records: 0, why: why.to_owned() });
    }

    /// Something that the operator must know.
    pub fn trouble(&self, message: String) {
        self.show(&Event::Trouble { message });
    }

    /// How it stands with the cluster; `None` is well.
    pub fn cluster(&self, trouble: Option<String>) {
        self.show(&Event::Cluster { trouble });
    }

    /// The index stops.
    pub fn stopping(&self) {
        self.show(&Event::Stopping);
    }

    /// Tells what a second that is over has hidden; to be called now and then.
    pub fn settle(&self, now: Instant) {
        let hidden = self.budget().settle(now);
        self.show_hidden(hidden);
    }

    /// Waits, for a bounded time, until everything is written: what comes later may be lost.
    pub fn finish(&self) {
        self.writer.finish(LAST_WORDS);
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, LineBudget> {
        // A count of lines stays right whatever another thread did with it.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, event: &Event<'_>) {
        let explain = self.style.explain;
        self.write(match self.style.format {
            LogFormat::Text => Line::Text(text::Line { event, explain }.to_string()),
            LogFormat::Json => Line::Object(json::object(event, explain)),
        });
    }

    fn write(&self, line: Line) {
        if !self.writer.write(line) {
            self.budget().hide_one();
        }
    }

    fn show_hidden(&self, hidden: Option<u64>) {
        if let Some(lines) = hidden {
            self.show(&Event::Hidden { lines });
        }
    }

    /// Shows what may come in floods, as far as the second's budget allows.
    fn show_limited(&self, event: &Event<'_>) {
        if self.style.quiet {
            return;
        }
        self.show_within_budget(event);
    }

    fn show_within_budget(&self, event: &Event<'_>) {
        let admission = self.budget().admit(Instant::now());
        self.show_hidden(admission.hidden_before);
        if admission.show {
            self.show(event);
        }
    }
}

impl AcceptObserver for ServerLog {
    fn notice(&self, notice: AcceptNotice) {
        match notice {
            AcceptNotice::Connected { source } => self.show_limited(&Event::Connected { source }),
            AcceptNotice::EndedUnheard { source } => {
                self.show_limited(&Event::Left { source, records: 0, why: "said nothing".to_owned() });
            }
            // Whoever is not served is worth a line even when requests are not shown.
            AcceptNotice::Refused { source, reason } => {
                self.show_within_budget(&Event::NotServed { source, reason: not_served(reason) });
            }
            AcceptNotice::HandshakeFailed { source, error } => {
                self.show_limited(&Event::NotServed { source, reason: handshake_failed(&error) });
            }
            AcceptNotice::Trouble(error) => self.trouble(accept_trouble(&error)),
            AcceptNotice::HandlerPanicked(error) => {
                self.trouble(format!("a connection ended by an internal error: {error}"));
            }
        }
    }
}

/// The dashboard asks often and for nothing that anybody wants to read; what goes wrong is another matter.
impl web::notice::Observer for ServerLog {
    fn notice(&self, notice: &web::notice::Notice<'_>) {
        use web::notice::Notice;
        const UNTOLD: [&str; 4] = ["/api/", "/assets/", "/metrics", "/healthz"];
        match *notice {
            Notice::Answered { path, status: ..400, .. }
                if path == "/" || UNTOLD.iter().any(|begin| path.starts_with(begin)) => {}
            Notice::Answered { source, method, path, status } => {
                self.show_limited(&Event::Http { source, method: method.as_str(), path, status });
            }
            Notice::Left { source } => {
                self.show_limited(&Event::Left { source, records: 0, why: "closed".to_owned() });
            }
            Notice::Refused { source, refusal } => {
                let status = refusal.status().code();
                self.show_limited(&Event::HttpRefused { source, reason: refusal.to_string(), status });
            }
        }
    }
}

impl Observer for ServerLog {
    fn notice(&self, notice: &Notice<'_>) {
        match *notice {
            Notice::Left { source, records, why, .. } => {
                self.show_limited(&Event::Left { source, records, why: left_why(why) });
            }
            Notice::Request { source, request, status, records, .. } => {
                self.show_limited(&Event::Request { source, request, status, records });
            }
            Notice::Refused { source, refusal } => {
                let status = refusal.reason.status().as_str();
                self.show_limited(&Event::Refused { source, refusal, status });
            }
            Notice::Joined { .. } => {}
        }
    }

    fn wants_requests(&self) -> bool {
        !self.style.quiet
    }
}

fn not_served(reason: RefusedReason) -> String {
    match reason {
        RefusedReason::NotLocal => "not in the local networks; --public serves every address".to_owned(),
        RefusedReason::Denied => "kept out by --deny-from, --allow-from or --address-list".to_owned(),
        RefusedReason::TooManyFromAddress { max } => {
            format!("more than {max} connections from there; --max-per-address allows more")
        }
        RefusedReason::Penalised { seconds } => {
            format!("connections from there were cut off too often; no new one is taken for {seconds} s")
        }
        RefusedReason::MadeRoom { max } => {
            format!("made room: it had said nothing, and waited longest of more than {max} such connections")
        }
        RefusedReason::TooMany { max } => {
            format!("more than {max} connections in all; raise the limit of open files (ulimit -n)")
        }
    }
}

/// As this side sees it: what the other side said, or did not do.
fn handshake_failed(error: &HandshakeError) -> String {
    match error {
        HandshakeError::TimedOut(limit) => format!("no TLS handshake within {} s", limit.as_secs()),
        HandshakeError::Closed => "it closed in the middle of the TLS handshake".to_owned(),
        HandshakeError::Untrusted(error) => {
            format!("its certificate is not to be trusted: {error} (--tls-client-ca)")
        }
        HandshakeError::Io(error) => format!("the connection broke during the TLS handshake: {error}"),
        error => error.to_string(),
    }
}

fn left_why(why: &LeftWhy) -> String {
    match why {
        LeftWhy::EndOfFile => "closed".to_owned(),
        LeftWhy::Refused(reason) => format!("cut off: {reason}"),
        LeftWhy::LostToken(denied) => format!("cut off: {denied}"),
        LeftWhy::Stalled => "cut off: it reads none of its answer".to_owned(),
        LeftWhy::Error(error) => format!("connection lost: {error}"),
        LeftWhy::Stopping => "the index stops".to_owned(),
    }
}

fn accept_trouble(error: &io::Error) -> String {
    format!("cannot accept connections at the moment, trying again: {error}")
}

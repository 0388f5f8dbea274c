//! Tells what happens while something is shared, as far as it matters to whoever shares.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use net::accept::AcceptNotice;
use peer::indexes::Indexes;
use peer::link::IndexAddr;
use peer::notice::{LinkNotice, Notice, Observer, ShareNotice, UploadOutcome};
use proto::escape;
use proto::http::status::Status;
use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::out::Out;
use crate::settings::typed;
use crate::writer::{Line, Writer};

/// How long the last lines may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Whoever shares hears of the index, of uploads and of files that cannot be shared.
pub(super) struct Narrator {
    out: Out,
    writer: Arc<Writer>,
    indexes: Indexes,
    /// The one that it hears of.
    index: IndexAddr,
    registered_before: Arc<AtomicBool>,
}

/// A file, or a part of it, was taken from us. The fields are in the order in which they are shown.
#[derive(Serialize)]
struct Uploaded {
    r#type: &'static str,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    to: SocketAddr,
}

impl Narrator {
    pub(super) fn new(out: Out, indexes: Indexes) -> Result<Self, Failure> {
        Ok(Self {
            out,
            writer: Arc::new(Writer::start(out)?),
            index: indexes.first().clone(),
            indexes,
            registered_before: Arc::default(),
        })
    }

    /// Who hears of another index and tells it in the same place.
    pub(super) fn of(&self, index: &IndexAddr) -> Arc<dyn Observer> {
        let Self { out, writer, registered_before, indexes, .. } = self;
        let (writer, registered_before) = (Arc::clone(writer), Arc::clone(registered_before));
        let (indexes, index) = (indexes.clone(), index.clone());
        Arc::new(Self { out: *out, writer, indexes, index, registered_before })
    }

    /// Waits until everything is written, but not for a reader who does not read.
    pub(super) fn finish(&self) {
        self.writer.finish(LAST_WORDS);
    }

    /// A line for people, or the object that says the same. What a reader is too slow for is left out.
    fn result(&self, line: impl Display, object: Value) {
        let line = if self.out.is_json() { Line::Object(object) } else { Line::Text(line.to_string()) };
        self.writer.write(line);
    }

    /// The same for what happens tens of thousands of times a second.
    fn frequent(&self, line: impl Display, object: impl FnOnce() -> Uploaded) {
        let line =
            if self.out.is_json() { self.out.json_line_of(object()).to_string() } else { line.to_string() };
        self.writer.write(Line::Text(line));
    }

    fn note(&self, line: impl Display) {
        self.writer.write(Line::Note(line.to_string()));
    }

    fn link(&self, notice: LinkNotice) {
        let Self { index, .. } = self;
        match notice {
            LinkNotice::Registered { files, refused } => {
                let refusals = if refused > 0 { format!(", {refused} refused") } else { String::new() };
                let plural = if files == 1 { "" } else { "s" };
                let mut line = format!("Registered {files} file{plural} with {}{refusals}", typed(index));
                if !self.registered_before.swap(true, Ordering::Relaxed) {
                    line.extend(elsewhere(&self.indexes).map(|elsewhere| format!("\n{elsewhere}")));
                }
                let object = json!({"type": "registered", "files": files, "refused": refused, "server": index.to_string()});
                self.result(line, object);
            }
            LinkNotice::Refused { number, status } => {
                let status = status.map_or("no status".to_owned(), |code| code.get().to_string());
                self.note(format_args!("p2pci: the index did not take RFC {number}: {status}"));
            }
            LinkNotice::NotTaken { why, count } => {
                let why = escape::Line(why.as_bytes());
                self.note(format_args!("p2pci: the index did not take {count} of the files: {why}"));
            }
            LinkNotice::Lost { why } => self.note(format_args!(
                "p2pci: no connection to {}: {}; uploads go on",
                typed(index),
                escape::Line(why.as_bytes())
            )),
            LinkNotice::RetryIn(pause) => {
                self.note(format_args!("p2pci: trying again in {:.1} s", pause.as_secs_f32()));
            }
            LinkNotice::Connected { .. } => {}
        }
    }

    fn shares(&self, notice: &ShareNotice) {
        match notice {
            ShareNotice::Hashed { .. } => {}
            ShareNotice::NoCache { why } => {
                self.note(format_args!("p2pci: hashes are not kept over a restart: {why}"));
            }
            ShareNotice::CacheRenewed => {
                self.note("p2pci: the kept hashes were damaged; they are computed anew");
            }
            ShareNotice::NotWatched { why } => {
                self.note(format_args!("p2pci: changes are found every minute only: {why}"));
            }
            ShareNotice::Unreadable { name, why } => self.note(format_args!(
                "p2pci: '{}' is not shared: {}",
                escape::Line(name.as_bytes()),
                escape::Line(why.as_bytes())
            )),
        }
    }

    fn upload(&self, notice: Notice) {
        match notice {
            Notice::Upload { source, number, length, outcome: UploadOutcome::Done } => {
                self.frequent(format_args!("{source} took RFC {number}, {length} bytes"), || Uploaded {
                    r#type: "uploaded",
                    bytes: length,
                    number: Some(number.get()),
                    target: None,
                    to: source,
                });
            }
            Notice::Upload { source, number, outcome: UploadOutcome::Cut(error), .. } => {
                self.note(format_args!("p2pci: the upload of RFC {number} to {source} was cut: {error}"));
            }
            // A verified download is hundreds of ranges: a line for each would hide everything else.
            Notice::Http { answer, cut: None, .. }
                if answer.status == Status::PartialContent && !self.out.is_json() => {}
            Notice::Http { source, answer, cut: None } if answer.length > 0 => self.frequent(
                format_args!("{source} took {}, {} bytes", answer.target, answer.length),
                || Uploaded {
                    r#type: "uploaded",
                    bytes: answer.length,
                    number: None,
                    target: Some(answer.target.to_string()),
                    to: source,
                },
            ),
            Notice::Http { source, answer, cut: Some(error) } => {
                self.note(format_args!(
                    "p2pci: the upload of {} to {source} was cut: {error}",
                    answer.target
                ));
            }
            Notice::Accept(AcceptNotice::Trouble(error)) => {
                self.note(format_args!("p2pci: cannot accept connections at the moment: {error}"));
            }
            _ => {}
        }
    }
}

impl Observer for Narrator {
    fn notice(&self, notice: Notice) {
        match notice {
            Notice::Link(notice) => self.link(notice),
            Notice::Shares(notice) => self.shares(&notice),
            notice => self.upload(notice),
        }
    }
}

/// How long one of our own addresses may take to say whether the index listens there too; the system knows at once.
const OWN_ADDRESS: Duration = Duration::from_millis(100);

/// The line to type on another machine, where an index can be reached from one.
fn elsewhere(indexes: &Indexes) -> Option<String> {
    let servers: Vec<String> = indexes.iter().filter_map(from_elsewhere).collect();
    let server = servers.join(",");
    let line = format!("Elsewhere:  p2pci list --server {server}  |  p2pci get NAME --server {server}");
    (!servers.is_empty()).then_some(line)
}

/// A name for this machine itself means nothing on another one: an address of ours does, if the index listens there too.
fn from_elsewhere(index: &IndexAddr) -> Option<String> {
    let here = index.host == "localhost" || index.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if !here {
        return Some(typed(index));
    }
    let listens =
        |address: &IpAddr| TcpStream::connect_timeout(&(*address, index.port).into(), OWN_ADDRESS).is_ok();
    let host = net::interfaces::reachable_addresses().into_iter().find(listens)?.to_string();
    Some(typed(&IndexAddr { host, ..index.clone() }))
}

//! The log for people: one line an event, everything from the network escaped.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use proto::access::redacted;
use proto::escape;
use proto::wire::get::writable;
use proto::wire::request::{Request, Verb};
use proto::wire::version::Version;

use super::Event;

/// One event as a line.
pub(super) struct Line<'a> {
    pub(super) event: &'a Event<'a>,
    pub(super) explain: bool,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", humantime::format_rfc3339_seconds(writable(SystemTime::now())))?;
        match self.event {
            Event::Connected { source } => write!(f, "{source} connected"),
            Event::Left { source, records: 0, why } => write!(f, "{source} left ({why})"),
            Event::Left { source, records, why } => {
                write!(f, "{source} left ({why}), {} removed", Records(*records))
            }
            Event::Request { source, request, status, records } => {
                write!(f, "{source} {} -> {status}", Lines(request.raw))?;
                if *records > 1 {
                    write!(f, ", {records} records")?;
                }
                match self.explain {
                    true => write!(f, "\n    {}", Explained(request, *source)),
                    false => Ok(()),
                }
            }
            Event::Refused { source, refusal, status } => {
                write!(f, "{source} {} -> {status} ({})", Lines(refusal.raw), refusal.reason)
            }
            Event::Http { source, method, path, status } => {
                write!(f, "{source} {method} {} -> {status}", escape::Line(path.as_bytes()))
            }
            Event::HttpRefused { source, reason, status } => {
                write!(f, "{source} a request in HTTP -> {status} ({reason})")
            }
            Event::NotServed { source, reason } => write!(f, "{source} not served: {reason}"),
            Event::Trouble { message } => write!(f, "warning: {message}"),
            Event::Cluster { trouble: None } => f.write_str("cluster: this node knows what the others have"),
            Event::Cluster { trouble: Some(why) } => {
                write!(
                    f,
                    "cluster: cut off ({}); its own peers are served, and what it knew of others",
                    escape::Line(why.as_bytes())
                )
            }
            Event::Hidden { lines } => write!(f, "({lines} more lines in the last second are not shown)"),
            Event::Status { peers, records, tasks } => {
                let plural = if *peers == 1 { "" } else { "s" };
                write!(f, "status: {peers} peer{plural}, {}, {tasks} tasks", Records(*records))
            }
            Event::Stopping => f.write_str("stopping: connections are closed, peers come back by themselves"),
        }
    }
}

struct Records(usize);

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 record"),
            count => write!(f, "{count} records"),
        }
    }
}

/// A request's lines, joined by `|` and escaped.
struct Lines<'a>(&'a [u8]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = redacted(self.0);
        let lines =
            shown.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end).filter(|line| !line.is_empty());
        for (index, line) in lines.enumerate() {
            f.write_str(if index == 0 { "" } else { " | " })?;
            escape::Line(line).fmt(f)?;
        }
        Ok(())
    }
}

/// What `--explain` says about a request: who sent it, in which dialect, and how that departs from the specification.
struct Explained<'a>(&'a Request<'a>, SocketAddr);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(request, source) = self;
        let host = match &request.verb {
            Verb::Add(add) => Some(add.host),
            Verb::Lookup(lookup) => lookup.host,
            Verb::List(list) => list.host,
            Verb::Get(_) | Verb::V11(_) => None,
        };
        match host {
            Some(host) => escape::Line(host.as_str().as_bytes()).fmt(f)?,
            None => source.fmt(f)?,
        }
        match (request.version, request.departures.is_empty()) {
            (Version::V1_1, _) => f.write_str(": P2P-CI/1.1"),
            (Version::V1_0, true) => {
                write!(f, ": exactly as specified (dialect {})", request.framing.dialect())
            }
            (Version::V1_0, false) => {
                write!(f, ": {} (dialect {})", request.departures, request.framing.dialect())
            }
        }
    }
}

//! Foreign indexes: each reads and answers as the programs of its dialect do.

use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Crlf, Dialect, Scripted, read_request, say};

/// How a foreign index behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) dialect: Dialect,
    pub(crate) crlf: Crlf,
    /// ADD is answered with the record that was added.
    pub(crate) echoes_add: bool,
    /// A LOOKUP or LIST that finds nothing is answered `200 OK`, with no record.
    pub(crate) says_200_to_nothing: bool,
}

impl From<Dialect> for Manner {
    fn from(dialect: Dialect) -> Self {
        Self { dialect, crlf: dialect.crlf(), echoes_add: true, says_200_to_nothing: false }
    }
}

/// One record, with the connection that added it; 0 for those that were there from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) connection: usize,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) host: String,
    pub(crate) port: String,
}

impl Entry {
    /// One that was there from the start.
    pub(crate) fn new(number: u32, title: &str, host: &str, port: u16) -> Self {
        let (number, port) = (number.to_string(), port.to_string());
        Self { connection: 0, number, title: title.to_owned(), host: host.to_owned(), port }
    }

    /// As it stands in an answer.
    fn line(&self) -> String {
        let Self { number, title, host, port, .. } = self;
        format!("RFC {number} {title} {host} {port}")
    }
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    requests: Vec<Vec<u8>>,
}

/// A foreign index.
#[derive(Debug)]
pub(crate) struct ForeignIndex {
    server: Scripted,
    state: Arc<Mutex<State>>,
}

impl ForeignIndex {
    /// With records that were there before.
    pub(crate) fn start(manner: impl Into<Manner>, entries: Vec<Entry>) -> Self {
        let manner = manner.into();
        let state = Arc::new(Mutex::new(State { entries, requests: Vec::new() }));
        let shared = Arc::clone(&state);
        let server = Scripted::start(move |stream, connection| serve(stream, connection, manner, &shared));
        Self { server, state }
    }

    /// As `--server` takes it.
    pub(crate) fn address(&self) -> String {
        self.server.address()
    }

    /// Its records now.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// The requests of 1.0, as one read brought each. Before them our programs ask in 1.1, on a connection of its own.
    pub(crate) fn requests_in_v10(&self) -> Vec<String> {
        let is_v11 =
            |request: &String| request.lines().next().is_some_and(|line| line.ends_with(" P2P-CI/1.1"));
        self.requests().into_iter().filter(|request| !is_v11(request)).collect()
    }

    /// Each request as one read brought it.
    pub(crate) fn requests(&self) -> Vec<String> {
        let state = self.lock();
        state.requests.iter().map(|request| String::from_utf8_lossy(request).into_owned()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn serve(mut stream: TcpStream, connection: usize, manner: Manner, state: &Mutex<State>) {
    while let Some(request) = read_request(&mut stream, manner.dialect, manner.crlf) {
        let answer = answer(&request, connection, manner, state);
        say(&mut stream, &answer);
    }
    // A record lives as long as the connection that added it.
    state.lock().unwrap().entries.retain(|entry| entry.connection != connection);
}

fn answer(request: &[u8], connection: usize, manner: Manner, state: &Mutex<State>) -> Vec<u8> {
    let mut state = state.lock().unwrap();
    state.requests.push(request.to_vec());
    let text = String::from_utf8_lossy(request).into_owned();
    if manner.crlf == Crlf::Refused && text.contains('\r') {
        return framed(manner.dialect, "505 P2P-CI Version Not Supported", &[]);
    }
    match understood(&text, manner.dialect, connection) {
        Some(Asked::Add(entry)) => {
            let echo = if manner.echoes_add { vec![entry.line()] } else { Vec::new() };
            state.entries.push(entry);
            framed(manner.dialect, "200 OK", &echo)
        }
        Some(Asked::Lookup(number)) => found(manner, &state, |entry| entry.number == number),
        Some(Asked::List) => found(manner, &state, |_| true),
        None => framed(manner.dialect, "400 Bad Request", &[]),
    }
}

fn found(manner: Manner, state: &State, wanted: impl Fn(&Entry) -> bool) -> Vec<u8> {
    let lines: Vec<String> = state.entries.iter().filter(|entry| wanted(entry)).map(Entry::line).collect();
    match lines.is_empty() && !manner.says_200_to_nothing {
        true => framed(manner.dialect, "404 Not Found", &[]),
        false => framed(manner.dialect, "200 OK", &lines),
    }
}

enum Asked {
    Add(Entry),
    Lookup(String),
    List,
}

/// The first request of what was read; whatever follows it is dropped, as the original does.
fn understood(text: &str, dialect: Dialect, connection: usize) -> Option<Asked> {
    let lines: Vec<&str> = text.lines().collect();
    let words: Vec<&str> = lines.first()?.split_whitespace().collect();
    let header = |position: usize, name: &str| match dialect {
        // By position, whatever the header is called.
        Dialect::Original => lines.get(position)?.split_once(": ").map(|(_, value)| value.to_owned()),
        _ => lines.iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found == name).then(|| value.trim().to_owned())
        }),
    };
    match words.as_slice() {
        ["ADD", "RFC", number, "P2P-CI/1.0"] => Some(Asked::Add(Entry {
            connection,
            number: (*number).to_owned(),
            title: header(3, "Title").filter(|title| !title.is_empty())?,
            host: header(1, "Host")?,
            port: header(2, "Port")?,
        })),
        ["LOOKUP", "RFC", number, "P2P-CI/1.0"] => {
            let _all_there = (header(1, "Host")?, header(2, "Port")?, header(3, "Title")?);
            Some(Asked::Lookup((*number).to_owned()))
        }
        ["LIST", "ALL", "P2P-CI/1.0"] => {
            let _all_there = (header(1, "Host")?, header(2, "Port")?);
            Some(Asked::List)
        }
        _ => None,
    }
}

/// An answer in the framing of its dialect.
fn framed(dialect: Dialect, status: &str, records: &[String]) -> Vec<u8> {
    let end = dialect.line_end();
    let gap = if dialect == Dialect::Original && status.starts_with("400") { "  " } else { " " };
    let mut text = format!("P2P-CI/1.0{gap}{status}{end}");
    if dialect == Dialect::Spec {
        text.push_str(end);
    }
    for record in records {
        text.push_str(record);
        text.push_str(end);
    }
    match dialect {
        Dialect::LfBlank | Dialect::Tight => text.push_str(end),
        Dialect::Spec if !records.is_empty() => text.push_str(end),
        Dialect::Unterminated => text.truncate(text.trim_end().len()),
        Dialect::Padded => text.push_str(&"~".repeat(1024_usize.saturating_sub(text.len()))),
        Dialect::Spec | Dialect::Original | Dialect::CrlfPlain => {}
    }
    text.into_bytes()
}

//! Foreign peers' upload servers: each hands out files as the programs of its dialect do.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Crlf, Dialect, Scripted, finish, hold, read_request, say};

/// How long a head travels alone where the program sends the body later.
const APART: Duration = Duration::from_millis(100);

/// How a foreign upload server behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) dialect: Dialect,
    pub(crate) crlf: Crlf,
    /// It leaves the connection open after the file.
    pub(crate) never_closes: bool,
}

impl From<Dialect> for Manner {
    fn from(dialect: Dialect) -> Self {
        Self { dialect, crlf: dialect.crlf(), never_closes: false }
    }
}

/// A foreign upload server.
#[derive(Debug)]
pub(crate) struct ForeignUploader {
    server: Scripted,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl ForeignUploader {
    /// With these files.
    pub(crate) fn start(manner: impl Into<Manner>, files: BTreeMap<u32, Vec<u8>>) -> Self {
        let manner = manner.into();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let server = Scripted::start(move |mut stream, _| {
            if let Some(request) = read_request(&mut stream, manner.dialect, manner.crlf) {
                seen.lock().unwrap().push(request.clone());
                serve(&mut stream, &request, manner, &files);
            }
        });
        Self { server, requests }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// As `--from` takes it.
    pub(crate) fn address(&self) -> String {
        self.server.address()
    }

    /// Each request as it was read.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| String::from_utf8_lossy(request).into_owned()).collect()
    }
}

fn serve(stream: &mut TcpStream, request: &[u8], manner: Manner, files: &BTreeMap<u32, Vec<u8>>) {
    let text = String::from_utf8_lossy(request).into_owned();
    let refused = manner.crlf == Crlf::Refused && text.contains('\r');
    match (refused, asked(&text).and_then(|number| files.get(&number))) {
        (true, _) => say(stream, status(manner.dialect, "505 P2P-CI Version Not Supported").as_bytes()),
        (false, Some(file)) => hand_out(stream, manner.dialect, file),
        (false, None) => say(stream, status(manner.dialect, "404 Not Found").as_bytes()),
    }
    match manner.never_closes {
        true => hold(stream),
        false => finish(stream),
    }
}

fn asked(text: &str) -> Option<u32> {
    let lines: Vec<&str> = text.lines().collect();
    let words: Vec<&str> = lines.first()?.split_whitespace().collect();
    match (words.as_slice(), lines.get(1)?.split_once(':'), lines.get(2)?.split_once(':')) {
        (["GET", "RFC", number, "P2P-CI/1.0"], Some(("Host", _)), Some(("OS", _))) => number.parse().ok(),
        _ => None,
    }
}

fn status(dialect: Dialect, status: &str) -> String {
    let end = dialect.line_end();
    match dialect {
        Dialect::Spec | Dialect::LfBlank | Dialect::Tight => format!("P2P-CI/1.0 {status}{end}{end}"),
        Dialect::Unterminated => format!("P2P-CI/1.0 {status}"),
        Dialect::Original | Dialect::CrlfPlain | Dialect::Padded => format!("P2P-CI/1.0 {status}{end}"),
    }
}

fn head(dialect: Dialect, length: usize) -> String {
    let end = dialect.line_end();
    let colon = if dialect == Dialect::Tight { ":" } else { ": " };
    let (date, modified) = match dialect {
        Dialect::Original => ("Data", "Last-Modified"),
        Dialect::LfBlank => ("DATE", "Last Modified"),
        _ => ("Date", "Last-Modified"),
    };
    let lines = [
        "P2P-CI/1.0 200 OK".to_owned(),
        format!("{date}{colon}Fri, 11 Jan 2019 21:41:21 GMT"),
        format!("OS{colon}Linux-4.15.0"),
        format!("{modified}{colon}Fri, 11 Jan 2019 20:00:00 GMT"),
        format!("Content-Length{colon}{length}"),
        format!("Content-Type{colon}text/plain"),
    ];
    let separator = matches!(dialect, Dialect::Spec | Dialect::LfBlank | Dialect::Tight);
    format!("{}{end}{}", lines.join(end), if separator { end } else { "" })
}

/// The head of an answer as the specification has it, for scripts that go wrong after it.
pub(crate) fn spec_head(length: usize) -> Vec<u8> {
    head(Dialect::Spec, length).into_bytes()
}

fn hand_out(stream: &mut TcpStream, dialect: Dialect, file: &[u8]) {
    let head = head(dialect, file.len()).into_bytes();
    match dialect {
        Dialect::Spec | Dialect::CrlfPlain | Dialect::Tight => say(stream, &[&head, file].concat()),
        Dialect::Original | Dialect::LfBlank | Dialect::Unterminated | Dialect::Padded => {
            say(stream, &head);
            // The pause is what such programs do, and a client must not take the head for the whole.
            std::thread::sleep(APART);
            file.chunks(1024).for_each(|piece| say(stream, piece));
        }
    }
}

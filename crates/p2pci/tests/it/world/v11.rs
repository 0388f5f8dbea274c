//! Requests and answers of P2P-CI/1.1, for tests that look at what an answer says rather than at its bytes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Index, Raw, shown, wait_for};

/// Nothing but an answer.
pub(crate) const PING: &str = "PING ALL P2P-CI/1.1\r\n\r\n";
/// The answer to it.
pub(crate) const PONG: &str =
    "P2P-CI/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: 0\r\n\r\n";
/// A LIST of everything.
pub(crate) const LIST: &str = "LIST ALL P2P-CI/1.1\r\n\r\n";
/// How soon after a connection's end its records are gone: five times what the protocol promises.
pub(crate) const GONE_WITHIN: Duration = Duration::from_millis(500);

/// A hash of one digit.
pub(crate) fn hash(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A file that is not hashed yet.
pub(crate) fn file(name: &str, size: u64) -> Value {
    json!({"name": name, "size": size, "modified": 1_232_529_826})
}

/// A file with a hash of one digit.
pub(crate) fn hashed(name: &str, size: u64, digit: char) -> Value {
    with(file(name, size), json!({"hash": hash(digit)}))
}

/// The same object with more members.
pub(crate) fn with(mut object: Value, more: Value) -> Value {
    let (Some(members), Value::Object(more)) = (object.as_object_mut(), more) else { panic!("no objects") };
    members.extend(more);
    object
}

/// A request with a body; `head` is its lines without the length and the empty line.
pub(crate) fn with_body(head: &str, body: &str) -> String {
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An ADD of lines that are already written.
pub(crate) fn add_lines(host: &str, port: u16, body: &str) -> String {
    with_body(&format!("ADD FILES P2P-CI/1.1\r\nHost: {host}\r\nPort: {port}"), body)
}

/// An ADD of these files.
pub(crate) fn add_files(host: &str, port: u16, files: &[Value]) -> String {
    add_lines(host, port, &json_lines(files))
}

/// A REMOVE of these names.
pub(crate) fn remove_files(names: &[&str]) -> String {
    let lines: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
    with_body("REMOVE FILES P2P-CI/1.1", &json_lines(&lines))
}

fn json_lines(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("{object}\n")).collect()
}

/// A LOOKUP of a target as it stands in a request line.
pub(crate) fn lookup(target: &str) -> String {
    format!("LOOKUP {target} P2P-CI/1.1\r\n\r\n")
}

/// The same, willing to wait so many seconds.
pub(crate) fn lookup_waiting(target: &str, seconds: u32) -> String {
    format!("LOOKUP {target} P2P-CI/1.1\r\nWait: {seconds}\r\n\r\n")
}

/// A WATCH of a target, or of `ALL`.
pub(crate) fn watch(target: &str) -> String {
    format!("WATCH {target} P2P-CI/1.1\r\n\r\n")
}

/// An answer of 1.1.
#[derive(Debug)]
pub(crate) struct Told {
    /// Its status code.
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

impl Told {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The lines of the body.
    pub(crate) fn objects(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).expect("a body in UTF-8");
        assert!(text.is_empty() || text.ends_with('\n'), "every line has an end: {text:?}");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON object on each line")).collect()
    }

    /// The one line of the body.
    pub(crate) fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "one line: {objects:?}");
        objects.remove(0)
    }

    /// One member of each line of the body.
    pub(crate) fn each(&self, member: &str) -> Vec<Value> {
        self.objects().into_iter().map(|object| object[member].clone()).collect()
    }
}

impl Raw {
    /// Sends a request of 1.1 and gives its answer.
    pub(crate) fn ask_v11(&mut self, request: impl AsRef<[u8]>) -> Told {
        self.send(request);
        self.told()
    }

    /// The next answer of 1.1.
    pub(crate) fn told(&mut self) -> Told {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend_from_slice(&self.exactly(1));
        }
        let status = head.strip_prefix(b"P2P-CI/1.1 ").unwrap_or_else(|| panic!("{}", shown(&head)));
        let status = std::str::from_utf8(&status[..3]).unwrap().parse().unwrap();
        let mut told = Told { status, head: String::from_utf8(head).unwrap(), body: Vec::new() };
        let length = told.header("Content-Length").expect("a length").parse().unwrap();
        told.body = self.exactly(length);
        told
    }
}

impl Index {
    /// Waits for a 404 to a LOOKUP, as long as records may outlive their connection.
    pub(crate) fn wait_gone(&self, target: &str) {
        let mut asker = self.raw();
        wait_for(GONE_WITHIN, &format!("{target} to be gone"), || {
            (asker.ask_v11(lookup(target)).status == 404).then_some(())
        });
    }
}

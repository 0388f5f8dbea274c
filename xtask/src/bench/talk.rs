//! What is said to each kind of server: requests and their answers as templates in which only a number changes, so that the
//! generator spends nothing on making them, and every answer's length is known before.

use super::server::Kind;

/// The first of the numbers: all have seven digits, so all texts have the same length.
pub(crate) const FIRST_NUMBER: u32 = 1_000_000;

/// Bytes with a number at some places.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    /// From a text in which each `{n}` stands for the number.
    fn new(text: &str) -> Self {
        let mut template = Self { bytes: Vec::new(), places: Vec::new() };
        for (at, part) in text.split("{n}").enumerate() {
            if at > 0 {
                template.places.push(template.bytes.len());
                template.bytes.extend_from_slice(FIRST_NUMBER.to_string().as_bytes());
            }
            template.bytes.extend_from_slice(part.as_bytes());
        }
        template
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the text with this number of seven digits.
    pub(crate) fn write(&self, number: u32, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        for place in &self.places {
            let mut rest = number;
            for digit in out[start + place..start + place + 7].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }
}

/// What one connection says and hears.
#[derive(Debug, Clone)]
pub(crate) struct Talk {
    pub(crate) request: Template,
    /// `None`: only its length is known.
    pub(crate) answer: Template,
}

/// A host of fixed length for each connection.
fn host(connection: usize) -> String {
    format!("host{connection:05}.example.org")
}

/// The title of the records for throughput.
const SHORT_TITLE: &str = "Some title";
/// A title of 40 bytes that differs from record to record.
pub(crate) const LONG_TITLE: &str = "Title {n} and some other words usual";

/// Who has it?
pub(crate) fn lookup(kind: Kind) -> Talk {
    let host = host(0);
    match kind {
        Kind::Index | Kind::Floor { .. } => Talk {
            request: Template::new(&format!(
                "LOOKUP RFC {{n}} P2P-CI/1.0\nHost: {host}\nPort: 50000\nTitle: {SHORT_TITLE}\n\n"
            )),
            answer: Template::new(&record(SHORT_TITLE, &host)),
        },
        Kind::Redis => {
            let member = format!("{host}:50000");
            Talk {
                request: Template::new("*2\r\n$8\r\nSMEMBERS\r\n$11\r\nrfc:{n}\r\n"),
                answer: Template::new(&format!("*1\r\n${}\r\n{member}\r\n", member.len())),
            }
        }
    }
}

/// I have it.
pub(crate) fn add(kind: Kind, connection: usize) -> Talk {
    add_titled(kind, connection, SHORT_TITLE)
}

/// I have it, under this title.
pub(crate) fn add_titled(kind: Kind, connection: usize, title: &str) -> Talk {
    let host = host(connection);
    match kind {
        Kind::Index | Kind::Floor { .. } => Talk {
            request: Template::new(&format!(
                "ADD RFC {{n}} P2P-CI/1.0\nHost: {host}\nPort: 50000\nTitle: {title}\n\n"
            )),
            answer: Template::new(&record(title, &host)),
        },
        Kind::Redis => {
            let member = format!("{host}:50000");
            let length = member.len();
            Talk {
                request: Template::new(&format!(
                    "*3\r\n$4\r\nSADD\r\n$11\r\nrfc:{{n}}\r\n${length}\r\n{member}\r\n"
                )),
                answer: Template::new(":1\r\n"),
            }
        }
    }
}

/// An answer with one record.
fn record(title: &str, host: &str) -> String {
    format!("P2P-CI/1.0 200 OK\nRFC {{n}} {title} {host} 50000\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_gets_the_number() {
        let template = Template::new("a {n} b {n}");
        let mut out = b"before ".to_vec();
        template.write(7_654_321, &mut out);
        assert_eq!(out, b"before a 7654321 b 7654321");
        assert_eq!(template.len(), out.len() - 7);
        assert_eq!(LONG_TITLE.replace("{n}", "1000000").len(), 40);
    }
}

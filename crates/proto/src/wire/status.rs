//! The four status codes of P2P-CI/1.0, written exactly and read with tolerance.

use std::fmt;

use super::version::{NAME, Version};

/// The status codes of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 505
    VersionNotSupported,
}

impl Status {
    /// The code and the phrase, as in `200 OK`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::VersionNotSupported => "505 P2P-CI Version Not Supported",
        }
    }

    /// Appends the status line without its line end.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(Version::V1_0.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.as_str().as_bytes());
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A status as another program sent it: any code from 100 to 999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusCode(u16);

impl StatusCode {
    /// 200
    pub const OK: Self = Self(200);
    /// 404
    pub const NOT_FOUND: Self = Self(404);
    /// Known, and not to whom it was said.
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 505
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);

    /// Reads a status line: runs of spaces, a missing version, any phrase or none are accepted.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let first = words.next()?;
        let code = if first.starts_with(NAME) { words.next()? } else { first };
        match code {
            [b'1'..=b'9', rest @ ..] if rest.len() == 2 && rest.iter().all(u8::is_ascii_digit) => {
                str::from_utf8(code).ok()?.parse().ok().map(Self)
            }
            _ => None,
        }
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// Whether the request was refused or nothing was found.
    pub fn is_error(self) -> bool {
        self.0 >= 400
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_of_existing_programs_are_understood() {
        for (line, code) in [
            (&b"P2P-CI/1.0 200 OK"[..], Some(200)),
            (b"P2P-CI/1.0  400 Bad Request", Some(400)),
            (b"P2P-CI/1.0 200", Some(200)),
            (b"404 not found", Some(404)),
            (b"P2P-CI/1.1 505 whatever", Some(505)),
            (b"RFC 1 a b 2", None),
            (b"1234", None),
            (b"2000 OK", None),
            (b"", None),
            (b"P2P-CI/1.0", None),
        ] {
            assert_eq!(
                StatusCode::parse(line).map(StatusCode::get),
                code,
                "{:?}",
                String::from_utf8_lossy(line)
            );
        }
    }

    #[test]
    fn written_statuses_are_read_back() {
        for status in [Status::Ok, Status::BadRequest, Status::NotFound, Status::VersionNotSupported] {
            let mut line = Vec::new();
            status.write(&mut line);
            let code = StatusCode::parse(&line).unwrap();
            assert!(status.as_str().starts_with(&code.get().to_string()));
        }
    }
}

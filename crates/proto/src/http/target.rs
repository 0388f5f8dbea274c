//! What a request asks for: the path of its target, read exactly once.

use std::fmt;

use crate::value::digest::Digest;
use crate::value::file_name::{FileName, percent_decode, percent_encode};
use crate::value::number::RfcNumber;

/// What a path names. A path that can name nothing is [`Self::Nothing`], so that it is answered like one that names something
/// which is not shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/hash/HEX`: the file with that BLAKE3 root.
    Hash(Digest),
    /// `/hash/HEX/blocks`: the block list of that file.
    Blocks(Digest),
    /// `/hash/HEX/end`: what proves the length of that file.
    End(Digest),
    /// `/hash/HEX/have?after=N`: which of its blocks are there, or what is new since change N.
    Have(Digest, Option<u64>),
    /// `/file/NAME`: the file of that name; always a valid [`FileName`].
    File(Box<str>),
    /// `/rfc/N`: the text of that number.
    Rfc(RfcNumber),
    /// `/`, and `/file/FOLDER/` with a `/` at its end: what is shared there. Empty, or a valid [`FileName`].
    Folder(Box<str>),
    /// Any other path.
    Nothing,
}

impl Target {
    /// Reads a path that begins with `/`. A query is left out where it means nothing.
    pub fn of_path(path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let after = || query.strip_prefix("after=").and_then(|number| number.parse().ok());
        let named = match path.split('/').collect::<Vec<_>>().as_slice() {
            ["", "hash", hex] => Digest::parse(hex.as_bytes()).map(Self::Hash),
            ["", "hash", hex, "blocks"] => Digest::parse(hex.as_bytes()).map(Self::Blocks),
            ["", "hash", hex, "end"] => Digest::parse(hex.as_bytes()).map(Self::End),
            ["", "hash", hex, "have"] => Digest::parse(hex.as_bytes()).map(|hash| Self::Have(hash, after())),
            ["", "rfc", number] => RfcNumber::parse(number.as_bytes()).ok().map(Self::Rfc),
            ["", ""] | ["", "file", ""] => Some(Self::Folder("".into())),
            ["", "file", .., ""] => path.strip_prefix("/file/").and_then(folder),
            ["", "file", _, ..] => path.strip_prefix("/file/").and_then(file),
            _ => None,
        };
        named.unwrap_or(Self::Nothing)
    }
}

fn file(encoded: &str) -> Option<Target> {
    let decoded = percent_decode(encoded.as_bytes())?;
    let name = FileName::parse(&decoded).ok()?;
    Some(Target::File(name.as_str().into()))
}

fn folder(encoded: &str) -> Option<Target> {
    match file(encoded.strip_suffix('/')?)? {
        Target::File(name) => Some(Target::Folder(name)),
        _ => None,
    }
}

/// As a path, encoded: safe to show.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(digest) => write!(f, "/hash/{digest}"),
            Self::Blocks(digest) => write!(f, "/hash/{digest}/blocks"),
            Self::End(digest) => write!(f, "/hash/{digest}/end"),
            Self::Have(digest, _) => write!(f, "/hash/{digest}/have"),
            Self::File(name) => write!(f, "/file/{}", percent_encode(name)),
            Self::Rfc(number) => write!(f, "/rfc/{number}"),
            Self::Folder(name) if name.is_empty() => f.write_str("/"),
            Self::Folder(name) => write!(f, "/file/{}/", percent_encode(name)),
            Self::Nothing => f.write_str("another path"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_files_by_hash_name_and_number() {
        let hex = "00ff".repeat(16);
        for (path, shown) in [
            (format!("/hash/{hex}"), format!("/hash/{hex}")),
            (format!("/hash/{}", hex.to_uppercase()), format!("/hash/{hex}")),
            (format!("/hash/{hex}/blocks?x=/rfc/1"), format!("/hash/{hex}/blocks")),
            (format!("/hash/{hex}/end"), format!("/hash/{hex}/end")),
            (format!("/hash/{hex}/have?after=17"), format!("/hash/{hex}/have")),
            ("/rfc/123?".to_owned(), "/rfc/123".to_owned()),
            ("/file/a/b%20c".to_owned(), "/file/a/b%20c".to_owned()),
            ("/file/a%2Fb".to_owned(), "/file/a/b".to_owned()),
            ("/file/%252e%252e".to_owned(), "/file/%252e%252e".to_owned()),
            ("/file/a+b&c".to_owned(), "/file/a%2Bb%26c".to_owned()),
            ("/".to_owned(), "/".to_owned()),
            ("/file/?x".to_owned(), "/".to_owned()),
            ("/file/a/".to_owned(), "/file/a/".to_owned()),
            ("/file/a%20b/c/".to_owned(), "/file/a%20b/c/".to_owned()),
        ] {
            assert_eq!(Target::of_path(&path).to_string(), shown, "{path}");
        }
        let digest = Digest::parse(hex.as_bytes()).unwrap();
        for (query, after) in [("?after=17", Some(17)), ("", None), ("?after=-1", None), ("?x", None)] {
            let path = format!("/hash/{hex}/have{query}");
            assert_eq!(Target::of_path(&path), Target::Have(digest, after), "{path}");
        }
        for nothing in [
            "//",
            "/file//",
            "/file/a//",
            "/file/../",
            "/file/a/%2e%2e/",
            "/rfc",
            "/rfc/",
            "/rfc/0",
            "/rfc/+1",
            "/rfc/1/",
            "/rfc/%31",
            "/rfc/4294967296",
            "/RFC/1",
            "//rfc/1",
            "/hash/",
            "/hash/00",
            "/file",
            "/file/..",
            "/file/../x",
            "/file/%2e%2e/x",
            "/file//etc/passwd",
            "/file/%2Fetc",
            "/file/a%00",
            "/file/%ff",
            "/file/%zz",
            "/file/a%0a",
            "/file/a/./b",
        ] {
            assert_eq!(Target::of_path(nothing), Target::Nothing, "{nothing}");
        }
    }
}

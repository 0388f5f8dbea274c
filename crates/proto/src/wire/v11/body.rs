//! The lines of bodies in 1.1: JSON objects, one a line. Unknown members are ignored, so that later versions may add some.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::request::checked_name;
use crate::access::groups::Groups;
use crate::limits::FILE_BYTES_MAX;
use crate::value::ValueError;
use crate::value::digest::Digest;
use crate::value::host::{Host, PeerAddr, Terms};
use crate::value::number::{Port, RfcNumber};
use crate::value::pieces::Pieces;
use crate::value::title::Title;

/// A file as a peer registers it: a line of `ADD FILES`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine<'a> {
    /// Its name under the share.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
    /// Its BLAKE3 root, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub hash: Option<Digest>,
    /// The RFC that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc: Option<u32>,
    /// The RFC's title.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub title: Option<Cow<'a, str>>,
    /// It was fetched from somebody, not published.
    #[serde(default, skip_serializing_if = "is_false")]
    pub copied: bool,
    /// Only some of its blocks are there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    /// Its SHA-256, once somebody has asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub sha256: Option<Digest>,
    /// The SHA-256 of its pieces, in the answer to who wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<PiecesLine>,
}

/// The pieces of a file in a [`FileLine`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiecesLine {
    /// Bytes of each but the last.
    pub size: u64,
    /// The SHA-256 of each, in order.
    pub sha256: Vec<Hex>,
}

/// A digest as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub Digest);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Cow<'de, str> = Cow::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl From<&Pieces> for PiecesLine {
    fn from(pieces: &Pieces) -> Self {
        Self { size: pieces.size, sha256: pieces.digests.iter().copied().map(Hex).collect() }
    }
}

/// A file as the index keeps it: a [`FileLine`] that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// A valid [`crate::value::file_name::FileName`].
    pub name: Arc<str>,
    /// Its size in bytes, at most [`FILE_BYTES_MAX`].
    pub size: u64,
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
    /// Its BLAKE3 root, once it is known.
    pub hash: Option<Digest>,
    /// The RFC that it is, and its title.
    pub rfc: Option<(RfcNumber, Arc<str>)>,
    /// It was fetched from somebody, not published.
    pub copied: bool,
    /// Only some of its blocks are there.
    pub partial: bool,
    /// Its SHA-256. Apart, as few files have one.
    pub sha256: Option<Box<Digest>>,
}

impl FileLine<'_> {
    /// The pieces, if they can be those of a file of this size.
    pub fn checked_pieces(&self) -> Option<Pieces> {
        let line = self.pieces.as_ref()?;
        let digests = line.sha256.iter().map(|Hex(digest)| *digest).collect();
        Some(Pieces { size: line.size, digests }).filter(|pieces| pieces.fit(self.size))
    }

    /// Checks a line.
    pub fn check(&self) -> Result<File, ValueError> {
        let name = checked_name(&self.name)?;
        if self.size > FILE_BYTES_MAX {
            return Err(ValueError::Number { max: u32::MAX });
        }
        let rfc = self.rfc.map(|number| RfcNumber::new(number).ok_or(ValueError::Number { max: u32::MAX }));
        let rfc = match (rfc.transpose()?, self.title.as_deref()) {
            (None, _) => None,
            (Some(number), None) => Some((number, name.leaf().into())),
            (Some(number), Some(title)) => Some((number, Title::parse(title.as_bytes())?.as_str().into())),
        };
        let Self { size, modified, hash, copied, partial, sha256, .. } = *self;
        let sha256 = sha256.map(Box::new);
        Ok(File { name: name.as_str().into(), size, modified, hash, rfc, copied, partial, sha256 })
    }
}

/// A file to forget: a line of `REMOVE FILES`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameLine<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
}

/// What became of an `ADD FILES` or `REMOVE FILES`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Lines that were taken.
    pub taken: usize,
    /// Lines that were not, at most [`crate::limits::REFUSALS_TOLD_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedLine>,
    /// All lines that were not.
    #[serde(default)]
    pub refused_in_all: usize,
    /// The public half of the key with which the index signs tickets, for whoever keeps something private.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub ticket_key: Option<Digest>,
}

/// A line that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLine {
    /// Which one, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// One content of a file and who has it: a line of the answer to LOOKUP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// The name under which it was published first; `None` for a record of 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its size in bytes; `None` for a record of 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was last modified where it was published first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// Its BLAKE3 root; `None` while nobody has hashed it, and for records of 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub hash: Option<Digest>,
    /// Its SHA-256, once somebody has asked for it: what its first source says.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub sha256: Option<Digest>,
    /// The RFC that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc: Option<u32>,
    /// The RFC's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Somebody publishes this content under the name, number or hash that was asked for.
    pub published: bool,
    /// Who has it, at most [`crate::limits::SOURCES_MAX`].
    pub sources: Vec<Source>,
    /// How many have it in all.
    pub sources_in_all: usize,
}

/// Who has a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its host, as the requester can reach it.
    pub host: String,
    /// Its upload port.
    pub port: u16,
    /// What it speaks, `1.0` or `1.1`.
    pub speaks: Speaks,
    /// Only some of its blocks are there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
    /// It publishes the file itself.
    pub published: bool,
    /// It speaks TLS on that port, and its key has this fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub tls: Option<Digest>,
    /// It serves members of these groups only: names with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<String>,
    /// What opens it for whoever asked: see [`crate::access::ticket`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// What a source speaks on its upload port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speaks {
    /// GET of P2P-CI/1.0.
    #[serde(rename = "1.0")]
    V1_0,
    /// HTTP/1.1 with ranges and hashes.
    #[serde(rename = "1.1")]
    V1_1,
}

impl Source {
    /// One that publishes all of the file, for everybody and in plain text.
    pub fn new(host: impl Into<String>, port: u16, speaks: Speaks) -> Self {
        let host = host.into();
        Self { host, port, speaks, partial: false, published: true, tls: None, private: None, ticket: None }
    }

    /// Where to reach it; `None` where the index sent what cannot be an address.
    pub fn peer(&self) -> Option<PeerAddr> {
        let host = Host::parse(self.host.as_bytes()).ok()?;
        let private = self.private.as_deref().map(|text| Groups::parse(text).ok_or(())).transpose().ok()?;
        let terms = Terms { tls: self.tls, private, ticket: self.ticket.as_deref().map(Into::into) };
        Some(PeerAddr::new(host, Port::new(self.port)?).on(terms))
    }
}

/// One record: a line of the answer to LIST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordLine {
    /// The file; of a record of 1.0 only the number and the title are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was last modified, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// Its BLAKE3 root.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub hash: Option<Digest>,
    /// Its SHA-256, once somebody has asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub sha256: Option<Digest>,
    /// The RFC that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc: Option<u32>,
    /// The RFC's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who has it.
    #[serde(flatten)]
    pub source: Source,
}

/// One content that was found: a line of the answer to SEARCH. Who has it is told by LOOKUP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLine {
    /// The name under which it was found; of a record of 1.0 only the number and the title are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was last modified where it was published first, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
    /// Its BLAKE3 root; `None` while nobody has hashed it, and for records of 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex")]
    pub hash: Option<Digest>,
    /// The RFC that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc: Option<u32>,
    /// The RFC's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Somebody publishes this content under the name.
    pub published: bool,
    /// How many have it, under whatever name.
    pub sources_in_all: usize,
    /// How many of these have all of it.
    pub complete: usize,
}

/// Why a request of 1.1 was refused: the body of an answer of 400 or above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// In words.
    pub reason: String,
}

/// Appends one line.
pub fn write_line(line: &impl Serialize, out: &mut Vec<u8>) {
    // Plain data into memory: nothing of it can fail. A half line would be no JSON, and is refused by whoever reads it.
    if serde_json::to_writer(&mut *out, line).is_ok() {
        out.push(b'\n');
    }
}

/// The lines of a body that are not empty, numbered from 1.
pub fn lines(body: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    body.split(|byte| *byte == b'\n').enumerate().filter_map(|(index, line)| {
        let line = line.trim_ascii();
        (!line.is_empty()).then_some((index.saturating_add(1), line))
    })
}

/// Reads one line; the error is in words.
pub fn parse_line<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| format!("not the JSON object that was expected: {error}"))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Digests as 64 hexadecimal digits.
mod hex {
    use super::{Cow, Deserialize, Deserializer, Digest, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &Option<Digest>, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(digest) => serializer.collect_str(digest),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Digest>, D::Error> {
        let text: Option<Cow<'de, str>> = Option::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<File, String> {
        parse_line::<FileLine<'_>>(line.as_bytes())?.check().map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_line_needs_a_name_a_size_and_a_time() {
        let hash = "ab".repeat(32);
        let line = format!(
            r#"{{"name":"a/b","size":5,"modified":-7,"hash":"{hash}","rfc":9,"title":"T","later":[1]}}"#
        );
        let file = check(&line).unwrap();
        assert_eq!(&*file.name, "a/b");
        assert_eq!(file.hash, Some(Digest([0xab; 32])));
        assert_eq!(
            file.rfc.map(|(number, title)| (number.get(), title.to_string())),
            Some((9, "T".to_owned()))
        );
        assert!(check(r#"{"name":"a","size":0,"modified":0}"#).unwrap().rfc.is_none());
        assert_eq!(&*check(r#"{"name":"x/a","size":0,"modified":0,"rfc":1}"#).unwrap().rfc.unwrap().1, "a");
        for bad in [
            "",
            "[]",
            r#"{"name":"a"}"#,
            r#"{"name":"../a","size":1,"modified":0}"#,
            r#"{"name":"a\nb","size":1,"modified":0}"#,
            r#"{"name":"a","size":-1,"modified":0}"#,
            r#"{"name":"a","size":1e3,"modified":0}"#,
            r#"{"name":"a","size":9223372036854775807,"modified":0}"#,
            r#"{"name":"a","size":1,"modified":0,"hash":"12"}"#,
            r#"{"name":"a","size":1,"modified":0,"rfc":0}"#,
            r#"{"name":"a","size":1,"modified":0,"rfc":1,"title":"a\u0000"}"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_of_sha_256_are_taken_when_they_fit() {
        let digest = "cd".repeat(32);
        let line = |size: u64, pieces: &str| {
            format!(r#"{{"name":"a","size":{size},"modified":0,"sha256":"{digest}","pieces":{pieces}}}"#)
        };
        let two = format!(r#"{{"size":1048576,"sha256":["{digest}","{digest}"]}}"#);
        let read = line(1_048_577, &two);
        let read: FileLine<'_> = parse_line(read.as_bytes()).unwrap();
        assert_eq!(read.check().unwrap().sha256.as_deref(), Some(&Digest([0xcd; 32])));
        let pieces = read.checked_pieces().unwrap();
        assert_eq!(read.pieces, Some(PiecesLine::from(&pieces)));
        for unfit in [line(5, &two), line(1_048_577, r#"{"size":524288,"sha256":[]}"#)] {
            assert_eq!(
                parse_line::<FileLine<'_>>(unfit.as_bytes()).unwrap().checked_pieces(),
                None,
                "{unfit}"
            );
        }
        assert!(parse_line::<FileLine<'_>>(line(5, r#"{"size":1,"sha256":["12"]}"#).as_bytes()).is_err());
    }

    #[test]
    fn lines_are_numbered_and_read_back() {
        let mut body = Vec::new();
        write_line(&NameLine { name: "a".into() }, &mut body);
        body.extend_from_slice(b"\r\n");
        write_line(&NameLine { name: "b \"quoted\"".into() }, &mut body);
        let read: Vec<(usize, String)> = lines(&body)
            .map(|(number, line)| (number, parse_line::<NameLine<'_>>(line).unwrap().name.into_owned()))
            .collect();
        assert_eq!(read, [(1, "a".to_owned()), (3, "b \"quoted\"".to_owned())]);
    }

    #[test]
    fn a_source_becomes_an_address_only_where_it_can_be_one() {
        let source = Source::new("h", 7, Speaks::V1_1);
        assert_eq!(source.peer().unwrap().to_string(), "h:7");
        let terms = Source {
            tls: Some(Digest([1; 32])),
            private: Some("a,b".to_owned()),
            ticket: Some("opens".to_owned()),
            ..source.clone()
        };
        let peer = terms.peer().unwrap();
        assert_eq!((peer.tls(), peer.ticket()), (terms.tls, Some("opens")));
        assert_eq!(peer.private().map(ToString::to_string).as_deref(), Some("a,b"));
        for unfit in [
            Source { host: "two words".to_owned(), ..source.clone() },
            Source { port: 0, ..source.clone() },
            Source { private: Some("no group!".to_owned()), ..source },
        ] {
            assert!(unfit.peer().is_none(), "{unfit:?}");
        }
    }
}

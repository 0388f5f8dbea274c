//! A record as it stands at the engine: a field and a value.
//!
//! The engine is no friend: what is read from it is checked as strictly as what a peer sends, and what cannot be a record is left
//! out and counted.

use std::net::IpAddr;
use std::sync::Arc;

use proto::access::groups::Groups;
use proto::directory::{Key, Said, SessionId};
use proto::limits::FILE_BYTES_MAX;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::host::{Host, PeerAddr, Terms};
use proto::value::number::{Port, RfcNumber};
use proto::value::title::Title;
use proto::visibility::Claim;
use proto::wire::v11::body::File;

use crate::store::Peer;

/// Longest value in bytes: every part at its limit, and room.
pub(super) const VALUE_BYTES_MAX: usize = 2048;
/// Longest field in bytes.
pub(super) const FIELD_BYTES_MAX: usize = 8 + 1 + 1024;

const VERSION: u8 = 1;

const PROVEN: u16 = 1;
const HOST: u16 = 1 << 1;
const V6: u16 = 1 << 2;
const FILE: u16 = 1 << 3;
const COPIED: u16 = 1 << 4;
const PARTIAL: u16 = 1 << 5;
const HASH: u16 = 1 << 6;
const SHA256: u16 = 1 << 7;
const RFC: u16 = 1 << 8;
const TLS: u16 = 1 << 9;
const PRIVATE: u16 = 1 << 10;

/// Who has a record, as its node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) claimed: PeerAddr,
    pub(super) source: IpAddr,
    pub(super) is_proven: bool,
}

impl Holder {
    pub(super) fn of(peer: &Peer) -> Self {
        let provenance = peer.provenance();
        let is_proven = provenance.claim == Claim::True;
        Self { claimed: peer.claimed().clone(), source: provenance.source, is_proven }
    }

    pub(super) fn to_peer(&self) -> Peer {
        let peer = Peer::new(self.claimed.clone(), self.source);
        if self.is_proven {
            peer.set_proven();
        }
        peer
    }
}

/// The field of what a session says about a key; `None` of a key that names nothing.
pub(super) fn field(session: SessionId, key: &Key) -> Option<Vec<u8>> {
    let mut field = session.0.to_be_bytes().to_vec();
    match key {
        Key::Rfc(number) => {
            field.push(b'r');
            field.extend(number.get().to_be_bytes());
        }
        Key::Name(name) => {
            field.push(b'n');
            field.extend(name.as_bytes());
        }
        Key::Leaf { .. } | Key::Hash(_) => return None,
    }
    Some(field)
}

/// What a field names.
pub(super) fn parse_field(field: &[u8]) -> Option<(SessionId, Key)> {
    if field.len() > FIELD_BYTES_MAX {
        return None;
    }
    let (session, rest) = field.split_first_chunk::<8>()?;
    let (kind, name) = rest.split_first()?;
    let key = match kind {
        b'r' => Key::Rfc(RfcNumber::new(u32::from_be_bytes(name.try_into().ok()?))?),
        b'n' => Key::Name(FileName::parse(name).ok()?.as_str().into()),
        _ => return None,
    };
    Some((SessionId(u64::from_be_bytes(*session)), key))
}

/// The value of a record. The name of a file is in its field.
pub(super) fn value(said: &Said, holder: &Holder) -> Vec<u8> {
    let source_text = holder.source.to_string();
    let host = holder.claimed.host();
    let mut flags = bit(PROVEN, holder.is_proven) | bit(HOST, host != source_text);
    flags |= bit(V6, holder.source.is_ipv6());
    flags |= bit(TLS, holder.claimed.tls().is_some());
    let private = holder.claimed.private().map(ToString::to_string);
    flags |= bit(PRIVATE, private.is_some());
    if let Said::File(file) = said {
        flags |=
            FILE | bit(COPIED, file.copied) | bit(PARTIAL, file.partial) | bit(HASH, file.hash.is_some());
        flags |= bit(SHA256, file.sha256.is_some()) | bit(RFC, file.rfc.is_some());
    }
    let mut out = vec![VERSION];
    out.extend(flags.to_be_bytes());
    out.extend(holder.claimed.port().get().to_be_bytes());
    match holder.source {
        IpAddr::V4(address) => out.extend(address.octets()),
        IpAddr::V6(address) => out.extend(address.octets()),
    }
    if flags & HOST != 0 {
        // A host has at most 255 bytes.
        out.push(u8::try_from(host.len()).unwrap_or(u8::MAX));
        out.extend(host.as_bytes());
    }
    out.extend(holder.claimed.tls().iter().flat_map(|key| key.0));
    if let Some(private) = private {
        // Groups have a bound, and all of them together are below it.
        out.extend(u16::try_from(private.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(private.as_bytes());
    }
    match said {
        Said::Title(title) => out.extend(title.as_bytes()),
        Said::File(file) => {
            out.extend(file.size.to_be_bytes());
            out.extend(file.modified.to_be_bytes());
            out.extend(file.hash.iter().flat_map(|hash| hash.0));
            out.extend(file.sha256.iter().flat_map(|hash| hash.0));
            if let Some((number, title)) = &file.rfc {
                out.extend(number.get().to_be_bytes());
                out.extend(title.as_bytes());
            }
        }
    }
    out
}

fn bit(flag: u16, is_set: bool) -> u16 {
    if is_set { flag } else { 0 }
}

/// What a value says; `None` if it cannot be the value of a record with this key.
pub(super) fn parse_value(key: &Key, value: &[u8]) -> Option<(Said, Holder)> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    let mut rest = Rest(value);
    if rest.byte()? != VERSION {
        return None;
    }
    let flags = u16::from_be_bytes(rest.take()?);
    let has = |flag: u16| flags & flag != 0;
    let port = Port::new(u16::from_be_bytes(rest.take()?))?;
    let source = if has(V6) { IpAddr::from(rest.take::<16>()?) } else { IpAddr::from(rest.take::<4>()?) };
    let source_text = source.to_string();
    let host = if has(HOST) {
        let length = rest.byte()?;
        rest.bytes(usize::from(length))?
    } else {
        source_text.as_bytes()
    };
    let tls = if has(TLS) { Some(Digest(rest.take()?)) } else { None };
    let private = match has(PRIVATE) {
        false => None,
        true => {
            let length = u16::from_be_bytes(rest.take()?);
            Some(Groups::parse(str::from_utf8(rest.bytes(usize::from(length))?).ok()?)?)
        }
    };
    let terms = Terms { tls, private, ticket: None };
    let claimed = PeerAddr::new(Host::parse(host).ok()?, port).on(terms);
    let holder = Holder { claimed, source, is_proven: has(PROVEN) };
    let said = match (key, has(FILE)) {
        (Key::Rfc(_), false) => Said::Title(Title::parse(rest.0).ok()?.as_str().into()),
        (Key::Name(name), true) => Said::File(Arc::new(file(name, &has, &mut rest)?)),
        _ => return None,
    };
    Some((said, holder))
}

fn file(name: &Arc<str>, has: &impl Fn(u16) -> bool, rest: &mut Rest<'_>) -> Option<File> {
    let size = u64::from_be_bytes(rest.take()?);
    let modified = i64::from_be_bytes(rest.take()?);
    let hash = if has(HASH) { Some(Digest(rest.take()?)) } else { None };
    let sha256 = if has(SHA256) { Some(Box::new(Digest(rest.take()?))) } else { None };
    let rfc = match has(RFC) {
        true => {
            let number = RfcNumber::new(u32::from_be_bytes(rest.take()?))?;
            let title = std::mem::take(&mut rest.0);
            Some((number, Title::parse(title).ok()?.as_str().into()))
        }
        false => None,
    };
    let is_sound = rest.0.is_empty() && size <= FILE_BYTES_MAX;
    let (copied, partial) = (has(COPIED), has(PARTIAL));
    is_sound.then(|| File { name: Arc::clone(name), size, modified, hash, rfc, copied, partial, sha256 })
}

/// Bytes that were not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

/// A change in a message: a field with its new value, or without one when it is gone.
pub(super) type Delta<'a> = (&'a [u8], Option<&'a [u8]>);

/// Appends a change to a message.
pub(super) fn write_delta((field, value): Delta<'_>, out: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    out.push(if value.is_some() { b'+' } else { b'-' });
    out.extend(length(field));
    out.extend(field);
    if let Some(value) = value {
        out.extend(length(value));
        out.extend(value);
    }
}

/// The changes of a message; `None` if it is none.
pub(super) fn parse_deltas(message: &[u8]) -> Option<Vec<Delta<'_>>> {
    let mut rest = Rest(message);
    let mut deltas = Vec::new();
    while !rest.0.is_empty() {
        let kind = rest.byte()?;
        let length = u16::from_be_bytes(rest.take()?);
        let field = rest.bytes(usize::from(length))?;
        let value = match kind {
            b'+' => {
                let length = u16::from_be_bytes(rest.take()?);
                Some(rest.bytes(usize::from(length))?)
            }
            b'-' => None,
            _ => return None,
        };
        deltas.push((field, value));
    }
    Some(deltas)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holder(host: &str, source: &str, is_proven: bool) -> Holder {
        let claimed = PeerAddr::new(Host::parse(host.as_bytes()).unwrap(), Port::new(40001).unwrap());
        Holder { claimed, source: source.parse().unwrap(), is_proven }
    }

    fn file(hash: bool, rfc: bool) -> Said {
        let title = |_| (RfcNumber::new(7).unwrap(), "A title".into());
        Said::File(Arc::new(File {
            name: "a/b".into(),
            size: 1 << 40,
            modified: -5,
            hash: hash.then_some(Digest([7; 32])),
            rfc: rfc.then_some(()).map(title),
            copied: rfc,
            partial: hash,
            sha256: hash.then(|| Box::new(Digest([8; 32]))),
        }))
    }

    #[test]
    fn records_read_back_as_they_were_written() {
        let (name, number) = (Key::Name("a/b".into()), Key::Rfc(RfcNumber::new(9).unwrap()));
        let holders = [
            holder("ada", "10.0.0.7", true),
            holder("10.0.0.7", "10.0.0.7", false),
            holder("x", "2001:db8::1", false),
        ];
        let tls = holder("ada", "10.0.0.8", true);
        let private = Groups::parse("team,ops");
        let terms = Terms { tls: Some(Digest([5; 32])), private, ticket: None };
        let tls = Holder { claimed: tls.claimed.on(terms), ..tls };
        for holder in holders.into_iter().chain([tls]) {
            for (key, said) in [
                (&name, file(false, false)),
                (&name, file(true, false)),
                (&name, file(false, true)),
                (&name, file(true, true)),
                (&number, Said::Title("Host Software".into())),
            ] {
                let value = value(&said, &holder);
                assert_eq!(parse_value(key, &value), Some((said.clone(), holder.clone())));
                let wrong = if *key == name { &number } else { &name };
                assert_eq!(parse_value(wrong, &value), None);
                let field = field(SessionId(u64::MAX), key).unwrap();
                assert_eq!(parse_field(&field), Some((SessionId(u64::MAX), key.clone())));
            }
        }
    }

    #[test]
    fn what_is_too_long_or_of_another_kind_is_no_record() {
        let key = Key::Rfc(RfcNumber::MIN);
        let sound = value(&Said::Title("t".into()), &holder("h", "127.0.0.1", false));
        assert!(parse_value(&key, &sound).is_some());
        let long = [sound.clone(), vec![b'x'; VALUE_BYTES_MAX]].concat();
        let (mut other_version, mut no_title) = (sound.clone(), sound);
        other_version[0] = 2;
        no_title.pop();
        for bad in [long, other_version, no_title, Vec::new(), b"hello".to_vec()] {
            assert_eq!(parse_value(&key, &bad), None);
        }
        for bad in [&b"12345678"[..], b"12345678x", b"12345678r123", b"12345678n../a", b"12345678n", b""] {
            assert_eq!(parse_field(bad), None, "{}", bad.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn whatever_the_engine_holds_is_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let versioned = [&[VERSION][..], &bytes].concat();
            for value in [&bytes, &versioned] {
                let _ = parse_value(&Key::Name("n".into()), value);
                let _ = parse_value(&Key::Rfc(RfcNumber::MIN), value);
                let _ = parse_field(value);
                let _ = parse_deltas(value);
            }
        }

        #[test]
        fn messages_read_back(deltas in proptest::collection::vec((any::<Vec<u8>>(), any::<Option<Vec<u8>>>()), 0..9)) {
            let deltas: Vec<Delta<'_>> =
                deltas.iter().map(|(field, value)| (field.as_slice(), value.as_deref())).collect();
            let mut message = Vec::new();
            deltas.iter().for_each(|delta| write_delta(*delta, &mut message));
            prop_assert_eq!(parse_deltas(&message), Some(deltas));
        }
    }
}

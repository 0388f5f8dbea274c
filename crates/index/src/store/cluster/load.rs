//! Reads one bucket as a whole, and compares what it has of ours with what we have told.

use std::collections::HashSet;
use std::sync::Arc;

use redis::Value;

use super::buckets::{Bucket, owners, records, sequence};
use super::catalogue::{Node, Read};
use super::engine::EngineError;
use super::record::{Holder, parse_field, value};
use super::{Inner, place, slot};

/// Fields that the engine is asked for at once.
const PAGE: usize = 500;

/// A bucket as it was read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// The number of changes before the first record was read; what has a higher one may not be in it.
    pub(super) sequence: u64,
    /// The records of other nodes.
    pub(super) read: Read,
    /// Nodes that are not known (yet, or any more).
    pub(super) unknown: Vec<Node>,
}

/// What a bucket is like, without its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) sequence: u64,
    pub(super) owners: Vec<Node>,
    /// How many records are of ours.
    pub(super) ours: usize,
}

/// Reads it. What is lost of ours is told again, and what we do not have any more is taken back.
pub(super) async fn load(inner: &Inner, bucket: Bucket) -> Result<Loaded, EngineError> {
    let own = inner.node();
    let outline = outline(inner, bucket).await?;
    let mut loaded = Loaded { sequence: outline.sequence, ..Loaded::default() };
    for node in outline.owners {
        if Some(&node) != own.as_ref() {
            match inner.catalogue().is_known(&node) {
                true => {}
                false => {
                    loaded.unknown.push(node);
                    continue;
                }
            }
            let records = all(inner, bucket, &node).await?;
            loaded.read.push((node, records));
        }
    }
    if let Some(own) = own {
        let there = all(inner, bucket, &own).await?;
        if inner.node().as_ref() == Some(&own) {
            compare(inner, bucket, &there);
        }
    }
    Ok(loaded)
}

/// Looks at a bucket.
pub(super) async fn outline(inner: &Inner, bucket: Bucket) -> Result<Outline, EngineError> {
    let slot = slot(bucket);
    let ask = |command: &'static str, key: String| {
        let mut asked = redis::cmd(command);
        asked.arg(key);
        async move { inner.engine.ask(slot, &asked).await }
    };
    let sequence = match ask("GET", sequence(bucket)).await? {
        Value::BulkString(bytes) => {
            str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        }
        _ => 0,
    };
    let owners = match ask("HKEYS", owners(bucket)).await? {
        Value::Array(members) | Value::Set(members) => members.iter().filter_map(node_of).collect(),
        _ => Vec::new(),
    };
    let ours = match inner.node() {
        Some(own) => match ask("HLEN", records(bucket, &own)).await? {
            Value::Int(count) => usize::try_from(count).unwrap_or(0),
            _ => 0,
        },
        None => 0,
    };
    Ok(Outline { sequence, owners, ours })
}

/// Every field and value of one node in a bucket, in pages that keep nobody waiting.
async fn all(inner: &Inner, bucket: Bucket, node: &str) -> Result<Vec<(Vec<u8>, Vec<u8>)>, EngineError> {
    let (key, mut cursor, mut found) = (records(bucket, node), b"0".to_vec(), Vec::new());
    loop {
        let mut scan = redis::cmd("HSCAN");
        scan.arg(&key).arg(&cursor).arg("COUNT").arg(PAGE);
        let answer = inner.engine.ask(slot(bucket), &scan).await?;
        let (next, page) =
            page_of(answer).ok_or_else(|| EngineError::Refused("its page is none".to_owned()))?;
        found.extend(page);
        if next == b"0" {
            return Ok(found);
        }
        cursor = next;
    }
}

type Page = (Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

fn page_of(answer: Value) -> Option<Page> {
    let Value::Array(parts) = answer else { return None };
    let [Value::BulkString(next), page] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let bytes = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    let mut pairs = Vec::new();
    match page {
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            while let (Some(field), Some(value)) = (flat.next(), flat.next()) {
                pairs.push((bytes(field)?, bytes(value)?));
            }
        }
        Value::Map(map) => {
            for (field, value) in map {
                pairs.push((bytes(field)?, bytes(value)?));
            }
        }
        _ => return None,
    }
    Some((next, pairs))
}

fn compare(inner: &Inner, bucket: Bucket, there: &[(Vec<u8>, Vec<u8>)]) {
    let mut seen = HashSet::new();
    for (field, found) in there {
        let Some((session, key)) = parse_field(field) else { continue };
        let place = place(session, &key);
        let expected = inner.record(session, &key).map(|(said, peer)| value(&said, &Holder::of(&peer)));
        inner.told(bucket).insert(place);
        seen.insert(place);
        if expected.as_ref() != Some(found) {
            inner.outbox.note(session, key);
        }
    }
    let lost: HashSet<(u64, u64)> = inner.told(bucket).difference(&seen).copied().collect();
    for session in lost.iter().map(|(session, _)| *session).collect::<HashSet<_>>() {
        let session = proto::directory::SessionId(session);
        for key in inner.memory.named(session) {
            if lost.contains(&place(session, &key)) {
                inner.outbox.note(session, key);
            }
        }
    }
    // Whoever is closed has no records to be told.
    inner.told(bucket).retain(|place| seen.contains(place));
}

fn node_of(value: &Value) -> Option<Node> {
    match value {
        Value::BulkString(bytes) if bytes.len() <= 32 => str::from_utf8(bytes).ok().map(Arc::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_pairs_in_either_form() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let expected = Some((b"7".to_vec(), vec![(b"f".to_vec(), b"v".to_vec())]));
        let flat = Value::Array(vec![bulk("f"), bulk("v")]);
        assert_eq!(page_of(Value::Array(vec![bulk("7"), flat])), expected);
        let map = Value::Map(vec![(bulk("f"), bulk("v"))]);
        assert_eq!(page_of(Value::Array(vec![bulk("7"), map])), expected);
        for bad in [Value::Nil, Value::Array(vec![bulk("7")]), Value::Array(vec![bulk("7"), Value::Nil])] {
            assert_eq!(page_of(bad), None);
        }
    }
}

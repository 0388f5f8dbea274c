//! Tells the engine what changed in one bucket, in batches and in order.
//!
//! Each bucket is told by itself, so one whose master is gone holds up no other.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proto::directory::Said;
use redis::Value;
use tokio::time::{sleep, timeout};

use super::buckets::{Bucket, channel, owners, records, sequence};
use super::catalogue::Node;
use super::engine::{EngineError, Script};
use super::outbox::Named;
use super::record::{Holder, field, value, write_delta};
use super::{Inner, place, slot};
use crate::store::memory::Offer;

/// Records that are told together at most.
pub(super) const BATCH: usize = 64;
/// How long a change waits for others.
const GATHER: Duration = Duration::from_millis(2);
/// How long a batch waits for its turn at most: a master that does not answer holds up its buckets no longer than it would alone.
const TURN: Duration = Duration::from_millis(100);
/// Pause after a failure, doubled up to the second one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));

static PUTTING: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put.lua")));

/// A batch as it goes to the engine.
#[derive(Debug, Default)]
struct Batch {
    /// Of two batches of a bucket the later one has the higher number.
    number: u64,
    put: Vec<(Vec<u8>, Vec<u8>)>,
    gone: Vec<Vec<u8>>,
}

/// Tells one bucket for as long as it runs.
pub(super) async fn write(inner: Arc<Inner>, bucket: Bucket) {
    let (mut pause, mut number) = (PAUSES.0, 0);
    loop {
        inner.outbox.news(bucket).await;
        if inner.outbox.count(bucket) < BATCH {
            sleep(GATHER).await;
        }
        let Some(node) = may_write(&inner).await else { return };
        let lanes = inner.engine.lanes(slot(bucket));
        let turn = match &lanes {
            Some(lanes) => timeout(TURN, lanes.acquire()).await.ok(),
            None => None,
        };
        let names = inner.outbox.take(bucket, BATCH);
        number += 1;
        let told = tell(&inner, bucket, &node, &names, number).await;
        drop(turn);
        match told {
            Ok(()) => pause = PAUSES.0,
            Err(error) => {
                // What they say may be old by now.
                names.into_iter().for_each(|((session, key), _)| inner.outbox.note(session, key));
                if let EngineError::Refused(_) = error {
                    inner.health.note_left_out(1);
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        if inner.outbox.take_overflow(bucket) {
            inner.tell_again(|other| other == bucket);
            inner.reread().insert(bucket);
        }
    }
}

/// Waits until the engine is known to be ours.
async fn may_write(inner: &Inner) -> Option<Node> {
    let mut writing = inner.writing.subscribe();
    let node = writing.wait_for(Option::is_some).await.ok()?;
    node.clone()
}

async fn tell(
    inner: &Inner,
    bucket: Bucket,
    node: &Node,
    names: &[(Named, Option<Offer>)],
    number: u64,
) -> Result<(), EngineError> {
    let (mut batch, mut put, mut gone) = (Batch { number, ..Batch::default() }, Vec::new(), Vec::new());
    for ((session, key), offer) in names {
        let Some(field) = field(*session, key) else { continue };
        // What a session said that is over counts no more, whichever was noted first.
        let offer = offer.as_ref().filter(|_| inner.ours().contains_key(session));
        let offer = offer.map(|(file, peer)| (Said::File(Arc::clone(file)), Arc::clone(peer)));
        match offer.or_else(|| inner.record(*session, key)) {
            Some((said, peer)) => {
                batch.put.push((field, value(&said, &Holder::of(&peer))));
                put.push(place(*session, key));
            }
            None => {
                batch.gone.push(field);
                gone.push(place(*session, key));
            }
        }
    }
    send(inner, bucket, node, &batch).await?;
    // What an earlier run of this node has told is forgotten with it.
    if inner.node().as_ref() == Some(node) {
        let mut told = inner.told(bucket);
        told.extend(put);
        gone.iter().for_each(|place| {
            told.remove(place);
        });
    }
    Ok(())
}

async fn send(inner: &Inner, bucket: Bucket, node: &Node, batch: &Batch) -> Result<(), EngineError> {
    let keys = [sequence(bucket), owners(bucket), records(bucket, node), channel(bucket)];
    let keys = keys.each_ref().map(String::as_str);
    let mut message = Vec::new();
    batch.put.iter().for_each(|(field, value)| write_delta((field, Some(value)), &mut message));
    batch.gone.iter().for_each(|field| write_delta((field, None), &mut message));
    let (number, puts) = (batch.number.to_string(), batch.put.len().to_string());
    let mut args: Vec<&[u8]> = vec![node.as_bytes(), number.as_bytes(), puts.as_bytes(), &message];
    args.extend(batch.put.iter().flat_map(|(field, value)| [field.as_slice(), value.as_slice()]));
    args.extend(batch.gone.iter().map(Vec::as_slice));
    match inner.engine.run(slot(bucket), &PUTTING, &keys, &args).await? {
        Value::Int(0..) => Ok(()),
        Value::Int(_) => Err(EngineError::Refused("a later change was there before".to_owned())),
        _ => Err(EngineError::Refused("its answer to a change is none".to_owned())),
    }
}

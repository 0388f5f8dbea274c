//! Records of a range in order, out of all shards.
//!
//! Numbers, which a LIST of 1.0 consists of, need hardly any merging: all of one block are in one shard, so whichever shard has the
//! next block shows all of it. Names are spread one by one, and are merged one by one.

use std::ops::ControlFlow;

use proto::directory::{Cursor, Key, KeyRef, NumberRun, Record, SessionId};

use super::shards::{Shard, Shards, last_of_block, read};
use crate::store::{Peer, Range};

/// See [`crate::store::Store::visit`].
pub(super) fn visit<V>(
    shards: &Shards,
    range: &Range,
    after: Option<&Cursor>,
    visitor: &mut V,
) -> Option<Cursor>
where
    V: FnMut(&Record<'_, Peer>) -> ControlFlow<()> + ?Sized,
{
    let start = range.start();
    let after = after.max(start.as_ref());
    let shards: Vec<_> = shards.iter().map(read).collect();
    let shards: Vec<&Shard> = shards.iter().map(|shard| &**shard).collect();
    let place = match after {
        None => Some((None, SessionId(0))),
        Some((Key::Rfc(number), session)) => Some((Some(*number), *session)),
        Some(_) => None,
    };
    let Some(place) = place else { return merge(&shards, range, after, visitor) };
    let mut runs: Vec<_> = shards.iter().map(|shard| shard.number_run(place)).collect();
    let mut shown = |record: &Record<'_, Peer>| {
        if range.tells(record.key, record.said) { visitor(record) } else { ControlFlow::Continue(()) }
    };
    if let ControlFlow::Break(last) = visit_numbers(&mut runs, &mut shown) {
        // What is left of the numbers and not told is told by its name.
        let has_names = || *range == Range::Everything && shards.iter().any(|shard| shard.has_names());
        let has_more = runs.iter().any(|run| run.number().is_some()) || has_names();
        return has_more.then_some(last);
    }
    match range {
        Range::Numbers | Range::Prefix(_) => None,
        // Before every name.
        Range::Everything => merge(&shards, range, Some(&(Key::Name("".into()), SessionId(0))), visitor),
    }
}

/// Shows what has a number, block by block; gives the place at which the visitor had enough.
fn visit_numbers(
    runs: &mut [NumberRun<'_, Peer>],
    visitor: &mut impl FnMut(&Record<'_, Peer>) -> ControlFlow<()>,
) -> ControlFlow<Cursor> {
    while let Some((number, run)) =
        runs.iter_mut().filter_map(|run| Some((run.number()?, run))).min_by_key(|(number, _)| *number)
    {
        run.show(last_of_block(number), visitor)?;
    }
    ControlFlow::Continue(())
}

/// Merges the shards. Whichever has the smallest record goes on until another one has a smaller one.
fn merge<V>(shards: &[&Shard], range: &Range, after: Option<&Cursor>, visitor: &mut V) -> Option<Cursor>
where
    V: FnMut(&Record<'_, Peer>) -> ControlFlow<()> + ?Sized,
{
    let mut runs: Vec<_> = shards
        .iter()
        .map(|shard| {
            let within = shard.records(after).take_while(|record| range.holds(record.key));
            within.filter(|record| range.tells(record.key, record.said))
        })
        .collect();
    let mut heads: Vec<_> = runs.iter_mut().map(Iterator::next).collect();
    loop {
        let (at, end) = first_of(&heads)?;
        match go_on(heads[at].take(), &mut runs[at], end, visitor) {
            ControlFlow::Continue(head) => heads[at] = head,
            ControlFlow::Break(last) => {
                heads[at] = runs[at].next();
                return heads.iter().any(Option::is_some).then(|| last.cursor());
            }
        }
    }
}

type Place<'a> = (KeyRef<'a>, SessionId);

fn place<'a>(record: &Record<'a, Peer>) -> Place<'a> {
    (record.key, record.session)
}

/// Shows a run up to where another one begins: breaks off with the record at which the visitor has enough, or gives the first one
/// that was not shown.
fn go_on<'a, V>(
    head: Option<Record<'a, Peer>>,
    run: &mut impl Iterator<Item = Record<'a, Peer>>,
    end: Option<Place<'a>>,
    visitor: &mut V,
) -> ControlFlow<Record<'a, Peer>, Option<Record<'a, Peer>>>
where
    V: FnMut(&Record<'_, Peer>) -> ControlFlow<()> + ?Sized,
{
    if let Some(head) = head
        && visitor(&head).is_break()
    {
        return ControlFlow::Break(head);
    }
    let mut enough = false;
    let stopped_at = run.find(|record| {
        let is_beyond = end.is_some_and(|end| place(record) >= end);
        enough = !is_beyond && visitor(record).is_break();
        is_beyond || enough
    });
    match stopped_at {
        Some(last) if enough => ControlFlow::Break(last),
        head => ControlFlow::Continue(head),
    }
}

/// Which run goes on with the smallest record, and where the next one begins.
fn first_of<'a>(heads: &[Option<Record<'a, Peer>>]) -> Option<(usize, Option<Place<'a>>)> {
    let (mut first, mut second) = (None, None);
    for (at, head) in heads.iter().enumerate() {
        let Some(head) = head else { continue };
        let head = (place(head), at);
        if first.is_none_or(|first| head < first) {
            second = first;
            first = Some(head);
        } else if second.is_none_or(|second| head < second) {
            second = Some(head);
        }
    }
    first.map(|(_, at)| (at, second.map(|(place, _)| place)))
}

//! Who wants to hear of changes, and what each of them has not heard yet.
//!
//! A change goes to those whom it concerns: they are found by what they look for, so a thousand watches of other files cost
//! nothing. Each has a bounded room of its own. What comes twice before its reader took it becomes one change, and a reader who
//! is too slow gets a mark that something is missing instead.
//!
//! Without any watch a change costs the look at one number. Relaxed order is enough for it: whoever looks at the records after its
//! watch was added and does not see a change has held the shard's lock before the change's author, who then sees the watch.
//!
//! Order of locks: a session's, a shard's, the list of watches, one watch's room. Nothing panics while one of the latter is held.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::directory::{Key, Said, SessionId};
use proto::limits::{WATCH_HELD, WATCH_HELD_OF_ONE, WATCHES_OF_ALL_MAX};
use proto::value::digest::Digest;
use proto::value::number::RfcNumber;
use proto::wire::v11::request::Target;
use proto::wire::v11::watch::Scope;
use tokio::sync::Notify;

use super::Entry;

/// There are as many watches of everything, or of a prefix, as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{WATCHES_OF_ALL_MAX} others watch everything or a prefix, more are not allowed; a single file can be watched"
)]
pub struct TooManyWatches;

/// What happened to a record since it was told last.
#[derive(Debug, Clone)]
pub enum News {
    /// It is there now.
    Added(Arc<Entry>),
    /// It says something else now.
    Changed(Arc<Entry>),
    /// It is gone; this is what was told of it last.
    Removed(Arc<Entry>),
    /// There was more than could be kept. Comes alone.
    Lost,
}

/// A watch; dropping it ends it.
#[derive(Debug)]
pub struct Watch<'a> {
    watches: &'a Watches,
    places: Places,
    room: Arc<Room>,
}

impl Watch<'_> {
    /// Resolves when [`Self::take`] may have something. Safe to cancel.
    pub async fn news(&self) {
        self.room.filled.notified().await;
    }

    /// What happened since the last call, in the order in which it began.
    #[must_use]
    pub fn take(&self) -> Vec<News> {
        let Held { changes, lost, .. } = std::mem::take(&mut *self.room.held());
        if lost {
            return vec![News::Lost];
        }
        let mut changes: Vec<Change> = changes.into_values().collect();
        changes.sort_unstable_by_key(|change| change.order);
        changes.into_iter().filter_map(Change::news).collect()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.watches.remove(&self.places, &self.room);
    }
}

/// All watches.
#[derive(Debug, Default)]
pub(super) struct Watches {
    count: AtomicUsize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Invariant: no list is empty.
    of_one: HashMap<LookedFor, Vec<Arc<Room>>>,
    of_all: Vec<(Option<Arc<str>>, Arc<Room>)>,
}

/// What a watch of one file looks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum LookedFor {
    Number(RfcNumber),
    Hash(Digest),
    /// A name with a `/`.
    Name(Arc<str>),
    /// A name without one: the whole of a name, or its last part.
    Leaf(Arc<str>),
}

/// Where a watch is known.
#[derive(Debug)]
enum Places {
    One(LookedFor),
    All,
}

/// What a watch has not told yet.
#[derive(Debug)]
struct Room {
    held: Mutex<Held>,
    filled: Notify,
    most: usize,
}

#[derive(Debug, Default)]
struct Held {
    changes: HashMap<(SessionId, Key), Change>,
    next: u64,
    lost: bool,
}

/// A record when it was told last, and now.
#[derive(Debug)]
struct Change {
    order: u64,
    before: Option<Arc<Entry>>,
    after: Option<Arc<Entry>>,
}

impl Change {
    fn news(self) -> Option<News> {
        match (self.before, self.after) {
            (None, None) => None,
            (None, Some(after)) => Some(News::Added(after)),
            (Some(before), None) => Some(News::Removed(before)),
            (Some(before), Some(after)) => (!is_same(&before, &after)).then_some(News::Changed(after)),
        }
    }
}

fn is_same(one: &Entry, other: &Entry) -> bool {
    one.said == other.said && one.peer.claimed() == other.peer.claimed()
}

impl Watches {
    /// Whether there is any. To be asked after a change was made, or before it under the lock that it is made under.
    pub(super) fn are_there(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    pub(super) fn add(&self, scope: &Scope) -> Result<Watch<'_>, TooManyWatches> {
        let room = |most| Arc::new(Room { held: Mutex::default(), filled: Notify::new(), most });
        let mut known = self.known();
        let (places, room) = match scope {
            Scope::One(target) => {
                let (looked_for, room) = (looked_for(target), room(WATCH_HELD_OF_ONE));
                known.of_one.entry(looked_for.clone()).or_default().push(Arc::clone(&room));
                (Places::One(looked_for), room)
            }
            Scope::All { .. } if known.of_all.len() >= WATCHES_OF_ALL_MAX => return Err(TooManyWatches),
            Scope::All { prefix } => {
                let room = room(WATCH_HELD);
                known.of_all.push((prefix.as_deref().map(Arc::from), Arc::clone(&room)));
                (Places::All, room)
            }
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(Watch { watches: self, places, room })
    }

    fn remove(&self, places: &Places, room: &Arc<Room>) {
        let mut known = self.known();
        match places {
            Places::All => known.of_all.retain(|(_, other)| !Arc::ptr_eq(other, room)),
            Places::One(looked_for) => {
                if let Some(rooms) = known.of_one.get_mut(looked_for) {
                    rooms.retain(|other| !Arc::ptr_eq(other, room));
                    if rooms.is_empty() {
                        known.of_one.remove(looked_for);
                    }
                }
            }
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Tells how a record was before a change and is after it, to everybody whom that concerns.
    pub(super) fn tell(&self, before: Option<Entry>, after: Option<Entry>) {
        let (before, after) = (before.map(Arc::new), after.map(Arc::new));
        let Some(entry) = after.as_ref().or(before.as_ref()) else { return };
        let id = (entry.session, entry.key.clone());
        let (found_before, found_after) = (found_by(before.as_deref()), found_by(after.as_deref()));
        let known = self.known();
        for looked_for in
            found_before.iter().chain(found_after.iter().filter(|by| !found_before.contains(by)))
        {
            let of = |entry: &Option<Arc<Entry>>, found: &[LookedFor]| {
                entry.clone().filter(|_| found.contains(looked_for))
            };
            for room in known.of_one.get(looked_for).into_iter().flatten() {
                room.put(&id, of(&before, &found_before), of(&after, &found_after));
            }
        }
        for (prefix, room) in &known.of_all {
            if is_within(&id.1, prefix.as_deref()) {
                room.put(&id, before.clone(), after.clone());
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn put(&self, id: &(SessionId, Key), before: Option<Arc<Entry>>, after: Option<Arc<Entry>>) {
        let mut held = self.held();
        if held.lost {
            return;
        }
        if let Some(change) = held.changes.get_mut(id) {
            change.after = after;
        } else if held.changes.len() < self.most {
            let order = held.next;
            held.next += 1;
            held.changes.insert(id.clone(), Change { order, before, after });
        } else {
            // Whoever must look again needs none of it.
            *held = Held { lost: true, ..Held::default() };
        }
        self.filled.notify_one();
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn looked_for(target: &Target) -> LookedFor {
    match target {
        Target::Rfc(number) => LookedFor::Number(*number),
        Target::Hash(hash) => LookedFor::Hash(*hash),
        Target::File(name) if name.contains('/') => LookedFor::Name(name.as_str().into()),
        Target::File(name) => LookedFor::Leaf(name.as_str().into()),
    }
}

/// Everything by which somebody who watches one file finds this record.
fn found_by(entry: Option<&Entry>) -> Vec<LookedFor> {
    match entry.map(|entry| (&entry.said, &entry.key)) {
        Some((Said::File(file), _)) => {
            let leaf = file.name.rsplit_once('/').map(|(_, leaf)| Arc::from(leaf));
            let name = leaf.is_some().then(|| LookedFor::Name(Arc::clone(&file.name)));
            let leaf = LookedFor::Leaf(leaf.unwrap_or_else(|| Arc::clone(&file.name)));
            let number = file.rfc.as_ref().map(|(number, _)| LookedFor::Number(*number));
            [name, Some(leaf), number, file.hash.map(LookedFor::Hash)].into_iter().flatten().collect()
        }
        Some((Said::Title(_), Key::Rfc(number))) => vec![LookedFor::Number(*number)],
        _ => Vec::new(),
    }
}

/// As in a LIST: with a prefix, even an empty one, files only.
fn is_within(key: &Key, prefix: Option<&str>) -> bool {
    match (prefix, key) {
        (None, _) => true,
        (Some(prefix), Key::Name(name)) => name.starts_with(prefix),
        (Some(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proto::value::host::{Host, PeerAddr};
    use proto::value::number::Port;

    use super::*;
    use crate::store::Peer;

    fn title(session: u64, number: u32, text: &str) -> Entry {
        let claimed = PeerAddr::new(Host::parse(b"h").unwrap(), Port::new(1).unwrap());
        let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let key = Key::Rfc(RfcNumber::new(number).unwrap());
        Entry { key, session: SessionId(session), said: Said::Title(text.into()), peer }
    }

    fn told(watch: &Watch<'_>) -> Vec<String> {
        let words = |news| match news {
            News::Added(entry) => format!("+{}", entry.session.0),
            News::Changed(entry) => format!("~{}", entry.session.0),
            News::Removed(entry) => format!("-{}", entry.session.0),
            News::Lost => "lost".to_owned(),
        };
        watch.take().into_iter().map(words).collect()
    }

    #[test]
    fn what_comes_twice_is_told_once() {
        let watches = Watches::default();
        let watch = watches.add(&Scope::All { prefix: None }).unwrap();
        let entry = |session| Some(title(session, 1, "One"));
        watches.tell(None, entry(1));
        watches.tell(None, entry(2));
        watches.tell(entry(2), None);
        watches.tell(entry(3), Some(title(3, 1, "Uno")));
        watches.tell(entry(4), None);
        watches.tell(None, entry(4));
        watches.tell(entry(5), Some(title(5, 1, "Uno")));
        watches.tell(Some(title(5, 1, "Uno")), None);
        assert_eq!(told(&watch), ["+1", "~3", "-5"], "2 came and went, 4 is as it was");
        assert_eq!(told(&watch), [""; 0]);
    }

    #[test]
    fn a_slow_reader_gets_a_mark_and_goes_on_from_there() {
        let watches = Watches::default();
        let watch = watches.add(&Scope::One(Target::Rfc(RfcNumber::MIN))).unwrap();
        for session in 0..=WATCH_HELD_OF_ONE as u64 {
            watches.tell(None, Some(title(session, 1, "One")));
        }
        assert!(watch.room.held().changes.is_empty(), "nothing is kept beside the mark");
        assert_eq!(told(&watch), ["lost"]);
        watches.tell(None, Some(title(9, 1, "One")));
        watches.tell(None, Some(title(9, 2, "Two")));
        assert_eq!(told(&watch), ["+9"], "and of other numbers nothing");
    }

    #[test]
    fn watches_are_counted_limited_and_forgotten() {
        let watches = Watches::default();
        let all = Scope::All { prefix: Some(String::new()) };
        let held: Vec<_> = (0..WATCHES_OF_ALL_MAX).map(|_| watches.add(&all).unwrap()).collect();
        assert_eq!(watches.add(&all).err(), Some(TooManyWatches));
        let one = watches.add(&Scope::One(Target::File("n".into()))).unwrap();
        assert!(watches.are_there());
        drop((held, one));
        assert!(
            !watches.are_there() && watches.known().of_one.is_empty() && watches.known().of_all.is_empty()
        );
    }
}

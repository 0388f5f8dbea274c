//! The index as an onlooker sees it: who is not a session, adds nothing, and only wants to know.

use std::ops::ControlFlow;
use std::sync::Arc;

use proto::directory::{Cursor, Key, KeyRef, Record, SaidRef, SessionId};
use proto::search::Query;
use proto::value::digest::Digest;
use proto::value::number::RfcNumber;
use proto::visibility::Requester;
use proto::wire::v11::body::{File, Variant};
use proto::wire::v11::request::Target;

use crate::server::Server;
use crate::store::{Asked, Matches, Peer, Range};
use crate::variants;
use crate::view::View;

/// Holders of one file that are counted; above, it is only said that there are more.
pub const COUNTED_MAX: usize = 1000;
/// Contents of one name that are told apart.
const CONTENTS_MAX: usize = 16;
/// No session: ids begin at 1.
const NOBODY: SessionId = SessionId(0);
/// After every record of a key.
const EVERYBODY: SessionId = SessionId(u64::MAX);

/// One name or number, whoever has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    /// What it is found by.
    pub key: Key,
    /// The RFC that it is.
    pub rfc: Option<RfcNumber>,
    /// The RFC's title.
    pub title: Option<Arc<str>>,
    /// Size, time and content of whoever added it first; `None` where only a number and a title are known.
    pub size: Option<u64>,
    /// See [`File::modified`].
    pub modified: Option<i64>,
    /// See [`File::hash`].
    pub hash: Option<Digest>,
    /// How many have it, [`COUNTED_MAX`] at most.
    pub sources: usize,
    /// How many contents are told apart under this name.
    pub contents: usize,
}

/// Some rows in order.
#[derive(Debug)]
pub struct FileRows {
    /// At most as many as were asked for.
    pub rows: Vec<FileRow>,
    /// There are more after the last one.
    pub more: bool,
}

/// A session that has records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRow {
    /// Its session.
    pub session: SessionId,
    /// Its host, as the requester can reach it; of several that it claimed, the one of its first record.
    pub host: String,
    /// Its upload port.
    pub port: u16,
    /// How many records it has.
    pub records: usize,
    /// Bytes a second that it says it sends to others; 0 also where it says nothing.
    pub sending: u64,
}

impl Server {
    /// Files by name or number, each once: at most `limit` (at least 1), from the first or from after a key.
    pub async fn files(&self, range: &Range, after: Option<Key>, limit: usize) -> FileRows {
        let mut rows = Rows { rows: Vec::new(), contents: Vec::new(), limit, more: false };
        let mut after: Option<Cursor> = after.map(|key| (key, EVERYBODY));
        loop {
            let mut visitor = |record: &Record<'_, Peer>| rows.take(record);
            let next = self.store().visit(Asked::Range(range), after.as_ref(), &mut visitor).await;
            if next.is_none() || rows.more {
                return FileRows { rows: rows.rows, more: rows.more };
            }
            // Those who hold the last one are counted enough.
            after = rows.rows.last().map(|row| (row.key.clone(), EVERYBODY));
            tokio::task::yield_now().await;
        }
    }

    /// Every content of a file with who has it, as LOOKUP tells it to this requester.
    pub async fn variants(&self, target: &Target, requester: Requester) -> Vec<Variant> {
        variants::find(self.store(), target, &self.view_of(requester), self.tick()).await
    }

    /// What matches a query, the best first, from a place on; `None` where there is no search. See [`crate::store::Store::search`].
    pub async fn search(&self, query: &Query, from: usize, limit: usize) -> Option<Matches> {
        self.store().search(query, from, limit).await
    }

    /// Sessions that have records, in the order of joining, as this requester sees them: at most `limit`, after a session.
    #[must_use]
    pub fn peers(&self, after: SessionId, limit: usize, requester: Requester) -> Vec<PeerRow> {
        let (view, now) = (self.view_of(requester), self.tick());
        let row = |(session, records, peer): (SessionId, usize, Arc<Peer>)| PeerRow {
            session,
            host: view.host(session, &peer),
            port: peer.claimed().port().get(),
            records,
            sending: peer.sending(now),
        };
        let (mut rows, mut after) = (Vec::new(), after);
        loop {
            let held = self.store().sessions(after, limit);
            let is_last = held.len() < limit;
            let Some((last, ..)) = held.last() else { return rows };
            after = *last;
            let left = limit - rows.len();
            rows.extend(held.into_iter().filter(|(.., peer)| view.sees(peer)).take(left).map(row));
            if is_last || rows.len() >= limit {
                return rows;
            }
        }
    }

    fn view_of(&self, requester: Requester) -> View {
        let settings = self.settings();
        View { policy: settings.record_host, order: settings.order, requester, session: NOBODY, pass: None }
    }
}

/// What tells one content from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Title,
    Hash(Digest),
    Size(u64),
}

impl Content {
    fn of(said: SaidRef<'_>) -> Self {
        match said {
            SaidRef::Title(_) => Self::Title,
            SaidRef::File(file) => file.hash.map_or(Self::Size(file.size), Self::Hash),
        }
    }
}

/// Rows as they come together.
struct Rows {
    rows: Vec<FileRow>,
    /// Of the last row.
    contents: Vec<Content>,
    limit: usize,
    more: bool,
}

impl Rows {
    fn take(&mut self, record: &Record<'_, Peer>) -> ControlFlow<()> {
        // Onlookers are members of nothing.
        if record.peer.claimed().private().is_some() {
            return ControlFlow::Continue(());
        }
        let content = Content::of(record.said);
        let is_full = self.rows.len() >= self.limit;
        match self.rows.last_mut() {
            Some(row) if is_key(&row.key, record.key) => {
                row.sources += 1;
                if !self.contents.contains(&content) && self.contents.len() < CONTENTS_MAX {
                    self.contents.push(content);
                    row.contents += 1;
                }
                if row.sources >= COUNTED_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
            _ if is_full => {
                self.more = true;
                ControlFlow::Break(())
            }
            _ => {
                self.rows.push(first_row(record));
                self.contents = vec![content];
                ControlFlow::Continue(())
            }
        }
    }
}

/// Without a copy of the key, as most records of a long list are of one.
fn is_key(key: &Key, other: KeyRef<'_>) -> bool {
    match (key, other) {
        (Key::Rfc(own), KeyRef::Rfc(other)) => *own == other,
        (Key::Name(own), KeyRef::Name(other)) => own == other,
        _ => false,
    }
}

fn first_row(record: &Record<'_, Peer>) -> FileRow {
    let key = record.key.to_key();
    let number = match &key {
        Key::Rfc(number) => Some(*number),
        _ => None,
    };
    let (sources, contents) = (1, 1);
    match record.said {
        SaidRef::Title(title) => {
            let title = Some(title.as_str().into());
            FileRow { key, rfc: number, title, size: None, modified: None, hash: None, sources, contents }
        }
        SaidRef::File(file) => {
            let File { size, modified, hash, rfc, .. } = &**file;
            let (rfc, title) = rfc.as_ref().map(|(number, title)| (*number, Arc::clone(title))).unzip();
            let (size, modified) = (Some(*size), Some(*modified));
            FileRow { key, rfc: rfc.or(number), title, size, modified, hash: *hash, sources, contents }
        }
    }
}

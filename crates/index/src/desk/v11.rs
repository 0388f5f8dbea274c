//! The requests of 1.1: batches of files, files with their variants, pages of records.

use std::sync::Arc;
use std::time::{Duration, Instant};

use net::stream::WriteError;
use proto::access::Denied;
use proto::directory::{Cursor, Key, SessionId};
use proto::limits::{REFUSALS_TOLD_MAX, V11_BODY_HELD};
use proto::search::Query;
use proto::value::host::{Host, Terms};
use proto::value::number::{Port, RfcNumber};
use proto::wire::refusal::Reason;
use proto::wire::request::Request;
use proto::wire::v11::answer::{Answer, Status};
use proto::wire::v11::body::{
    Changed, FileLine, NameLine, Refused, RefusedLine, Variant, lines, parse_line, write_line,
};
use proto::wire::v11::request::{Ask, Page, Target};
use tokio::time::timeout_at;

use super::Desk;
use crate::notice::Notice;
use crate::outlet::Outlet;
use crate::store::{Applied, Op, Peer, Range};
use crate::variants;

/// Lines of a batch after which other sessions get their turn.
const TURN: usize = 256;

const NO_MEMBER: &str =
    "this token neither publishes nor is of all these groups, so nothing here is private to them";
const NO_GROUPS: &str = "this index has no tokens, so it knows no groups to which files could be private";
const FOREIGN_CURSOR: &str = "this cursor was not given by this index";

/// An answer before it is written.
#[derive(Debug)]
pub(super) struct Reply {
    status: Status,
    cursor: Option<String>,
    incomplete: bool,
    /// To whoever asked for it.
    cluster: Option<String>,
    body: Vec<u8>,
    /// Records in the body, for the notice.
    records: usize,
}

impl Reply {
    fn ok(body: Vec<u8>, records: usize) -> Self {
        Self { status: Status::Ok, cursor: None, incomplete: false, cluster: None, body, records }
    }

    pub(super) fn refusal(status: Status, reason: &str) -> Self {
        let mut body = Vec::new();
        write_line(&Refused { reason: reason.to_owned() }, &mut body);
        Self { status, cursor: None, incomplete: false, cluster: None, body, records: 0 }
    }
}

impl Desk {
    /// Answers a request of 1.1. Says what was answered, for the notice.
    pub(super) async fn answer_v11(
        &mut self,
        request: &Request<'_>,
        ask: &Ask<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        let reply = match ask {
            Ask::Add { host, port, tls, private, body } => {
                let terms = Terms { tls: *tls, private: private.clone(), ticket: None };
                self.add_files(*host, *port, &terms, body).await
            }
            Ask::Remove { body } => self.remove_files(body).await,
            Ask::Lookup { target, wait } => {
                if !wait.is_zero() {
                    // Whoever waits must have the earlier answers before.
                    outlet.flush().await?;
                }
                self.lookup_file(target, *wait, outlet).await
            }
            Ask::List(page) => self.list_page(page).await,
            Ask::Search { query, cursor, limit } => self.search(query, cursor.as_deref(), *limit).await,
            Ask::Ping { token: Some(shown), .. } if self.is_guarded() => {
                match self.show(shown, outlet.stream.is_secure()) {
                    Ok(()) => self.pong(ask),
                    Err(denied) => Reply::denied(&denied),
                }
            }
            Ask::Ping { sending, .. } => {
                if let Some(rate) = *sending {
                    self.peers.set_sending(rate, self.shared.tick(Instant::now()));
                }
                self.pong(ask)
            }
            Ask::Wants => {
                let listening = self.shared.wants.listen(self.view.session);
                self.unasked().listening = Some(listening);
                Reply::ok(Vec::new(), 0)
            }
            Ask::Watch(scope) => return self.watch(scope, request, outlet).await,
        };
        self.reply(request, reply, outlet).await
    }

    fn pong(&self, ask: &Ask<'_>) -> Reply {
        let asks_cluster = matches!(ask, Ask::Ping { asks_cluster: true, .. });
        Reply { cluster: asks_cluster.then(|| self.shared.cluster()), ..Reply::ok(Vec::new(), 0) }
    }

    /// Refuses a request that keeps the rules of the protocol.
    pub(super) async fn refuse_v11(
        &self,
        request: &Request<'_>,
        reason: &str,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        self.reply(request, Reply::refusal(Status::BadRequest, reason), outlet).await
    }

    pub(super) async fn reply(
        &self,
        request: &Request<'_>,
        reply: Reply,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        let Reply { status, cursor, incomplete, cluster, body, records } = reply;
        self.note_v11(request, status, records);
        let warming = if status == Status::NotFound { self.shared.warming(Instant::now()) } else { None };
        let (cursor, cluster) = (cursor.as_deref(), cluster.as_deref());
        let stale = self.shared.store.is_stale();
        let answer = Answer { status, cursor, warming, incomplete, cluster, stale, body: &body };
        answer.write(outlet.held());
        outlet.make_room().await
    }

    async fn add_files(&mut self, host: Host<'_>, port: Port, terms: &Terms, body: &[u8]) -> Reply {
        let ticket_key = self.ticket_key().filter(|_| terms.private.is_some());
        if terms.private.is_some() && ticket_key.is_none() {
            return Reply::refusal(Status::Forbidden, NO_GROUPS);
        }
        if terms.private.as_ref().is_some_and(|groups| !self.may_name(groups)) {
            return Reply::refusal(Status::Forbidden, NO_MEMBER);
        }
        let peer = self.peers.of(host, port, terms, self.view.requester.source, &self.shared.claims);
        let peer = Arc::clone(peer);
        let mut changed = Changed { ticket_key, ..Changed::default() };
        for (number, line) in lines(body) {
            match self.add_file(line, &peer).await {
                Ok(()) => changed.taken += 1,
                Err(reason) => refuse_line(&mut changed, number, reason),
            }
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.shared.tell_news();
        reply_to_change(&changed)
    }

    async fn add_file(&self, line: &[u8], peer: &Arc<Peer>) -> Result<(), String> {
        let line: FileLine<'_> = parse_line(line)?;
        if self.is_guarded() {
            self.allows_file(&line.name, line.copied)?;
        }
        let mut file = line.check().map_err(|error| error.to_string())?;
        if peer.claimed().private().is_some() {
            // A number would be seen in 1.0, which knows nothing of groups.
            file.rfc = None;
        }
        let file = Arc::new(file);
        let content = file.hash.zip(file.sha256.as_deref().copied());
        let op = Op::AddFile { file, peer: Arc::clone(peer) };
        let applied = self.shared.store.apply(self.view.session, op).await;
        applied.map_err(|error| error.to_string())?;
        // Only who was asked is listened to: the room for pieces is everybody's.
        let listening = self.unasked.as_ref().and_then(|unasked| unasked.listening.as_ref());
        if let (Some(listening), Some(content)) = (listening, content)
            && let Some(pieces) = line.checked_pieces()
            && listening.answered(&line.name)
        {
            self.shared.pieces.put(content, pieces);
        }
        Ok(())
    }

    async fn remove_files(&self, body: &[u8]) -> Reply {
        let mut changed = Changed::default();
        for (number, line) in lines(body) {
            match self.remove_file(line).await {
                Ok(()) => changed.taken += 1,
                Err(reason) => refuse_line(&mut changed, number, reason),
            }
            if number % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        reply_to_change(&changed)
    }

    async fn remove_file(&self, line: &[u8]) -> Result<(), String> {
        let line: NameLine<'_> = parse_line(line)?;
        match self.shared.store.apply(self.view.session, Op::RemoveFile { name: &line.name }).await {
            Ok(Applied::Absent) => Err("this connection has not added it".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// The variants of a file; waits for the first one as long as it was asked to, unless the requester goes, loses its
    /// token, or the index stops.
    async fn lookup_file(&self, target: &Target, wait: Duration, outlet: &Outlet) -> Reply {
        let deadline = Instant::now() + wait;
        let waiting = self.shared.waiting();
        loop {
            let mut news = std::pin::pin!(waiting.news());
            // From here on nothing is missed, so the look comes after it.
            news.as_mut().enable();
            let found =
                variants::find(&self.shared.store, target, &self.view, self.shared.tick(Instant::now()))
                    .await;
            let late = Instant::now() >= deadline;
            if !found.is_empty() || late {
                return reply_with(&found);
            }
            tokio::select! {
                _ = timeout_at(deadline.into(), news) => {}
                () = outlet.stream.ended() => return reply_with(&found),
                () = self.stop.stopped() => return reply_with(&found),
                () = self.lost() => return reply_with(&found),
            }
        }
    }

    async fn list_page(&self, page: &Page) -> Reply {
        let _admitted = match self.shared.admission.list() {
            Ok(admitted) => admitted,
            Err(busy) => return Reply::refusal(Status::Unavailable, busy.reason()),
        };
        let mut after = match page.cursor.as_deref().map(parse_cursor) {
            None => None,
            Some(Some(cursor)) => Some(cursor),
            Some(None) => {
                return Reply::refusal(Status::BadRequest, FOREIGN_CURSOR);
            }
        };
        let range = page.prefix.as_deref().map_or(Range::Everything, |prefix| Range::Prefix(prefix.into()));
        // A cursor names a record, so it is never one that the requester may not know of: those are passed until one is told, or none is left.
        let (mut body, mut told, mut last) = (Vec::new(), 0, None);
        loop {
            let found = self.shared.store.list(&range, after, page.limit).await;
            let mut rest = found.entries.iter();
            for entry in rest.by_ref().filter(|entry| self.view.sees(&entry.peer)) {
                told += 1;
                last = Some((entry.key.clone(), entry.session));
                write_line(&variants::record_line(entry, &self.view), &mut body);
                if body.len() >= V11_BODY_HELD {
                    break;
                }
            }
            let more = found.next.is_some() || rest.next().is_some();
            if last.is_some() || !more {
                let cursor = last.filter(|_| more).map(|last| cursor_text(&last));
                return Reply { cursor, ..Reply::ok(body, told) };
            }
            after = found.next;
            tokio::task::yield_now().await;
        }
    }

    /// A page of what a query finds; the cursor is how many were told before.
    async fn search(&self, query: &str, cursor: Option<&str>, limit: usize) -> Reply {
        let query = match Query::parse(query) {
            Ok(query) => query,
            Err(error) => return Reply::refusal(Status::BadRequest, &error.to_string()),
        };
        let Some(from) = cursor.map_or(Some(0), |cursor| cursor.parse::<u16>().ok().map(usize::from)) else {
            return Reply::refusal(Status::BadRequest, FOREIGN_CURSOR);
        };
        let _admitted = match self.shared.admission.search() {
            Ok(admitted) => admitted,
            Err(busy) => return Reply::refusal(Status::Unavailable, busy.reason()),
        };
        let Some(found) = self.shared.store.search(&query, from, limit).await else {
            return Reply::refusal(Status::NotImplemented, "this index has no search");
        };
        let mut body = Vec::new();
        let mut told = 0;
        for file in &found.files {
            write_line(file, &mut body);
            told += 1;
            if body.len() >= V11_BODY_HELD {
                break;
            }
        }
        let has_more = found.has_more || told < found.files.len();
        let cursor = has_more.then(|| (from + told).to_string());
        Reply { cursor, incomplete: found.is_incomplete, ..Reply::ok(body, told) }
    }

    pub(super) fn note_v11(&self, request: &Request<'_>, status: Status, records: usize) {
        if self.shared.observer.wants_requests() {
            let (source, of_member) = (self.source, self.is_of_member());
            let status = status.as_str();
            self.shared.observer.notice(&Notice::Request { source, request, status, records, of_member });
        }
    }
}

/// Appends what is wanted of a peer.
pub(crate) fn write_wanted(names: &[Arc<str>], out: &mut Vec<u8>) {
    let mut body = Vec::new();
    for name in names {
        write_line(&NameLine { name: (&**name).into() }, &mut body);
    }
    Answer::plain(Status::Wanted, &body).write(out);
}

/// Appends what is said to whoever has lost its token, before the connection ends.
pub(crate) fn write_denied(denied: &Denied, out: &mut Vec<u8>) {
    let Reply { status, body, .. } = Reply::denied(denied);
    Answer::plain(status, &body).write(out);
}

/// Appends the answer to a request that cannot be understood.
pub(super) fn write_refusal(reason: &Reason, out: &mut Vec<u8>) {
    let Reply { status, body, .. } = Reply::refusal(Status::BadRequest, &reason.to_string());
    Answer::plain(status, &body).write(out);
}

fn refuse_line(changed: &mut Changed, line: usize, reason: String) {
    changed.refused_in_all += 1;
    if changed.refused.len() < REFUSALS_TOLD_MAX {
        changed.refused.push(RefusedLine { line, reason });
    }
}

fn reply_to_change(changed: &Changed) -> Reply {
    let mut body = Vec::new();
    write_line(changed, &mut body);
    Reply::ok(body, changed.taken)
}

fn reply_with(found: &[Variant]) -> Reply {
    if found.is_empty() {
        return Reply::refusal(Status::NotFound, "nobody has it");
    }
    let (mut body, mut sources) = (Vec::new(), 0);
    for variant in found {
        write_line(variant, &mut body);
        sources += variant.sources.len();
        if body.len() >= V11_BODY_HELD {
            break;
        }
    }
    Reply::ok(body, sources)
}

/// A cursor as text: the kind, the session and the key. It says where to go on and nothing else, so a forged one is harmless.
fn cursor_text((key, session): &Cursor) -> String {
    let session = session.0;
    match key {
        Key::Rfc(number) => format!("r{session}.{number}"),
        Key::Name(name) => format!("n{session}.{name}"),
        // A LIST ends before these.
        Key::Leaf { .. } | Key::Hash(_) => String::new(),
    }
}

fn parse_cursor(text: &str) -> Option<Cursor> {
    let (kind, rest) = text.split_at_checked(1)?;
    let (session, key) = rest.split_once('.')?;
    let session = SessionId(session.parse().ok()?);
    let key = match kind {
        "r" => Key::Rfc(key.parse::<RfcNumber>().ok()?),
        "n" => Key::Name(key.into()),
        _ => return None,
    };
    Some((key, session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_forged_ones_are_refused() {
        for cursor in
            [(Key::Rfc(RfcNumber::MIN), SessionId(7)), (Key::Name("a.b/c".into()), SessionId(u64::MAX))]
        {
            assert_eq!(parse_cursor(&cursor_text(&cursor)), Some(cursor));
        }
        for forged in ["", "r", "r1", "r1.0", "r1.x", "x1.1", "n-1.a", "é1.1"] {
            assert_eq!(parse_cursor(forged), None, "{forged}");
        }
    }
}

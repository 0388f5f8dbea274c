//! The answer to a LOOKUP of 1.0 where several have the file: the best sources first, and not more than anybody tries.

use std::ops::ControlFlow;
use std::time::Instant;

use net::stream::WriteError;
use proto::directory::{Key, Record, SaidRef, SessionId};
use proto::limits::{SOURCES_MAX, SOURCES_WEIGHED};
use proto::schedule::Rank;
use proto::wire::answer;
use proto::wire::request::Request;

use super::{Desk, Progress};
use crate::outlet::Outlet;
use crate::store::{Asked, Peer};

impl Desk {
    /// Names the sources of a key. Who leaves meanwhile is left out.
    pub(super) async fn tell_chosen(
        &self,
        key: &Key,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> Result<(), WriteError> {
        let mut progress = Progress::default();
        for session in self.chosen(key).await {
            outlet.make_room().await?;
            self.tell_source(key, session, &mut progress, request, outlet).await;
        }
        outlet.make_room().await?;
        self.end(&progress, request, outlet);
        Ok(())
    }

    /// Who is to be named, the best first.
    async fn chosen(&self, key: &Key) -> Vec<SessionId> {
        let now = self.shared.tick(Instant::now());
        let mut ranked: Vec<(Rank, SessionId)> = Vec::new();
        let mut weigh = |record: &Record<'_, Peer>| {
            let partial = matches!(record.said, SaidRef::File(file) if file.partial);
            ranked.push((self.view.rank(record.session, record.peer, partial, now), record.session));
            if ranked.len() < SOURCES_WEIGHED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        self.shared.store.visit(Asked::Holders(key), None, &mut weigh).await;
        // Sessions are numbered in the order of joining, which decides among equal ones.
        ranked.sort_unstable();
        ranked.into_iter().take(SOURCES_MAX).map(|(_, session)| session).collect()
    }

    /// Appends one source; the first one is where most programs go.
    async fn tell_source(
        &self,
        key: &Key,
        session: SessionId,
        progress: &mut Progress,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) {
        let (framing, out) = (request.framing.answer(), outlet.held());
        let before = (key.clone(), SessionId(session.0 - 1));
        let mut tell = |record: &Record<'_, Peer>| {
            if record.session == session {
                if progress.records == 0 {
                    answer::begin(framing, out);
                    record.peer.set_named(self.shared.tick(Instant::now()));
                }
                progress.records += 1;
                self.view.write(record, framing, out);
            }
            ControlFlow::Break(())
        };
        self.shared.store.visit(Asked::Holders(key), Some(&before), &mut tell).await;
    }
}

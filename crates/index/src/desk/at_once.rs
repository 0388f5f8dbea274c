//! Requests in the usual shape, answered straight from the bytes that were read: no decoder, no copy of them, no wait.

use std::time::Instant;

use proto::directory::Key;
use proto::limits::INDEX_TURN;
use proto::value::number::RfcNumber;
use proto::wire::canonical;
use proto::wire::request::{Request, Verb};

use super::{Desk, Progress};
use crate::meter::Kind;
use crate::outlet::Outlet;
use crate::store::{Asked, MemoryStore};

impl Desk {
    /// Answers the requests with which `bytes` begin, as far as that takes no wait; at most one turn of them. Says how many bytes
    /// they took: with what follows anything may be wrong, and it is the decoder's.
    pub(crate) fn answer_at_once(&mut self, bytes: &[u8], outlet: &mut Outlet) -> usize {
        let (mut used, mut answered, mut adds) = (0, 0, 0);
        let began = self.shared.meter.wants_time().then(Instant::now);
        while answered < INDEX_TURN
            && !outlet.is_full()
            && let Some(request) = canonical::read(&bytes[used..], self.reading())
            && self.is_answered(&request, outlet)
        {
            used += request.raw.len();
            answered += 1;
            adds += u64::from(matches!(request.verb, Verb::Add(_)));
        }
        if answered > 0 {
            // Once for all of them.
            self.shared.meter.count(Kind::Add, adds);
            self.shared.meter.count(Kind::Lookup, answered as u64 - adds);
            if let Some(began) = began {
                self.shared.meter.time(began.elapsed());
            }
        }
        used
    }

    fn is_answered(&mut self, request: &Request<'_>, outlet: &mut Outlet) -> bool {
        match &request.verb {
            Verb::Add(add) if self.shared.store.at_once().is_some() => {
                let added = self.added_at_once(add);
                self.conclude_add(add, added, request, outlet);
                true
            }
            Verb::Lookup(lookup) => self
                .shared
                .store
                .at_once()
                .is_some_and(|store| self.is_found(store, lookup.number, request, outlet)),
            _ => false,
        }
    }

    /// Answers a LOOKUP, or leaves no trace of it where there is a choice between sources, or more than may be held.
    fn is_found(
        &self,
        store: &MemoryStore,
        number: RfcNumber,
        request: &Request<'_>,
        outlet: &mut Outlet,
    ) -> bool {
        let (before, mut progress) = (outlet.held().len(), Progress::default());
        let key = Key::Rfc(number);
        let next = store.visit(Asked::Holders(&key), None, &mut self.sources(&mut progress, request, outlet));
        if progress.chooses || next.is_some() {
            outlet.held().truncate(before);
            return false;
        }
        self.end(&progress, request, outlet);
        true
    }
}

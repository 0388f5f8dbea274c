//! Requests in the usual shape, answered straight from the bytes that were read: no decoder, no copy of them, no wait.

use std::ops::ControlFlow;
use std::time::Instant;

use proto::limits::INDEX_TURN;
use proto::schedule::Order;
use proto::wire::answer;
use proto::wire::canonical::{Method, Shape};
use proto::wire::status::Status;

use super::{Desk, Said};
use crate::meter::Kind;
use crate::outlet::{Outlet, is_full};
use crate::store::MemoryStore;

impl Desk {
    /// Answers the requests with which `bytes` begin, as far as that takes no wait; at most one turn of them. Says how many bytes
    /// they took: with what follows anything may be wrong, and it is the decoder's.
    pub(crate) fn answer_at_once(&mut self, bytes: &[u8], outlet: &mut Outlet) -> usize {
        let (mut used, mut answered, mut adds) = (0, 0, 0);
        let began = self.shared.meter.wants_time().then(Instant::now);
        let reading = self.reading();
        while answered < INDEX_TURN
            && !outlet.is_full()
            && let Some(rest) = bytes.get(used..)
            && let Some(shape) = Shape::of(rest, reading)
            && self.is_answered(&shape, rest, outlet)
        {
            used += shape.length;
            answered += 1;
            adds += u64::from(shape.method == Method::Add);
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

    fn is_answered(&mut self, shape: &Shape, bytes: &[u8], outlet: &mut Outlet) -> bool {
        if self.shared.store.at_once().is_none() {
            return false;
        }
        match shape.method {
            Method::Add => {
                let add = shape.add(bytes);
                let added = self.added_at_once(&add);
                self.conclude_add(&add, added, shape.framing(), || shape.request(bytes), outlet);
                true
            }
            Method::Lookup => {
                self.shared.store.at_once().is_some_and(|store| self.is_found(store, shape, bytes, outlet))
            }
        }
    }

    /// Answers a LOOKUP, or leaves no trace of it where there is a choice between sources, or more than may be held.
    fn is_found(&self, store: &MemoryStore, shape: &Shape, bytes: &[u8], outlet: &mut Outlet) -> bool {
        let (framing, view) = (shape.framing().answer(), &self.view);
        let out = outlet.held();
        let (before, mut records, mut chooses) = (out.len(), 0, false);
        let has_more = store.visit_number(shape.number, |record| {
            match (records, view.order) {
                (0, _) => answer::begin(framing, out),
                (_, Order::Added) => {}
                (_, Order::Load) => {
                    chooses = true;
                    return ControlFlow::Break(());
                }
            }
            records += 1;
            view.write(record, framing, out);
            if is_full(out) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if chooses || has_more {
            out.truncate(before);
            return false;
        }
        let status = if records == 0 {
            answer::status_only(Status::NotFound, framing, out);
            Status::NotFound
        } else {
            answer::end(framing, out);
            Status::Ok
        };
        self.note(|| shape.request(bytes), &Said { status, records });
        true
    }
}

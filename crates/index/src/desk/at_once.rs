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
use crate::store::{Holders, NUMBERS_AT_ONCE};

/// What was answered of one read.
#[derive(Debug, Default)]
struct Turn {
    bytes: usize,
    adds: usize,
    lookups: usize,
}

impl Desk {
    /// Answers the requests with which `bytes` begin, as far as that takes no wait; at most one turn of them. Says how many bytes
    /// they took: with what follows anything may be wrong, and it is the decoder's.
    pub(crate) fn answer_at_once(&mut self, bytes: &[u8], outlet: &mut Outlet) -> usize {
        if self.is_guarded() || self.shared.store.at_once().is_none() {
            return 0;
        }
        let began = self.shared.meter.wants_time().then(Instant::now);
        let (reading, mut turn) = (self.reading(), Turn::default());
        while turn.adds + turn.lookups < INDEX_TURN
            && !outlet.is_full()
            && let Some(rest) = bytes.get(turn.bytes..)
            && let Some(shape) = Shape::of(rest, reading)
        {
            let is_answered = match shape.method {
                Method::Add => {
                    let add = shape.add(rest);
                    let added = self.added_at_once(&add);
                    self.conclude_add(&add, added, shape.framing(), || shape.request(rest), outlet);
                    turn.bytes += shape.length;
                    turn.adds += 1;
                    true
                }
                Method::Lookup => self.are_found(&shape, rest, &mut turn, outlet),
            };
            if !is_answered {
                break;
            }
        }
        // Once for all of them.
        self.shared.meter.count(Kind::Add, turn.adds as u64);
        self.shared.meter.count(Kind::Lookup, turn.lookups as u64);
        if let Some(began) = began
            && turn.bytes > 0
        {
            self.shared.meter.time(began.elapsed());
        }
        turn.bytes
    }

    /// Answers a LOOKUP and those that follow it at once, so that they are looked up together. Says whether all of them are answered:
    /// one where there is a choice between sources, or more than may be held, is not, and leaves no trace.
    fn are_found(&self, first: &Shape, bytes: &[u8], turn: &mut Turn, outlet: &mut Outlet) -> bool {
        let Some(store) = self.shared.store.at_once() else { return false };
        let mut shapes = [*first; NUMBERS_AT_ONCE];
        let mut numbers = [first.number; NUMBERS_AT_ONCE];
        let (mut count, mut at) = (1, first.length);
        for (place, number) in shapes.iter_mut().zip(&mut numbers).skip(1) {
            let next = bytes.get(at..).and_then(|rest| Shape::of(rest, self.reading()));
            let Some(next) = next.filter(|next| next.method == Method::Lookup) else { break };
            at += next.length;
            (*place, *number) = (next, next.number);
            count += 1;
        }
        let (mut at, mut answered) = (0, 0);
        store.visit_numbers(&numbers[..count], |place, holders| {
            let shape = &shapes[place];
            let rest = bytes.get(at..).unwrap_or_default();
            if outlet.is_full() || !self.is_found(holders, shape, rest, outlet) {
                return ControlFlow::Break(());
            }
            at += shape.length;
            answered += 1;
            ControlFlow::Continue(())
        });
        turn.bytes += at;
        turn.lookups += answered;
        answered == count
    }

    fn is_found(&self, holders: &mut Holders<'_>, shape: &Shape, bytes: &[u8], outlet: &mut Outlet) -> bool {
        let (framing, view) = (shape.framing().answer(), &self.view);
        let out = outlet.held();
        let (before, mut records, mut chooses) = (out.len(), 0, false);
        let has_more = holders.show(&mut |record| {
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
        let status = if records == 0 { Status::NotFound } else { Status::Ok };
        match status {
            Status::Ok => answer::end(framing, out),
            status => answer::status_only(status, framing, out),
        }
        self.note(|| shape.request(bytes), &Said { status, records });
        true
    }
}

//! Connections that have said nothing yet that tells what they speak: they have no deadline, so their number has a limit.
//!
//! A person may sit at a menu and say nothing for an hour, so silence alone ends nothing. But thousands of silent connections may
//! not keep others out: when there are too many, the one that has waited longest makes room, never the newcomer. So whoever
//! opens more of them drives out his own, and a peer that has registered is never among them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// All of them; a clone is the same.
#[derive(Debug, Clone)]
pub(crate) struct Unproven {
    waiting: Arc<Mutex<Waiting>>,
    refusal: &'static [u8],
}

#[derive(Debug)]
struct Waiting {
    max: usize,
    /// By age: numbers rise.
    places: BTreeMap<u64, oneshot::Sender<()>>,
    next: u64,
}

/// The place of one; dropping it gives it up. In a box, as it is a part of what each silent connection takes.
#[derive(Debug)]
pub(crate) struct Place(Box<Ticket>);

#[derive(Debug)]
struct Ticket {
    all: Unproven,
    number: u64,
    told: oneshot::Receiver<()>,
}

impl Unproven {
    /// At most so many; whoever has to go is sent `refusal`.
    pub(crate) fn new(max: usize, refusal: &'static [u8]) -> Self {
        let waiting = Waiting { max, places: BTreeMap::new(), next: 0 };
        Self { waiting: Arc::new(Mutex::new(waiting)), refusal }
    }

    /// Takes a place. If that is one too many, the oldest one has to go.
    pub(crate) fn enter(&self) -> Place {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        waiting.places.insert(number, tell);
        if waiting.places.len() > waiting.max
            && let Some((_, oldest)) = waiting.places.pop_first()
        {
            // It may have gone by itself in this moment.
            let _ = oldest.send(());
        }
        drop(waiting);
        Place(Box::new(Ticket { all: self.clone(), number, told }))
    }

    // Nothing panics while it is held, so a poisoned lock still holds what is true.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// What it is sent when it has to go.
    pub(crate) fn refusal(&self) -> &'static [u8] {
        self.0.all.refusal
    }

    /// How many there may be.
    pub(crate) fn max(&self) -> usize {
        self.0.all.waiting().max
    }

    /// Resolves when it has to go. Safe to cancel.
    pub(crate) fn told_to_go(&mut self) -> impl Future<Output = ()> {
        // The other end is dropped only by this place itself, so whatever comes is the word.
        poll_fn(|context| Pin::new(&mut self.0.told).poll(context).map(|_| ()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.all.waiting().places.remove(&self.0.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_to_go(place: &mut Place) -> bool {
        place.0.told.try_recv().is_ok()
    }

    #[test]
    fn i8_the_one_that_has_waited_longest_makes_room() {
        let all = Unproven::new(2, b"no");
        let mut first = all.enter();
        let second = all.enter();
        assert!(!has_to_go(&mut first));
        drop(second);
        let mut third = all.enter();
        assert!(!has_to_go(&mut first), "a place that was given up is free");
        let mut fourth = all.enter();
        assert!(has_to_go(&mut first) && !has_to_go(&mut third) && !has_to_go(&mut fourth));
        drop((first, third, fourth));
        assert!(all.waiting().places.is_empty());
    }
}

//! Places for bodies that travel, and the queue for them.
//!
//! Whose turn it is `turns` decides; here is what waits. A place goes straight from its last user to whoever is next.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use net::permits::network_of;
use tokio::sync::oneshot;

use self::turns::{LOOK, Room, Ticket, Turns};
use crate::limit::RateLimit;

mod turns;

/// The places; to be shared by all sessions.
pub(super) struct Places {
    /// How fast all of them together may go.
    pub(super) limit: RateLimit,
    /// Bytes of bodies that got away so far.
    pub(super) moved: AtomicU64,
    book: Mutex<Book>,
}

struct Book {
    turns: Turns,
    calls: HashMap<Ticket, oneshot::Sender<Place>>,
}

/// A place; the next one's when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    network: IpAddr,
}

/// Somebody who waits for a place; out of the queue when dropped.
pub(super) struct Waiting {
    places: Arc<Places>,
    ticket: Ticket,
    called: oneshot::Receiver<Place>,
}

impl Places {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self::within(Room::USUAL, limit)
    }

    fn within(room: Room, limit: RateLimit) -> Self {
        let turns = Turns::new(room, Instant::now());
        Self { limit, moved: AtomicU64::new(0), book: Mutex::new(Book { turns, calls: HashMap::new() }) }
    }

    /// A place, if one is free and nobody waits for it.
    pub(super) fn acquire_now(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let network = network_of(source);
        let begins = self.book().turns.begin(network, Instant::now());
        begins.then(|| Place { places: Arc::clone(self), network })
    }

    /// Joins the queue; `None` where that is full. Whoever cannot be told so waits in a queue without a bound of its own.
    pub(super) fn queue(self: &Arc<Self>, source: IpAddr, is_bounded: bool) -> Option<Waiting> {
        let (call, called) = oneshot::channel();
        let mut book = self.book();
        let ticket = book.turns.wait(network_of(source), is_bounded, self.sent(), Instant::now())?;
        book.calls.insert(ticket, call);
        drop(book);
        let waiting = Waiting { places: Arc::clone(self), ticket, called };
        // A place may have become free since it was asked for.
        self.call();
        Some(waiting)
    }

    /// Waits for a place, however long. Safe to cancel.
    pub(super) async fn acquire(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        if let Some(place) = self.acquire_now(source) {
            return Some(place);
        }
        Some(self.queue(source, false)?.turn().await)
    }

    /// Gives free places to those whose turn it is.
    fn call(self: &Arc<Self>) {
        let mut book = self.book();
        let mut unwanted = Vec::new();
        while let Some((ticket, network)) = book.turns.next(Instant::now()) {
            let place = Place { places: Arc::clone(self), network };
            unwanted.extend(match book.calls.remove(&ticket) {
                Some(call) => call.send(place).err(),
                None => Some(place),
            });
        }
        // A place that is dropped looks into the book.
        drop(book);
        drop(unwanted);
    }

    fn look(self: &Arc<Self>) {
        let sent = self.sent();
        self.book().turns.look(sent, Instant::now());
        self.call();
    }

    fn sent(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing panics while it is held.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// How many turns it takes until this one, itself included.
    pub(super) fn place(&self) -> usize {
        self.places.book().turns.place_of(self.ticket)
    }

    /// Waits for the turn. Safe to cancel.
    pub(super) async fn turn(&mut self) -> Place {
        loop {
            tokio::select! {
                biased;
                place = &mut self.called => match place {
                    Ok(place) => return place,
                    // Only who is called, or has left, is struck out of the book.
                    Err(_) => std::future::pending().await,
                },
                () = tokio::time::sleep(LOOK) => self.places.look(),
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut book = self.places.book();
        book.turns.leave(self.ticket);
        book.calls.remove(&self.ticket);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.book().turns.end(self.network, Instant::now());
        self.places.call();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    /// Time in which something that must not happen could.
    const MOMENT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_place_goes_to_the_next_and_who_leaves_the_queue_gets_none() {
        let places =
            Arc::new(Places::within(Room { all: 2, abreast: 2, per_network: 2 }, RateLimit::default()));
        let (one, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = places.acquire_now(one).unwrap();
        let second = places.acquire_now(one).unwrap();
        assert!(places.acquire_now(other).is_none());
        let (gone, mut next) = (places.queue(other, true).unwrap(), places.queue(other, true).unwrap());
        assert_eq!((gone.place(), next.place()), (1, 2));
        assert!(tokio::time::timeout(MOMENT, next.turn()).await.is_err());
        drop(gone);
        assert_eq!(next.place(), 1);
        drop(first);
        let third = tokio::time::timeout(LIMIT, next.turn()).await.unwrap();
        assert!(tokio::time::timeout(MOMENT, places.acquire(one)).await.is_err());
        drop((second, third, next));
        assert_eq!(places.book().turns.running(), 0);
        assert!(places.acquire_now(one).is_some() && places.book().calls.is_empty());
    }

    #[tokio::test]
    async fn a_call_that_comes_while_somebody_leaves_is_passed_on() {
        let places =
            Arc::new(Places::within(Room { all: 1, abreast: 1, per_network: 1 }, RateLimit::default()));
        let (one, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = places.acquire_now(one).unwrap();
        let (called, mut next) = (places.queue(one, true).unwrap(), places.queue(other, true).unwrap());
        drop(first);
        // It has the call and does not look at it.
        drop(called);
        assert!(tokio::time::timeout(LIMIT, next.turn()).await.is_ok());
    }
}

//! Places for bodies that travel: so many at once, and so many of them to one address.
//!
//! Whoever has too many waits for its own places first. So one address can neither take all of them nor stand in the way of
//! another in the queue.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limit::RateLimit;
use net::permits::network_of;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The places; to be shared by all sessions.
pub(super) struct Places {
    /// How fast all of them together may go.
    pub(super) limit: RateLimit,
    all: Semaphore,
    per_address: usize,
    by_network: Mutex<HashMap<IpAddr, Network>>,
}

struct Network {
    places: Arc<Semaphore>,
    /// Those that have a place or wait for one.
    users: usize,
}

/// A place; free again when dropped.
pub(super) struct Place<'a> {
    _one_of_all: SemaphorePermit<'a>,
    _one_of_address: OwnedSemaphorePermit,
    _user: User<'a>,
}

/// Keeps an address known as long as somebody there needs it.
struct User<'a> {
    places: &'a Places,
    network: IpAddr,
}

impl Places {
    pub(super) fn new(all: usize, per_address: usize, limit: RateLimit) -> Self {
        Self { limit, all: Semaphore::new(all), per_address, by_network: Mutex::default() }
    }

    /// A place, if one is free.
    pub(super) fn acquire_now(&self, source: IpAddr) -> Option<Place<'_>> {
        let (user, own) = self.user(source);
        let one_of_address = own.try_acquire_owned().ok()?;
        let one_of_all = self.all.try_acquire().ok()?;
        Some(Place { _one_of_all: one_of_all, _one_of_address: one_of_address, _user: user })
    }

    /// Waits for a place. Safe to cancel. `None` never happens: no semaphore is closed.
    pub(super) async fn acquire(&self, source: IpAddr) -> Option<Place<'_>> {
        let (user, own) = self.user(source);
        let one_of_address = own.acquire_owned().await.ok()?;
        let one_of_all = self.all.acquire().await.ok()?;
        Some(Place { _one_of_all: one_of_all, _one_of_address: one_of_address, _user: user })
    }

    fn user(&self, source: IpAddr) -> (User<'_>, Arc<Semaphore>) {
        let network = network_of(source);
        let mut known = self.known();
        let new = || Network { places: Arc::new(Semaphore::new(self.per_address)), users: 0 };
        let entry = known.entry(network).or_insert_with(new);
        entry.users += 1;
        let own = Arc::clone(&entry.places);
        drop(known);
        (User { places: self, network }, own)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<IpAddr, Network>> {
        // Nothing panics while it is held.
        self.by_network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.places.known().entry(self.network) {
            entry.get_mut().users -= 1;
            if entry.get().users == 0 {
                entry.remove();
            }
        }
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
    async fn one_address_leaves_places_to_others_and_is_forgotten() {
        let places = Places::new(3, 2, RateLimit::default());
        let (greedy, other) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = places.acquire(greedy).await.unwrap();
        let second = places.acquire(greedy).await.unwrap();
        assert!(tokio::time::timeout(MOMENT, places.acquire(greedy)).await.is_err());
        assert!(places.acquire_now(greedy).is_none());
        let third = tokio::time::timeout(LIMIT, places.acquire(other)).await.unwrap().unwrap();
        assert!(tokio::time::timeout(MOMENT, places.acquire(other)).await.is_err());
        drop(first);
        let again = places.acquire_now(greedy).unwrap();
        assert_eq!(places.known().len(), 2);
        drop((second, third, again));
        assert!(places.known().is_empty());
        assert_eq!(places.all.available_permits(), 3);
    }
}

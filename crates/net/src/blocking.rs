//! Work that may wait for a disk: on threads of its own, so that it holds up nobody.
//!
//! On a simulated machine ([`crate::machine`]) there are no other threads, as their order would be nobody's to decide: the same work is done where it
//! is asked for, once the machine's disk has taken its time.

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::machine;

/// Does a piece of work where it may wait. Must be called within a tokio runtime.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match machine::current() {
        None => tokio::task::spawn_blocking(work),
        Some(machine) => tokio::spawn(async move {
            sleep(machine.disk_wait()).await;
            work()
        }),
    }
}

/// A worker that waits for its orders, and may wait for a disk between two of them. Must be called within a tokio runtime.
pub fn spawn_worker<F>(worker: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    match machine::current() {
        None => tokio::task::spawn_blocking(|| Handle::current().block_on(worker)),
        Some(_) => tokio::spawn(worker),
    }
}

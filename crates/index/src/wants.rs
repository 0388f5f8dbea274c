//! What the index wants to know of files, and which peers it asks: those who said WANTS. It never connects to a peer; what it wants
//! is told on the connection that the peer keeps anyway.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use proto::directory::SessionId;
use proto::limits::WANTED_MAX;

/// Everybody who may be asked.
#[derive(Debug, Default)]
pub(crate) struct Wants(Mutex<HashMap<SessionId, Arc<Listener>>>);

/// A session that may be asked.
#[derive(Debug, Default)]
struct Listener(Mutex<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    /// Still to be told.
    names: Vec<Arc<str>>,
    /// Told, and not answered yet: only such an answer is kept.
    asked: HashSet<Arc<str>>,
    waker: Option<Waker>,
}

/// The session's end of it. Dropping it ends the listening.
#[derive(Debug)]
pub(crate) struct Listening {
    wants: Arc<Wants>,
    session: SessionId,
    listener: Arc<Listener>,
}

impl Wants {
    /// From now on the session may be asked.
    pub(crate) fn listen(self: &Arc<Self>, session: SessionId) -> Listening {
        let listener = Arc::new(Listener::default());
        self.lock().insert(session, Arc::clone(&listener));
        Listening { wants: Arc::clone(self), session, listener }
    }

    /// Asks a session for the digests of a file of its; `false` when it does not listen, or has too much to answer already.
    pub(crate) fn ask(&self, session: SessionId, name: &Arc<str>) -> bool {
        let Some(listener) = self.lock().get(&session).cloned() else { return false };
        let mut wanted = listener.lock();
        if wanted.asked.contains(name) {
            return true;
        }
        if wanted.asked.len() >= WANTED_MAX {
            return false;
        }
        wanted.asked.insert(Arc::clone(name));
        wanted.names.push(Arc::clone(name));
        let waker = wanted.waker.take();
        drop(wanted);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Listener>>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listening {
    /// What is wanted, as soon as something is.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Vec<Arc<str>>> {
        let mut wanted = self.listener.lock();
        if wanted.names.is_empty() {
            wanted.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut wanted.names))
    }

    /// The session tells a name's digests: whether it was asked for them.
    pub(crate) fn answered(&self, name: &str) -> bool {
        self.listener.lock().asked.remove(name)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.wants.lock().remove(&self.session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_listens_is_asked_and_once_for_each_name() {
        let wants = Arc::new(Wants::default());
        let (name, other): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        assert!(!wants.ask(SessionId(1), &name));
        let listening = wants.listen(SessionId(1));
        let context = Context::from_waker(Waker::noop());
        assert!(listening.poll(&context).is_pending());
        assert!(
            wants.ask(SessionId(1), &name)
                && wants.ask(SessionId(1), &name)
                && wants.ask(SessionId(1), &other)
        );
        assert_eq!(listening.poll(&context), Poll::Ready(vec![Arc::clone(&name), other]));
        assert!(listening.poll(&context).is_pending());
        assert!(listening.answered("a") && !listening.answered("a") && !listening.answered("c"));
        let many = (0..2 * WANTED_MAX).filter(|at| wants.ask(SessionId(1), &at.to_string().into())).count();
        assert_eq!(many, WANTED_MAX - 1, "one is still asked for");
        drop(listening);
        assert!(!wants.ask(SessionId(1), &name));
    }
}

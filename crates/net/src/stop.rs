//! One word to many tasks: stop.
//!
//! A handle of our own, because "the one who could say stop is gone" must mean stop as well: otherwise a task could outlive
//! everybody who is able to end it. And because thousands of silent connections listen for it all their lives: each of them costs
//! 40 bytes, and being asked again takes no lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Listeners are spread over so many locks, as they come and go on every core.
const GROUPS: usize = 16;

/// Makes the two ends of a stop signal.
#[must_use]
pub fn stop_pair() -> (Stopper, StopSignal) {
    let word = Arc::<Word>::default();
    (Stopper(Arc::clone(&word)), StopSignal(word))
}

/// Says stop. Dropping it says stop as well.
#[derive(Debug)]
pub struct Stopper(Arc<Word>);

impl Stopper {
    /// Tells every [`StopSignal`] to stop; saying it again changes nothing.
    pub fn stop(&self) {
        self.0.is_said.store(true, Ordering::Release);
        for group in 0..GROUPS {
            // Woken outside of the lock: whoever is woken may want it.
            let wakers = self.0.group(group).take_all();
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Stopper {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Hears stop; a clone hears the same.
#[derive(Debug, Clone)]
pub struct StopSignal(Arc<Word>);

impl StopSignal {
    /// Waits until stop was said or the [`Stopper`] is gone. Safe to cancel.
    pub fn stopped(&self) -> Stopped<'_> {
        Stopped { word: &self.0, listening: None }
    }

    /// Whether [`Self::stopped`] would return at once.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.is_said.load(Ordering::Acquire)
    }
}

/// See [`StopSignal::stopped`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Stopped<'a> {
    word: &'a Word,
    listening: Option<Listening>,
}

/// Where somebody listens, and who.
#[derive(Debug)]
struct Listening {
    place: u32,
    group: u32,
    task: TaskId,
}

/// What tells one waker from another. The one that was left behind keeps its task alive, so no other task can take its place.
type TaskId = [usize; 2];

fn task_id(waker: &Waker) -> TaskId {
    [waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr()]
}

impl Future for Stopped<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (word, task) = (self.word, task_id(context.waker()));
        if self.listening.as_ref().is_none_or(|listening| listening.task != task) {
            self.stop_listening();
            self.listening = Some(word.listen(context.waker(), task));
        }
        // After the waker was left, or the word could be said between the two.
        if word.is_said.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Stopped<'_> {
    fn stop_listening(&mut self) {
        if let Some(Listening { place, group, .. }) = self.listening.take() {
            let waker = self.word.group(group as usize).forget(place);
            // Outside of the lock: it may be the last that kept a task.
            drop(waker);
        }
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.stop_listening();
    }
}

#[derive(Debug, Default)]
struct Word {
    is_said: AtomicBool,
    groups: [Mutex<Group>; GROUPS],
}

impl Word {
    fn listen(&self, waker: &Waker, task: TaskId) -> Listening {
        // Tasks lie a few hundred bytes apart. Less than 16, so it fits.
        let group = (task[0] / 128 % GROUPS) as u32;
        let place = self.group(group as usize).add(waker.clone());
        Listening { place, group, task }
    }

    // A standard mutex: it is held for a few instructions and never across an await. Nothing panics while it is held, so a
    // poisoned lock still holds what is true.
    fn group(&self, group: usize) -> MutexGuard<'_, Group> {
        self.groups[group].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakers at places; a place is given anew once nobody listens there.
#[derive(Debug, Default)]
struct Group {
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

impl Group {
    fn add(&mut self, waker: Waker) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.wakers[place as usize] = Some(waker);
                place
            }
            None => {
                self.wakers.push(Some(waker));
                u32::try_from(self.wakers.len() - 1).expect("there are fewer connections than 32 bits count")
            }
        }
    }

    fn forget(&mut self, place: u32) -> Option<Waker> {
        let waker = self.wakers[place as usize].take();
        self.free.push(place);
        if self.free.len() == self.wakers.len() {
            *self = Self::default();
        }
        waker
    }

    /// Places stay taken: whoever listens there forgets them itself.
    fn take_all(&mut self) -> Vec<Waker> {
        self.wakers.iter_mut().filter_map(Option::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_hears_a_stop() {
        let (stopper, signal) = stop_pair();
        let other = signal.clone();
        assert!(!signal.is_stopped() && !other.is_stopped());
        stopper.stop();
        signal.stopped().await;
        other.stopped().await;
        assert!(signal.is_stopped() && other.is_stopped());
    }

    #[tokio::test]
    async fn a_dropped_stopper_is_a_stop() {
        let (stopper, signal) = stop_pair();
        let waiting = tokio::spawn({
            let signal = signal.clone();
            async move { signal.stopped().await }
        });
        tokio::task::yield_now().await;
        drop(stopper);
        waiting.await.unwrap();
        assert!(signal.is_stopped());
    }

    #[test]
    fn whoever_listened_last_is_woken_and_nobody_is_kept() {
        struct Count(AtomicBool);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (stopper, signal) = stop_pair();
        let [first, second, gone] = [(); 3].map(|()| Arc::new(Count(AtomicBool::new(false))));
        let poll = |stopped: &mut Stopped<'_>, count: &Arc<Count>| {
            let waker = Waker::from(Arc::clone(count));
            Pin::new(stopped).poll(&mut Context::from_waker(&waker)).is_ready()
        };
        let (mut stopped, mut cancelled) = (signal.stopped(), signal.stopped());
        assert!(!poll(&mut stopped, &first) && !poll(&mut stopped, &second) && !poll(&mut stopped, &second));
        assert!(!poll(&mut cancelled, &gone));
        drop(cancelled);
        assert_eq!([&first, &second, &gone].map(Arc::strong_count), [1, 2, 1], "only the last waker is kept");
        stopper.stop();
        assert_eq!(
            [&first, &second, &gone].map(|count| count.0.load(Ordering::Relaxed)),
            [false, true, false]
        );
        assert!(poll(&mut stopped, &second));
        drop(stopped);
        assert!((0..GROUPS).all(|group| signal.0.group(group).wakers.is_empty()));
    }

    #[test]
    fn listening_is_cheap() {
        assert!(size_of::<Stopped<'_>>() <= 40 && size_of::<StopSignal>() == 8);
    }
}

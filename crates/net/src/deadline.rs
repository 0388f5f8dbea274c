//! A deadline that is put off far more often than it passes: one for each request of a busy connection.
//!
//! A timer of the runtime that is made anew each time takes the runtime's lock twice. This one is left where it is when it is put
//! off, and looks when it rings whether it was meant.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// See the module.
#[derive(Debug)]
pub struct Deadline {
    timer: Pin<Box<Sleep>>,
    due: Instant,
}

impl Deadline {
    /// At this moment. Must be called within a tokio runtime.
    #[must_use]
    pub fn at(due: Instant) -> Self {
        Self { timer: Box::pin(sleep_until(due.into())), due }
    }

    /// At this moment instead.
    pub fn set(&mut self, due: Instant) {
        self.due = due;
        if self.timer.deadline().into_std() > due {
            self.timer.as_mut().reset(due.into());
        }
    }

    /// Ready once it has passed.
    pub fn poll_passed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            if self.timer.deadline().into_std() >= self.due {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.due.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_passes_when_it_was_set_to_last_and_not_before() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut deadline = Deadline::at(after(10));
        for (first, then) in [(60, 60), (10_000, 120)] {
            deadline.set(after(first));
            deadline.set(after(then));
            poll_fn(|context| deadline.poll_passed(context)).await;
            let passed = start.elapsed().as_millis();
            assert!((u128::from(then)..5000).contains(&passed), "{passed} ms");
        }
    }
}

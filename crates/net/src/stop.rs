//! One word to many tasks: stop.
//!
//! A handle of our own around a watch channel, because "the one who could say stop is gone" must mean stop as well: otherwise a
//! task could outlive everybody who is able to end it.

use tokio::sync::watch;

/// Makes the two ends of a stop signal.
#[must_use]
pub fn stop_pair() -> (Stopper, StopSignal) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), StopSignal(receiver))
}

/// Says stop. Dropping it says stop as well.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Tells every [`StopSignal`] to stop; saying it again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Hears stop; a clone hears the same.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// Waits until stop was said or the [`Stopper`] is gone. Safe to cancel.
    pub async fn stopped(&self) {
        let mut receiver = self.0.clone();
        // An error means that the stopper is gone, which is a stop too.
        let _ = receiver.wait_for(|stop| *stop).await;
    }

    /// Whether [`Self::stopped`] would return at once.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
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
        drop(stopper);
        signal.stopped().await;
        assert!(signal.is_stopped());
    }
}

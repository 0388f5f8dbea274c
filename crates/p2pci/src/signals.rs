//! The signals that end the program, and the one that asks how it is.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves when the user (Ctrl+C) or the system (SIGTERM) wants the program to end. Signals count from this call on, not only
/// from the first wait. Must be called within a tokio runtime.
pub fn interrupted() -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async move {
        match signals {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            // Without handlers the signals end the program by themselves.
            _ => std::future::pending().await,
        }
    }
}

/// SIGUSR1 asks for a line of status; `None` where the system has no such signal to give.
pub fn status_asked() -> Option<Signal> {
    signal(SignalKind::user_defined1()).ok()
}

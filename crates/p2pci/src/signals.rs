//! The signals that end the program, and the one that asks how it is.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves when the user (Ctrl+C) or the system (SIGTERM) wants the program to end.
pub async fn interrupted() {
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
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

/// SIGUSR1 asks for a line of status; `None` where the system has no such signal to give.
pub fn status_asked() -> Option<Signal> {
    signal(SignalKind::user_defined1()).ok()
}

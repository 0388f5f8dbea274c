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

/// From now on writing more than a limit on file sizes allows is an error like others, and not the program's end. Must be called
/// within a tokio runtime.
pub fn survive_file_limits() {
    // Where the system has no handler to give, the signal ends the program as before.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

/// SIGHUP asks for files to be read again; `None` where the system has no such signal to give.
pub fn reload_asked() -> Option<Signal> {
    signal(SignalKind::hangup()).ok()
}

/// SIGUSR1 asks for a line of status; `None` where the system has no such signal to give.
pub fn status_asked() -> Option<Signal> {
    signal(SignalKind::user_defined1()).ok()
}

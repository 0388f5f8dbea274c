//! What a service manager is told, where one started us and asked for it: sd_notify(3) and its environment. Anywhere else none of it does
//! anything.

use std::net::TcpListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// The sockets that were opened for us and stay open when we end, so that a new process goes on where an old one stops (sd_listen_fds(3));
/// none where nobody did that. They are given once.
///
/// # Errors
/// What the system says to one that does not listen in TCP.
pub fn given_sockets() -> std::io::Result<Vec<TcpListener>> {
    let mut given = ListenFd::from_env();
    (0..given.len()).filter_map(|at| given.take_tcp_listener(at).transpose()).collect()
}

/// The port is open, or files were read again; `status` is for people.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// How it stands, for people.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// Files are being read again; [`ready`] ends it.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    let states = [Some(NotifyState::Reloading), now.ok()];
    tell(&states.into_iter().flatten().collect::<Vec<_>>());
}

/// It ends, after what is being answered.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that we are alive twice within the time after which the manager would take us for dead, each time after `probe`, for as long as it is
/// polled. A runtime that does not come round to it, or a probe that hangs, is found so.
pub async fn keep_alive(probe: impl Fn()) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return std::future::pending().await;
    };
    let mut turns = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        turns.tick().await;
        probe();
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // A manager that cannot be told sees for itself.
    let _ = sd_notify::notify(states);
}

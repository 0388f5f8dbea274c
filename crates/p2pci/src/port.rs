//! The port on which a server or a peer listens: one that was opened for us, else one of our own.

use net::listen::{ListenSpec, Listeners};

use crate::exit::{Code, Failure};
use crate::service;

/// Sockets that were given are taken, whatever was typed; `hint` says how another place is chosen.
pub fn open(spec: ListenSpec, hint: &str) -> Result<Listeners, Failure> {
    let failed = |error: String| Failure::new(Code::Failed, error);
    let given = service::given_sockets().map_err(|error| {
        failed(format!("cannot listen on what was given to this program (LISTEN_FDS): {error}"))
    })?;
    match given.is_empty() {
        true => Listeners::bind(spec).map_err(|error| failed(format!("{error}; {hint}"))),
        false => Listeners::given(given).map_err(|error| failed(format!("{error} (LISTEN_FDS)"))),
    }
}

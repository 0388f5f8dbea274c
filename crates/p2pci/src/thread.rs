//! Threads of our own, for what blocks as long as the program runs.

use std::thread::Builder;

use crate::exit::{Code, Failure};

/// Starts a thread that ends with its work, or with the program.
pub fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let started = Builder::new().name(name.to_owned()).spawn(work);
    started.map(drop).map_err(|error| {
        let cause =
            format!("cannot start a thread: {error}. Are processes or memory limited here (ulimit -a)?");
        Failure::new(Code::Failed, cause)
    })
}

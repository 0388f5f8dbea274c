//! `p2pci`: an index, a peer, and everything in between, in one binary.
//!
//! `cli` is what was typed, `settings` what it means; each command has a file in `command`; `out` is the only file that prints.

#![allow(unreachable_pub, reason = "a binary has no outside: `pub` says what a module offers to the others")]

mod cli;
mod command;
mod exit;
mod keys;
mod line_budget;
mod local_peer;
mod menu;
mod observers;
mod out;
mod port;
mod sandbox;
mod server_log;
mod service;
mod settings;
mod sha256;
mod signals;
mod stdin_lines;
mod thread;
mod ticket_key;
mod token_file;
mod tongues;
mod writer;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::exit::{Code, Failure};

fn main() -> ExitCode {
    out::install_panic_message();
    let Cli { command } = Cli::typed();
    let out = out::Out::new(command.format());
    sandbox::leave_no_core();
    if let Some(needs) = command.needs() {
        sandbox::enter(&needs);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(out, &Failure::new(Code::Failed, format!("cannot start: {error}"))),
    };
    // The first thread for what blocks as well: with one, all further ones can be done without.
    let _ = runtime.block_on(runtime.spawn_blocking(|| ()));
    out::threads_have_started();
    let result = runtime.block_on(command::run(command, out));
    // Nothing that still runs may delay the end: a look-up of a name, or a blocked read, cannot be called off.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(out, &failure),
    }
}

fn fail(out: out::Out, failure: &Failure) -> ExitCode {
    out.failure(failure);
    failure.code.into()
}

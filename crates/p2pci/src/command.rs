//! One file for each command.

mod client;
mod demo;
mod get;
mod list;
mod lookup;
pub mod search;
mod server;
mod share;
mod token;
mod watch;

use peer::link::LinkError;
use peer::query::QueryError;

use crate::cli::{Command, Get, TokenCommand};
use crate::exit::{Code, Failure};
use crate::out::{Format, Out};
use crate::sandbox::Needs;
use crate::signals;

impl Command {
    /// Reads the files that say whom to believe.
    fn complete(&mut self) -> Result<(), Failure> {
        match self {
            Self::Client(args) => {
                if let Some(first) = args.first.take() {
                    args.index.server = first;
                }
                args.index.complete()
            }
            Self::Share(args) => args.index.complete(),
            Self::Get(args) => args.index.complete(),
            Self::Lookup(args) => args.index.complete(),
            Self::List(args) => args.index.complete(),
            Self::Search(args) => args.index.complete(),
            Self::Watch(args) => args.index.complete(),
            Self::Server(_) | Self::Demo(_) | Self::Token(_) => Ok(()),
        }
    }

    /// What it needs of this machine; `None` where it goes on without a sandbox.
    pub fn needs(&self) -> Option<Needs> {
        match self {
            Self::Server(args) if !args.no_sandbox => Some(server::needs(args)),
            _ => None,
        }
    }

    /// How this command's results are to be shown.
    pub fn format(&self) -> Format {
        let json = match self {
            Self::Share(args) => args.json,
            Self::Get(args) => args.json,
            Self::Lookup(args) => args.json,
            Self::List(args) => args.json,
            Self::Search(args) => args.json,
            Self::Watch(args) => args.json,
            Self::Token(args) => matches!(&args.what, TokenCommand::List(args) if args.json),
            Self::Server(_) | Self::Client(_) | Self::Demo(_) => false,
        };
        if json { Format::Json } else { Format::Text }
    }
}

/// Runs one command to its end.
pub async fn run(mut command: Command, out: Out) -> Result<(), Failure> {
    command.complete()?;
    match command {
        Command::Server(args) => server::run(args, out).await,
        Command::Client(args) => client::run(args, out).await,
        Command::Share(args) => share::run(args, out).await,
        Command::Get(args) => fetch_and_serve(args, out).await,
        Command::Lookup(args) => unless_interrupted(lookup::run(args, out)).await,
        Command::List(args) => unless_interrupted(list::run(args, out)).await,
        Command::Search(args) => unless_interrupted(search::run(args, out)).await,
        Command::Watch(args) => watch::run(args, out).await,
        Command::Token(args) => token::run(args, out),
        Command::Demo(args) => unless_interrupted(demo::run(args, out)).await,
    }
}

/// An interruption of the download is a failure; one of what follows is its usual end.
async fn fetch_and_serve(args: Get, out: Out) -> Result<(), Failure> {
    let seed_time = args.seed_time;
    // One for both, so that none is lost in between.
    let mut end = std::pin::pin!(signals::interrupted());
    let seeding = tokio::select! {
        biased;
        fetched = get::run(args, out) => fetched?,
        () = &mut end => return Err(Failure::new(Code::Interrupted, "interrupted")),
    };
    seeding.go_on(seed_time, out, end).await;
    Ok(())
}

/// Dropping a command's future undoes what it has begun, so an interruption leaves nothing behind.
async fn unless_interrupted(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        result = command => result,
        () = signals::interrupted() => Err(Failure::new(Code::Interrupted, "interrupted")),
    }
}

/// A question to the index that has no answer.
fn index_failure(error: LinkError) -> Failure {
    match error {
        LinkError::Unreachable { .. } => {
            Failure::new(Code::Unreachable, format!("{error}; is it running, and is --server right?"))
        }
        LinkError::Insecure { .. } => Failure::new(Code::Unreachable, error.to_string()),
        LinkError::Host(_) => Failure::new(Code::Usage, error.to_string()),
        error => Failure::new(Code::Failed, error.to_string()),
    }
}

/// A question to the index that has no answer, in 1.1 or 1.0.
fn query_failure(error: &QueryError) -> Failure {
    match error {
        QueryError::Link(error) => index_failure(error.clone()),
        QueryError::Refused { .. } | QueryError::TooLong | QueryError::TooOld | QueryError::NoSearch => {
            Failure::new(Code::Failed, error.to_string())
        }
    }
}

//! The numbered menu of the original, with its numbers and its order of questions.
//!
//! A script of key strokes for the original works here unchanged. Answers of the index are shown as they came. A wrong answer
//! gets a sentence that says what was expected, and the menu again; only `5` and the end of the input leave. What the original does
//! not have stands after its five choices.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peer::download::{Destination, FetchError, Outcome, Timing, fetch};
use peer::indexes::Indexes;
use peer::link::{Answer, LinkError, OwnedRecord};
use peer::several::search;
use peer::shares::ShareError;
use proto::escape;
use proto::rfc_text::file_name_of;
use proto::search::Query;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::wire::status::StatusCode;

use crate::command::search::Shown;
use crate::local_peer::LocalPeer;
use crate::out::Out;
use crate::settings::all_typed;
use crate::stdin_lines::StdinLines;

const MENU: &str =
    "\n1: Add, 2: Look Up, 3: List All, 4: Download, 5: Shut Down\n6: Search\nEnter your request: ";
const ASK_NUMBER: &str = "Enter the RFC number: ";
const ASK_TITLE: &str = "Enter the RFC title: ";
const ASK_OPTIONAL_TITLE: &str = "Enter the RFC title(optional): ";
const ASK_WORDS: &str = "Enter words to search for: ";
const ASK_PEER: &str = "Choose one peer to download: ";

const NO_NUMBER: &str = "An RFC number is a whole number from 1 to 4294967295; 6 finds files by their names.";
const NO_RFC: &str = "Nobody has an RFC; 6 finds files by their names.";

/// The status of a LIST without a record.
const NOT_FOUND: u16 = 404;

/// How long a question may wait for the link to come back.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many results of a search are shown.
const SEARCH_SHOWN: usize = 20;

/// The menu of one peer.
pub struct Menu<'a> {
    peer: &'a LocalPeer,
    indexes: &'a Indexes,
    folder: &'a Path,
    out: Out,
    input: StdinLines,
}

/// Why a choice came to nothing.
enum Cut {
    /// The input ended: leave.
    EndOfInput,
    /// A sentence for the user, and the menu again.
    Sorry(String),
}

impl From<LinkError> for Cut {
    fn from(error: LinkError) -> Self {
        Self::Sorry(match error {
            LinkError::Unreachable { .. } => {
                format!("{} Try again when the index is back.", sentence(&error))
            }
            error => sentence(&error),
        })
    }
}

impl<'a> Menu<'a> {
    /// A menu for this peer of an index, whose files are in `folder`.
    pub fn new(
        peer: &'a LocalPeer,
        indexes: &'a Indexes,
        folder: &'a Path,
        out: Out,
        input: StdinLines,
    ) -> Self {
        Self { peer, indexes, folder, out, input }
    }

    /// Shows the menu until the user shuts down, or the input ends.
    pub async fn run(mut self) {
        loop {
            let choice = match self.ask(MENU).await {
                Ok(choice) => choice,
                Err(_) => break,
            };
            let done = match choice.as_str() {
                "1" => self.add().await,
                "2" => self.look_up().await,
                "3" => self.list_all().await,
                "4" => self.download().await,
                "5" => break,
                "6" => self.search().await,
                _ => Err(Cut::Sorry("Please enter a number from 1 to 6.".to_owned())),
            };
            match done {
                Ok(()) => {}
                Err(Cut::EndOfInput) => break,
                Err(Cut::Sorry(sentence)) => self.out.line(escape::Line(sentence.as_bytes())),
            }
        }
        self.out.line("\nShutting down...");
    }

    async fn ask(&mut self, question: &str) -> Result<String, Cut> {
        self.out.prompt(question);
        self.input.next().await.ok_or(Cut::EndOfInput)
    }

    async fn ask_number(&mut self) -> Result<RfcNumber, Cut> {
        let answer = self.ask(ASK_NUMBER).await?;
        answer.parse().map_err(|_| Cut::Sorry(NO_NUMBER.to_owned()))
    }

    async fn add(&mut self) -> Result<(), Cut> {
        let number = self.ask_number().await?;
        let title = self.ask(ASK_TITLE).await?;
        self.share(number, Some(title)).await
    }

    /// Shares a file of the folder and registers it. Without a title its text's own heading is taken.
    async fn share(&mut self, number: RfcNumber, title: Option<String>) -> Result<(), Cut> {
        let (shares, folder) = (Arc::clone(&self.peer.shares), self.folder.to_owned());
        let sharing =
            tokio::task::spawn_blocking(move || shares.add_number(&folder, number, title.as_deref()));
        let shared = sharing.await.map_err(|error| Cut::Sorry(error.to_string()))?;
        let shared = shared.map_err(|error: ShareError| Cut::Sorry(sentence(&error)))?;
        let answer = self.peer.link.add(number, &shared.title, PATIENCE).await?;
        self.out.as_it_came(&answer.raw);
        Ok(())
    }

    async fn look_up(&mut self) -> Result<(), Cut> {
        let number = self.ask_number().await?;
        let title = self.ask(ASK_OPTIONAL_TITLE).await?;
        let title = (!title.is_empty()).then_some(title.as_str());
        let answer = self.peer.link.lookup(number, title, PATIENCE).await?;
        self.out.as_it_came(&answer.raw);
        Ok(())
    }

    async fn list_all(&mut self) -> Result<(), Cut> {
        let out = self.out;
        let status = self.peer.link.list(PATIENCE, &mut |piece| out.as_it_came(&piece.raw)).await?;
        let is_empty = status.map(StatusCode::get) == Some(NOT_FOUND);
        if is_empty { Err(Cut::Sorry(NO_RFC.to_owned())) } else { Ok(()) }
    }

    /// What the original does not have: by words, in 1.1, on a connection of its own.
    async fn search(&mut self) -> Result<(), Cut> {
        let words = self.ask(ASK_WORDS).await?;
        Query::parse(&words).map_err(|error| Cut::Sorry(sentence(&error)))?;
        let found = search(self.indexes, &words, SEARCH_SHOWN).await;
        let found =
            found.map_err(|error| Cut::Sorry(sentence(&escape::Line(error.to_string().as_bytes()))))?;
        if found.files.is_empty() {
            return Err(Cut::Sorry(format!("Nothing matches '{words}'.")));
        }
        found.files.iter().for_each(|file| self.out.line(Shown(file)));
        if found.has_more || found.is_incomplete {
            self.out.line("There may be more: another word narrows it.");
        }
        let index = all_typed(self.indexes);
        self.out.line(format_args!(
            "To fetch one: 4 for an RFC, else p2pci get NAME --server {}",
            escape::Line(index.as_bytes())
        ));
        Ok(())
    }

    async fn download(&mut self) -> Result<(), Cut> {
        let number = self.ask_number().await?;
        let answer = self.peer.link.lookup(number, None, PATIENCE).await?;
        let sources = sources(number, &answer);
        if sources.is_empty() {
            self.out.as_it_came(&answer.raw);
            return Err(Cut::Sorry(format!("Nobody has RFC {number}.")));
        }
        self.out.line("Available peers:");
        for (index, peer) in sources.iter().enumerate() {
            let own = if Some(peer) == self.peer.link.claimed().as_ref() { " (this one)" } else { "" };
            self.out.line(format_args!("{}: {}{own}", index + 1, escape::Line(peer.to_string().as_bytes())));
        }
        let choice = self.ask(ASK_PEER).await?;
        let chosen = choice.parse().ok().and_then(|choice: usize| sources.get(choice.checked_sub(1)?));
        let peer = chosen.ok_or_else(|| {
            Cut::Sorry(match sources.len() {
                1 => "Please enter 1: there is no other peer.".to_owned(),
                many => format!("Please enter a number from 1 to {many}."),
            })
        })?;
        self.fetch_from(peer, number).await?;
        self.share(number, None).await
    }

    async fn fetch_from(&self, peer: &PeerAddr, number: RfcNumber) -> Result<(), Cut> {
        let path = self.folder.join(file_name_of(number));
        let mut destination = Destination::File { path, force: false };
        let limit = &self.peer.download_limit;
        let fetched = fetch(peer, number, &mut destination, &Timing::default(), limit).await;
        let fetched = fetched.map_err(|error| match error {
            FetchError::Exists { .. } => {
                Cut::Sorry(format!("{} Move it away to download this one.", sentence(&error)))
            }
            error if error.is_source_fault() => {
                Cut::Sorry(format!("{} Another peer may do better.", sentence(&error)))
            }
            error => Cut::Sorry(sentence(&error)),
        })?;
        match fetched.outcome {
            Outcome::AlreadyHere(path) => self.out.line(format_args!("{}: already here", path.display())),
            Outcome::Saved(path) => {
                self.out.line(format_args!("{}: {} bytes, complete", path.display(), fetched.bytes));
            }
            Outcome::Written => {}
        }
        Ok(())
    }
}

/// An error as the menu says it, among other sentences.
fn sentence(error: &impl Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// The peers of an answer, each once, in their order.
fn sources(number: RfcNumber, answer: &Answer) -> Vec<PeerAddr> {
    let mut sources = Vec::new();
    for OwnedRecord { peer, .. } in answer.records.iter().filter(|record| record.number == number) {
        if !sources.contains(peer) {
            sources.push(peer.clone());
        }
    }
    sources
}

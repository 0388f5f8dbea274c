//! The demonstration's steps: each is shown, and each is checked.

use std::fmt::Display;
use std::time::{Duration, Instant};

use peer::download::{Destination, Outcome, Timing, fetch};
use peer::link::{Answer, lookup_once};
use peer::shares::Shared;
use proto::escape;
use proto::rfc_text::file_name_of;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;

use super::ensure;
use super::world::{PATIENCE, World};
use crate::command::index_failure;
use crate::exit::Failure;

/// Lines of an answer that are shown.
const LINES_SHOWN: usize = 8;
/// How often the index is asked again while something must become true.
const POLL: Duration = Duration::from_millis(10);

impl World {
    /// Plays every step; says how many files were fetched.
    pub(super) async fn play(&self) -> Result<usize, Failure> {
        self.list().await?;
        let missing = &self.texts[self.bob.shares.len()..];
        let wanted = &missing[0];
        self.look_up(wanted, 1, "Bob lacks one and asks who has it.").await?;
        self.download(wanted, true).await?;
        for text in &missing[1..] {
            self.download(text, false).await?;
        }
        self.look_up(wanted, 2, "Now two peers have it.").await?;
        self.departure(wanted).await?;
        Ok(missing.len())
    }

    async fn list(&self) -> Result<(), Failure> {
        self.title("Bob asks what there is.");
        self.say("bob", "LIST ALL P2P-CI/1.0");
        let (mut raw, mut records) = (Vec::new(), 0);
        let mut sink = |piece: peer::link::Piece| {
            raw.extend_from_slice(&piece.raw);
            records += piece.records.len();
        };
        self.bob.link.list(PATIENCE, &mut sink).await.map_err(index_failure)?;
        self.show_answer("index", &raw);
        let expected = self.texts.len() + self.bob.shares.len();
        ensure(records == expected, || format!("LIST gave {records} records, {expected} were added"))
    }

    async fn look_up(&self, text: &Shared, sources: usize, title: &str) -> Result<(), Failure> {
        self.title(title);
        self.say("bob", format_args!("LOOKUP RFC {} P2P-CI/1.0", text.number));
        let answer = self.ask(text.number).await?;
        self.show_answer("index", &answer.raw);
        ensure(answer.records.len() == sources, || {
            format!("LOOKUP gave {} sources instead of {sources}", answer.records.len())
        })
    }

    async fn ask(&self, number: RfcNumber) -> Result<Answer, Failure> {
        self.bob.link.lookup(number, None, PATIENCE).await.map_err(index_failure)
    }

    /// Bob fetches a text from Alice, compares it with hers, and registers it.
    async fn download(&self, text: &Shared, shown: bool) -> Result<(), Failure> {
        let source = self.source(text.number).await?;
        if shown {
            self.title("He fetches it straight from Alice; the index is not on the way.");
            self.say("bob", format_args!("GET RFC {} P2P-CI/1.0   (to {source})", text.number));
        }
        let path = self.bob_folder.join(file_name_of(text.number));
        let mut destination = Destination::File { path: path.clone(), force: false };
        let fetched =
            fetch(&source, text.number, &mut destination, &Timing::default(), &self.bob.download_limit)
                .await?;
        ensure(matches!(fetched.outcome, Outcome::Saved(_)), || {
            format!("{} was there already", path.display())
        })?;
        let (hers, his) = (std::fs::read(self.alice_folder.join(&text.file_name))?, std::fs::read(&path)?);
        ensure(hers == his, || format!("RFC {} arrived with another content", text.number))?;
        let shares = &self.bob.shares;
        let shared = shares.add_number(&self.bob_folder, text.number, None)?;
        let answer = self.bob.link.add(text.number, &shared.title, PATIENCE).await.map_err(index_failure)?;
        ensure(answer.records.len() == 1, || format!("the index did not take RFC {}", text.number))?;
        if shown {
            self.say(
                "alice",
                format_args!("200 OK and {} bytes; compared with hers: identical", fetched.bytes),
            );
            self.title("Bob is a source now: he adds it.");
            self.say("bob", format_args!("ADD RFC {} P2P-CI/1.0", text.number));
            self.show_answer("index", &answer.raw);
        }
        Ok(())
    }

    /// Alice's address as the index gives it to Bob.
    async fn source(&self, number: RfcNumber) -> Result<PeerAddr, Failure> {
        let answer = self.ask(number).await?;
        let alice = answer.records.iter().find(|record| record.peer.port() == self.alice.upload_port);
        let known = alice.map(|record| record.peer.clone());
        known.ok_or_else(|| {
            Failure::from(anyhow::anyhow!("the index does not know that Alice has RFC {number}"))
        })
    }

    /// Alice leaves, and her records with her; then Bob, and the index is empty.
    async fn departure(&self, text: &Shared) -> Result<(), Failure> {
        self.title("Alice leaves, and her records go with her.");
        self.alice.link.clone().leave().await;
        let only_bob = self.texts.len();
        self.until(|| self.server.status().records == only_bob).await?;
        self.say("bob", format_args!("LOOKUP RFC {} P2P-CI/1.0", text.number));
        let answer = self.ask(text.number).await?;
        self.show_answer("index", &answer.raw);
        ensure(answer.records.len() == 1, || "Alice's record is still there".to_owned())?;

        self.title("Bob leaves too; Carol, who never joined, asks.");
        self.bob.link.clone().leave().await;
        self.until(|| self.server.status().records == 0).await?;
        let answer = lookup_once(&self.index, None, text.number).await.map_err(index_failure)?;
        self.say("carol", format_args!("LOOKUP RFC {} P2P-CI/1.0", text.number));
        self.show_answer("index", &answer.raw);
        ensure(answer.records.is_empty(), || "the index still has a record".to_owned())
    }

    async fn until(&self, so: impl Fn() -> bool) -> Result<(), Failure> {
        let start = Instant::now();
        while !so() {
            ensure(start.elapsed() < PATIENCE, || {
                "the records of a peer that has left do not go".to_owned()
            })?;
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn title(&self, text: &str) {
        self.out.line(format_args!("\n== {text}"));
    }

    fn say(&self, who: &str, what: impl Display) {
        let speaker = if who.is_empty() { String::new() } else { format!("{who}:") };
        self.out.line(format_args!("{speaker:<8}{what}"));
    }

    fn show_answer(&self, who: &str, raw: &[u8]) {
        let lines: Vec<&[u8]> =
            raw.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
        for (index, line) in lines.iter().take(LINES_SHOWN).enumerate() {
            self.say(if index == 0 { who } else { "" }, escape::Line(line.trim_ascii_end()));
        }
        if let Some(more @ 1..) = lines.len().checked_sub(LINES_SHOWN) {
            self.out.line(format_args!("        ... and {more} more"));
        }
    }
}

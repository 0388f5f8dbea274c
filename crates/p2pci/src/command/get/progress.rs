//! How a transfer looks while it runs: on a terminal a bar, and a line for each source; else a line where something goes wrong.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use peer::fetch::{Event, Progress};
use proto::escape;
use proto::value::host::PeerAddr;
use serde_json::json;

use crate::out::{self, Out};

/// What came and how fast stands at the right, so that it stays in its place however long the name is.
const FILE: &str =
    "{msg}  {wide_bar}  {percent:>3} % of {binary_total_bytes}  {binary_bytes_per_sec:>14}  {eta:>4} left";
const SOURCE: &str = "    {msg:24!} {binary_bytes:>11}  {binary_bytes_per_sec:>14}  {prefix}";

/// One transfer on the screen.
pub(super) struct Display {
    out: Out,
    name: String,
    /// `None` where nobody watches.
    bars: Option<Bars>,
    /// The bar is for many files: each one's size is known and counted already.
    is_sum: bool,
    /// Sources of which it was said that we wait for them.
    waiting: Mutex<HashSet<PeerAddr>>,
}

struct Bars {
    screen: MultiProgress,
    file: ProgressBar,
    sources: Mutex<HashMap<PeerAddr, ProgressBar>>,
}

impl Display {
    /// For a file of this name.
    pub(super) fn new(out: Out, name: &str) -> Self {
        let name = escape::Line(name.as_bytes()).to_string();
        let bars = (out::errors_are_watched() && !out.is_json()).then(|| Bars::new(&name));
        Self { out, name, bars, is_sum: false, waiting: Mutex::default() }
    }

    /// For many files with so many bytes together.
    pub(super) fn of_many(out: Out, name: &str, bytes: u64) -> Self {
        let display = Self { is_sum: true, ..Self::new(out, name) };
        if let Some(bars) = &display.bars {
            bars.file.set_length(bytes);
        }
        display
    }

    /// The transfer is over: nothing of it stays on the screen.
    pub(super) fn end(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that went away has nothing left to clear.
            let _ = bars.screen.clear();
        }
    }

    /// A line that stays, above the bars.
    fn note(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.screen.suspend(|| self.out.note(line)),
            None => self.out.note(line),
        }
    }

    /// Once for each source, where nobody watches a bar.
    fn waits(&self, peer: &PeerAddr, place: u32) {
        if !self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.clone()) {
            return;
        }
        let peer = peer.to_string();
        match self.out.is_json() {
            true => self.out.object(&json!({"type": "waiting", "from": peer, "place": place})),
            false => self.note(&format!(
                "p2pci: {}: {}: waiting, place {place}",
                self.name,
                escape::Line(peer.as_bytes())
            )),
        }
    }

    fn left(&self, peer: &PeerAddr, fault: &str) {
        let (peer, fault) = (peer.to_string(), escape::Line(fault.as_bytes()).to_string());
        match self.out.is_json() {
            true => self.out.object(&json!({"type": "source_failed", "from": peer, "reason": fault})),
            false => self.note(&format!(
                "p2pci: {}: {} is left: {fault}",
                self.name,
                escape::Line(peer.as_bytes())
            )),
        }
    }
}

impl Progress for Display {
    fn tell(&self, event: Event<'_>) {
        match (event, &self.bars) {
            (Event::Begins { resumed, .. }, Some(bars)) if self.is_sum => bars.file.inc(resumed),
            (Event::Begins { bytes, resumed, .. }, Some(bars)) => {
                bars.file.set_length(bytes);
                bars.file.set_position(resumed);
                bars.file.reset_eta();
            }
            (Event::Rehashing { .. }, _) => {
                self.note(&format!("p2pci: {}: checking what is here from before", self.name));
            }
            (Event::Joined { peer }, Some(bars)) => bars.join(peer),
            (Event::Received { peer, bytes }, Some(bars)) => bars.received(peer, bytes),
            (Event::Waiting { peer, place }, Some(bars)) => bars.waits(peer, place),
            (Event::Waiting { peer, place }, None) => self.waits(peer, place),
            (Event::Verified { bytes, .. }, Some(bars)) => bars.file.inc(bytes),
            (Event::Left { peer, fault }, bars) => {
                if let Some(bars) = bars {
                    bars.left(peer);
                }
                self.left(peer, &fault.to_string());
            }
            (
                Event::Begins { .. } | Event::Joined { .. } | Event::Received { .. } | Event::Verified { .. },
                None,
            ) => {}
        }
    }
}

impl Bars {
    fn new(name: &str) -> Self {
        let screen = MultiProgress::new();
        let file = screen.add(ProgressBar::new(0).with_style(style(FILE)).with_message(name.to_owned()));
        Self { screen, file, sources: Mutex::default() }
    }

    fn join(&self, peer: &PeerAddr) {
        let name = escape::Line(peer.to_string().as_bytes()).to_string();
        let bar = ProgressBar::no_length().with_style(style(SOURCE)).with_message(name);
        self.sources().insert(peer.clone(), self.screen.add(bar));
    }

    fn received(&self, peer: &PeerAddr, bytes: u64) {
        if let Some(bar) = self.sources().get(peer) {
            if !bar.prefix().is_empty() {
                bar.set_prefix("");
            }
            bar.inc(bytes);
        }
    }

    fn waits(&self, peer: &PeerAddr, place: u32) {
        if let Some(bar) = self.sources().get(peer) {
            bar.set_prefix(format!("waiting, place {place}"));
        }
    }

    fn left(&self, peer: &PeerAddr) {
        if let Some(bar) = self.sources().remove(peer) {
            bar.finish_and_clear();
        }
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<PeerAddr, ProgressBar>> {
        // Bars are as good as before whatever another thread did with them.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=>-")
}

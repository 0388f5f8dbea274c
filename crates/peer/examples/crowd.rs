//! Many peers in one process, each with a connection of its own and all that a `share` does about it: registering, and coming back
//! after a loss. `crowd HOST:PORT FOLDER PEERS`; each registers what is in the folder.
//!
//! It prints a line for each thing that happens: milliseconds since its start, and `registered FILES, refused FILES`, `lost`, or `tries`, with the moment
//! at which a connection is tried again. See `cargo xtask flood restart`.
#![allow(clippy::unwrap_used, reason = "a tool that fails has nothing else to say")]

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use net::stop::stop_pair;
use peer::indexes::Indexes;
use peer::link::IndexAddr;
use peer::notice::{LinkNotice, Notice, Observer};
use peer::registrar::{self, RegistrarConfig};
use peer::shares::{CacheFolder, Options, Prefix, Root, ShareTable};
use peer::traffic::Traffic;
use proto::value::number::Port;

/// Peers that begin in one second.
const BEGIN_PER_SECOND: u32 = 2000;

struct Teller(Instant);

impl Teller {
    fn say(&self, after: Duration, what: &str) {
        let at = (self.0.elapsed() + after).as_millis();
        // Whoever started us has gone when nobody reads.
        let _ = writeln!(stdout(), "{at} {what}");
    }
}

impl Observer for Teller {
    fn notice(&self, notice: Notice) {
        let Notice::Link(notice) = notice else { return };
        match notice {
            LinkNotice::Registered { files, refused } => {
                self.say(Duration::ZERO, &format!("registered {files}, refused {refused}"));
            }
            LinkNotice::NotTaken { why, .. } => self.say(Duration::ZERO, &why),
            LinkNotice::Lost { .. } => self.say(Duration::ZERO, "lost"),
            LinkNotice::RetryIn(pause) => self.say(pause, "tries"),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let [index, folder, peers] = typed.as_slice() else { return ExitCode::FAILURE };
    let (host, port) = index.rsplit_once(':').unwrap();
    let indexes = Indexes::new(vec![IndexAddr::plain(host, port.parse().unwrap())]).unwrap();
    net::descriptors::raise_open_file_limit();
    let observer: Arc<dyn Observer> = Arc::new(Teller(Instant::now()));
    let shares = Arc::new(ShareTable::new());
    let root = Root { path: PathBuf::from(folder), prefix: Prefix::OwnName };
    let options = Options { cache: CacheFolder::Nowhere, ..Options::default() };
    let mut changes = shares.changes();
    shares.publish(&[root], &options, &observer).unwrap();
    while shares.snapshot().iter().any(|file| file.hash.is_none()) {
        changes.next().await;
    }
    let (_stopper, stop) = stop_pair();
    for at in 0..peers.parse::<u32>().unwrap() {
        let config = RegistrarConfig {
            indexes: indexes.clone(),
            host: None,
            tls: None,
            gate: None,
            upload_port: Port::new(u16::try_from(1024 + at % 60_000).unwrap()).unwrap(),
            traffic: Arc::<Traffic>::default(),
        };
        let (shares, observer, stop) = (Arc::clone(&shares), Arc::clone(&observer), stop.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1) * at / BEGIN_PER_SECOND).await;
            registrar::run(config, shares, |_| Arc::clone(&observer), stop).await
        });
    }
    // Until it is killed.
    std::future::pending().await
}

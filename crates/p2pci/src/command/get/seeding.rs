//! What `get` gives back: whoever downloads serves what it has, from the first block on, and a little longer than it takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use peer::choice::Content;
use peer::notice::{Notice, Observer};
use peer::offer::Offers;
use peer::shares::ShareTable;
use peer::swarm::{Joining, Swarm};
use peer::upload::Served;
use proto::transfer::blocks::BLOCK_BYTES;
use tokio::time::sleep;

use super::Context;
use crate::cli::UseTls;
use crate::local_peer::{Door, Uploader, manners};
use crate::out::Out;
use crate::settings::SeedTime;

/// How long uploads may hold up the end of a command that was not told to serve.
const UPLOADS_MAY_TAKE: Duration = Duration::from_secs(30);
/// Between two blocks that somebody fetches there is a moment in which nothing is sent.
const MOMENT: Duration = Duration::from_millis(300);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(20);

/// An upload server that starts with the first file that is worth it.
#[derive(Default)]
pub struct Seeding(OnceLock<Option<Running>>);

struct Running {
    offers: Arc<Offers>,
    swarm: Arc<Swarm>,
    has_sent: Arc<HasSent>,
    /// Serves until it is dropped.
    _uploader: Uploader,
}

/// Remembers whether anything was sent. A line for each upload would be in the way of what was asked for.
#[derive(Default)]
struct HasSent(AtomicBool);

impl Observer for HasSent {
    fn notice(&self, notice: Notice) {
        if let Notice::Http { answer, .. } = notice
            && answer.length >= BLOCK_BYTES / 2
        {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

impl Context<'_> {
    /// How the download of this content takes part; `None` where it does not: of a peer that was named, of a small file, or when it
    /// was told not to.
    pub(super) fn joining(&self, content: &Content) -> Option<Joining> {
        let args = self.args;
        if args.no_upload || args.from.is_some() || content.size.is_some_and(|size| size <= BLOCK_BYTES) {
            return None;
        }
        let is_private = content.sources.iter().chain(&content.partial).any(|peer| peer.private().is_some());
        let running = self.seeding.0.get_or_init(|| self.start(is_private)).as_ref()?;
        let name = content.name.clone().unwrap_or_else(|| content.hash.to_string());
        Some(Joining { swarm: Arc::clone(&running.swarm), name })
    }

    /// What is private is served in TLS only, so that others get something of it.
    fn start(&self, is_private: bool) -> Option<Running> {
        let args = self.args;
        let offers = Arc::<Offers>::default();
        let has_sent = Arc::<HasSent>::default();
        let manners = manners(args.uploads.host.as_deref(), self.rates.upload.clone(), false);
        let served = Served { shares: Arc::new(ShareTable::new()), content: Arc::clone(&offers) as Arc<_> };
        let uploader = Door::with(
            &args.uploads,
            &args.index.trust.own,
            args.uploads.tls.or(is_private.then_some(UseTls::Also)),
        )
        .and_then(|door| Uploader::start_with(door, manners, served, Arc::clone(&has_sent) as Arc<_>));
        match uploader {
            Ok(uploader) => {
                let (indexes, host) = (args.index.server.clone(), args.uploads.host.clone());
                let (port, tls) = (uploader.port, uploader.fingerprint);
                let swarm = Swarm::new(indexes, host, port, tls, Arc::clone(&offers));
                Some(Running { offers, swarm, has_sent, _uploader: uploader })
            }
            Err(failure) => {
                self.out.note(format_args!("p2pci: fetching only, nothing is served: {failure}"));
                None
            }
        }
    }
}

impl Seeding {
    /// Serves what was fetched for as long as that was asked for; `interrupted` ends it at once.
    pub async fn go_on(&self, seed_time: Option<SeedTime>, out: Out, interrupted: impl Future<Output = ()>) {
        let Some(Some(running)) = self.0.get() else { return };
        if running.offers.is_empty() {
            if seed_time.is_some() {
                out.note("p2pci: nothing is served, as nothing had to be fetched; 'p2pci share FILE' serves what is here");
            }
            return;
        }
        let over = async {
            match seed_time {
                None => running.uploads_end().await,
                Some(SeedTime::For(time)) => {
                    out.note(format_args!("p2pci: serving it for {}", humantime::format_duration(time)));
                    sleep(time).await;
                }
                Some(SeedTime::Forever) => {
                    out.note("p2pci: serving it until Ctrl+C");
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            () = over => {}
            () = interrupted => {}
        }
    }
}

impl Running {
    async fn uploads_end(&self) {
        let began = Instant::now();
        let mut busy_at = self.has_sent.0.load(Ordering::Relaxed).then_some(began);
        while began.elapsed() < UPLOADS_MAY_TAKE {
            if self.offers.are_in_use() {
                busy_at = Some(Instant::now());
            }
            if busy_at.is_none_or(|at| at.elapsed() >= MOMENT) {
                return;
            }
            sleep(POLL).await;
        }
    }
}

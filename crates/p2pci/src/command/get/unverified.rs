//! Files from peers of 1.0, which have no hashes: one source is enough, and labelled so; where there are several, two must agree.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peer::download::{
    Destination, FetchAnyError, FetchError, Fetched, FetchedFrom, Outcome, Timing, fetch, fetch_from_any,
};
use peer::limit::RateLimit;
use proto::escape;
use proto::reach::Reach;
use proto::value::digest::Digest;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use serde_json::json;

use super::Context;
use super::place::Place;
use crate::exit::{Code, Failure};
use crate::out;

/// How long the second opinion may take: it is worth less than the file.
const SECOND_OPINION: Timing = Timing {
    reach: Reach::ANYWHERE,
    connect_address: Duration::from_secs(2),
    connect_total: Duration::from_secs(3),
    first_byte: Duration::from_secs(3),
    stall: Duration::from_secs(5),
    rate_window: Duration::from_secs(5),
};

/// Fetches an RFC from the first peer that gives it.
pub(super) async fn fetch_number(
    context: &Context<'_>,
    number: RfcNumber,
    sources: &[PeerAddr],
    place: Place,
) -> Result<(), Failure> {
    let (timing, limit) = (context.timing(), &context.rates.download);
    agree(number, sources, &timing.reach, limit).await?;
    place.make_folder(context.args.output.as_deref())?;
    let out = context.out;
    let mut destination = match place {
        Place::File(path) => Destination::File { path, force: context.args.force },
        Place::Stdout => Destination::Writer(out::bytes()),
    };
    let mut failed = |peer: &PeerAddr, error: &FetchError| {
        let reason = escape::Line(error.to_string().as_bytes()).to_string();
        match out.is_json() {
            true => out.object(&json!({"type": "source_failed", "from": peer.to_string(), "reason": reason})),
            false if sources.len() > 1 => out.note(format_args!("p2pci: {reason}; trying the next peer")),
            false => {}
        }
    };
    let fetched = fetch_from_any(sources, None, number, &mut destination, &timing, limit, &mut failed).await;
    show(context, number, &fetched.map_err(|error| failure(number, &error))?);
    Ok(())
}

/// Where several peers have it, the first two that answer must give the same bytes; nothing is written else.
async fn agree(
    number: RfcNumber,
    sources: &[PeerAddr],
    reach: &Reach,
    limit: &RateLimit,
) -> Result<(), Failure> {
    let mut opinions: Vec<(&PeerAddr, Digest)> = Vec::new();
    if sources.len() < 2 {
        return Ok(());
    }
    for source in sources {
        opinions.extend(opinion(number, source, reach, limit).await.map(|digest| (source, digest)));
        if let [(first, one), (second, other), ..] = opinions.as_slice() {
            return match one == other {
                true => Ok(()),
                false => Err(Failure::new(
                    Code::SeveralContents,
                    format!("{first} and {second} give different contents; --from HOST:PORT chooses one"),
                )),
            };
        }
    }
    Ok(())
}

/// The digest of what a peer gives; `None` where it gives nothing in time.
async fn opinion(number: RfcNumber, source: &PeerAddr, reach: &Reach, limit: &RateLimit) -> Option<Digest> {
    let hasher = Hashing::default();
    let mut into = Destination::Writer(Box::new(hasher.clone()));
    let timing = Timing { reach: *reach, ..SECOND_OPINION };
    fetch(source, number, &mut into, &timing, limit).await.ok()?;
    Some(hasher.digest())
}

/// Hashes what is written to it. Clones are the same one.
#[derive(Clone, Default)]
struct Hashing(Arc<Mutex<blake3::Hasher>>);

impl Hashing {
    fn digest(&self) -> Digest {
        Digest(*self.0.lock().unwrap_or_else(PoisonError::into_inner).finalize().as_bytes())
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn show(context: &Context<'_>, number: RfcNumber, FetchedFrom { fetched, source }: &FetchedFrom) {
    let Fetched { bytes, outcome } = fetched;
    let from = escape::Line(source.to_string().as_bytes()).to_string();
    match outcome {
        Outcome::Saved(path) => context.out.result(
            format_args!("{}: {bytes} bytes from {from}, unverified (P2P-CI/1.0 has no hash)", path.display()),
            &json!({
                "type": "fetched", "number": number.get(), "path": path.display().to_string(), "bytes": bytes,
                "from": from, "verified": false,
            }),
        ),
        Outcome::AlreadyHere(path) => context.out.result(
            format_args!("{}: already here", path.display()),
            &json!({
                "type": "already_here", "number": number.get(), "path": path.display().to_string(), "bytes": bytes,
            }),
        ),
        // Standard output holds the file and nothing else.
        Outcome::Written => {}
    }
}

fn failure(number: RfcNumber, error: &FetchAnyError) -> Failure {
    match error {
        FetchAnyError::NoSource | FetchAnyError::AllFailed { not_found: true, .. } => {
            Failure::new(Code::NotFound, format!("RFC {number}: {error}"))
        }
        FetchAnyError::Local(FetchError::Exists { .. }) => {
            Failure::new(Code::Failed, format!("{error}; --force replaces it, --output takes another name"))
        }
        _ => Failure::new(Code::Failed, error.to_string()),
    }
}

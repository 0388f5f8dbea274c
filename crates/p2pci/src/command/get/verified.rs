//! Files by hash: every byte verified, from all sources at once, continued where an earlier download stopped.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use indicatif::BinaryBytes;
use peer::choice::Content;
use peer::fetch::{FetchError, Fetched, Outcome, Request, SourceReport, fetch, fetch_many, make_folders};
use peer::shares::Receipts;
use proto::escape;
use serde_json::{Value, json};

use super::Context;
use super::place::Place;
use super::progress::Display;
use crate::exit::{Code, Failure};
use crate::out;
use crate::sha256::Sha256Digest;

/// Up to so many files each get a line; of more only the sum is shown.
const SHOWN_SINGLY: usize = 20;

/// Fetches a content.
pub(super) async fn fetch_content(
    context: &Context<'_>,
    content: &Content,
    place: Place,
) -> Result<(), Failure> {
    place.make_folder(context.args.output.as_deref())?;
    match place {
        Place::File(path) => {
            let fetched = fetch_to(context, request(context, content, path), content).await?;
            if let (Outcome::AlreadyHere, Some(expected)) = (fetched.outcome, context.args.sha256)
                && !expected.is_of(&File::open(&fetched.path)?)?
            {
                return Err(failure(&FetchError::Refused { path: fetched.path }));
            }
            show(context, content, &fetched);
            Ok(())
        }
        Place::Stdout => {
            // Standard output gets the file only when all of it is verified.
            let folder = tempfile::tempdir()?;
            let request = request(context, content, folder.path().join("file"));
            let fetched = fetch_to(context, Request { receipts: None, ..request }, content).await?;
            io::copy(&mut File::open(&fetched.path)?, &mut out::bytes())?;
            Ok(())
        }
    }
}

/// Fetches many contents, small ones together over few connections. Gives back what failed.
pub(super) async fn fetch_contents(
    context: &Context<'_>,
    wanted: &[(Content, PathBuf)],
) -> Result<Vec<Failure>, Failure> {
    let folders: BTreeSet<&Path> = wanted.iter().filter_map(|(_, path)| path.parent()).collect();
    make_folders(folders).map_err(|error| failure(&error))?;
    let requests: Vec<Request> =
        wanted.iter().map(|(content, path)| request(context, content, path.clone())).collect();
    let total = wanted.iter().filter_map(|(content, _)| content.size).sum();
    let display = Display::of_many(context.out, &format!("{} files", wanted.len()), total);
    let (mut failures, mut done, mut has_no_room) = (Vec::new(), Done::default(), false);
    let mut finished = |at: usize, result: Result<Fetched, FetchError>| match (result, wanted.get(at)) {
        (Ok(fetched), Some((content, _))) => {
            done.count(&fetched);
            if context.out.is_json() || wanted.len() <= SHOWN_SINGLY {
                show(context, content, &fetched);
            }
        }
        (Ok(_), None) => {}
        // One reason for all of them is said once.
        (Err(FetchError::NoRoom { .. }), _) if has_no_room => {}
        (Err(error), _) => {
            has_no_room |= matches!(error, FetchError::NoRoom { .. });
            failures.push(failure(&error));
        }
    };
    fetch_many(&requests, &display, &mut finished).await;
    display.end();
    if wanted.len() > SHOWN_SINGLY {
        context.out.remark(done);
    }
    Ok(failures)
}

/// What many fetches came to.
#[derive(Default)]
struct Done {
    files: usize,
    bytes: u64,
    already: usize,
}

impl Done {
    fn count(&mut self, fetched: &Fetched) {
        match fetched.outcome {
            Outcome::AlreadyHere => self.already += 1,
            Outcome::Saved => {
                self.files += 1;
                self.bytes += fetched.bytes;
            }
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files, {}, verified", self.files, BinaryBytes(self.bytes))?;
        if self.already > 0 { write!(f, "; {} were already here", self.already) } else { Ok(()) }
    }
}

fn request(context: &Context<'_>, content: &Content, target: PathBuf) -> Request {
    Request {
        hash: content.hash,
        size: content.size,
        sources: content.sources.clone(),
        partial: content.partial.clone(),
        joining: context.joining(content),
        target,
        force: context.args.force,
        keep_free_percent: context.args.keep_free,
        timing: context.timing(),
        limit: context.rates.download.clone(),
        check: context.args.sha256.map(Sha256Digest::check),
        receipts: Receipts::of_user(),
    }
}

async fn fetch_to(context: &Context<'_>, request: Request, content: &Content) -> Result<Fetched, Failure> {
    let name = content.name.clone().unwrap_or_else(|| content.hash.to_string());
    let display = Display::new(context.out, &name);
    let fetched = fetch(&request, &display).await;
    display.end();
    fetched.map_err(|error| failure(&error))
}

fn show(context: &Context<'_>, content: &Content, fetched: &Fetched) {
    let Fetched { path, bytes, fetched_bytes, resumed_bytes, outcome, sources } = fetched;
    let path = path.display().to_string();
    match outcome {
        Outcome::Saved => {
            let resumed = if *resumed_bytes > 0 { format!(", {resumed_bytes} of them from before") } else { String::new() };
            let from = match sources.iter().filter(|source| source.bytes > 0).count() {
                // Of a file without a byte, or of one that was there but for its name.
                0 => String::new(),
                1 => ", from 1 source".to_owned(),
                of_use => format!(", from {of_use} sources"),
            };
            context.out.result(
                format_args!("{path}: {bytes} bytes{resumed}{from}, verified"),
                &json!({
                    "type": "fetched", "name": content.name, "number": content.rfc, "hash": content.hash.to_string(),
                    "path": path, "bytes": bytes, "fetched": fetched_bytes, "resumed": resumed_bytes, "verified": true,
                    "sources": sources.iter().map(report).collect::<Vec<_>>(),
                }),
            );
        }
        Outcome::AlreadyHere => context.out.result(
            format_args!("{path}: already here"),
            &json!({
                "type": "already_here", "name": content.name, "number": content.rfc, "hash": content.hash.to_string(),
                "path": path, "bytes": bytes,
            }),
        ),
    }
}

fn report(source: &SourceReport) -> Value {
    let fault = source.fault.as_ref().map(|fault| escape::Line(fault.as_bytes()).to_string());
    json!({"from": source.peer.to_string(), "bytes": source.bytes, "fault": fault})
}

fn failure(error: &FetchError) -> Failure {
    let code = match error {
        FetchError::NoSource | FetchError::Starved | FetchError::AllFailed { not_found: true, .. } => {
            Code::NotFound
        }
        FetchError::AllFailed { fault, .. } if fault.is_lie() => Code::VerificationFailed,
        FetchError::Refused { .. } => Code::VerificationFailed,
        _ => Code::Failed,
    };
    match error {
        FetchError::Refused { path } => {
            Failure::new(code, format!("{}: the SHA-256 is not the one that --sha256 says", path.display()))
        }
        FetchError::NoRoom { .. } => {
            Failure::new(code, format!("{error} (--keep-free says how many percent stay free)"))
        }
        FetchError::Exists { .. } => {
            Failure::new(code, format!("{error}; --force replaces it, --output takes another name"))
        }
        FetchError::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Failure::new(code, format!("{error}; make it, or name a folder with a final / by --output"))
        }
        error => Failure::new(code, error.to_string()),
    }
}

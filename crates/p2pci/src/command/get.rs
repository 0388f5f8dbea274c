//! `p2pci get NUMBER`

use std::path::{Path, PathBuf};

use peer::download::{
    Destination, FetchAnyError, FetchError, Fetched, FetchedFrom, Outcome, Timing, fetch_from_any,
};
use peer::link::lookup_once;
use proto::escape;
use proto::rfc_text::file_name_of;
use proto::value::host::PeerAddr;
use serde_json::json;

use super::index_failure;
use super::lookup::nobody;
use crate::cli::Get;
use crate::exit::{Code, Failure};
use crate::out::{self, Out};
use crate::settings::typed;

/// Fetches an RFC from whoever has it.
pub async fn run(args: Get, out: Out) -> Result<(), Failure> {
    let sources = sources(&args).await?;
    let mut destination = destination(&args)?;
    let mut failed = |peer: &PeerAddr, error: &FetchError| {
        let reason = escape::Line(error.to_string().as_bytes()).to_string();
        match out.is_json() {
            true => out.object(&json!({"type": "source_failed", "from": peer.to_string(), "reason": reason})),
            false if sources.len() > 1 => out.note(format_args!("p2pci: {reason}; trying the next peer")),
            false => {}
        }
    };
    let timing = Timing::default();
    let fetched = fetch_from_any(&sources, None, args.number, &mut destination, &timing, &mut failed).await;
    show(&args, &fetched.map_err(|error| failure(&args, &error))?, out);
    Ok(())
}

/// Whom to ask, in the order in which to ask.
async fn sources(args: &Get) -> Result<Vec<PeerAddr>, Failure> {
    if let Some(from) = &args.from {
        return Ok(vec![from.0.clone()]);
    }
    let answer = lookup_once(&args.index.server, None, args.number).await.map_err(index_failure)?;
    let having = answer.records.into_iter().filter(|record| record.number == args.number);
    let sources: Vec<PeerAddr> = having.map(|record| record.peer).collect();
    match sources.is_empty() {
        true => Err(nobody(args.number, &typed(&args.index.server), answer.status)),
        false => Ok(sources),
    }
}

/// Where to put the file. A folder gets `rfcN.txt`; a folder is what ends in `/`, or is one already.
fn destination(args: &Get) -> Result<Destination, Failure> {
    let name = file_name_of(args.number);
    let path = match args.output.as_deref() {
        None => PathBuf::from(name),
        Some(output) if output == Path::new("-") => return Ok(Destination::Writer(out::bytes())),
        Some(output) if output.as_os_str().is_empty() => {
            return Err(Failure::new(Code::Usage, "--output is empty; name a file, a folder or -"));
        }
        Some(output) if ends_in_slash(output) || output.is_dir() => output.join(name),
        Some(output) => output.to_owned(),
    };
    Ok(Destination::File { path, force: args.force })
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

fn show(args: &Get, FetchedFrom { fetched, source }: &FetchedFrom, out: Out) {
    let Fetched { bytes, outcome } = fetched;
    let from = escape::Line(source.to_string().as_bytes()).to_string();
    match outcome {
        Outcome::Saved(path) => out.result(
            format_args!("{}: {bytes} bytes from {from}, unverified (P2P-CI/1.0 has no hash)", path.display()),
            &json!({
                "type": "fetched", "number": args.number.get(), "path": path.display().to_string(), "bytes": bytes,
                "from": from, "verified": false,
            }),
        ),
        Outcome::AlreadyHere(path) => out.result(
            format_args!("{}: already here", path.display()),
            &json!({
                "type": "already_here", "number": args.number.get(), "path": path.display().to_string(), "bytes": bytes,
            }),
        ),
        // Standard output holds the file and nothing else.
        Outcome::Written => {}
    }
}

fn failure(args: &Get, error: &FetchAnyError) -> Failure {
    match error {
        FetchAnyError::NoSource | FetchAnyError::AllFailed { not_found: true, .. } => {
            Failure::new(Code::NotFound, format!("RFC {}: {error}", args.number))
        }
        FetchAnyError::Local(FetchError::Exists { .. }) => {
            Failure::new(Code::Failed, format!("{error}; --force replaces it, --output takes another name"))
        }
        _ => Failure::new(Code::Failed, error.to_string()),
    }
}

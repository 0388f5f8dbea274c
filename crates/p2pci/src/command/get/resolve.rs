//! From a target to a choice: asks the index, and waits where waiting helps.

use std::collections::BTreeMap;
use std::time::Duration;

use globset::GlobMatcher;
use peer::choice::{Choice, Content, choose};
use peer::demand::demand;
use peer::query::Found;
use peer::several::{find, list};
use proto::limits::{SHARED_FILES_MAX, SOURCES_MAX};
use proto::reach::Reach;
use proto::value::file_name::FileName;
use proto::value::host::PeerAddr;
use proto::wire::v11::body::{RecordLine, Variant};
use proto::wire::v11::request::Target;
use tokio::time::sleep;

use super::Context;
use crate::command::list::matcher;
use crate::command::lookup::CUT_OFF;
use crate::command::query_failure;
use crate::exit::{Code, Failure};
use crate::settings::all_typed;

/// How often a file that is being hashed is asked for again.
const AGAIN: Duration = Duration::from_millis(250);

/// What a single peer can give, by `--from`: a number in 1.0, a hash in 1.1.
pub(super) fn at_peer(target: &Target, peer: &PeerAddr) -> Result<Choice, Failure> {
    let sources = vec![peer.clone()];
    match target {
        Target::Rfc(_) => Ok(Choice::Unverified(sources)),
        Target::Hash(hash) => Ok(Choice::Verified(Content {
            hash: *hash,
            size: None,
            name: None,
            rfc: None,
            sources,
            partial: Vec::new(),
        })),
        Target::File(_) => {
            Err(Failure::new(Code::Usage, "--from needs a number or a hash; names are the index's"))
        }
    }
}

/// What the index knows. Waits while an index that has just started may not know everything, and while the file is still being
/// hashed where it is shared.
pub(super) async fn at_index(context: &Context<'_>, target: &Target) -> Result<Choice, Failure> {
    let index = &context.args.index.server;
    let mut wait = Duration::ZERO;
    let mut told_hashing = false;
    loop {
        let Found { variants, warming, is_stale, indexes: reached } =
            find(index, target, wait).await.map_err(|error| query_failure(&error))?;
        context.reached(&reached);
        match (choose(&variants, context.args.hash), warming) {
            (Choice::Nobody, Some(left)) if variants.is_empty() => {
                if wait.is_zero() {
                    context.out.note(format_args!(
                        "p2pci: {} has just started; waiting up to {} s for {target}",
                        all_typed(index),
                        left.as_secs()
                    ));
                }
                wait = left;
            }
            (Choice::Hashing { name, sources }, _) => {
                if !told_hashing {
                    told_hashing = true;
                    context
                        .out
                        .note(format_args!("p2pci: waiting for {name} to be hashed where it is shared"));
                    ask_for(&name, &sources, &context.timing().reach).await;
                }
                sleep(AGAIN).await;
            }
            (choice, _) => {
                if is_stale && matches!(choice, Choice::Nobody) {
                    context.out.note(format_args!("p2pci: {}{CUT_OFF}", all_typed(index)));
                }
                return Ok(choice);
            }
        }
    }
}

/// Moves a file to the front where it is hashed. Whoever does not answer hashes it later, or somebody else does.
async fn ask_for(name: &str, sources: &[PeerAddr], reach: &Reach) {
    for source in sources {
        if let Ok(name) = FileName::parse(name.as_bytes()) {
            let _ = demand(source, reach, name).await;
        }
    }
}

/// Every file whose name, or the last part of whose name, matches.
pub(super) async fn matching(context: &Context<'_>, glob: &str) -> Result<Vec<(String, Choice)>, Failure> {
    let matcher: GlobMatcher = matcher(glob)?;
    let leaf = |name: &str| name.rsplit('/').next().is_some_and(|leaf| matcher.is_match(leaf));
    listed(context, None, |name| matcher.is_match(name) || leaf(name), &format!("matches '{glob}'")).await
}

/// Every file below a folder.
pub(super) async fn below(context: &Context<'_>, folder: &str) -> Result<Vec<(String, Choice)>, Failure> {
    let prefix = format!("{folder}/");
    // Whatever else an index sends does not belong into this folder.
    listed(context, Some(&prefix), |name| name.starts_with(&prefix), &format!("is below {prefix}")).await
}

async fn listed(
    context: &Context<'_>,
    prefix: Option<&str>,
    is_wanted: impl Fn(&str) -> bool + Send + Sync,
    what: &str,
) -> Result<Vec<(String, Choice)>, Failure> {
    let index = &context.args.index.server;
    let mut files: BTreeMap<String, Vec<Variant>> = BTreeMap::new();
    let mut too_many = false;
    let mut gather = |records: Vec<RecordLine>| {
        for record in records {
            // An index that sends what is no name does not get to choose where we write.
            let name = record
                .name
                .clone()
                .filter(|name| FileName::parse(name.as_bytes()).is_ok() && is_wanted(name));
            match name {
                Some(name) if files.len() < SHARED_FILES_MAX || files.contains_key(&name) => {
                    join(files.entry(name).or_default(), record);
                }
                Some(_) => too_many = true,
                None => {}
            }
        }
    };
    let listed = list(index, prefix, &mut gather).await;
    context.reached(&listed.map_err(|error| query_failure(&error))?);
    if too_many {
        let sentence = format!("more than {SHARED_FILES_MAX} files of {}; name fewer", all_typed(index));
        return Err(Failure::new(Code::Failed, sentence));
    }
    if files.is_empty() {
        return Err(Failure::new(Code::NotFound, format!("no file of {} {what}", all_typed(index))));
    }
    Ok(files.into_iter().map(|(name, variants)| (name, choose(&variants, None))).collect())
}

/// Adds a record to the variant of its content.
fn join(variants: &mut Vec<Variant>, record: RecordLine) {
    let RecordLine { name, size, modified, hash, sha256, rfc, title, source } = record;
    let published = source.published;
    match variants.iter_mut().find(|variant| (variant.hash, variant.size) == (hash, size)) {
        Some(variant) => {
            if variant.sources.len() < SOURCES_MAX {
                variant.sources.push(source);
            }
            variant.sources_in_all += 1;
            variant.published |= published;
        }
        None => variants.push(Variant {
            name,
            size,
            modified,
            hash,
            sha256,
            rfc,
            title,
            published,
            sources: vec![source],
            sources_in_all: 1,
        }),
    }
}

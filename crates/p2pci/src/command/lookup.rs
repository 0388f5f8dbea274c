//! `p2pci lookup TARGET`

use std::fmt;
use std::time::Duration;

use indicatif::BinaryBytes;
use peer::several::find;
use proto::escape;
use proto::wire::v11::body::{Source, Speaks, Variant};
use serde_json::{Value, json};

use super::get::wanted::Wanted;
use super::query_failure;
use crate::cli::Lookup;
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::settings::all_typed;

/// Shows who has a file, content by content.
pub async fn run(args: Lookup, out: Out) -> Result<(), Failure> {
    let wanted =
        Wanted::parse(&args.target, false).map_err(|sentence| Failure::new(Code::Usage, sentence))?;
    let Wanted::One(target) = wanted else {
        return Err(Failure::new(Code::Usage, "lookup takes one file; 'p2pci list GLOB' shows many"));
    };
    let mut wait = Duration::ZERO;
    loop {
        let found = find(&args.index.server, &target, wait).await.map_err(|error| query_failure(&error))?;
        match (found.variants.as_slice(), found.warming) {
            // An index that has just started may not know everything yet: it is asked to wait for the file.
            ([], Some(left)) => wait = left,
            ([], None) => {
                let index = all_typed(&args.index.server);
                let certain = if found.is_stale { CUT_OFF } else { "" };
                let sentence =
                    format!("no peer of {index} has {target}; 'p2pci list' shows what there is{certain}");
                return Err(Failure::new(Code::NotFound, sentence));
            }
            (variants, _) => {
                variants.iter().for_each(|variant| out.result(Shown(variant), &object(variant)));
                return Ok(());
            }
        }
    }
}

/// What is said of a miss that may only mean that the index does not know.
pub const CUT_OFF: &str = "; it is cut off from its cluster at the moment, so others may have it";

/// A content for people: what it is, then a line for each source.
struct Shown<'a>(&'a Variant);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(variant) = self;
        let Variant { name, size, hash, rfc, title, .. } = variant;
        let mut parts = Vec::new();
        parts.extend(rfc.map(|number| format!("RFC {number}")));
        parts.extend(title.as_ref().map(|title| escape::Line(title.as_bytes()).to_string()));
        parts.extend(name.as_ref().map(|name| escape::Line(name.as_bytes()).to_string()));
        parts.extend(size.map(|size| BinaryBytes(size).to_string()));
        parts.push(match (hash, size) {
            (Some(hash), _) => format!("blake3 {hash}"),
            (None, Some(_)) => "not hashed yet".to_owned(),
            (None, None) => "no hash (P2P-CI/1.0)".to_owned(),
        });
        f.write_str(&parts.join("  "))?;
        variant.sources.iter().try_for_each(|source| write!(f, "\n    {}", words(source)))?;
        match variant.sources_in_all.checked_sub(variant.sources.len()) {
            Some(more @ 1..) => write!(f, "\n    and {more} more"),
            _ => Ok(()),
        }
    }
}

fn words(source: &Source) -> String {
    let host = escape::Line(source.host.as_bytes()).to_string();
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let kind = match (source.speaks, source.partial, source.published) {
        (Speaks::V1_0, ..) => "",
        (Speaks::V1_1, true, _) => "  partial",
        (Speaks::V1_1, false, true) => "  published",
        (Speaks::V1_1, false, false) => "  copy",
    };
    format!("{host}:{}{kind}", source.port)
}

/// A content for programs.
fn object(variant: &Variant) -> Value {
    let Variant { name, size, modified, hash, sha256, rfc, title, published, sources, sources_in_all } =
        variant;
    json!({
        "type": "variant", "name": name, "size": size, "modified": modified, "hash": hash.map(|hash| hash.to_string()),
        "sha256": sha256.map(|sha256| sha256.to_string()),
        "number": rfc, "title": title, "published": published, "sources": sources, "sources_in_all": sources_in_all,
    })
}

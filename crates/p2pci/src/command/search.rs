//! `p2pci search WORDS…`

use std::fmt;

use indicatif::BinaryBytes;
use peer::several::search;
use proto::escape;
use proto::search::Query;
use proto::wire::v11::body::FoundLine;
use serde_json::{Value, json};

use super::query_failure;
use crate::cli::Search;
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::settings::all_typed;

/// Digits of a hash that are shown: enough to tell the contents of one name apart.
const HASH_DIGITS: usize = 12;

/// Shows what the words find, the best first.
pub async fn run(args: Search, out: Out) -> Result<(), Failure> {
    let query = in_words(&args);
    Query::parse(&query).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    let found = search(&args.index.server, &query, args.limit).await;
    let found = found.map_err(|error| query_failure(&error))?;
    found.files.iter().for_each(|file| out.result(Shown(file), &object(file)));
    if out.is_json() {
        out.object(&json!({
            "type": "searched", "found": found.files.len(), "more": found.has_more, "incomplete": found.is_incomplete,
        }));
    }
    if found.files.is_empty() {
        let index = all_typed(&args.index.server);
        let sentence = format!("nothing at {index} matches '{query}'; 'p2pci list' shows what there is");
        return Err(Failure::new(Code::NotFound, sentence));
    }
    if found.has_more {
        out.remark(format_args!("There is more: another word narrows it, --limit {LIMIT_MAX} shows it"));
    } else if found.is_incomplete {
        out.remark("There may be more: the search became too much; another word narrows it");
    }
    Ok(())
}

/// Most that one query finds.
const LIMIT_MAX: usize = proto::limits::SEARCH_FOUND_MAX;

/// Words and flags as one query.
fn in_words(args: &Search) -> String {
    let mut parts = args.words.clone();
    parts.extend(args.size.iter().map(|size| format!("size:{size}")));
    parts.extend(args.kind.iter().map(|kind| format!("kind:{kind}")));
    parts.extend(args.complete.then(|| "is:complete".to_owned()));
    parts.join(" ")
}

/// What was found, for people; the menu shows it so too.
pub struct Shown<'a>(pub &'a FoundLine);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FoundLine { name, size, hash, rfc, title, sources_in_all, .. } = self.0;
        let safe = |text: &String| escape::Line(text.as_bytes()).to_string();
        let numbered = rfc.map(|number| {
            let title = title.as_ref().map(safe).unwrap_or_default();
            format!("RFC {number} {title}")
        });
        let mut parts = Vec::new();
        match name {
            Some(name) => {
                parts.extend([safe(name), BinaryBytes(size.unwrap_or_default()).to_string()]);
                parts.push(sources(*sources_in_all));
                let hash = hash.map(|hash| hash.to_string());
                parts.extend(hash.and_then(|hash| hash.get(..HASH_DIGITS).map(str::to_owned)));
                parts.extend(numbered);
            }
            None => {
                parts.extend(numbered);
                parts.push(sources(*sources_in_all));
            }
        }
        f.write_str(&parts.join("  "))
    }
}

fn sources(count: usize) -> String {
    if count == 1 { "1 source".to_owned() } else { format!("{count} sources") }
}

/// What was found, for programs.
fn object(file: &FoundLine) -> Value {
    let FoundLine { name, size, modified, hash, rfc, title, published, sources_in_all, complete } = file;
    json!({
        "type": "found", "name": name, "size": size, "modified": modified, "hash": hash.map(|hash| hash.to_string()),
        "number": rfc, "title": title, "published": published, "sources_in_all": sources_in_all, "complete": complete,
    })
}

#[cfg(test)]
mod tests {
    use proto::value::digest::Digest;

    use super::*;

    #[test]
    fn a_file_is_one_line_that_a_terminal_may_see() {
        let file = FoundLine {
            name: Some("a\x1b/b".to_owned()),
            size: Some(2048),
            hash: Some(Digest([0xab; 32])),
            rfc: Some(7),
            title: Some("T\n".to_owned()),
            sources_in_all: 2,
            ..FoundLine::default()
        };
        let shown = Shown(&file).to_string();
        assert_eq!(shown, "a\\u{1b}/b  2.00 KiB  2 sources  abababababab  RFC 7 T\\n");
        let old = FoundLine { name: None, size: None, hash: None, sources_in_all: 1, ..file };
        assert_eq!(Shown(&old).to_string(), "RFC 7 T\\n  1 source");
    }
}

//! `p2pci list [GLOB]`

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use indicatif::BinaryBytes;
use peer::several::list;
use proto::escape;
use proto::rfc_text::file_name_of;
use proto::value::number::RfcNumber;
use proto::wire::v11::body::{RecordLine, Source};
use serde_json::{Value, json};

use super::query_failure;
use crate::cli::List;
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::settings::all_typed;

/// Shows every file, or those that match. They are shown as they come, so the index may have any number of them.
pub async fn run(args: List, out: Out) -> Result<(), Failure> {
    let matcher = args.glob.as_deref().map(matcher).transpose()?;
    let mut gathered = Gathered { out, shown: 0, last: None };
    let mut take = |records: Vec<RecordLine>| {
        for record in records.into_iter().filter(|record| matches(matcher.as_ref(), record)) {
            gathered.take(record);
        }
    };
    list(&args.index.server, None, &mut take).await.map_err(|error| query_failure(&error))?;
    gathered.show_last();
    let index = all_typed(&args.index.server);
    match (gathered.shown, &args.glob) {
        (1.., _) => Ok(()),
        (0, None) => Err(Failure::new(
            Code::NotFound,
            format!("the index {index} is empty; 'p2pci share PATH' adds files to it"),
        )),
        (0, Some(glob)) => Err(Failure::new(Code::NotFound, format!("no file of {index} matches '{glob}'"))),
    }
}

/// A glob, understood: in any case, `*` matches `/` too.
pub fn matcher(glob: &str) -> Result<GlobMatcher, Failure> {
    match GlobBuilder::new(glob).case_insensitive(true).build() {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(Failure::new(Code::Usage, error.to_string())),
    }
}

/// A file matches by its name, by the last part of it, by its title, and by the name that its number gives it.
pub fn matches(matcher: Option<&GlobMatcher>, record: &RecordLine) -> bool {
    let Some(glob) = matcher else { return true };
    let name = record.name.as_deref();
    let leaf = name.and_then(|name| name.rsplit('/').next());
    let numbered = record.rfc.and_then(RfcNumber::new).map(file_name_of);
    [name, leaf, record.title.as_deref(), numbered.as_deref()]
        .into_iter()
        .flatten()
        .any(|text| glob.is_match(text))
}

/// Records come in the order of their names, so those of one content follow each other: they are shown as one file.
struct Gathered {
    out: Out,
    shown: u64,
    last: Option<(RecordLine, Vec<Source>)>,
}

impl Gathered {
    fn take(&mut self, record: RecordLine) {
        match &mut self.last {
            Some((file, sources)) if is_same(file, &record) => sources.push(record.source),
            _ => {
                self.show_last();
                let sources = vec![record.source.clone()];
                self.last = Some((record, sources));
            }
        }
    }

    fn show_last(&mut self) {
        if let Some((file, sources)) = self.last.take() {
            self.shown += 1;
            self.out.result(Shown(&file, &sources), &file_object(&file, &sources));
        }
    }
}

/// Whether two records are of one content under one name. Records of 1.0 have no content: each stands for itself.
fn is_same(one: &RecordLine, other: &RecordLine) -> bool {
    one.name.is_some() && (&one.name, one.size, one.hash) == (&other.name, other.size, other.hash)
}

/// A file for people. A record of 1.0 is shown as that protocol writes it.
struct Shown<'a>(&'a RecordLine, &'a [Source]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(file, sources) = self;
        match (&file.name, sources) {
            (Some(name), sources) => {
                write!(
                    f,
                    "{}  {}",
                    escape::Line(name.as_bytes()),
                    BinaryBytes(file.size.unwrap_or_default())
                )?;
                if sources.len() > 1 {
                    write!(f, "  {} sources", sources.len())?;
                }
                match (file.rfc, &file.title) {
                    (Some(number), Some(title)) => {
                        write!(f, "  RFC {number} {}", escape::Line(title.as_bytes()))
                    }
                    _ => Ok(()),
                }
            }
            (None, sources) => {
                let title = file.title.as_deref().unwrap_or_default();
                write!(f, "RFC {} {}", file.rfc.unwrap_or_default(), escape::Line(title.as_bytes()))?;
                sources.iter().try_for_each(|source| {
                    write!(f, " {} {}", escape::Line(source.host.as_bytes()), source.port)
                })
            }
        }
    }
}

/// A file for programs.
fn file_object(file: &RecordLine, sources: &[Source]) -> Value {
    let RecordLine { name, size, modified, hash, sha256, rfc, title, .. } = file;
    json!({
        "type": "file", "name": name, "size": size, "modified": modified, "hash": hash.map(|hash| hash.to_string()),
        "sha256": sha256.map(|sha256| sha256.to_string()), "number": rfc, "title": title, "sources": sources,
    })
}

#[cfg(test)]
mod tests {
    use proto::wire::v11::body::Speaks;

    use super::*;

    fn record(name: Option<&str>, rfc: Option<u32>, title: Option<&str>) -> RecordLine {
        let source = Source::new("h", 1, Speaks::V1_1);
        let (name, title) = (name.map(str::to_owned), title.map(str::to_owned));
        RecordLine { name, size: Some(2048), modified: None, hash: None, sha256: None, rfc, title, source }
    }

    #[test]
    fn a_glob_matches_names_parts_titles_and_numbers() {
        let file = record(Some("models/Llama.gguf"), None, None);
        let text = record(None, Some(123), Some("Host Software"));
        let hit = |glob: &str, record: &RecordLine| matches(Some(&matcher(glob).unwrap()), record);
        assert!(
            hit("*.gguf", &file) && hit("llama*", &file) && hit("models/*", &file) && !hit("*.iso", &file)
        );
        assert!(hit("*software*", &text) && hit("rfc12?.txt", &text) && !hit("rfc9*", &text));
        assert!(matches(None, &text) && matcher("[").is_err());
    }

    #[test]
    fn a_file_is_one_line_however_many_have_it() {
        let file = record(Some("a\x1b/b"), Some(7), Some("T"));
        let sources = vec![file.source.clone(), file.source.clone()];
        assert_eq!(Shown(&file, &sources).to_string(), "a\\u{1b}/b  2.00 KiB  2 sources  RFC 7 T");
        let old = record(None, Some(7), Some("T"));
        assert_eq!(Shown(&old, &sources[..1]).to_string(), "RFC 7 T h 1");
    }
}

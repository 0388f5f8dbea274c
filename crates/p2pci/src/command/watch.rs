//! `p2pci watch [TARGET]`

use std::fmt;

use globset::GlobMatcher;
use indicatif::BinaryBytes;
use peer::link::IndexAddr;
use peer::link::watch::Event;
use peer::several::follow;
use proto::escape;
use proto::wire::v11::body::RecordLine;
use proto::wire::v11::watch::{Change, Scope};
use serde_json::{Value, json};

use super::get::wanted::Wanted;
use super::{list, query_failure};
use crate::cli::Watch;
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::settings::typed;
use crate::signals;

/// Shows what comes, changes and goes, until it is stopped.
pub async fn run(args: Watch, out: Out) -> Result<(), Failure> {
    let (scope, glob) = covered(args.target.as_deref())?;
    let indexes = &args.index.server;
    // Before the first line: whoever has read it may stop us.
    let end = signals::interrupted();
    let mut show = |index: &IndexAddr, event| match event {
        Event::Watching => out.result(
            format_args!("Watching {}; Ctrl+C ends it", typed(index)),
            &json!({"type": "watching", "server": index.to_string()}),
        ),
        Event::Gone(error) => out.note(format_args!("{error}; trying again")),
        Event::Change(change) => {
            if glob.as_ref().is_none_or(|glob| concerns(glob, &change)) {
                out.result(Shown(&change), &object(&change));
            }
        }
    };
    tokio::select! {
        ended = follow(indexes, &scope, &mut show) => match ended {
            Err(error) => Err(query_failure(&error)),
        },
        () = end => Ok(()),
    }
}

/// What a TARGET covers: nothing typed is everything, a final `/` makes a folder of it. A glob is matched here.
fn covered(target: Option<&str>) -> Result<(Scope, Option<GlobMatcher>), Failure> {
    let Some(text) = target else { return Ok((Scope::All { prefix: None }, None)) };
    if text.ends_with('/') {
        let prefix = text.strip_prefix("./").unwrap_or(text);
        return Ok((Scope::All { prefix: Some(prefix.to_owned()) }, None));
    }
    match Wanted::parse(text, false).map_err(|sentence| Failure::new(Code::Usage, sentence))? {
        Wanted::One(target) => Ok((Scope::One(target), None)),
        Wanted::Glob(glob) | Wanted::Folder(glob) => {
            Ok((Scope::All { prefix: None }, Some(list::matcher(&glob)?)))
        }
    }
}

fn concerns(glob: &GlobMatcher, change: &Change) -> bool {
    record_of(change).is_none_or(|record| list::matches(Some(glob), record))
}

fn record_of(change: &Change) -> Option<&RecordLine> {
    match change {
        Change::Added(record) | Change::Changed(record) | Change::Removed(record) => Some(record),
        Change::Lost => None,
    }
}

/// A change for people: a sign, the file, and who has it.
struct Shown<'a>(&'a Change);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, record) = match self.0 {
            Change::Added(record) => ('+', record),
            Change::Changed(record) => ('~', record),
            Change::Removed(record) => ('-', record),
            Change::Lost => return f.write_str("! changes are missing here: there were too many at once"),
        };
        write!(f, "{sign} ")?;
        let title = record.title.as_deref().unwrap_or_default();
        match (&record.name, record.size) {
            (Some(name), Some(size)) => {
                write!(f, "{}  {}", escape::Line(name.as_bytes()), BinaryBytes(size))?;
            }
            (Some(name), None) => write!(f, "{}", escape::Line(name.as_bytes()))?,
            (None, _) => {
                write!(f, "RFC {} {}", record.rfc.unwrap_or_default(), escape::Line(title.as_bytes()))?;
            }
        }
        let source = &record.source;
        let host = escape::Line(source.host.as_bytes()).to_string();
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let kind = match (source.partial, source.published) {
            (true, _) => "  partial",
            (false, true) => "",
            (false, false) => "  copy",
        };
        write!(f, "  {host}:{}{kind}", source.port)
    }
}

/// A change for programs.
fn object(change: &Change) -> Value {
    let kind = match change {
        Change::Added(_) => "added",
        Change::Changed(_) => "changed",
        Change::Removed(_) => "removed",
        Change::Lost => "lost",
    };
    let Some(RecordLine { name, size, modified, hash, sha256, rfc, title, source }) = record_of(change)
    else {
        return json!({"type": kind});
    };
    json!({
        "type": kind, "name": name, "size": size, "modified": modified, "hash": hash.map(|hash| hash.to_string()),
        "sha256": sha256.map(|sha256| sha256.to_string()), "number": rfc, "title": title, "source": source,
    })
}

#[cfg(test)]
mod tests {
    use proto::wire::v11::body::{Source, Speaks};
    use proto::wire::v11::request::Target;

    use super::*;

    #[test]
    fn a_target_is_everything_a_folder_a_file_or_a_glob() {
        let scope = |text| covered(text).map(|(scope, glob)| (scope, glob.is_some())).ok();
        let all = |prefix: Option<&str>| Scope::All { prefix: prefix.map(str::to_owned) };
        assert_eq!(scope(None), Some((all(None), false)));
        assert_eq!(scope(Some("models/")), Some((all(Some("models/")), false)));
        assert_eq!(scope(Some("a.txt")), Some((Scope::One(Target::File("a.txt".into())), false)));
        assert_eq!(scope(Some("*.txt")), Some((all(None), true)));
        assert_eq!(scope(Some("0")), None);
    }

    #[test]
    fn a_change_is_one_line() {
        let source = Source { published: false, ..Source::new("::1", 5, Speaks::V1_1) };
        let record = RecordLine {
            name: Some("a\x1b/b".into()),
            size: Some(2048),
            modified: None,
            hash: None,
            sha256: None,
            rfc: None,
            title: None,
            source,
        };
        assert_eq!(
            Shown(&Change::Added(record.clone())).to_string(),
            "+ a\\u{1b}/b  2.00 KiB  [::1]:5  copy"
        );
        let text = RecordLine { name: None, rfc: Some(7), title: Some("T".into()), ..record };
        assert_eq!(Shown(&Change::Removed(text)).to_string(), "- RFC 7 T  [::1]:5  copy");
    }
}

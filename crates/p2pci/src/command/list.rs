//! `p2pci list [GLOB]`

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use peer::link::{OwnedRecord, Piece, list_once};
use proto::escape;
use proto::rfc_text::file_name_of;
use proto::wire::status::StatusCode;
use serde_json::{Value, json};

use super::index_failure;
use crate::cli::List;
use crate::exit::{Code, Failure};
use crate::out::Out;
use crate::settings::typed;

/// Shows every record, or those that match. Records are shown as they come, so the index may have any number of them.
pub async fn run(args: List, out: Out) -> Result<(), Failure> {
    let matcher = args.glob.as_deref().map(matcher).transpose()?;
    let mut shown = 0u64;
    let mut show = |piece: Piece| {
        for record in piece.records.iter().filter(|record| matches(matcher.as_ref(), record)) {
            shown += 1;
            out.result(Shown(record), &record_object(record));
        }
    };
    let status = list_once(&args.index.server, None, &mut show).await.map_err(index_failure)?;
    let index = typed(&args.index.server);
    match (shown, status, &args.glob) {
        (1.., ..) => Ok(()),
        (0, None | Some(StatusCode::OK | StatusCode::NOT_FOUND), None) => Err(Failure::new(
            Code::NotFound,
            format!("the index {index} is empty; 'p2pci share DIR' adds files to it"),
        )),
        (0, None | Some(StatusCode::OK | StatusCode::NOT_FOUND), Some(glob)) => {
            Err(Failure::new(Code::NotFound, format!("no record of {index} matches '{glob}'")))
        }
        (0, Some(code), _) => {
            Err(Failure::new(Code::Failed, format!("the index {index} refused the question: {}", code.get())))
        }
    }
}

fn matcher(glob: &str) -> Result<GlobMatcher, Failure> {
    match GlobBuilder::new(glob).case_insensitive(true).build() {
        Ok(glob) => Ok(glob.compile_matcher()),
        Err(error) => Err(Failure::new(Code::Usage, error.to_string())),
    }
}

fn matches(matcher: Option<&GlobMatcher>, record: &OwnedRecord) -> bool {
    matcher.is_none_or(|glob| glob.is_match(&record.title) || glob.is_match(file_name_of(record.number)))
}

/// A record for people, as the protocol writes it.
pub struct Shown<'a>(pub &'a OwnedRecord);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OwnedRecord { number, title, peer } = self.0;
        write!(f, "RFC {number} {} ", escape::Line(title.as_bytes()))?;
        write!(f, "{} {}", escape::Line(peer.host().as_bytes()), peer.port())
    }
}

/// A record for programs.
pub fn record_object(record: &OwnedRecord) -> Value {
    json!({
        "type": "record", "number": record.number.get(), "title": record.title,
        "host": record.peer.host(), "port": record.peer.port().get(),
    })
}

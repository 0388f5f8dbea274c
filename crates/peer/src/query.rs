//! Questions to the index without a lasting connection: who has a file, what is there. Asked in 1.1, and in 1.0 where the index is
//! older.

use std::net::IpAddr;
use std::time::Duration;

use proto::limits::{LIST_BYTES_MAX, LIST_PAGE_MAX};
use proto::value::number::RfcNumber;
use proto::wire::status::StatusCode;
use proto::wire::v11::body::{FoundLine, RecordLine, Refused, Source, Speaks, Variant, lines, parse_line};
use proto::wire::v11::request::{Ask, Page, Target};

use crate::link::v11::{AskError, Connection, Told};
use crate::link::{Answer, IndexAddr, LinkError, OwnedRecord, Piece, list_once, lookup_once};

/// What an index knows of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Each content and who has it; empty when nobody has the file.
    pub variants: Vec<Variant>,
    /// The index has just started: a miss may only mean that a peer has not come back yet, for this long.
    pub warming: Option<Duration>,
    /// The address at which the index was reached.
    pub index: Option<IpAddr>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The index cannot be reached, or does not answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The index refused the question.
    #[error("the index refused the question with {}: {reason}", .status.get())]
    Refused {
        /// Its status.
        status: StatusCode,
        /// In the index's words: any characters.
        reason: String,
    },
    /// An answer without end.
    #[error("the index's list is longer than {LIST_BYTES_MAX} bytes")]
    TooLong,
    /// Only 1.1 has names and hashes.
    #[error("this index speaks P2P-CI/1.0 only: it knows numbers of RFCs, no names and no hashes")]
    TooOld,
    /// The index is older than searching, or was started without it.
    #[error("this index has no search; 'p2pci list GLOB' shows files by patterns")]
    NoSearch,
}

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// The best first.
    pub files: Vec<FoundLine>,
    /// There are more than were asked for.
    pub has_more: bool,
    /// The index ended the search at its limits: there may be others.
    pub is_incomplete: bool,
}

/// Asks who has a file; an index of 1.1 waits up to `wait` for it to appear.
///
/// # Errors
/// [`QueryError`]. Nobody has it: that is no error, but a [`Found`] without variants.
pub async fn find(index: &IndexAddr, target: &Target, wait: Duration) -> Result<Found, QueryError> {
    let mut connection = Connection::open(index).await?;
    let found = match connection.ask(&Ask::Lookup { target: target.clone(), wait }, wait).await {
        Ok(told) => found(&told),
        Err(AskError::Link(error)) => Err(error.into()),
        Err(AskError::NotV11) => match target {
            Target::Rfc(number) => found_in_v10(*number, &lookup_once(index, None, *number).await?),
            Target::File(_) | Target::Hash(_) => Err(QueryError::TooOld),
        },
    };
    found.map(|found| Found { index: connection.address(), ..found })
}

/// Asks for every record, or for the files whose names begin with `prefix`. `sink` gets them page by page; nothing is kept. Gives
/// the address at which the index was reached.
///
/// # Errors
/// [`QueryError`]; pages may have been given before.
pub async fn list(
    index: &IndexAddr,
    prefix: Option<&str>,
    sink: &mut (dyn FnMut(Vec<RecordLine>) + Send),
) -> Result<Option<IpAddr>, QueryError> {
    let mut connection = Connection::open(index).await?;
    let address = connection.address();
    let mut page = Page { prefix: prefix.map(str::to_owned), cursor: None, limit: LIST_PAGE_MAX };
    let mut bytes = 0;
    loop {
        match connection.ask(&Ask::List(page.clone()), Duration::ZERO).await {
            Ok(told) => {
                refused(&told)?;
                bytes += told.body.len() as u64;
                if bytes > LIST_BYTES_MAX {
                    return Err(QueryError::TooLong);
                }
                sink(lines(&told.body).filter_map(|(_, line)| parse_line(line).ok()).collect());
                // A page that ends where it began would be asked for without end.
                match told.cursor.filter(|next| page.cursor.as_ref() != Some(next)) {
                    Some(next) => page.cursor = Some(next),
                    None => return Ok(address),
                }
            }
            Err(AskError::Link(error)) => return Err(error.into()),
            Err(AskError::NotV11) if prefix.is_some() => return Err(QueryError::TooOld),
            Err(AskError::NotV11) => return list_in_v10(index, sink).await.map(|()| address),
        }
    }
}

/// Asks for files and titles by a query (see [`proto::search::Query`]), at most `limit` of them.
///
/// # Errors
/// [`QueryError`]
pub async fn search(index: &IndexAddr, query: &str, limit: usize) -> Result<Searched, QueryError> {
    let mut connection = Connection::open(index).await?;
    let (mut searched, mut cursor) = (Searched::default(), None);
    loop {
        let left = limit - searched.files.len();
        let ask = Ask::Search { query: query.to_owned(), cursor: cursor.clone(), limit: left };
        let told = match connection.ask(&ask, SEARCH_PATIENCE).await {
            Ok(told) if told.status == StatusCode::NOT_IMPLEMENTED => return Err(QueryError::NoSearch),
            Ok(told) => told,
            Err(AskError::Link(error)) => return Err(error.into()),
            Err(AskError::NotV11) => return Err(QueryError::NoSearch),
        };
        refused(&told)?;
        searched.is_incomplete = told.incomplete;
        let files = lines(&told.body).filter_map(|(_, line)| parse_line(line).ok());
        let before = searched.files.len();
        searched.files.extend(files.take(left));
        searched.has_more = told.cursor.is_some();
        // A page without anything would be asked for without end.
        if !searched.has_more || searched.files.len() == before || searched.files.len() >= limit {
            return Ok(searched);
        }
        cursor = told.cursor;
    }
}

/// How long an index may take for a search while others wait too.
const SEARCH_PATIENCE: Duration = Duration::from_secs(10);

async fn list_in_v10(
    index: &IndexAddr,
    sink: &mut (dyn FnMut(Vec<RecordLine>) + Send),
) -> Result<(), QueryError> {
    let mut pieces = |piece: Piece| sink(piece.records.iter().map(record_of_v10).collect());
    match list_once(index, None, &mut pieces).await? {
        None | Some(StatusCode::OK | StatusCode::NOT_FOUND) => Ok(()),
        Some(status) => Err(QueryError::Refused { status, reason: "no reason given".to_owned() }),
    }
}

fn found(told: &Told) -> Result<Found, QueryError> {
    if told.status == StatusCode::NOT_FOUND {
        return Ok(Found { warming: told.warming, ..Found::default() });
    }
    refused(told)?;
    let variants = lines(&told.body).filter_map(|(_, line)| parse_line(line).ok()).collect();
    Ok(Found { variants, warming: told.warming, index: None })
}

pub(crate) fn refused(told: &Told) -> Result<(), QueryError> {
    if !told.status.is_error() {
        return Ok(());
    }
    let reason = lines(&told.body).find_map(|(_, line)| parse_line::<Refused>(line).ok());
    let reason = reason.map_or_else(|| "no reason given".to_owned(), |refused| refused.reason);
    Err(QueryError::Refused { status: told.status, reason })
}

/// Records of 1.0 say nothing about contents: together they are one variant of which nothing is known.
fn found_in_v10(number: RfcNumber, answer: &Answer) -> Result<Found, QueryError> {
    match answer.status {
        None | Some(StatusCode::OK | StatusCode::NOT_FOUND) => {}
        Some(status) => return Err(QueryError::Refused { status, reason: "no reason given".to_owned() }),
    }
    let records: Vec<&OwnedRecord> = answer.records.iter().filter(|record| record.number == number).collect();
    let Some(first) = records.first() else { return Ok(Found::default()) };
    let variant = Variant {
        name: None,
        size: None,
        modified: None,
        hash: None,
        sha256: None,
        rfc: Some(number.get()),
        title: Some(first.title.clone()),
        published: true,
        sources: records.iter().map(|record| source_of_v10(record)).collect(),
        sources_in_all: records.len(),
    };
    Ok(Found { variants: vec![variant], ..Found::default() })
}

fn record_of_v10(record: &OwnedRecord) -> RecordLine {
    RecordLine {
        name: None,
        size: None,
        modified: None,
        hash: None,
        sha256: None,
        rfc: Some(record.number.get()),
        title: Some(record.title.clone()),
        source: source_of_v10(record),
    }
}

fn source_of_v10(record: &OwnedRecord) -> Source {
    Source {
        host: record.peer.host().to_owned(),
        port: record.peer.port().get(),
        speaks: Speaks::V1_0,
        partial: false,
        published: true,
    }
}

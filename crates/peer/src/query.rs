//! Questions to the index without a lasting connection: who has a file, what is there. Asked in 1.1, and in 1.0 where the index is
//! older.

use std::net::IpAddr;
use std::time::Duration;

use proto::limits::{LIST_BYTES_MAX, LIST_PAGE_MAX};
use proto::value::number::RfcNumber;
use proto::wire::status::StatusCode;
use proto::wire::v11::body::{FoundLine, RecordLine, Source, Speaks, Variant, lines, parse_line};
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
    /// No index that answered knows for certain: it is cut off from the other nodes of its cluster.
    pub is_stale: bool,
    /// The addresses at which those who answered were reached.
    pub indexes: Vec<IpAddr>,
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
        Err(AskError::NotV11 { .. }) => match target {
            Target::Rfc(number) => found_in_v10(*number, &lookup_once(index, None, *number).await?),
            Target::File(_) | Target::Hash(_) => Err(QueryError::TooOld),
        },
    };
    found.map(|found| Found { indexes: connection.address().into_iter().collect(), ..found })
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
    let mut pages = Pages::open(index, prefix).await?;
    while let Some(records) = pages.next_or_v10(sink).await? {
        sink(records);
    }
    Ok(pages.address())
}

/// A list that is asked for page by page.
#[derive(Debug)]
pub(crate) struct Pages {
    index: IndexAddr,
    connection: Connection,
    /// What to ask for next; `None` when everything was told.
    page: Option<Page>,
    bytes: u64,
}

/// What came of asking for a page.
enum Asked {
    Page(Vec<RecordLine>),
    /// The index is older: it tells everything at once.
    V10,
}

impl Pages {
    /// Connects; nothing is asked yet.
    pub(crate) async fn open(index: &IndexAddr, prefix: Option<&str>) -> Result<Self, QueryError> {
        let connection = Connection::open(index).await?;
        let page = Page { prefix: prefix.map(str::to_owned), cursor: None, limit: LIST_PAGE_MAX };
        Ok(Self { index: index.clone(), connection, page: Some(page), bytes: 0 })
    }

    /// Where the index is.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.connection.address()
    }

    /// The next records, which may be none yet; `None` when everything was told.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<RecordLine>>, QueryError> {
        let mut all = Vec::new();
        let page = self.next_or_v10(&mut |records| all.extend(records)).await?;
        Ok(page.or_else(|| (!all.is_empty()).then_some(all)))
    }

    /// The same; but an index of 1.0 tells everything into `sink`, and that is all.
    async fn next_or_v10(
        &mut self,
        sink: &mut (dyn FnMut(Vec<RecordLine>) + Send),
    ) -> Result<Option<Vec<RecordLine>>, QueryError> {
        let Some(page) = self.page.take() else { return Ok(None) };
        match self.ask(page).await? {
            Asked::Page(records) => Ok(Some(records)),
            Asked::V10 => list_in_v10(&self.index, sink).await.map(|()| None),
        }
    }

    async fn ask(&mut self, mut page: Page) -> Result<Asked, QueryError> {
        match self.connection.ask(&Ask::List(page.clone()), Duration::ZERO).await {
            Ok(told) => {
                refused(&told)?;
                self.bytes += told.body.len() as u64;
                if self.bytes > LIST_BYTES_MAX {
                    return Err(QueryError::TooLong);
                }
                // A page that ends where it began, or has nothing, would be asked for without end.
                let is_further = |next: &String| page.cursor.as_ref() != Some(next) && !told.body.is_empty();
                if let Some(next) = told.cursor.clone().filter(is_further) {
                    page.cursor = Some(next);
                    self.page = Some(page);
                }
                Ok(Asked::Page(lines(&told.body).filter_map(|(_, line)| parse_line(line).ok()).collect()))
            }
            Err(AskError::Link(error)) => Err(error.into()),
            Err(AskError::NotV11 { .. }) if page.prefix.is_some() => Err(QueryError::TooOld),
            Err(AskError::NotV11 { .. }) => Ok(Asked::V10),
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
            Err(AskError::NotV11 { .. }) => return Err(QueryError::NoSearch),
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
        return Ok(Found { warming: told.warming, is_stale: told.stale, ..Found::default() });
    }
    refused(told)?;
    let variants = lines(&told.body).filter_map(|(_, line)| parse_line(line).ok()).collect();
    Ok(Found { variants, warming: told.warming, is_stale: told.stale, indexes: Vec::new() })
}

pub(crate) fn refused(told: &Told) -> Result<(), QueryError> {
    if !told.status.is_error() {
        return Ok(());
    }
    Err(QueryError::Refused { status: told.status, reason: told.reason() })
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
    Source::new(record.peer.host(), record.peer.port().get(), Speaks::V1_0)
}

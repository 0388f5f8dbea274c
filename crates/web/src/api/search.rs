//! Files by words.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use peer::shares::SharedFile;
use proto::value::number::RfcNumber;
use proto::wire::v11::body::FoundLine;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Refusal, Refused};
use super::files::seconds;
use super::page::page_size;
use crate::site::Shared;

/// What is looked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Words in any order, the beginnings of words, and filters: `kind:pdf`, `size:>10M`, `is:complete`.
    pub(crate) query: String,
    /// The `next` of the page before.
    #[serde(default)]
    pub(crate) after: Option<u16>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    pub(crate) limit: Option<usize>,
}

/// What was found, the best first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Found {
    pub(crate) files: Vec<FoundFile>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<usize>,
    /// The search was given up before its end: there may be better ones, and other words find them.
    pub(crate) incomplete: bool,
}

/// One content that was found; of several contents of one name each is found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FoundFile {
    /// Its name; absent where only a number and a title are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The RFC that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    rfc: Option<u32>,
    /// The RFC's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// When it was last modified, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<i64>,
    /// Its BLAKE3 hash, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    /// Somebody publishes it under this name.
    published: bool,
    /// How many have it, under whatever name.
    sources: usize,
    /// How many of these have all of it.
    complete: usize,
}

/// Files whose names or titles have these words, typing errors forgiven.
#[utoipa::path(
    get,
    path = "/api/v1/search",
    operation_id = "search",
    params(Asked),
    responses((status = 200, body = Found), (status = 400, body = Refusal), (status = 503, body = Refusal))
)]
pub(super) async fn search(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Found>, Refused> {
    let Query(Asked { query, after, limit }) = asked?;
    let (limit, from) = (page_size(limit)?, usize::from(after.unwrap_or(0)));
    let query =
        proto::search::Query::parse(&query).map_err(|error| Refused::bad_request(error.to_string()))?;
    let Some(found) = shared.server.search(&query, from, limit).await else {
        return Err(Refused::unavailable("this index runs without search", None));
    };
    let next = found.has_more.then_some(from + found.files.len());
    let files = found.files.into_iter().map(FoundFile::from).collect();
    Ok(Json(Found { files, next, incomplete: found.is_incomplete }))
}

impl From<FoundLine> for FoundFile {
    fn from(line: FoundLine) -> Self {
        let FoundLine { name, size, modified, hash, rfc, title, published, sources_in_all, complete } = line;
        let hash = hash.map(|hash| hash.to_string());
        Self { name, rfc, title, size, modified, hash, published, sources: sources_in_all, complete }
    }
}

impl From<SharedFile> for FoundFile {
    fn from(shared: SharedFile) -> Self {
        let SharedFile { name, size, modified, hash, rfc, title, copied, .. } = shared;
        Self {
            name: Some(name.to_string()),
            rfc: rfc.map(RfcNumber::get),
            title: title.map(|title| title.to_string()),
            size: Some(size),
            modified: Some(seconds(modified)),
            hash: hash.map(|hash| hash.to_string()),
            published: !copied,
            sources: 1,
            complete: 1,
        }
    }
}

//! What is shared, in the words of the index's API: each file has one content and one source, which is this peer.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use peer::shares::SharedFile;
use proto::visibility::Requester;
use tokio::task::spawn_blocking;

use super::{Own, UploadPort};
use crate::api::error::{Refusal, Refused};
use crate::api::files::{Asked, File, Files, Source, Variant, Variants, Wanted, key_of_file};
use crate::api::page::page_size;
use crate::api::search::{self, Found, FoundFile};

/// Files that are looked at in one turn of a search.
const TURN: usize = 1000;
/// Files that one search looks at.
const LOOKED_AT_MAX: usize = 200_000;

/// What is shared.
#[utoipa::path(
    get,
    path = "/api/v1/files",
    operation_id = "files",
    params(Asked),
    responses((status = 200, body = Files), (status = 400, body = Refusal))
)]
pub(super) async fn files(
    State(own): State<Arc<Own>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Files>, Refused> {
    let Query(asked) = asked?;
    let (prefix, limit) = (asked.prefix()?, asked.page_size()?);
    // Files have names here, so whatever has only a number comes before all of them.
    let after = asked.after()?.and_then(|key| key_of_file(&key));
    let more = own.shares.page(prefix.as_deref().unwrap_or_default(), after.as_deref(), limit + 1);
    let has_more = more.len() > limit;
    let files = more.into_iter().take(limit).map(File::from).collect();
    Ok(Json(Files::page(files, has_more)))
}

/// One file.
#[utoipa::path(
    get,
    path = "/api/v1/file",
    operation_id = "file",
    params(Wanted),
    responses((status = 200, body = Variants), (status = 400, body = Refusal), (status = 404, body = Refusal))
)]
pub(super) async fn file(
    State(own): State<Arc<Own>>,
    Extension(requester): Extension<Requester>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Variants>, Refused> {
    let Query(wanted) = wanted?;
    let found = own.shares.about(&wanted.target()?);
    let found = found.ok_or_else(|| Refused::not_found("this peer does not share it"))?;
    let source = own.uploads.get().map(|UploadPort { address, port, fingerprint }| {
        // Whoever reads this reached us at that address.
        let address = address.filter(|address| !address.is_unspecified()).unwrap_or(requester.reached);
        Source::whole(address.to_string(), port.get(), !found.copied, fingerprint.as_ref())
    });
    Ok(Json(Variants::one(Variant::of_shared(found, source))))
}

/// Files whose names or titles have these words, typing errors forgiven.
#[utoipa::path(
    get,
    path = "/api/v1/search",
    operation_id = "search",
    params(search::Asked),
    responses((status = 200, body = Found), (status = 400, body = Refusal))
)]
pub(super) async fn search(
    State(own): State<Arc<Own>>,
    asked: Result<Query<search::Asked>, QueryRejection>,
) -> Result<Json<Found>, Refused> {
    let Query(search::Asked { query, after, limit }) = asked?;
    let (limit, from) = (page_size(limit)?, usize::from(after.unwrap_or(0)));
    let query =
        proto::search::Query::parse(&query).map_err(|error| Refused::bad_request(error.to_string()))?;
    let (mut found, incomplete) = spawn_blocking(move || matching(&own, &query, from + limit + 1))
        .await
        .map_err(|_| Refused::unavailable("the peer is stopping", None))?;
    let has_more = found.len() > from + limit;
    found.truncate(from + limit);
    let files: Vec<FoundFile> = found.into_iter().skip(from).map(FoundFile::from).collect();
    let next = has_more.then_some(from + files.len());
    Ok(Json(Found { files, next, incomplete }))
}

/// In the order of names, so many at most, and whether the search was given up. Blocks nobody else: the table is free between two turns.
fn matching(own: &Own, query: &proto::search::Query, most: usize) -> (Vec<SharedFile>, bool) {
    let mut found = Vec::new();
    let mut after: Option<Arc<str>> = None;
    let is_meant = |file: &SharedFile| {
        let texts = [Some(&*file.name), file.title.as_deref()];
        query.takes(Some(&file.name), Some(file.size), true) && query.matches(texts.into_iter().flatten())
    };
    for _ in 0..LOOKED_AT_MAX / TURN {
        let turn = own.shares.page("", after.as_deref(), TURN);
        let Some(last) = turn.last() else { return (found, false) };
        after = Some(Arc::clone(&last.name));
        found.extend(turn.into_iter().filter(is_meant));
        if found.len() >= most {
            found.truncate(most);
            return (found, false);
        }
    }
    (found, true)
}

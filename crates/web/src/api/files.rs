//! What is shared, and who has it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use index::snapshot::FileRow;
use index::store::Range;
use peer::shares::SharedFile;
use proto::directory::Key;
use proto::limits::NAME_BYTES_MAX;
use proto::value::digest::Digest;
use proto::value::file_name::FileName;
use proto::value::number::RfcNumber;
use proto::visibility::Requester;
use proto::wire::v11::body;
use proto::wire::v11::request::Target;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{Refusal, Refused};
use super::page::page_size;
use crate::site::Shared;

/// Which page of which files.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Only names that begin so.
    prefix: Option<String>,
    /// The `next` of the page before, or the `key` of any file.
    after: Option<String>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

impl Asked {
    /// What names begin with, if anything was said.
    pub(crate) fn prefix(&self) -> Result<Option<String>, Refused> {
        match self.prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
            None => Ok(None),
            Some(prefix) if is_prefix(prefix) => Ok(Some(prefix.clone())),
            Some(_) => Err(Refused::bad_request("no file can have a name that begins so")),
        }
    }

    /// Where the page begins.
    pub(crate) fn after(&self) -> Result<Option<Key>, Refused> {
        self.after.as_deref().map(|after| parse_key(after).ok_or_else(bad_cursor)).transpose()
    }

    /// How many rows it has.
    pub(crate) fn page_size(&self) -> Result<usize, Refused> {
        page_size(self.limit)
    }
}

/// Some files: those with a number alone first, then the others by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Files {
    files: Vec<File>,
    /// Where the next page begins; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Files {
    /// A page, after which there may be more.
    pub(crate) fn page(files: Vec<File>, has_more: bool) -> Self {
        let next = files.last().filter(|_| has_more).map(|file| file.key.clone());
        Self { files, next }
    }
}

/// A file, whoever has it. Size, time and hash are those of whoever added it first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct File {
    /// What it is found by: `name:` and its name, or `rfc:` and its number.
    key: String,
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
    /// How many have it; at 1000 nobody counts on.
    sources: usize,
    /// How many different contents go by this name.
    contents: usize,
}

/// Which file: exactly one of these.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// By its name, or the last part of it.
    name: Option<String>,
    /// By its number.
    #[param(minimum = 1)]
    rfc: Option<u32>,
    /// By its BLAKE3 hash.
    hash: Option<String>,
}

/// Everything that goes by one name, number or hash.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Variants {
    /// Each content once, what is published first.
    variants: Vec<Variant>,
}

/// One content, and who has it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Variant {
    /// The name under which it was published first.
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
    /// Somebody publishes it; else it was only fetched.
    published: bool,
    /// Who has it, complete ones first, at most 200.
    sources: Vec<Source>,
    /// How many have it in all.
    sources_in_all: usize,
}

/// Who has a content.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Source {
    /// Its host, as you can reach it.
    host: String,
    /// Its upload port.
    port: u16,
    /// It serves HTTP on that port; else only P2P-CI/1.0.
    http: bool,
    /// Only a part of it is there.
    partial: bool,
    /// It publishes the file itself.
    published: bool,
    /// The SHA-256 of its public key (SubjectPublicKeyInfo) in hexadecimal digits, if it speaks TLS on that port.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<String>,
}

/// What is shared.
#[utoipa::path(
    get,
    path = "/api/v1/files",
    operation_id = "files",
    params(Asked),
    responses((status = 200, body = Files), (status = 400, body = Refusal))
)]
pub(super) async fn files(
    State(shared): State<Arc<Shared>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Files>, Refused> {
    let Query(asked) = asked?;
    let range = asked.prefix()?.map_or(Range::Everything, |prefix| Range::Prefix(prefix.into()));
    let found = shared.server.files(&range, asked.after()?, asked.page_size()?).await;
    Ok(Json(Files::page(found.rows.into_iter().map(File::from).collect(), found.more)))
}

/// One file: each content that goes by its name, and who has it.
#[utoipa::path(
    get,
    path = "/api/v1/file",
    operation_id = "file",
    params(Wanted),
    responses((status = 200, body = Variants), (status = 400, body = Refusal), (status = 404, body = Refusal))
)]
pub(super) async fn file(
    State(shared): State<Arc<Shared>>,
    Extension(requester): Extension<Requester>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Variants>, Refused> {
    let Query(wanted) = wanted?;
    let found = shared.server.variants(&wanted.target()?, requester).await;
    if found.is_empty() {
        return Err(Refused::not_found("nobody has it"));
    }
    Ok(Json(Variants { variants: found.into_iter().map(Variant::from).collect() }))
}

impl Wanted {
    /// What is meant.
    pub(crate) fn target(self) -> Result<Target, Refused> {
        match self {
            Self { name: Some(name), rfc: None, hash: None } => {
                let checked = FileName::parse(name.as_bytes()).map(|name| name.as_str().to_owned());
                checked.map(Target::File).map_err(|error| Refused::bad_request(error.to_string()))
            }
            Self { name: None, rfc: Some(number), hash: None } => RfcNumber::new(number)
                .map(Target::Rfc)
                .ok_or_else(|| Refused::bad_request("numbers begin at 1")),
            Self { name: None, rfc: None, hash: Some(hash) } => Digest::parse(hash.as_bytes())
                .map(Target::Hash)
                .ok_or_else(|| Refused::bad_request("a hash has 64 hexadecimal digits")),
            _ => Err(Refused::bad_request("say exactly one of name, rfc and hash")),
        }
    }
}

/// Whether a name can begin so: a name of its own, or one that is not finished.
fn is_prefix(prefix: &str) -> bool {
    // With a letter behind it the last part is whole, whatever is typed so far.
    prefix.len() < NAME_BYTES_MAX && FileName::parse(format!("{prefix}x").as_bytes()).is_ok()
}

fn bad_cursor() -> Refused {
    Refused::bad_request("after is the key of a file: 'name:' and a name, or 'rfc:' and a number")
}

fn key_text(key: &Key) -> String {
    match key {
        Key::Rfc(number) => format!("rfc:{number}"),
        Key::Name(name) => format!("name:{name}"),
        // A list ends before these.
        Key::Leaf { .. } | Key::Hash(_) => String::new(),
    }
}

/// The name that a key is.
pub(crate) fn key_of_file(key: &Key) -> Option<Arc<str>> {
    match key {
        Key::Name(name) => Some(Arc::clone(name)),
        _ => None,
    }
}

/// It says where to go on and nothing else, so a forged one is harmless.
fn parse_key(text: &str) -> Option<Key> {
    match text.split_once(':')? {
        ("rfc", number) => number.parse().ok().map(Key::Rfc),
        ("name", name) => FileName::parse(name.as_bytes()).ok().map(|name| Key::Name(name.as_str().into())),
        _ => None,
    }
}

impl From<SharedFile> for File {
    fn from(shared: SharedFile) -> Self {
        let SharedFile { name, size, modified, hash, rfc, title, .. } = shared;
        Self {
            key: key_text(&Key::Name(Arc::clone(&name))),
            name: Some(name.to_string()),
            rfc: rfc.map(RfcNumber::get),
            title: title.map(|title| title.to_string()),
            size: Some(size),
            modified: Some(seconds(modified)),
            hash: hash.map(|hash| hash.to_string()),
            sources: 1,
            contents: 1,
        }
    }
}

impl Variants {
    pub(crate) fn one(variant: Variant) -> Self {
        Self { variants: vec![variant] }
    }
}

impl Variant {
    /// What a peer shares itself.
    pub(crate) fn of_shared(shared: SharedFile, source: Option<Source>) -> Self {
        let published = !shared.copied;
        let File { name, rfc, title, size, modified, hash, .. } = File::from(shared);
        let sources: Vec<Source> = source.into_iter().collect();
        let sources_in_all = sources.len();
        Self { name, rfc, title, size, modified, hash, published, sources, sources_in_all }
    }
}

impl Source {
    /// Somebody who has all of it, and serves it over HTTP.
    pub(crate) fn whole(host: String, port: u16, published: bool, fingerprint: Option<&Digest>) -> Self {
        let tls = fingerprint.map(Digest::to_string);
        Self { host, port, tls, http: true, partial: false, published }
    }
}

/// Since 1970, also for what is older.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    let seconds = |distance: Duration| i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}

impl From<FileRow> for File {
    fn from(row: FileRow) -> Self {
        let name = match &row.key {
            Key::Name(name) => Some(name.to_string()),
            _ => None,
        };
        Self {
            key: key_text(&row.key),
            name,
            rfc: row.rfc.map(RfcNumber::get),
            title: row.title.map(|title| title.to_string()),
            size: row.size,
            modified: row.modified,
            hash: row.hash.map(|hash| hash.to_string()),
            sources: row.sources,
            contents: row.contents,
        }
    }
}

impl From<body::Variant> for Variant {
    fn from(variant: body::Variant) -> Self {
        let body::Variant {
            name, size, modified, hash, rfc, title, published, sources, sources_in_all, ..
        } = variant;
        let hash = hash.map(|hash| hash.to_string());
        let sources = sources.into_iter().map(Source::from).collect();
        Self { name, rfc, title, size, modified, hash, published, sources, sources_in_all }
    }
}

impl From<body::Source> for Source {
    fn from(source: body::Source) -> Self {
        let http = source.speaks == body::Speaks::V1_1;
        let body::Source { host, port, partial, published, tls, .. } = source;
        Self { host, port, http, partial, published, tls: tls.map(|fingerprint| fingerprint.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_forged_ones_are_refused() {
        for key in [Key::Rfc(RfcNumber::MIN), Key::Name("a:b/c d".into())] {
            assert_eq!(parse_key(&key_text(&key)), Some(key));
        }
        for forged in ["", "rfc", "rfc:", "rfc:0", "rfc:x", "name:", "hash:00", "x", "ä:"] {
            assert_eq!(parse_key(forged), None, "{forged}");
        }
    }

    #[test]
    fn threat_w6_no_path_of_a_file_system_is_asked_for() {
        for path in ["../etc/passwd", "/etc/passwd", "a/../b", "a//b", "a\0b", "./a", "a\nb"] {
            assert!(!is_prefix(path), "{path}");
            assert_eq!(parse_key(&format!("name:{path}")), None, "{path}");
            let wanted = Wanted { name: Some(path.to_owned()), rfc: None, hash: None };
            assert!(wanted.target().is_err(), "{path}");
        }
        for prefix in ["a", "models/", "models/ll", "."] {
            assert!(is_prefix(prefix), "{prefix}");
        }
    }
}

//! Downloads by way of the index: it holds no file, and sends whoever asks to a peer that has it.
//!
//! `/rfc/N`, `/file/NAME` and `/hash/HEX` lead to the first source of the content that is meant, in the order in which a LOOKUP
//! names sources, so that many who ask are spread over all. With `.meta4` behind it each gives a [`metalink`], from which
//! programs fetch from all sources at once. A file that is shared under a name that ends so is that file.

mod metalink;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use index::checksums::Checksums;
use peer::choice::{Choice, Content, choose};
use proto::http::answer::disposition;
use proto::http::request::Request;
use proto::http::target::Target as Path;
use proto::limits::DIGESTS_WITHIN;
use proto::rfc_text;
use proto::value::digest::Digest;
use proto::value::file_name::percent_encode;
use proto::value::host::PeerAddr;
use proto::value::number::RfcNumber;
use proto::visibility::Requester;
use proto::wire::v11::body::Variant;
use proto::wire::v11::request::Target;
use tokio::time::{Instant, sleep, timeout_at};

use self::metalink::Metalink;
use crate::site::{Shared, refusal};

/// What is put behind a path for its Metalink.
const METALINK: &str = ".meta4";
/// Other sources that a redirect names.
const DUPLICATES_MAX: usize = 8;
/// How often a file that is being hashed is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What is asked for, as the index knows it.
struct Asked<'a> {
    shared: &'a Shared,
    requester: Requester,
}

/// Whether a request is for a file, a number or a hash, or for the Metalink of one.
pub(crate) fn is_asked_for(request: &Request) -> bool {
    matches!(request.target, Path::File(_) | Path::Rfc(_) | Path::Hash(_))
        || path_and_query(&request.path).0.strip_suffix(METALINK).is_some_and(|bare| target(bare).is_some())
}

fn path_and_query(path: &str) -> (&str, Option<&str>) {
    path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)))
}

/// Answers for it.
pub(crate) async fn find(shared: &Shared, request: &Request, requester: Requester) -> Response<Body> {
    let asked = Asked { shared, requester };
    let (path, query) = path_and_query(&request.path);
    let found = asked.variants(path).await;
    let bare = path.strip_suffix(METALINK);
    match bare {
        Some(bare) if found.is_empty() => asked.metalink(bare).await,
        _ => asked.redirect(path, query, &found),
    }
}

impl Asked<'_> {
    async fn variants(&self, path: &str) -> Vec<Variant> {
        match target(path) {
            Some(target) => self.shared.server.variants(&target, self.requester).await,
            None => Vec::new(),
        }
    }

    fn redirect(&self, path: &str, query: Option<&str>, found: &[Variant]) -> Response<Body> {
        match choose(found, None) {
            Choice::Verified(content) if !content.sources.is_empty() => {
                let variant = found.iter().find(|variant| variant.hash == Some(content.hash));
                let sha256 = variant.and_then(|variant| variant.sha256);
                let to = format!("/hash/{}", content.hash);
                redirect_to(&content.sources, &to, path, query, Some(&leaf(&content)), sha256)
            }
            Choice::Hashing { name, sources } if !sources.is_empty() => {
                let to = format!("/file/{}", percent_encode(&name));
                redirect_to(&sources, &to, path, query, name.rsplit('/').next(), None)
            }
            other => self.nothing_to_fetch(other),
        }
    }

    /// What stands behind a path without its `.meta4`. Digests that a peer has still to compute are waited for.
    async fn metalink(&self, path: &str) -> Response<Body> {
        let deadline = Instant::now() + DIGESTS_WITHIN;
        let choice = loop {
            let choice = choose(&self.variants(path).await, None);
            let is_hashing = matches!(&choice, Choice::Hashing { .. });
            if !is_hashing || timeout_at(deadline, sleep(LOOK_AGAIN)).await.is_err() {
                break choice;
            }
        };
        let patience = deadline.saturating_duration_since(Instant::now());
        let (name, metalink) = match choice {
            Choice::Verified(content) if !content.sources.is_empty() => {
                let sums = self.shared.server.checksums(content.hash, patience).await;
                let urls = urls(&content.sources, &format!("/hash/{}", content.hash));
                (leaf(&content), Metalink { size: content.size, sums, urls })
            }
            Choice::Hashing { name, sources } if !sources.is_empty() => {
                let urls = urls(&sources, &format!("/file/{}", percent_encode(&name)));
                let leaf = name.rsplit('/').next().unwrap_or(&name).to_owned();
                (leaf, Metalink { size: None, sums: Checksums::default(), urls })
            }
            other => return self.nothing_to_fetch(other),
        };
        let kept_as = disposition::attachment(Some(&format!("{name}{METALINK}")));
        let headers =
            [(header::CONTENT_TYPE, metalink::MEDIA.to_owned()), (header::CONTENT_DISPOSITION, kept_as)];
        (headers, metalink.to_xml(&name)).into_response()
    }

    fn nothing_to_fetch(&self, choice: Choice) -> Response<Body> {
        match choice {
            Choice::Several(variants) => {
                let line = |variant: &Variant| {
                    let hash = variant.hash.map_or_else(String::new, |hash| hash.to_string());
                    let size = variant.size.unwrap_or_default();
                    format!("\n/hash/{hash}  {size} bytes, {} sources", variant.sources_in_all)
                };
                let lines: String = variants.iter().map(line).collect();
                refusal(
                    StatusCode::CONFLICT,
                    &format!("several contents go by that name; ask for one of them:{lines}"),
                )
            }
            Choice::Names(names) => {
                let lines: String =
                    names.iter().map(|name| format!("\n/file/{}", percent_encode(name))).collect();
                refusal(
                    StatusCode::CONFLICT,
                    &format!("several files have that as the last part of their names:{lines}"),
                )
            }
            Choice::Unverified(_) => {
                let reason =
                    "only peers of P2P-CI/1.0 have it, which speak no HTTP; p2pci get fetches it from them";
                refusal(StatusCode::NOT_FOUND, reason)
            }
            Choice::Verified(_) => refusal(StatusCode::NOT_FOUND, "nobody has all of it"),
            Choice::Hashing { .. } | Choice::Nobody => self.nobody(),
        }
    }

    /// An index that has just started may not know everything yet.
    fn nobody(&self) -> Response<Body> {
        let Some(left) = self.shared.server.warming(Instant::now().into_std()) else {
            return refusal(StatusCode::NOT_FOUND, "nobody has it");
        };
        let reason = "nobody has it so far; the index has just started, and peers are coming back";
        let mut response = refusal(StatusCode::SERVICE_UNAVAILABLE, reason);
        // A started second counts: whoever waits that long has waited enough.
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
        response
    }
}

fn target(path: &str) -> Option<Target> {
    match Path::of_path(path) {
        Path::Rfc(number) => Some(Target::Rfc(number)),
        Path::File(name) => Some(Target::File(name.into())),
        Path::Hash(hash) => Some(Target::Hash(hash)),
        // A part of a file, or nothing that an index knows.
        _ => None,
    }
}

/// What a content is kept as: the last part of its name.
fn leaf(content: &Content) -> String {
    let named = content.name.as_deref().and_then(|name| name.rsplit('/').next());
    let numbered = || content.rfc.and_then(RfcNumber::new).map(rfc_text::file_name_of);
    named.map(str::to_owned).or_else(numbered).unwrap_or_else(|| content.hash.to_string())
}

fn urls(sources: &[PeerAddr], path: &str) -> Vec<String> {
    let scheme = |peer: &PeerAddr| if peer.tls().is_some() { "https" } else { "http" };
    sources.iter().map(|peer| format!("{}://{peer}{path}", scheme(peer))).collect()
}

/// To the first of these sources. The others are named as duplicates (RFC 6249), so that programs that know of it fetch from all.
fn redirect_to(
    sources: &[PeerAddr],
    to: &str,
    path: &str,
    query: Option<&str>,
    leaf: Option<&str>,
    sha256: Option<Digest>,
) -> Response<Body> {
    let urls = urls(sources, to);
    let first = urls.first().cloned().unwrap_or_default();
    let location = query.map_or_else(|| first.clone(), |query| format!("{first}?{query}"));
    let mut headers = HeaderMap::new();
    let mut say = |name, value: String| {
        // Hosts and paths are in plain ASCII; what is not is left out.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(name, value);
        }
    };
    say(header::LOCATION, location);
    say(header::CONTENT_DISPOSITION, disposition::attachment(leaf));
    for (url, priority) in urls.iter().zip(1..).take(DUPLICATES_MAX) {
        say(header::LINK, format!("<{url}>; rel=duplicate; pri={priority}"));
    }
    say(header::LINK, format!("<{path}{METALINK}>; rel=describedby; type=\"{}\"", metalink::MEDIA));
    if let Some(sha256) = sha256 {
        say(header::HeaderName::from_static("digest"), format!("SHA-256={}", sha256.base64()));
    }
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}

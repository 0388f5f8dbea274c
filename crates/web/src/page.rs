//! The dashboard: a page and what it needs, all in the binary, so that it works without any other host.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Extension;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proto::http::condition::EntityTag;
use proto::http::request::Request;
use proto::value::digest::Digest;

/// A file of the page.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($path:literal, $file:literal, $kind:expr) => {
        Asset { path: $path, kind: $kind, bytes: include_bytes!(concat!("../assets/", $file)) }
    };
}

const INDEX: Asset = asset!("/", "index.html", HTML);

static ASSETS: &[Asset] = &[
    asset!("/assets/style.css", "style.css", CSS),
    asset!("/assets/icon.svg", "icon.svg", SVG),
    asset!("/assets/main.js", "main.js", SCRIPT),
    asset!("/assets/api.js", "api.js", SCRIPT),
    asset!("/assets/detail.js", "detail.js", SCRIPT),
    asset!("/assets/dom.js", "dom.js", SCRIPT),
    asset!("/assets/files.js", "files.js", SCRIPT),
    asset!("/assets/format.js", "format.js", SCRIPT),
    asset!("/assets/list.js", "list.js", SCRIPT),
    asset!("/assets/plot.js", "plot.js", SCRIPT),
];

/// The same page where a peer shows itself: the style sheet and the scripts go by this word.
static OF_PEER: LazyLock<String> = LazyLock::new(|| {
    String::from_utf8_lossy(INDEX.bytes).replacen("<html lang", "<html data-kind=\"peer\" lang", 1)
});

/// Whose page it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Index,
    Peer,
}

/// The routes.
pub(crate) fn routes(kind: Kind) -> Router {
    let first = match kind {
        Kind::Index => INDEX,
        Kind::Peer => Asset { bytes: OF_PEER.as_bytes(), ..INDEX },
    };
    [first].into_iter().chain(ASSETS.iter().copied()).fold(Router::new(), |router, asset| {
        let tag = EntityTag::File(Digest(blake3::hash(asset.bytes).into()));
        router.route(
            asset.path,
            get(
                move |Extension(request): Extension<Arc<Request>>| async move { serve(asset, tag, &request) },
            ),
        )
    })
}

/// A browser keeps what it got, and asks each time whether it is still the same: another version of the binary has other files.
fn serve(asset: Asset, tag: EntityTag, request: &Request) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-cache"), (header::CONTENT_TYPE, asset.kind)];
    let mut response = match request.has_already(tag) {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, asset.bytes).into_response(),
    };
    if let Ok(tag) = HeaderValue::try_from(tag.to_string()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page may weigh in all.
    const BYTES_MAX: usize = 120 * 1024;

    #[test]
    fn the_page_is_light_and_asks_nobody_else() {
        let assets = || ASSETS.iter().chain([&INDEX]);
        let all: usize = assets().map(|asset| asset.bytes.len()).sum();
        assert!(all <= BYTES_MAX, "{all} bytes");
        for asset in assets() {
            let text = String::from_utf8_lossy(asset.bytes);
            let allowed = text.replace("http://www.w3.org/", "");
            assert!(!allowed.contains("http://") && !allowed.contains("https://"), "{}", asset.path);
            for forbidden in ["innerHTML", "insertAdjacentHTML", "document.write", "eval(", "outerHTML"] {
                assert!(!text.contains(forbidden), "threat W3: {} uses {forbidden}", asset.path);
            }
        }
    }

    #[test]
    fn the_page_of_a_peer_says_so() {
        assert!(OF_PEER.contains("<html data-kind=\"peer\" lang=\"en\">"));
    }
}

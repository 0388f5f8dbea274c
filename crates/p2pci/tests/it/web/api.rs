//! What the API says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::v11::{add_files, hashed};
use crate::world::{Index, PATIENCE, Sharer, http_get, noise, wait_for};

/// The same text for every name: one content.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "hello").unwrap();
    }
    folder
}

fn get(index: &Index, path: &str) -> Value {
    let answer = http_get(index.port(), path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

/// Every page of a list, by its `next`.
fn pages(index: &Index, path: &str, list: &str) -> Vec<Vec<Value>> {
    let mut pages: Vec<Vec<Value>> = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(index, &format!("{path}{after}"));
        pages.push(page[list].as_array().unwrap().clone());
        match &page["next"] {
            Value::Null => return pages,
            Value::String(next) => after = format!("&after={}", next.replace(' ', "%20")),
            next => after = format!("&after={next}"),
        }
    }
}

fn names(pages: &[Vec<Value>]) -> Vec<Vec<&str>> {
    pages.iter().map(|page| page.iter().map(|file| file["key"].as_str().unwrap()).collect()).collect()
}

#[test]
fn files_are_paged_in_order_each_once_with_how_many_have_it() {
    let index = Index::start();
    let (one, two) = (folder(&["a/x y.txt", "a/z.txt", "b.txt"]), folder(&["a/z.txt"]));
    std::fs::write(two.path().join("a/z.txt"), noise(1, 9)).unwrap();
    let share = |folder: &tempfile::TempDir| {
        Sharer::with(folder.path(), &index.address(), &["--as", "s", "--upload-listen", "127.0.0.1"])
    };
    let (_one, _two) = (share(&one), share(&two));
    let mut old = index.raw();
    old.ask_whole("ADD RFC 12 P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: Old <b>\r\n\r\n");
    let found = pages(&index, "/api/v1/files?limit=2", "files");
    assert_eq!(names(&found), [["rfc:12", "name:s/a/x y.txt"], ["name:s/a/z.txt", "name:s/b.txt"]]);
    assert_eq!(
        found[0][0],
        json!({"key": "rfc:12", "rfc": 12, "title": "Old <b>", "sources": 1, "contents": 1})
    );
    let twice = &found[1][0];
    assert_eq!((twice["sources"].as_u64(), twice["contents"].as_u64()), (Some(2), Some(2)), "{twice}");
    let found = pages(&index, "/api/v1/files?limit=1000&prefix=s%2Fa%2F", "files");
    assert_eq!(names(&found), [["name:s/a/x y.txt", "name:s/a/z.txt"]]);
    let variants = get(&index, "/api/v1/file?name=z.txt")["variants"].as_array().unwrap().clone();
    let sizes: Vec<_> = variants.iter().map(|variant| variant["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [5, 9]);
    let source = &variants[0]["sources"][0];
    assert_eq!(
        (source["http"].as_bool(), source["published"].as_bool()),
        (Some(true), Some(true)),
        "{source}"
    );
    let port = u16::try_from(source["port"].as_u64().unwrap()).unwrap();
    assert_eq!(http_get(port, "/file/s/a/z.txt").body, b"hello", "the address works");
    let found = wait_for(PATIENCE, "the search to know it", || {
        let found = get(&index, "/api/v1/search?query=y%20x")["files"].as_array().unwrap().clone();
        (!found.is_empty()).then_some(found)
    });
    assert_eq!((found.len(), &found[0]["name"]), (1, &json!("s/a/x y.txt")), "{found:?}");
    let peers = pages(&index, "/api/v1/peers?limit=2", "peers");
    let records: Vec<_> = peers.concat().iter().map(|peer| peer["records"].as_u64().unwrap()).collect();
    assert_eq!((peers.len(), records), (2, vec![3, 1, 1]));
}

#[test]
fn what_a_search_finds_is_paged_each_once() {
    let index = Index::start();
    let mut peer = index.raw();
    let files: Vec<Value> = (0..5).map(|at| hashed(&format!("page {at}.txt"), 1, 'c')).collect();
    assert_eq!(peer.ask_v11(add_files("127.0.0.1", 6000, &files)).status, 200);
    // Pages follow each other by their places, so they are whole once nothing is taken in any more.
    wait_for(PATIENCE, "all of them on pages that do not overlap", || {
        let found = pages(&index, "/api/v1/search?query=page&limit=2", "files");
        let counts: Vec<usize> = found.iter().map(Vec::len).collect();
        let names: BTreeSet<String> = found.concat().iter().map(|file| file["name"].to_string()).collect();
        (counts == [2, 2, 1] && names.len() == 5).then_some(())
    });
}

#[test]
fn what_is_wrong_is_refused_in_words() {
    let index = Index::start();
    for (path, status) in [
        ("/api/v1/files?limit=0", 400),
        ("/api/v1/files?limit=1001", 400),
        ("/api/v1/files?limit=x", 400),
        ("/api/v1/files?after=x", 400),
        ("/api/v1/files?prefix=..%2F", 400),
        ("/api/v1/files?prefix=%2Fetc", 400),
        ("/api/v1/file", 400),
        ("/api/v1/file?name=a&rfc=1", 400),
        ("/api/v1/file?name=..%2F..%2Fetc%2Fpasswd", 400),
        ("/api/v1/file?rfc=0", 400),
        ("/api/v1/file?hash=12", 400),
        ("/api/v1/file?name=a", 404),
        ("/api/v1/peers?after=-1", 400),
        ("/api/v1/search", 400),
        ("/api/v1/search?query=", 400),
        ("/api/v1/search?query=a&after=65536", 400),
        ("/api/v1/nothing", 404),
        ("/api/v2/status", 404),
    ] {
        let answer = http_get(index.port(), path);
        assert_eq!(answer.status, status, "{path}");
        if path.starts_with("/api/v1/") {
            assert!(answer.json()["error"].as_str().is_some_and(|error| !error.is_empty()), "{path}");
        }
    }
}

#[test]
fn what_happened_last_is_remembered_as_on_the_console() {
    let index = Index::start();
    let mut raw = index.raw();
    raw.ask_whole("ADD RFC 1 P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T\r\n\r\n");
    raw.ask_whole("NONSENSE\r\n\r\n");
    let recent = get(&index, "/api/v1/recent");
    let told: Vec<_> = recent["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            let text = line["text"].as_str().unwrap();
            (text.split(" | ").next().unwrap(), line["status"].as_str().unwrap_or("-"))
        })
        .collect();
    assert_eq!(
        told,
        [("connected", "-"), ("ADD RFC 1 P2P-CI/1.0", "200 OK"), ("NONSENSE", "400 Bad Request")]
    );
    let status = get(&index, "/api/v1/status");
    assert_eq!((status["records"].as_u64(), status["requests"].as_u64()), (Some(1), Some(2)), "{status}");
}

#[test]
fn the_description_names_every_path_and_no_other() {
    let index = Index::start();
    let description = get(&index, "/api/v1/openapi.json");
    assert!(
        description["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")),
        "{description}"
    );
    let paths: Vec<&String> = description["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths.len(), 7, "{paths:?}");
    for path in paths {
        assert_ne!(http_head(&index, path), 404, "{path}");
    }
}

/// The status of HEAD, which ends even where GET would not.
fn http_head(index: &Index, path: &str) -> u16 {
    let request = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    crate::world::http(index.port(), &request).status
}

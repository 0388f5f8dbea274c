//! `share --browse`: folders as pages, and only then.

use std::fs;

use crate::places::empty_folder;
use crate::world::{Index, Raw, Sharer};

/// An answer in HTTP on a connection of its own: head and body.
pub(super) fn ask(mut raw: Raw, path: &str) -> (String, Vec<u8>) {
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    let all = raw.read_to_end();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8(all[..end].to_vec()).unwrap(), all[end..].to_vec())
}

#[test]
fn folders_are_pages_without_a_script_and_only_when_asked_for() {
    let folder = empty_folder();
    let evil = "<img src=x onerror=alert(1)>.txt";
    fs::create_dir(folder.path().join("sub")).unwrap();
    for (name, text) in [("sub/one.txt", "1"), ("two words.txt", "22"), (evil, "3"), (".hidden", "4")] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let index = Index::start();
    let sharer = Sharer::with(folder.path(), &index.address(), &["--browse", "--as", "a"]);
    let (head, page) = ask(sharer.raw(), "/");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/html"), "{head}");
    assert!(String::from_utf8(page).unwrap().contains("<a href=\"/file/a/\"><bdi>a/</bdi></a>"));
    let (_, page) = ask(sharer.raw(), "/file/a/");
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("<a href=\"/file/a/sub/\">") && page.contains("/file/a/two%20words.txt"), "{page}");
    assert!(!page.contains("<img") && !page.contains("hidden") && !page.contains("<script"), "{page}");
    assert_eq!(ask(sharer.raw(), "/file/a/sub/one.txt").1, b"1");
    for nothing in ["/file/b/", "/file/a/two%20words.txt/", "/file/a/../", "/file/a/sub"] {
        assert!(ask(sharer.raw(), nothing).0.starts_with("HTTP/1.1 404 "), "{nothing}");
    }
    let silent = Sharer::start(folder.path(), &index.address());
    for path in ["/", "/file/", "/file/a/"] {
        assert!(ask(silent.raw(), path).0.starts_with("HTTP/1.1 404 "), "{path}");
    }
}

//! LIST page by page.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::spec::add;
use crate::world::v11::{LIST, add_files, file, hashed, remove_files};
use crate::world::{Index, Raw};

/// Every page, with these header lines in each request. `between` happens after each page.
fn pages(asker: &mut Raw, headers: &str, mut between: impl FnMut(usize)) -> Vec<Vec<Value>> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let told = asker.ask_v11(format!("LIST ALL P2P-CI/1.1\r\n{headers}{cursor}\r\n"));
        assert_eq!(told.status, 200);
        pages.push(told.objects());
        let Some(next) = told.header("Cursor") else { return pages };
        assert!(next.bytes().all(|byte| byte.is_ascii_graphic()), "one word: {next:?}");
        cursor = format!("Cursor: {next}\r\n");
        between(pages.len());
    }
}

fn names(pages: &[Vec<Value>]) -> Vec<&str> {
    pages.iter().flatten().map(|record| record["name"].as_str().expect("a name")).collect()
}

/// Names that need care: spaces, percent signs, dots, other scripts.
fn many(count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|n| format!("d{}/ü 50% file.{n:04}", n % 3)).collect();
    names.sort();
    names
}

fn register(peer: &mut Raw, names: &[String]) {
    for batch in names.chunks(500) {
        let files: Vec<Value> = batch.iter().map(|name| file(name, 1)).collect();
        assert_eq!(peer.ask_v11(add_files("ada", 6000, &files)).object()["taken"], batch.len());
    }
}

#[test]
fn every_page_goes_on_where_the_last_one_ended() {
    let index = Index::start();
    let mut ada = index.raw();
    let all = many(1200);
    register(&mut ada, &all);
    let mut asker = index.raw();
    for (headers, sizes) in [
        ("", vec![1000, 200]),
        ("Limit: 999999999\r\n", vec![1000, 200]),
        ("Limit: 500\r\n", vec![500, 500, 200]),
        ("Limit: 600\r\n", vec![600, 600]),
        ("Prefix: \r\n", vec![1000, 200]),
    ] {
        let pages = pages(&mut asker, headers, |_| {});
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "{headers}");
        assert_eq!(names(&pages), all, "{headers}");
    }
    assert_eq!(asker.ask_v11("LIST ALL P2P-CI/1.1\r\nLimit: 0\r\n\r\n").objects().len(), 1);
}

#[test]
fn a_prefix_chooses_by_name() {
    let index = Index::start();
    let mut ada = index.raw();
    let all = many(120);
    register(&mut ada, &all);
    ada.exchange(add(7, "Seven", "ada", 6000), crate::world::spec::ok(&["RFC 7 Seven ada 6000"]));
    let mut asker = index.raw();
    for prefix in ["d1/", "d1/ü 50% file.00", "d", "", "d2/ü 50% file.0119", "e", "D"] {
        let encoded: String = prefix.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let expected: Vec<&String> = all.iter().filter(|name| name.starts_with(prefix)).collect();
        let headers = format!("Prefix: {encoded}\r\nLimit: 7\r\n");
        assert_eq!(names(&pages(&mut asker, &headers, |_| {})), expected, "{prefix:?}");
    }
    let everything = asker.ask_v11(LIST);
    assert_eq!(everything.each("name")[0], Value::Null, "records of 1.0 come first");
    assert_eq!(everything.objects().len(), 121);
}

#[test]
fn files_that_stay_are_listed_once_while_others_come_and_go() {
    let index = Index::start();
    let mut ada = index.raw();
    let all = many(1200);
    register(&mut ada, &all);
    let mut coming = index.raw();
    let mut asker = index.raw();
    let pages = pages(&mut asker, "Limit: 100\r\n", |page| {
        // Before, at and behind the cursor.
        for name in [format!("a{page}"), all[page * 100 - 1].clone(), format!("z{page}")] {
            coming.ask_v11(add_files("coming", 6001, &[hashed(&name, 2, 'a')]));
        }
        coming.ask_v11(remove_files(&[&all[page * 100 - 1]]));
        if page == 3 {
            // The very record at which the next page begins goes.
            ada.ask_v11(remove_files(&[&all[299]]));
        }
    });
    let seen: Vec<&str> = names(&pages).into_iter().filter(|name| name.starts_with('d')).collect();
    assert_eq!(seen, all);
    let once: BTreeSet<&str> = names(&pages).into_iter().collect();
    assert_eq!(once.len(), names(&pages).len(), "nothing twice");
}

#[test]
fn a_page_ends_before_it_gets_too_long() {
    let index = Index::start();
    let mut ada = index.raw();
    let all: Vec<String> =
        (0..600).map(|n| format!("{n:04}/{}/{}", "x".repeat(250), "y".repeat(250))).collect();
    register(&mut ada, &all);
    let told = index.raw().ask_v11(LIST);
    let length: usize = told.header("Content-Length").unwrap().parse().unwrap();
    let held = proto::limits::V11_BODY_HELD;
    assert!((held..held + 4096).contains(&length), "{length} bytes");
    assert!(told.header("Cursor").is_some());
    assert_eq!(names(&pages(&mut index.raw(), "", |_| {})), all);
}

#[test]
fn an_empty_list_is_no_error() {
    let index = Index::start();
    let told = index.raw().ask_v11(LIST);
    assert_eq!((told.status, told.objects().len(), told.header("Cursor")), (200, 0, None));
}

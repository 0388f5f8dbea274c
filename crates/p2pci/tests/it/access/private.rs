//! What an index tells of private files to those who are of no group, and what it takes from them.

use serde_json::{Value, json};

use super::Tokens;
use crate::world::v11::{Told, file, hash, hashed, lookup, with, with_body};
use crate::world::{Index, PATIENCE, Raw, http_get, wait_for};

/// Shows a token; gives the status.
fn show(raw: &mut Raw, token: &str) -> u16 {
    raw.ask_v11(format!("PING ALL P2P-CI/1.1\r\nAuthorization: Bearer {token}\r\n\r\n")).status
}

/// A request of 1.1 by the holder of a token.
fn ask(raw: &mut Raw, token: &str, line: &str, headers: &str) -> Told {
    assert_eq!(show(raw, token), 200);
    raw.ask_v11(format!("{line} P2P-CI/1.1\r\n{headers}\r\n"))
}

/// An ADD of files, with more headers.
fn add(raw: &mut Raw, token: &str, headers: &str, files: &[Value]) -> Told {
    assert_eq!(show(raw, token), 200);
    let body: String = files.iter().map(|file| format!("{file}\n")).collect();
    raw.ask_v11(with_body(&format!("ADD FILES P2P-CI/1.1\r\n{headers}Host: 127.0.0.1\r\nPort: 6000"), &body))
}

fn names(told: &Told) -> Vec<String> {
    told.objects().iter().filter_map(|line| Some(line["name"].as_str()?.to_owned())).collect()
}

#[test]
fn the_pages_of_a_list_name_nothing_that_is_private_to_others() {
    let tokens = Tokens::new();
    let member = tokens.new_token("list,get,add", &["--group", "team"]);
    let outsider = tokens.new_token("list,get", &[]);
    let index = tokens.index(&[]);
    let (mut hidden, mut open) = (index.raw(), index.raw());
    let secret: Vec<Value> = (0..40).map(|at| file(&format!("m/secret {at:02}"), 1)).collect();
    assert_eq!(add(&mut hidden, &member, "Private: team\r\n", &secret).object()["taken"], 40);
    let public = ["a", "m/secret 07b", "z"].map(|name| file(name, 1));
    assert_eq!(add(&mut open, &member, "", &public).object()["taken"], 3);
    let pages = |token: &str| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let told = ask(&mut index.raw(), token, "LIST ALL", &format!("Limit: 1\r\n{cursor}"));
            seen.extend(names(&told));
            let Some(next) = told.header("Cursor") else { return seen };
            assert!(token == member || !next.contains("secret") || next.ends_with("07b"), "{next}");
            cursor = format!("Cursor: {next}\r\n");
        }
    };
    assert_eq!(pages(&outsider), ["a", "m/secret 07b", "z"]);
    assert_eq!(pages(&member).len(), 43);
}

#[test]
fn who_is_of_no_group_draws_no_ticket_to_itself() {
    let tokens = Tokens::new();
    let member = tokens.new_token("list,get", &["--group", "team"]);
    let publisher = tokens.new_token("add", &[]);
    let outsider = tokens.new_token("list,get", &["--group", "ops"]);
    let index = tokens.index(&[]);
    let (mut source, mut copier, mut thief) = (index.raw(), index.raw(), index.raw());
    let secret = hashed("secret", 1, 'c');
    let copy = with(secret.clone(), json!({"copied": true}));
    assert_eq!(add(&mut source, &publisher, "Private: team\r\n", &[secret]).object()["taken"], 1);
    for groups in ["team", "ops,team"] {
        let told = add(&mut thief, &outsider, &format!("Private: {groups}\r\n"), std::slice::from_ref(&copy));
        assert_eq!(told.status, 403, "{groups}");
    }
    let ports = || {
        let found = ask(&mut index.raw(), &member, &format!("LOOKUP HASH {}", hash('c')), "");
        found.objects()[0]["sources"].as_array().unwrap().len()
    };
    assert_eq!(ports(), 1);
    assert_eq!(add(&mut copier, &member, "Private: team\r\n", &[copy]).object()["taken"], 1);
    assert_eq!(ports(), 2, "a member serves what it has fetched");
}

#[test]
fn records_go_with_the_token_that_added_them_whatever_is_shown_after_it() {
    let tokens = Tokens::new();
    let publisher = tokens.new_token("add", &[]);
    let reader = tokens.new_token("list,get", &[]);
    let index: Index = tokens.index(&["--anyone-can", "get"]);
    let wrong = format!("p2pci_{}", "0a".repeat(32));
    let mut peers = [&wrong, &reader].map(|other| {
        let mut raw = index.raw();
        assert_eq!(add(&mut raw, &publisher, "", &[file(&format!("by {}", &other[..9]), 1)]).status, 200);
        assert_eq!(show(&mut raw, other), if *other == wrong { 401 } else { 200 });
        (raw, format!("by {}", &other[..9]))
    });
    let found = |name: &str| {
        let name: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        index.raw().ask_v11(lookup(&format!("FILE {name}"))).status == 200
    };
    assert!(peers.iter().all(|(_, name)| found(name)));
    assert_eq!(tokens.command(&["revoke", &tokens.id_of("add")]).code, Some(0));
    for (_raw, name) in &mut peers {
        wait_for(PATIENCE, "the records to go", || (!found(name)).then_some(()));
    }
}

#[test]
fn who_has_something_in_private_is_not_counted_by_a_search_and_gives_no_digest() {
    let tokens = Tokens::new();
    let publisher = tokens.new_token("add", &[]);
    let index = tokens.index(&["--anyone-can", "list,get"]);
    let (mut hidden, mut open) = (index.raw(), index.raw());
    let sha256 = json!({"sha256": "d".repeat(64)});
    let secret = with(hashed("secret", 1, 'c'), sha256);
    assert_eq!(add(&mut hidden, &publisher, "Private: team\r\n", &[secret]).object()["taken"], 1);
    assert_eq!(add(&mut open, &publisher, "", &[hashed("probe", 1, 'c')]).object()["taken"], 1);
    let found = wait_for(PATIENCE, "the search to know it", || {
        let found = index.raw().ask_v11("SEARCH ALL P2P-CI/1.1\r\nQuery: probe\r\n\r\n").objects();
        found.into_iter().next()
    });
    assert_eq!((&found["sources_in_all"], &found["complete"]), (&json!(1), &json!(1)), "{found}");
    let described = http_get(index.port(), &format!("/hash/{}.meta4", hash('c')));
    let described = String::from_utf8_lossy(&described.body).into_owned();
    assert!(described.contains("<url") && !described.contains("<hash"), "{described}");
}

#[test]
fn the_page_of_an_index_shows_neither_who_has_something_in_private_nor_what_members_ask() {
    let tokens = Tokens::new();
    let member = tokens.new_token("list,get,add", &["--group", "team"]);
    let index = tokens.index(&["--anyone-can", "list,get"]);
    let (mut hidden, mut open) = (index.raw(), index.raw());
    assert_eq!(add(&mut hidden, &member, "Private: team\r\n", &[file("secret", 1)]).object()["taken"], 1);
    let public: Vec<Value> = vec![file("probe", 1)];
    assert_eq!(add(&mut open, &member, "", &public).object()["taken"], 1);
    assert_eq!(ask(&mut open, &member, "LOOKUP FILE secret", "").status, 200);
    assert_eq!(index.raw().ask_v11(lookup("FILE public%20question")).status, 404);
    let peers = http_get(index.port(), "/api/v1/peers?limit=1").json();
    assert_eq!((peers["peers"].as_array().unwrap().len(), &peers["next"]), (1, &Value::Null), "{peers}");
    let recent = http_get(index.port(), "/api/v1/recent").json().to_string();
    assert!(recent.contains("public%20question") && recent.contains("LOOKUP"), "{recent}");
    assert!(!recent.contains("secret"), "{recent}");
    index.wait_event("the whole of it in the log", |event| {
        event["request"].to_string().contains("FILE secret")
    });
}

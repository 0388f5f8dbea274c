//! What opens private files: tickets, for whom, for what, and for how long.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Tokens, ask, http_with, with_token};
use crate::places::{empty_folder, tree};
use crate::world::{
    BLOCK, Engine, Index, PATIENCE, Process, Sharer, http_get, noise, p2pci, run, run_command, spec, wait_for,
};

/// What a peer's upload port says to a request with this header, in TLS: the status, and the body.
fn asked(source: &Value, path: &str, authorization: Option<&str>) -> (String, String) {
    let mut curl = Command::new("curl");
    let url = format!("https://127.0.0.1:{}{path}", source["port"]);
    curl.args(["--silent", "--insecure", "--write-out", "%{stderr}%{http_code}", &url]);
    if let Some(value) = authorization {
        curl.args(["--header", &format!("Authorization: {value}")]);
    }
    let done = run_command(curl);
    (done.stderr.clone(), done.text())
}

/// A source of a file as the holder of a token is told it.
fn source_of(token: &str, file: &str, server: &str) -> Option<Value> {
    let found = ask(Some(token), &["lookup", file, "--json"], server);
    found.objects().first().map(|variant| variant["sources"][0].clone()).filter(Value::is_object)
}

#[test]
fn a_holder_of_a_ticket_an_outsider_and_a_program_of_1_0_are_told_apart_and_a_ticket_is_for_one_file() {
    let (tokens, keys) = (Tokens::new(), empty_folder());
    let keys = keys.path().to_str().unwrap();
    let publisher = tokens.new_token("add", &[]);
    let member = tokens.new_token("list,get", &["--group", "team"]);
    let outsider = tokens.new_token("list,get,add", &["--group", "ops"]);
    let index = tokens.index(&["--tls", "--tls-dir", keys, "--anyone-can", "list,get"]);
    let listening = index.wait_event("the index to listen", |event| event["type"] == "listening");
    let secure = format!("tls://{}#{}", index.address(), listening["fingerprint"].as_str().unwrap());
    let (_outer, files) = tree("plans", &[("rfc7.txt", "secret one"), ("other.txt", "secret two")]);
    let flags = ["--private", "team", "--tls-dir", keys];
    let sharer = Sharer::from_command(with_token(&publisher, p2pci(Sharer::args(&files, &secure, &flags))));
    assert_eq!(sharer.registered()["files"], 2, "{}", sharer.registered());

    // Nobody else hears of it, in whatever tongue.
    for token in [None, Some(&*outsider)] {
        assert_eq!(ask(token, &["list"], &secure).code, Some(3));
        assert_eq!(ask(token, &["lookup", "other.txt"], &secure).code, Some(3));
        assert_ne!(ask(token, &["search", "other"], &secure).code, Some(0));
    }
    index.raw().exchange(spec::LIST, spec::NOT_FOUND);
    index.raw().exchange(spec::lookup(7), spec::NOT_FOUND);
    assert!(!String::from_utf8_lossy(&http_with(index.port(), "/api/v1/files", "").body).contains("other"));

    for file in ["rfc7.txt", "other.txt"] {
        wait_for(PATIENCE, "the file to be hashed", || {
            let found = ask(Some(&member), &["lookup", file, "--json"], &secure);
            found.objects().first()?["hash"].as_str().map(drop)
        });
    }
    let here = empty_folder();
    let mut get = with_token(&member, p2pci(["get", "-r", "plans", "--no-upload", "--server", &secure]));
    get.current_dir(here.path());
    let got = run_command(get);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(fs::read_to_string(here.path().join("plans/other.txt")).unwrap(), "secret two");

    let one = source_of(&member, "rfc7.txt", &secure).unwrap();
    let two = source_of(&member, "other.txt", &secure).unwrap();
    let path = |bytes: &[u8]| format!("/hash/{}", blake3::hash(bytes).to_hex());
    let (path, ticket) =
        (path(b"secret one"), |source: &Value| format!("Ticket {}", source["ticket"].as_str().unwrap()));
    assert_eq!(asked(&one, &path, Some(&ticket(&one))), ("200".to_owned(), "secret one".to_owned()));
    let altered = ticket(&one).replace(&ticket(&one)[10..14], "0000");
    let told = [
        (None, "401", "private"),
        (Some(ticket(&two)), "403", "another file"),
        (Some(altered), "403", "altered"),
        (Some(format!("Bearer {member}")), "403", "none"),
    ];
    for (shown, status, word) in told {
        let (code, text) = asked(&one, &path, shown.as_deref());
        assert!(code == status && text.contains(word), "{shown:?}: {code} {text}");
    }
    for path in ["/rfc/7", "/file/plans/other.txt", "/"] {
        assert_eq!(asked(&one, path, Some(&ticket(&one))).0, "401", "{path}");
    }
    assert_eq!(sharer.raw().ask(spec::get(7)), spec::BAD_REQUEST);
    // An index without tokens knows no groups.
    let open = Index::start();
    let mut refused = Process::start(p2pci(Sharer::args(&files, &open.address(), &flags)));
    wait_for(PATIENCE, "the reason", || refused.stderr().contains("knows no groups").then_some(()));
    refused.kill();
}

#[test]
fn tickets_of_one_key_open_files_after_a_restart_and_none_is_good_when_altered_or_too_old() {
    let (tokens, keys) = (Tokens::new(), empty_folder());
    let publisher = tokens.new_token("add", &[]);
    let member = tokens.new_token("list,get", &["--group", "team"]);
    let key = keys.path().join("tickets.key");
    let flags = ["--ticket-key", key.to_str().unwrap()];
    let index = tokens.index(&[&flags[..], &["--ticket-time", "1s"]].concat());
    let (_outer, files) = tree("plans", &[("other.txt", "secret two")]);
    let private = ["--private", "team", "--tls-dir", keys.path().to_str().unwrap()];
    let share = |index: &Index| {
        let address = index.address();
        let args = Sharer::args(&files, &address, &private);
        let sharer = Sharer::from_command(with_token(&publisher, p2pci(args)));
        wait_for(PATIENCE, "the file to be hashed", || {
            let found = ask(Some(&member), &["lookup", "other.txt", "--json"], &address);
            found.objects().first()?["hash"].as_str().map(drop)
        });
        sharer
    };
    let sharer = share(&index);
    let path = format!("/hash/{}", blake3::hash(b"secret two").to_hex());
    let found = |index: &Index| source_of(&member, "other.txt", &index.address()).unwrap();
    let shown = |source: &Value| format!("Ticket {}", source["ticket"].as_str().unwrap());
    let source = found(&index);
    wait_for(PATIENCE, "the ticket to be too old", || {
        let (code, text) = asked(&source, &path, Some(&shown(&source)));
        assert!(
            code == "200" || (code == "403" && text.contains("too old; ask the index for a new one")),
            "{text}"
        );
        (code == "403").then_some(())
    });
    // `get` looks it up anew.
    let here = empty_folder();
    let mut get =
        with_token(&member, p2pci(["get", "other.txt", "--no-upload", "--server", &index.address()]));
    get.current_dir(here.path());
    let got = run_command(get);
    assert_eq!(got.code, Some(0), "{}", got.stderr);

    // The same key after a restart: what was signed before opens what is registered now.
    let mode = fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    drop((sharer, index));
    let (one, two) = (tokens.index(&flags), tokens.index(&flags));
    let (_sharer, _again) = (share(&one), share(&two));
    let (here, there) = (found(&one), found(&two));
    assert_eq!(asked(&there, &path, Some(&shown(&here))).0, "200");
    // Whatever digit is altered, it opens nothing.
    let ticket = shown(&here);
    for at in "Ticket ".len()..ticket.len() {
        let mut altered = ticket.clone();
        altered.replace_range(at..=at, if &ticket[at..=at] == "0" { "1" } else { "0" });
        let (code, text) = asked(&here, &path, Some(&altered));
        assert_eq!(code, "403", "{at}: {text}");
    }
    fs::write(&key, "no key").unwrap();
    let file = tokens.file();
    let server = ["server", "--listen", "127.0.0.1:0", "--tokens", file.to_str().unwrap()];
    let refused = run([&server[..], &flags].concat());
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("tickets.key: it is no key of tickets"), "{}", refused.stderr);
}

#[test]
fn what_is_private_is_opened_through_any_node_of_a_cluster_that_has_the_key() {
    let test = "what_is_private_is_opened_through_any_node_of_a_cluster_that_has_the_key";
    let Some(engine) = Engine::start(test, 0) else { return };
    let (tokens, keys) = (Tokens::new(), empty_folder());
    let publisher = tokens.new_token("add", &[]);
    let member = tokens.new_token("list,get", &["--group", "team"]);
    let outsider = tokens.new_token("list,get", &["--group", "ops"]);
    let (key, url) = (keys.path().join("tickets.key"), engine.url());
    let node = || {
        let node = tokens.index(&["--ticket-key", key.to_str().unwrap(), "--store", &url]);
        wait_for(PATIENCE, "a node to be ready", || {
            (http_get(node.port(), "/readyz").status == 200).then_some(())
        });
        node
    };
    let (one, other) = (node(), node());
    let (_outer, files) = tree("plans", &[("other.txt", "secret two")]);
    let private = ["--private", "team", "--tls-dir", keys.path().to_str().unwrap()];
    let address = one.address();
    let args = Sharer::args(&files, &address, &private);
    let _sharer = Sharer::from_command(with_token(&publisher, p2pci(args)));
    wait_for(PATIENCE, "the other node to know the file's hash", || {
        let found = ask(Some(&member), &["lookup", "other.txt", "--json"], &other.address());
        found.objects().first()?["hash"].as_str().map(drop)
    });
    assert_eq!(ask(Some(&outsider), &["lookup", "other.txt"], &other.address()).code, Some(3));
    let here = empty_folder();
    let mut get =
        with_token(&member, p2pci(["get", "other.txt", "--no-upload", "--server", &other.address()]));
    get.current_dir(here.path());
    let got = run_command(get);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(fs::read_to_string(here.path().join("other.txt")).unwrap(), "secret two");
}

#[test]
fn what_is_private_stays_private_after_it_has_spread() {
    let (tokens, keys) = (Tokens::new(), empty_folder());
    let keys = keys.path().to_str().unwrap();
    let publisher = tokens.new_token("add", &[]);
    let member = tokens.new_token("list,get", &["--group", "team"]);
    let index = tokens.index(&["--tls", "--tls-dir", keys]);
    let listening = index.wait_event("the index to listen", |event| event["type"] == "listening");
    let secure = format!("tls://{}#{}", index.address(), listening["fingerprint"].as_str().unwrap());
    let bytes = noise(7, 3 * BLOCK as usize);
    let (_outer, files) = tree("plans", &[("big", &bytes)]);
    let flags = ["--private", "team", "--tls-dir", keys];
    let mut sharer =
        Sharer::from_command(with_token(&publisher, p2pci(Sharer::args(&files, &secure, &flags))));
    let (first, second) = (empty_folder(), empty_folder());
    let get = |folder: &Path, more: &[&str]| {
        let args = [&["get", "big", "--server", &secure, "--tls-dir", keys], more].concat();
        let mut get = with_token(&member, p2pci(args));
        get.current_dir(folder);
        get
    };
    let mut seeder = Process::start(get(first.path(), &["--seed-time", "forever"]));
    wait_for(PATIENCE, "the first copy", || first.path().join("big").exists().then_some(()));
    sharer.process().kill();
    let copy = wait_for(PATIENCE, "the copy to be the only source", || {
        source_of(&member, "big", &secure).filter(|source| source["published"] == false)
    });
    assert_eq!(copy["private"], "team");
    let path = format!("/hash/{}", blake3::hash(&bytes).to_hex());
    for below in ["", "/blocks", "/have", "/end"] {
        let (code, text) = asked(&copy, &format!("{path}{below}"), None);
        assert!(code == "401" && text.contains("private"), "{below}: {code} {text}");
    }
    let again = run_command(get(second.path(), &["--no-upload"]));
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(fs::read(second.path().join("big")).unwrap() == bytes);
    seeder.kill();
}

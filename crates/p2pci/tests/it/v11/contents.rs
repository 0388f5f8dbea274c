//! Files and their contents: what LOOKUP groups, what a new version and a removal leave behind.

use serde_json::{Value, json};

use crate::world::Index;
use crate::world::v11::{LIST, add_files, file, hash, hashed, lookup, remove_files, with};

/// Who has a variant, as `host:port`.
fn hosts(variant: &Value) -> Vec<String> {
    let sources = variant["sources"].as_array().expect("sources");
    sources.iter().map(|source| format!("{}:{}", source["host"].as_str().unwrap(), source["port"])).collect()
}

#[test]
fn a_file_is_found_by_number_by_name_by_its_last_part_and_by_hash() {
    let index = Index::start();
    let mut ada = index.raw();
    let text = with(hashed("texts/rfc5.txt", 7, 'a'), json!({"rfc": 5, "title": "Five"}));
    let added = ada.ask_v11(add_files("ada", 6000, std::slice::from_ref(&text))).object();
    assert_eq!(added, json!({"taken": 1, "refused_in_all": 0}));
    let source = json!({"host": "ada", "port": 6000, "speaks": "1.1", "published": true});
    let expected = with(text, json!({"published": true, "sources": [source], "sources_in_all": 1}));
    let by_hash = format!("HASH {}", hash('a'));
    for target in ["RFC 5", "FILE texts/rfc5.txt", "FILE rfc5.txt", "FILE texts%2Frfc5%2Etxt", &by_hash] {
        assert_eq!(index.raw().ask_v11(lookup(target)).object(), expected, "{target}");
    }
    let upper_case = format!("HASH {}", hash('A'));
    assert_eq!(index.raw().ask_v11(lookup(&upper_case)).status, 200);
    let unknown = format!("HASH {}", hash('b'));
    for target in ["RFC 6", "FILE rfc5", "FILE texts", "FILE other/rfc5.txt", "FILE TEXTS/rfc5.txt", &unknown]
    {
        let told = index.raw().ask_v11(lookup(target));
        assert_eq!((told.status, told.object()), (404, json!({"reason": "nobody has it"})), "{target}");
    }
}

#[test]
fn a_new_content_under_an_old_name_takes_the_old_hash_away() {
    let index = Index::start();
    let mut ada = index.raw();
    for (digit, other) in [('a', 'b'), ('b', 'c')] {
        assert_eq!(ada.ask_v11(add_files("ada", 6000, &[hashed("m", 9, digit)])).object()["taken"], 1);
        let found = index.raw().ask_v11(lookup("FILE m")).object();
        assert_eq!(found["hash"], hash(digit));
        assert_eq!(index.raw().ask_v11(lookup(&format!("HASH {}", hash(digit)))).status, 200);
        assert_eq!(index.raw().ask_v11(lookup(&format!("HASH {}", hash(other)))).status, 404);
    }
    assert_eq!(index.raw().ask_v11(lookup(&format!("HASH {}", hash('a')))).status, 404, "the old one");
    // The file is being written again, and not hashed yet; the number goes as well.
    let numbered = with(hashed("m", 9, 'b'), json!({"rfc": 8, "title": "T"}));
    assert_eq!(ada.ask_v11(add_files("ada", 6000, &[numbered, file("m", 10)])).object()["taken"], 2);
    assert_eq!(index.raw().ask_v11(lookup(&format!("HASH {}", hash('b')))).status, 404);
    assert_eq!(index.raw().ask_v11(lookup("RFC 8")).status, 404);
    let found = index.raw().ask_v11(lookup("FILE m")).object();
    assert_eq!((&found["size"], &found["hash"]), (&json!(10), &Value::Null));
    assert_eq!(index.status().records, 1);
}

#[test]
fn two_published_contents_of_a_name_are_two_variants() {
    let index = Index::start();
    let mut ada = index.raw();
    let mut ben = index.raw();
    let mut cyd = index.raw();
    ada.ask_v11(add_files("ada", 6000, &[hashed("d/m", 9, 'a')]));
    ben.ask_v11(add_files("ben", 6001, &[hashed("d/m", 9, 'b')]));
    // The same content under a name of its own serves as well.
    cyd.ask_v11(add_files("cyd", 6002, &[hashed("elsewhere", 9, 'b')]));
    for target in ["FILE d/m", "FILE m"] {
        let variants = index.raw().ask_v11(lookup(target)).objects();
        assert_eq!(variants.len(), 2, "{variants:?}");
        assert_eq!((&variants[0]["hash"], hosts(&variants[0])), (&json!(hash('a')), vec!["ada:6000".into()]));
        assert_eq!(variants[1]["hash"], hash('b'));
        assert_eq!(hosts(&variants[1]), ["ben:6001", "cyd:6002"], "{target}");
        assert_eq!(variants[1]["sources_in_all"], 2);
        assert_eq!(variants[1]["name"], "d/m", "the name that was asked for");
    }
    // Not hashed yet: a variant of its own for each size.
    let mut dan = index.raw();
    let mut eve = index.raw();
    dan.ask_v11(add_files("dan", 6003, &[file("d/m", 9)]));
    eve.ask_v11(add_files("eve", 6004, &[file("d/m", 10)]));
    let told = index.raw().ask_v11(lookup("FILE d/m"));
    assert_eq!(told.each("hash"), [json!(hash('a')), json!(hash('b')), Value::Null, Value::Null]);
    assert_eq!(told.each("size"), [json!(9), json!(9), json!(9), json!(10)]);
}

#[test]
fn copies_serve_a_content_and_do_not_publish_it() {
    let index = Index::start();
    let mut copier = index.raw();
    let copy = |digit| with(hashed("m", 9, digit), json!({"copied": true}));
    copier.ask_v11(add_files("copier", 6000, &[copy('a')]));
    let alone = index.raw().ask_v11(lookup("FILE m")).object();
    assert_eq!((&alone["published"], &alone["sources"][0]["published"]), (&json!(false), &json!(false)));
    let mut partial = index.raw();
    let part = with(copy('b'), json!({"partial": true}));
    partial.ask_v11(add_files("partial", 6001, &[part]));
    let mut publisher = index.raw();
    publisher.ask_v11(add_files("publisher", 6002, &[hashed("m", 9, 'b')]));
    let variants = index.raw().ask_v11(lookup("FILE m")).objects();
    assert_eq!(variants.len(), 2);
    assert_eq!((&variants[0]["hash"], &variants[0]["published"]), (&json!(hash('b')), &json!(true)));
    assert_eq!(hosts(&variants[0]), ["publisher:6002", "partial:6001"], "complete sources first");
    assert_eq!(variants[0]["sources"][1]["partial"], true);
    assert_eq!(variants[0]["sources"][0].get("partial"), None);
    assert_eq!((&variants[1]["hash"], &variants[1]["published"]), (&json!(hash('a')), &json!(false)));
}

#[test]
fn removing_takes_only_what_the_same_connection_added() {
    let index = Index::start();
    let mut ada = index.raw();
    let mut ben = index.raw();
    for (peer, host) in [(&mut ada, "ada"), (&mut ben, "ben")] {
        peer.ask_v11(add_files(host, 6000, &[hashed("d/m", 9, 'a'), hashed("d/n", 9, 'b')]));
    }
    let removed = ada.ask_v11(remove_files(&["d/m", "d/x", "d/m"])).object();
    let refused = |line: u32| json!({"line": line, "reason": "this connection has not added it"});
    assert_eq!(removed, json!({"taken": 1, "refused": [refused(2), refused(3)], "refused_in_all": 2}));
    for target in ["FILE d/m", "FILE m", &format!("HASH {}", hash('a'))] {
        assert_eq!(hosts(&index.raw().ask_v11(lookup(target)).object()), ["ben:6000"], "{target}");
    }
    assert_eq!(hosts(&index.raw().ask_v11(lookup("FILE n")).object()), ["ada:6000", "ben:6000"]);
    assert_eq!(index.raw().ask_v11(remove_files(&["d/n"])).object()["taken"], 0, "somebody else's");
    assert_eq!(index.status().records, 3);
}

#[test]
fn files_of_one_content_or_one_last_part_do_not_hide_each_other() {
    let index = Index::start();
    let mut ada = index.raw();
    let both = [hashed("x/README", 9, 'a'), hashed("y/README", 9, 'a'), hashed("z/README", 9, 'c')];
    ada.ask_v11(add_files("ada", 6000, &both));
    let by_hash = format!("HASH {}", hash('a'));
    let found = index.raw().ask_v11(lookup(&by_hash)).object();
    assert_eq!((hosts(&found), &found["sources_in_all"]), (vec!["ada:6000".to_owned()], &json!(1)));
    let told = index.raw().ask_v11(lookup("FILE README"));
    assert_eq!(told.each("hash"), [hash('a'), hash('c')]);
    // Whichever goes, the other is still found by its content and by its name.
    for (gone, here) in [("x/README", "y/README"), ("y/README", "x/README")] {
        assert_eq!(ada.ask_v11(remove_files(&[gone])).object()["taken"], 1);
        for target in [&by_hash, &format!("FILE {here}")] {
            let found = index.raw().ask_v11(lookup(target)).object();
            assert_eq!(
                (&found["name"], hosts(&found)),
                (&json!(here), vec!["ada:6000".to_owned()]),
                "{target}"
            );
        }
        assert_eq!(index.raw().ask_v11(lookup("FILE README")).each("name"), [here, "z/README"]);
        ada.ask_v11(add_files("ada", 6000, &both));
    }
    ada.ask_v11(remove_files(&["x/README", "y/README"]));
    assert_eq!(index.raw().ask_v11(lookup(&by_hash)).status, 404);
    assert_eq!(index.raw().ask_v11(LIST).each("name"), ["z/README"]);
}

#[test]
fn a_number_belongs_to_the_file_that_took_it_last() {
    let index = Index::start();
    let mut ada = index.raw();
    let numbered = |name: &str| with(file(name, 1), json!({"rfc": 5, "title": name}));
    ada.ask_v11(add_files("ada", 6000, &[numbered("one"), numbered("two")]));
    assert_eq!(index.raw().ask_v11(lookup("RFC 5")).each("name"), ["two"]);
    ada.ask_v11(remove_files(&["one"]));
    assert_eq!(index.raw().ask_v11(lookup("RFC 5")).each("name"), ["two"]);
    ada.ask_v11(remove_files(&["two"]));
    assert_eq!(index.raw().ask_v11(lookup("RFC 5")).status, 404);
}

#[test]
fn records_go_with_the_connection_that_added_them() {
    let index = Index::start();
    let mut ada = index.raw();
    let mut ben = index.raw();
    ada.ask_v11(add_files("ada", 6000, &[hashed("m", 9, 'a'), with(file("d/n", 1), json!({"rfc": 3}))]));
    ben.ask_v11(add_files("ben", 6001, &[hashed("m", 9, 'a')]));
    assert_eq!(hosts(&index.raw().ask_v11(lookup("FILE m")).object()), ["ada:6000", "ben:6001"]);
    drop(ada);
    for target in ["RFC 3", "FILE d/n", "FILE n"] {
        index.wait_gone(target);
    }
    assert_eq!(hosts(&index.raw().ask_v11(lookup("FILE m")).object()), ["ben:6001"]);
    ben.reset();
    index.wait_gone("FILE m");
    index.wait_gone(&format!("HASH {}", hash('a')));
    assert_eq!(index.status().records, 0);
}

//! Names, last parts, hashes, numbers, globs and folders.

use std::fs;
use std::path::Path;

use crate::places::{empty_folder, everything_in, hash_of, names_in, rfc, tree};
use crate::world::{Finished, Index, Sharer, run_in};

fn get(into: &Path, index: &Index, args: &[&str]) -> Finished {
    run_in(into, [&["get"], args, &["--server", &index.address()]].concat())
}

/// What a folder holds after this command ended well.
fn fetched(index: &Index, args: &[&str]) -> Vec<(String, Vec<u8>)> {
    let here = empty_folder();
    let got = get(here.path(), index, args);
    assert_eq!(got.code, Some(0), "{args:?}: {}", got.stderr);
    let files = everything_in(here.path()).into_iter().filter(|path| !path.ends_with('/'));
    files.map(|path| (path.clone(), fs::read(here.path().join(path)).unwrap())).collect()
}

#[test]
fn a_target_is_a_name_its_last_part_a_hash_a_number_or_a_glob() {
    let text = rfc(7, "A Text");
    let files = [
        ("llama.gguf", "llama"),
        ("sub/x.iso", "x"),
        ("sub/y.iso", "y"),
        ("rfc7.txt", &text),
        ("123", "digits"),
    ];
    let (_outer, root) = tree("models", &files);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(files.len());
    let one = |name: &str, content: &str| vec![(name.to_owned(), content.as_bytes().to_vec())];
    let both = vec![("x.iso".to_owned(), b"x".to_vec()), ("y.iso".to_owned(), b"y".to_vec())];
    assert_eq!(fetched(&index, &["models/llama.gguf"]), one("llama.gguf", "llama"));
    assert_eq!(fetched(&index, &["llama.gguf"]), one("llama.gguf", "llama"));
    assert_eq!(fetched(&index, &["models/sub/x.iso"]), one("x.iso", "x"));
    assert_eq!(fetched(&index, &[&hash_of("x")]), one("x.iso", "x"));
    assert_eq!(fetched(&index, &["7"]), one("rfc7.txt", &text));
    assert_eq!(fetched(&index, &["./123"]), one("123", "digits"));
    assert_eq!(fetched(&index, &["*.iso"]), both);
    assert_eq!(fetched(&index, &["models/{llama*,nothing}"]), one("llama.gguf", "llama"));
    assert_eq!(fetched(&index, &["models/llama.gguf", "-o", "mine"]), one("mine", "llama"));
    let several = [one("llama.gguf", "llama"), both].concat();
    assert_eq!(fetched(&index, &["llama.gguf", "*.iso"]), several);
    let here = empty_folder();
    assert_eq!(get(here.path(), &index, &["123"]).code, Some(3), "that is RFC 123");
    assert_eq!(
        get(here.path(), &index, &["sub/x.iso"]).code,
        Some(3),
        "neither a name nor the last part of one"
    );
    assert_eq!(get(here.path(), &index, &["nothing*"]).code, Some(3));
    assert_eq!(
        get(here.path(), &index, &["*.iso", "-o", "file"]).code,
        Some(2),
        "several files need a folder"
    );
    assert_eq!(names_in(here.path()), [""; 0]);
}

#[test]
fn a_folder_comes_with_its_layout() {
    let files = [("a", "1"), ("b/a", "2"), ("b/c/d e.txt", "3"), ("bb/x", "4")];
    let (_outer, root) = tree("tree", &files);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(files.len());
    let expected = |prefix: &str, some: &[(&str, &str)]| {
        some.iter()
            .map(|(path, text)| (format!("{prefix}{path}"), text.as_bytes().to_vec()))
            .collect::<Vec<_>>()
    };
    assert_eq!(fetched(&index, &["-r", "tree"]), expected("tree/", &files));
    assert_eq!(fetched(&index, &["-r", "tree/"]), expected("tree/", &files));
    assert_eq!(fetched(&index, &["-r", "tree/b"]), expected("tree/", &files[1..3]), "and not tree/bb");
    assert_eq!(fetched(&index, &["-r", "tree", "-o", "into/"]), expected("into/tree/", &files));
    let here = empty_folder();
    let same_leaf = get(here.path(), &index, &["{tree/a,tree/b/a}"]);
    assert_eq!(same_leaf.code, Some(2), "one would replace the other: {}", same_leaf.stderr);
    assert_eq!(get(here.path(), &index, &["-r", "tre"]).code, Some(3));
    for bad in ["../tree", "/tree", "tree//b", "tree/../tree", "tree/./b", "", "tree\u{1b}/x", "tree\n"] {
        for args in [&["-r", bad][..], &["--", bad]] {
            assert_eq!(get(here.path(), &index, args).code, Some(2), "{args:?}");
        }
    }
    assert_eq!(names_in(here.path()), [""; 0]);
}

#[test]
fn a_last_part_must_be_unique() {
    let (_outer, one) = tree("one", &[("same", "a"), ("sub/same", "b"), ("other", "c")]);
    let index = Index::start();
    let _sharer = Sharer::start(&one, &index.address());
    index.wait_hashed(3);
    let here = empty_folder();
    let got = get(here.path(), &index, &["same"]);
    assert_eq!(got.code, Some(5), "{}", got.stderr);
    assert!(got.stderr.contains("one/same") && got.stderr.contains("one/sub/same"), "{}", got.stderr);
    assert_eq!(names_in(here.path()), [""; 0]);
    assert_eq!(get(here.path(), &index, &["one/same"]).code, Some(0));
    assert_eq!(fs::read(here.path().join("same")).unwrap(), b"a");
}

#[test]
fn what_is_there_is_kept_unless_it_is_the_same_or_forced() {
    let (_outer, root) = tree("some", &[("file", "theirs")]);
    let index = Index::start();
    let _sharer = Sharer::start(&root, &index.address());
    index.wait_hashed(1);
    let here = empty_folder();
    let file = here.path().join("file");
    fs::write(&file, "theirs").unwrap();
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    let same = get(here.path(), &index, &["file"]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(same.text().contains("already here"), "{}", same.text());
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before, "the file was not touched");
    fs::write(&file, "mine").unwrap();
    for args in [&["file"][..], &["fil*"]] {
        let other = get(here.path(), &index, args);
        assert_eq!(other.code, Some(1), "{args:?}: {}", other.stderr);
        assert!(other.stderr.contains("--force"), "{args:?}: {}", other.stderr);
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
    assert_eq!(get(here.path(), &index, &["file", "--force"]).code, Some(0));
    assert_eq!(fs::read(&file).unwrap(), b"theirs");
    assert_eq!(names_in(here.path()), ["file"]);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(
        get(here.path(), &index, &["some/file", "--force", "-o", "."]).code,
        Some(1),
        "a folder stays"
    );
    assert!(file.is_dir());
}

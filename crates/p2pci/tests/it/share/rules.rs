//! What is shared and what is not, before anything runs for long.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use crate::places::{RefusingPort, empty_folder, tree};
use crate::world::{Finished, Index, Sharer, p2pci, run, run_command};

/// The names under which these arguments publish.
fn names(args: &[&str]) -> Vec<String> {
    let index = Index::start();
    let server = index.address();
    let _sharer = Sharer::from_command(p2pci([&["share"], args, &["--server", &server, "--json"]].concat()));
    index.names()
}

/// The same for a folder, without its name.
fn leaves(root: &Path, flags: &[&str]) -> Vec<String> {
    names(&[&[root.to_str().unwrap(), "--as", "/"], flags].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn names_begin_with_the_folders_own_name_or_as_was_asked() {
    let (outer, root) = tree("models", &[("llama.gguf", "l"), ("deep/er/x", "x")]);
    let (_other, second) = tree("texts", &[("rfc1.txt", "one")]);
    assert_eq!(names(&[text(&root)]), ["models/deep/er/x", "models/llama.gguf"]);
    assert_eq!(names(&[text(&root), "--as", "/"]), ["deep/er/x", "llama.gguf"]);
    assert_eq!(
        names(&[text(&root), "--as", "big/things/"]),
        ["big/things/deep/er/x", "big/things/llama.gguf"]
    );
    assert_eq!(names(&[text(&root.join("llama.gguf"))]), ["llama.gguf"]);
    assert_eq!(names(&[text(&root.join("deep/.."))]), ["models/deep/er/x", "models/llama.gguf"]);
    assert_eq!(
        names(&[text(&root), text(&second)]),
        ["models/deep/er/x", "models/llama.gguf", "texts/rfc1.txt"]
    );
    symlink(&root, outer.path().join("link")).unwrap();
    assert_eq!(names(&[text(&outer.path().join("link"))]), ["link/deep/er/x", "link/llama.gguf"]);
    let bad = run(["share", text(&root), "--as", "a/../b"]);
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
}

#[test]
fn hidden_files_and_keys_are_shared_only_by_those_who_ask_for_them() {
    let files =
        ["a.txt", ".hidden", ".git/config", ".env", ".env.local", "id_rsa", "sub/server.pem", "x.part"];
    let (_outer, root) = tree("all", &files.map(|path| (path, path)));
    assert_eq!(leaves(&root, &[]), ["a.txt"]);
    assert_eq!(leaves(&root, &["--hidden"]), [".git/config", ".hidden", "a.txt"]);
    assert_eq!(leaves(&root, &["-g", "*.pem"]), ["sub/server.pem"]);
    let index = Index::start();
    let sharer = Sharer::start(&root, &index.address());
    let skipped = json!({"hidden": 2, "keys and passwords": 4, "unfinished downloads": 1});
    assert_eq!(sharer.sharing()["skipped"], skipped, "the first line counts what is left out");
    let key = run(["share", text(&root.join("id_rsa")), "--server", &index.address()]);
    assert_eq!(key.code, Some(1), "a key is not shared by naming it: {}", key.text());
}

#[test]
fn globs_and_ignore_files_leave_things_out() {
    let files = ["a.iso", "b.txt", "sub/c.iso", "sub/d.txt", "build/e.txt", "deep/build/f.txt"];
    let (_outer, root) = tree("some", &files.map(|path| (path, path)));
    assert_eq!(leaves(&root, &["-g", "*.iso"]), ["a.iso", "sub/c.iso"]);
    assert_eq!(leaves(&root, &["-g", "!*.iso", "-g", "!build"]), ["b.txt", "sub/d.txt"]);
    assert_eq!(leaves(&root, &["-g", "*.txt", "-g", "!sub/*"]), ["b.txt", "build/e.txt", "deep/build/f.txt"]);
    fs::write(root.join(".p2pciignore"), "/build\n*.iso\n").unwrap();
    fs::write(root.join("sub/.p2pciignore"), "!c.iso\n").unwrap();
    assert_eq!(leaves(&root, &[]), ["b.txt", "deep/build/f.txt", "sub/c.iso", "sub/d.txt"]);
    let bad = run(["share", text(&root), "-g", "a["]);
    assert_eq!(bad.code, Some(2), "{}", bad.stderr);
}

#[test]
fn links_are_followed_only_when_asked_and_never_out_of_the_folder() {
    let (outer, root) = tree("all", &[("real/x.txt", "x")]);
    fs::write(outer.path().join("secret"), "secret").unwrap();
    symlink("real/x.txt", root.join("inside")).unwrap();
    symlink("../secret", root.join("outside")).unwrap();
    symlink(outer.path(), root.join("folder")).unwrap();
    symlink("..", root.join("real/up")).unwrap();
    assert_eq!(leaves(&root, &[]), ["real/x.txt"]);
    assert_eq!(leaves(&root, &["--follow-links"]), ["inside", "real/x.txt"]);
}

#[test]
fn names_of_every_kind_are_shared_or_counted() {
    let long = "n".repeat(250);
    let good =
        ["with space", "it's \"quoted\"", "\u{fc}\u{4e16}.txt", "a%2fb", "back\\slash", "CON", "Con", &long];
    let (_outer, root) = tree("odd", &good.map(|path| (path, path)));
    for bad in ["new\nline", "escape\u{1b}[2J", "tab\tbed"] {
        fs::write(root.join(bad), "bad").unwrap();
    }
    let mut expected = good.map(str::to_owned);
    expected.sort_unstable();
    let index = Index::start();
    let server = index.address();
    let sharer = Sharer::with(&root, &server, &["--as", "/"]);
    assert_eq!(index.names(), expected);
    assert_eq!(sharer.sharing()["skipped"], json!({"names that cannot travel": 3}));
    index.wait_hashed(good.len());
    let here = empty_folder();
    for name in good {
        let target = format!("./{name}");
        let got = crate::world::run_in(here.path(), ["get", &target, "--server", &server]);
        assert_eq!(got.code, Some(0), "{name}: {}", got.stderr);
        assert_eq!(fs::read_to_string(here.path().join(name)).unwrap(), name);
    }
    assert_eq!(crate::places::names_in(here.path()), expected);
}

fn share_as(home: &Path, path: &str, more: &[&str]) -> Finished {
    let nobody = RefusingPort::new();
    let address = nobody.address();
    let mut command = p2pci([&["share", path, "--dry-run", "--server", &address], more].concat());
    command.env("HOME", home);
    run_command(command)
}

#[test]
fn homes_and_the_whole_system_are_refused() {
    let (_outer, home) = tree("me", &[("a.txt", "a"), ("Public/b.txt", "b")]);
    let home_text = text(&home);
    let above = text(home.parent().unwrap());
    for path in ["/", home_text, above] {
        let refused = share_as(&home, path, &[]);
        assert_eq!(refused.code, Some(1), "{path}: {}", refused.text());
        assert!(refused.stderr.contains("--allow-root"), "{path}: {}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    }
    assert_eq!(share_as(&home, home_text, &["--allow-root"]).code, Some(0));
    assert_eq!(share_as(&home, text(&home.join("Public")), &[]).code, Some(0));
    assert_eq!(run(["share", "/nowhere/at/all"]).code, Some(1));
}

#[test]
fn a_dry_run_shows_what_would_be_public_and_tells_nobody() {
    let (_outer, root) =
        tree("some", &[("small", "1".repeat(10)), ("large", "2".repeat(5000)), (".x", String::new())]);
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(root.join("large")).unwrap().set_modified(old).unwrap();
    let index = Index::start();
    let dry =
        |more: &[&str]| run([&["share", text(&root), "-n", "--server", &index.address()], more].concat());
    let shown = dry(&["--json"]);
    let expected = json!({
        "type": "would_share", "files": 2, "bytes": 5010, "largest": {"name": "some/large", "size": 5000},
        "newest": "some/small", "skipped": {"hidden": 1},
    });
    assert_eq!((shown.code, shown.objects()), (Some(0), vec![expected]), "{}", shown.stderr);
    let shown = dry(&[]).text();
    for part in ["Would share 2 files", "1 hidden", "some/large", "some/small"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(index.events_of("connected").is_empty(), "the index hears nothing of it");
}

/// Found with a clock that jumps: a date that cannot be written ended the program.
#[test]
fn a_dry_run_shows_files_of_any_date() {
    let folder = crate::places::folder(&[(1, "old")]);
    let before = std::time::SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(folder.path().join("rfc1.txt")).unwrap();
    file.set_modified(before).unwrap();
    let done = run(["share", text(folder.path()), "--dry-run"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.text().contains("rfc1.txt (1970-01-01T00:00:00Z)"), "{}", done.text());
}

//! U1: strings that lead out of a folder, in both tongues of the upload port. A canary lies beside the shared folder, and a link in
//! the folder leads to it; nothing may ever answer with it.

use std::fs;

use crate::places::empty_folder;
use crate::world::{Index, Raw, Sharer, shown};

const PIECES: &str = include_str!("traversal.txt");
/// What must never come.
pub(super) const CANARY: &str = "canary: this must stay where it is";
/// Requests that travel together.
pub(super) const TOGETHER: usize = 64;

/// What a piece is put between; the canary is `secret.txt` in the folder above.
const FRAMES: [&str; 30] = [
    "{}/secret.txt",
    "{}/{}/secret.txt",
    "a/{}/secret.txt",
    "a/{}/{}/secret.txt",
    "a/folder/{}/{}/secret.txt",
    "a/folder/{}/{}/{}/secret.txt",
    "{}secret.txt",
    "a/{}secret.txt",
    "a{}/secret.txt",
    "a/folder{}/../../secret.txt",
    "/{}/secret.txt",
    "./{}/secret.txt",
    "a/./{}/secret.txt",
    "a//{}//secret.txt",
    "{}%2fsecret.txt",
    "{}%5csecret.txt",
    "a%2f{}%2fsecret.txt",
    "a/{}%2f{}%2fsecret.txt",
    "a/ok.txt/{}/{}/secret.txt",
    "a/ok.txt%00{}/secret.txt",
    "{}",
    "a/{}",
    "{}/etc/passwd",
    "{}{}{}/etc/passwd",
    "a/{}/{}/{}/{}/{}/{}/{}/{}/etc/passwd",
    "a/{}/{}/{}/{}/{}/{}/{}/{}/etc/passwd%00.txt",
    "a/{}?/secret.txt",
    "a/link{}",
    "a/{}/link",
    "a/folder/link/{}",
];

/// Every piece in every frame.
pub(super) fn paths() -> Vec<String> {
    let pieces = PIECES.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    pieces.flat_map(|piece| FRAMES.map(|frame| frame.replace("{}", piece))).collect()
}

/// The same beneath each target that takes a name and as a path by itself.
fn strings() -> Vec<String> {
    paths().into_iter().flat_map(|path| ["/file/", "/"].map(|before| format!("{before}{path}"))).collect()
}

/// Whether a path is one that a request line can hold: others are refused for their shape, which other tests see to.
pub(super) fn is_a_path(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

#[test]
fn u1_no_string_leads_out_of_the_shared_folder() {
    let outside = empty_folder();
    let share = outside.path().join("share");
    fs::create_dir_all(share.join("folder")).unwrap();
    fs::write(outside.path().join("secret.txt"), CANARY).unwrap();
    fs::write(share.join("ok.txt"), "shared").unwrap();
    for link in ["link", "folder/link"] {
        std::os::unix::fs::symlink(outside.path().join("secret.txt"), share.join(link)).unwrap();
    }
    let index = Index::start();
    let sharer = Sharer::with(&share, &index.address(), &["--as", "a", "--browse"]);
    let all = strings();
    assert!(all.len() >= 5000, "{}", all.len());
    let whole: Vec<String> = all.iter().filter(|path| is_a_path(path)).cloned().collect();
    for some in whole.chunks(TOGETHER) {
        let answers = told_alike(|| sharer.raw(), some);
        let (none, found) =
            (answers.matches("HTTP/1.1 404 ").count(), answers.matches("HTTP/1.1 200 ").count());
        assert_eq!(none + found, some.len(), "{some:?}: {answers}");
        // Folders and the one file, by a name of theirs with nothing in it that leads anywhere.
        assert!(found <= some.len() / 4, "{found} of {some:?}");
    }
    for path in all.iter().filter(|path| !is_a_path(path)) {
        let mut raw = sharer.raw();
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = raw.try_to_end().unwrap_or_default();
        assert!(shown(&answer).starts_with("HTTP/1.1 400 "), "{path}: {}", shown(&answer));
    }
    for path in &all {
        in_p2p_ci(&sharer, path);
    }
}

/// Requests in one connection: each is answered with nothing from outside, and as it would be if there were nothing outside. Gives
/// back the answers.
pub(super) fn told_alike(connect: impl Fn() -> Raw, paths: &[String]) -> String {
    let there = in_http(connect(), paths);
    let absent: Vec<String> = paths.iter().map(|path| path.replace("secret", "absent")).collect();
    let told = |answers: &str| -> String {
        let lines = answers.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        lines.map(|line| line.replace("secret", "absent") + "\n").collect()
    };
    assert_eq!(told(&there), told(&in_http(connect(), &absent)), "{paths:?}");
    there
}

fn in_http(mut raw: Raw, paths: &[String]) -> String {
    let last = paths.len() - 1;
    for (at, path) in paths.iter().enumerate() {
        let close = if at == last { "Connection: close\r\n" } else { "" };
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n"));
    }
    let answers = String::from_utf8_lossy(&raw.read_to_end()).into_owned();
    assert!(!answers.contains("canary:") && !answers.contains("root:"), "one of {paths:?}: {answers}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), paths.len(), "{paths:?}: {answers}");
    answers
}

/// The same where a number is expected.
fn in_p2p_ci(sharer: &Sharer, path: &str) {
    let mut raw = sharer.raw();
    raw.send(format!("GET RFC {path} P2P-CI/1.0\r\nHost: h\r\nOS: o\r\n\r\n"));
    let answer = raw.try_to_end().unwrap_or_default();
    assert!(shown(&answer).starts_with("P2P-CI/1.0 400 "), "{path}: {}", shown(&answer));
}

//! U1 at the index: the strings of the upload port's test, in paths and fields of HTTP and in heads of P2P-CI. The index works in a
//! folder beneath the canary, so that whatever is taken for a path would find it.

use std::fs;

use super::traversal::{CANARY, TOGETHER, is_a_path, paths, told_alike};
use crate::places::empty_folder;
use crate::world::{Index, p2pci, shown, spec};

/// Where a name is expected.
const TARGETS: [&str; 6] = ["/", "/file/", "/hash/", "/rfc/", "/api/v1/file?name=", "/api/v1/files?after="];

#[test]
fn u1_no_string_leads_the_index_to_a_file_nor_tells_whether_there_is_one() {
    let outside = empty_folder();
    let inside = outside.path().join("a/folder");
    fs::create_dir_all(&inside).unwrap();
    fs::write(outside.path().join("secret.txt"), CANARY).unwrap();
    let mut command = p2pci(Index::args("127.0.0.1:0", &["--quiet"]));
    command.current_dir(&inside);
    let index = Index::from_command(command);
    let all = paths();
    let mut asked = 0;
    for target in TARGETS {
        let whole: Vec<String> =
            all.iter().filter(|path| is_a_path(path)).map(|path| format!("{target}{path}")).collect();
        for some in whole.chunks(TOGETHER) {
            asked += some.len();
            told_alike(|| index.raw(), some);
        }
    }
    assert!(asked >= 5000, "{asked}");
    in_p2p_ci(&index, &all);
}

/// The same where a number or a title is expected.
fn in_p2p_ci(index: &Index, paths: &[String]) {
    for path in paths {
        let mut raw = index.raw();
        raw.send(format!("LOOKUP RFC {path} P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\nTitle: t\r\n\r\n"));
        raw.end_sending();
        let answer = raw.try_to_end().unwrap_or_default();
        assert!(shown(&answer).starts_with("P2P-CI/1.0 400 "), "{path}: {}", shown(&answer));
    }
    let mut raw = index.raw();
    for path in paths.iter().filter(|path| is_a_path(path)) {
        let answer = raw.ask_whole(&spec::add(7, path, "127.0.0.1", 5000));
        assert!(!answer.contains("canary:"), "{path}: {answer}");
    }
}

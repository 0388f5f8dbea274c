//! The API held to its own description by a program that reads nothing else: it makes up requests, sound ones and others, and judges
//! each answer.

use std::path::Path;
use std::process::Command;

use crate::world::{Index, Sharer, run_command, skip};

#[test]
fn the_api_does_what_its_description_says() {
    let parts = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("parts/pip");
    if !parts.join("schemathesis").is_dir() {
        return skip("the_api_does_what_its_description_says", "no schemathesis");
    }
    let index = Index::with(&["--quiet"]);
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b c", "ü.txt"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    let _peer = Sharer::with(folder.path(), &index.address(), &["--as", "x", "--upload-listen", "127.0.0.1"]);
    let mut old = index.raw();
    old.ask_whole("ADD RFC 1 P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T\r\n\r\n");
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", &parts).current_dir(folder.path()).args(["-m", "schemathesis.cli", "run"]);
    // A stream of events has no end that could be waited for.
    command.args(["--exclude-path", "/api/v1/events", "--max-examples", "4", "--seed", "7"]);
    // What is sound in its shape may still be no name, hash or query, and is refused.
    command.args([
        "--phases",
        "coverage,fuzzing",
        "--checks",
        "all",
        "--exclude-checks",
        "positive_data_acceptance",
    ]);
    command.arg("--no-color");
    command.arg(format!("http://{}/api/v1/openapi.json", index.address()));
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let done = run_command(command);
    assert_eq!(done.code, Some(0), "{}\n{}", done.text(), done.stderr);
    assert!(done.text().contains("passed"), "{}", done.text());
}

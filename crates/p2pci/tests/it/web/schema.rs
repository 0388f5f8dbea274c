//! The API of the index, and that of a peer's page, held to its own description by a program that reads nothing else: it makes up requests, sound ones and others, and judges
//! each answer.

use std::path::Path;
use std::process::Command;

use crate::world::{Index, PATIENCE, Process, Sharer, skip};

/// Lets the program try an API for as long as it has ideas.
fn try_out(test: &str, folder: &Path, address: &str, phases: &str) {
    let parts = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("parts/pip");
    if !parts.join("schemathesis").is_dir() {
        return skip(test, "no schemathesis");
    }
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", parts).current_dir(folder).args(["-m", "schemathesis.cli", "run"]);
    // A stream of events has no end that could be waited for.
    command.args(["--exclude-path", "/api/v1/events", "--max-examples", "4", "--seed", "7"]);
    // What is sound in its shape may still be no name, hash or query, and is refused.
    command.args(["--phases", phases, "--checks", "all", "--exclude-checks", "positive_data_acceptance"]);
    command.arg("--no-color");
    command.arg(format!("http://{address}/api/v1/openapi.json"));
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    let mut trying = Process::start(command);
    let code = trying.exit_code(PATIENCE * 3);
    let said = trying.lines().join("\n");
    assert_eq!(code, Some(0), "{said}\n{}", trying.stderr());
    assert!(said.contains("passed"), "{said}");
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b c", "ü.txt"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    folder
}

#[test]
fn the_api_does_what_its_description_says() {
    let (index, folder) = (Index::with(&["--quiet"]), folder());
    let _peer = Sharer::with(folder.path(), &index.address(), &["--as", "x", "--upload-listen", "127.0.0.1"]);
    let mut old = index.raw();
    old.ask_whole("ADD RFC 1 P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T\r\n\r\n");
    try_out("the_api_does_what_its_description_says", folder.path(), &index.address(), "coverage,fuzzing");
}

#[test]
fn the_api_of_a_peer_does_what_its_description_says() {
    let (index, folder) = (Index::with(&["--quiet"]), folder());
    let flags = ["--as", "x", "--upload-listen", "127.0.0.1", "--web"];
    let peer = Sharer::with(folder.path(), &index.address(), &flags);
    let page = peer.sharing()["page"].as_str().unwrap();
    let address = page.trim_start_matches("http://").trim_end_matches('/');
    try_out("the_api_of_a_peer_does_what_its_description_says", folder.path(), address, "coverage");
}

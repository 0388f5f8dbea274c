//! Golden transcripts: for each way in which existing programs speak P2P-CI/1.0, one conversation as a file that reads like one, and another for 1.1.
//!
//! A test plays the client's lines against the real index and a real upload server, writes down what came back and how it was
//! cut into segments, and compares that with the file. `P2PCI_BLESS=1` writes the files instead.

mod play;
mod script;

use std::fs;
use std::path::Path;

use self::play::play;
use self::script::{OWN_SEGMENT, parse};

/// A pause of this machine at the wrong moment joins two segments, and then the conversation is played again.
const TRIES: usize = 5;

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts").join(format!("{name}.txt"));
    let golden = fs::read_to_string(&path).unwrap();
    let steps = parse(&golden);
    if std::env::var_os("P2PCI_BLESS").is_some() {
        fs::write(&path, play(&steps, true)).unwrap();
        return;
    }
    let mut played = play(&steps, false);
    for _ in 1..TRIES {
        if played == golden || without_segments(&played) != without_segments(&golden) {
            break;
        }
        played = play(&steps, false);
    }
    let difference = played.lines().zip(golden.lines()).position(|(played, golden)| played != golden);
    assert!(
        played == golden,
        "{} differs at line {:?}; it went:\n{played}",
        path.display(),
        difference.map(|at| at + 1)
    );
}

fn without_segments(transcript: &str) -> Vec<&str> {
    transcript.lines().filter(|line| *line != OWN_SEGMENT).collect()
}

#[test]
fn transcript_of_spec() {
    check("spec");
}

#[test]
fn transcript_of_original() {
    check("original");
}

#[test]
fn transcript_of_lf_blank() {
    check("lf-blank");
}

#[test]
fn transcript_of_crlf_plain() {
    check("crlf-plain");
}

#[test]
fn transcript_of_unterminated() {
    check("unterminated");
}

#[test]
fn transcript_of_padded() {
    check("padded");
}

#[test]
fn transcript_of_tight() {
    check("tight");
}

#[test]
fn transcript_of_v11() {
    check("v11");
}

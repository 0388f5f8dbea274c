//! What must hold for whatever an index, or a peer, sends in 1.1. (Requests: with those of 1.0, as they share a decoder.)

use std::fmt::Write as _;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::answer::{AnswerDecoder, Decoded};
use super::body::{self, Changed, FileLine, NameLine, RecordLine, Refused, Variant};
use crate::fuzz::Cut;
use crate::limits::FILE_BYTES_MAX;
use crate::value::file_name::FileName;

/// Answers are the same however they are cut.
pub(crate) fn answers(data: &[u8], _: Instant) {
    let cut = Cut::of(data);
    assert_eq!(answers_of(std::iter::once(cut.stream)), answers_of(cut.pieces()), "cuts change an answer");
}

fn answers_of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let (mut decoder, mut told) = (AnswerDecoder::default(), String::new());
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.poll() {
                Decoded::Pending => break,
                Decoded::Answer(answer) => {
                    // Writing to a string cannot fail.
                    let _ = writeln!(told, "{answer:?}");
                }
                end @ (Decoded::NotV11 | Decoded::Broken) => {
                    told.push_str(&format!("{end:?}"));
                    return told;
                }
            }
        }
    }
    told
}

/// A line that was understood is the same when it is written and read once more, and what was checked keeps its limits.
pub(crate) fn bodies(data: &[u8], _: Instant) {
    for (_, line) in body::lines(data) {
        same_again::<FileLine<'_>>(line);
        same_again::<NameLine<'_>>(line);
        same_again::<Changed>(line);
        same_again::<Variant>(line);
        same_again::<RecordLine>(line);
        same_again::<Refused>(line);
        if let Ok(Ok(file)) = body::parse_line::<FileLine<'_>>(line).map(|line| line.check()) {
            assert!(file.size <= FILE_BYTES_MAX && FileName::parse(file.name.as_bytes()).is_ok());
        }
    }
}

fn same_again<'a, T: Deserialize<'a> + Serialize + PartialEq + std::fmt::Debug>(line: &'a [u8]) {
    let Ok(read) = body::parse_line::<T>(line) else { return };
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    body::write_line(&read, &mut once);
    // Into a type that borrows nothing of the first text.
    let value: Result<serde_json::Value, _> = serde_json::from_slice(&once);
    assert!(value.is_ok(), "no JSON: {read:?}");
    body::write_line(&read, &mut twice);
    assert_eq!(once, twice);
    assert_eq!(once.iter().filter(|byte| **byte == b'\n').count(), 1, "a line of several lines");
}

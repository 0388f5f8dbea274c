//! What must hold for whatever comes down a connection in P2P-CI/1.0.

use std::fmt::Write as _;
use std::time::Instant;

use super::answer_decoder::{self, AnswerDecoder, Expected};
use super::decoder::{self, Reading, RequestDecoder};
use super::file_decoder::{self, FileDecoder};
use super::framing::{Framing, LineEnd};
use super::record::{self, Record};
use super::request::{Request, Verb};
use super::status::StatusCode;
use crate::fuzz::Cut;
use crate::tongue;
use crate::value::title::Title;

/// Bytes of an answer that a downloader takes here.
const ANSWER_MAX: u64 = 64 * 1024;

/// Requests are the same however the stream is cut, the decoder comes to an end, and what was understood is understood again
/// when it is written.
pub(crate) fn requests(data: &[u8], start: Instant) {
    let cut = Cut::of(data);
    let reading = if cut.choice.is_multiple_of(4) { Reading::Strict } else { Reading::Lenient };
    let whole = requests_of(reading, std::iter::once(cut.stream), start);
    assert_eq!(whole, requests_of(reading, cut.pieces(), start), "cuts change requests");
    if let Some(told) = tongue::tell(cut.stream) {
        let before = cut.stream.len().checked_div(2).and_then(|half| cut.stream.get(..half));
        assert!(before.and_then(tongue::tell).is_none_or(|earlier| earlier == told), "the tongue changes");
    }
}

fn requests_of<'a>(
    reading: Reading,
    pieces: impl Iterator<Item = &'a [u8]>,
    start: Instant,
) -> (String, bool) {
    let (mut decoder, mut now, mut told) = (RequestDecoder::new(reading), start, String::new());
    let mut looks = 0_usize;
    let mut bytes = 0_usize;
    for piece in pieces {
        decoder.push(piece, now);
        bytes = bytes.saturating_add(piece.len());
        while told_request(&decoder.poll(now), &mut told) {
            looks = looks.saturating_add(1);
        }
    }
    loop {
        looks = looks.saturating_add(1);
        assert!(looks <= bytes.saturating_add(8), "more requests than bytes");
        match decoder.poll(now) {
            decoder::Decoded::Pending(Some(wake)) => {
                assert!(wake > now, "it waits for what is past");
                now = wake;
            }
            decoder::Decoded::Pending(None) => return (told, false),
            decoder::Decoded::Ended => return (told, true),
            decoded => {
                told_request(&decoded, &mut told);
            }
        }
    }
}

fn told_request(decoded: &decoder::Decoded<'_>, told: &mut String) -> bool {
    // Writing to a string cannot fail.
    let _ = match decoded {
        decoder::Decoded::Request(request) => {
            read_again(request);
            writeln!(told, "{:?} {:?} {}", request.verb, request.framing, request.departures)
        }
        decoder::Decoded::Refused(refusal) => writeln!(told, "{} {:?}", refusal.reason, refusal.framing),
        decoder::Decoded::Pending(_) | decoder::Decoded::Ended => return false,
    };
    true
}

fn read_again(request: &Request<'_>) {
    let mut written = Vec::new();
    match &request.verb {
        Verb::Add(add) => add.write(LineEnd::CrLf, &mut written),
        Verb::Lookup(lookup) => lookup.write(LineEnd::CrLf, &mut written),
        Verb::List(list) => list.write(LineEnd::CrLf, &mut written),
        Verb::V11(ask) => ask.write(&mut written),
        Verb::Get(_) => return,
    }
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    let start = Instant::now();
    decoder.push(&written, start);
    match decoder.poll(start) {
        decoder::Decoded::Request(again) => assert_eq!(again.verb, request.verb, "written otherwise"),
        other => assert!(matches!(other, decoder::Decoded::Request(_)), "not understood again: {other:?}"),
    }
}

/// Answers come to an end and are the same however they are cut. Whether an empty line behind a complete answer is still seen
/// depends on its segment, and means nothing.
pub(crate) fn answers(data: &[u8], start: Instant) {
    let cut = Cut::of(data);
    let expected = if cut.choice.is_multiple_of(2) { Expected::OneRecord } else { Expected::Records };
    let whole = lines_of(expected, std::iter::once(cut.stream), start);
    assert_eq!(whole, lines_of(expected, cut.pieces(), start), "cuts change an answer");
}

fn lines_of<'a>(expected: Expected, pieces: impl Iterator<Item = &'a [u8]>, start: Instant) -> String {
    let (mut decoder, mut told) = (AnswerDecoder::new(expected, ANSWER_MAX, start), String::new());
    for piece in pieces {
        decoder.push(piece, start);
        loop {
            match decoder.poll(start) {
                answer_decoder::Decoded::Line(line, raw) => {
                    assert!(!raw.is_empty(), "a line without a byte");
                    // Writing to a string cannot fail.
                    let _ = writeln!(told, "{line:?}");
                }
                answer_decoder::Decoded::Pending(_) => break,
                end => return ended(&told, &end),
            }
        }
    }
    decoder.push_end_of_file();
    for looks in 0_usize.. {
        assert!(looks < 8, "an answer without end");
        match decoder.poll(start) {
            answer_decoder::Decoded::Line(line, _) => told.push_str(&format!("{line:?}\n")),
            answer_decoder::Decoded::Pending(_) => {}
            end => return ended(&told, &end),
        }
    }
    told
}

fn ended(told: &str, end: &answer_decoder::Decoded<'_>) -> String {
    let lines = told.trim_end_matches("Other\n");
    format!("{lines}{end:?}")
}

/// A file is as long as its head says, or is refused; the bytes are the same however they are cut.
pub(crate) fn files(data: &[u8], _: Instant) {
    let cut = Cut::of(data);
    let whole = file_of(std::iter::once(cut.stream));
    assert_eq!(whole, file_of(cut.pieces()), "cuts change a file");
    if let (Some(length), bytes, Ok(())) = &whole {
        assert_eq!(*length, bytes.len() as u64, "a whole file of another length");
    }
    if let (Some(length), bytes, _) = &whole {
        assert!(bytes.len() as u64 <= *length, "more bytes than announced");
    }
}

type File = (Option<u64>, Vec<u8>, Result<(), String>);

fn file_of<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> File {
    let (mut decoder, mut length, mut bytes) = (FileDecoder::new(), None, Vec::new());
    let mut pieces = pieces;
    loop {
        match decoder.poll() {
            file_decoder::Decoded::Head(head) => length = Some(head.length),
            file_decoder::Decoded::Body(body) => bytes.extend_from_slice(body),
            file_decoder::Decoded::Done { before } => {
                drop(bytes.splice(0..0, before.iter().copied()));
                return (length, bytes, Ok(()));
            }
            file_decoder::Decoded::Pending => match pieces.next() {
                Some(piece) => decoder.push(piece),
                None => decoder.push_end_of_file(),
            },
            // What came before a failure counts for nothing, and how much that is may depend on the segments.
            file_decoder::Decoded::Failed(error) => return (length, Vec::new(), Err(error.to_string())),
        }
    }
}

/// A record that was understood is the same when it is written and read once more.
pub(crate) fn records(data: &[u8], _: Instant) {
    let _ = StatusCode::parse(data);
    let Some(read) = Record::parse(data) else { return };
    let Ok(title) = Title::parse(read.title) else { return };
    let mut written = Vec::new();
    record::write(
        read.number,
        title.as_str().as_bytes(),
        read.peer().words(),
        Framing::SPEC.answer(),
        &mut written,
    );
    // A title has no white space at its ends, whichever of Unicode's.
    let expected = Record { title: title.as_str().as_bytes(), ..read };
    assert_eq!(Record::parse(&written), Some(expected), "written otherwise");
}

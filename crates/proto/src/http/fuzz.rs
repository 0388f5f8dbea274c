//! What must hold for whatever comes down a connection in HTTP.

use std::fmt::Write as _;
use std::time::Instant;

use super::decoder::{Decoded, RequestDecoder};
use super::range::{RangeSet, Selected};
use crate::fuzz::{Cut, Steps};

/// Requests are the same however the stream is cut, and nothing is read after a refusal.
pub(crate) fn requests(data: &[u8], start: Instant) {
    let cut = Cut::of(data);
    assert_eq!(
        requests_of(std::iter::once(cut.stream), start),
        requests_of(cut.pieces(), start),
        "cuts change requests"
    );
}

fn requests_of<'a>(pieces: impl Iterator<Item = &'a [u8]>, now: Instant) -> String {
    let (mut decoder, mut told) = (RequestDecoder::new(), String::new());
    let mut pieces = pieces;
    loop {
        match decoder.poll(now) {
            Decoded::Request(request) => {
                assert!(!request.target.to_string().contains(['\r', '\n', ' ']) || is_nothing(&request));
                // Writing to a string cannot fail.
                let _ = writeln!(told, "{request:?}");
            }
            Decoded::Refused(refusal) => {
                let _ = write!(told, "{refusal:?}");
                assert_eq!(decoder.poll(now), Decoded::Ended, "it reads on after a refusal");
                return told;
            }
            Decoded::Pending(_) => match pieces.next() {
                Some(piece) => decoder.push(piece, now),
                None => decoder.push_end_of_file(),
            },
            Decoded::Ended => return told,
        }
    }
}

fn is_nothing(request: &super::request::Request) -> bool {
    request.target == super::target::Target::Nothing
}

/// No range leaves the file, whatever is asked for.
pub(crate) fn ranges(data: &[u8], _: Instant) {
    let mut steps = Steps(data);
    let size = steps.bytes(9).iter().fold(0_u64, |size, byte| size << 8 | u64::from(*byte));
    let Some(set) = RangeSet::parse(steps.0) else { return };
    match set.select(size) {
        Selected::Part(part) => assert!(part.start < part.end && part.end <= size, "{part:?} of {size}"),
        Selected::Parts(parts) => {
            let mut free = 0;
            for part in &parts {
                assert!(free <= part.start && part.start < part.end, "{parts:?} of {size}");
                free = part.end;
            }
            assert!(parts.len() > 1 && free <= size, "{parts:?} of {size}");
        }
        Selected::Whole | Selected::Unsatisfiable => {}
    }
}

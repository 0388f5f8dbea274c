//! Requests in HTTP from vectors: ranges, and everything that two programs could read differently.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proto::http::decoder::{Decoded, RequestDecoder};
use proto::http::range::{RangeSet, Selected};
use proto::http::refusal::Refusal;
use proto::http::request::Asker;
use proto::http::target::Target;
use proto::limits::{HEAD_BYTES_MAX, HTTP_HEADERS_MAX, LINE_BYTES_MAX, REQUEST_DEADLINE};

const RANGES: &str = include_str!("http/ranges.txt");
const SMUGGLING: &str = include_str!("http/smuggling.txt");
const MARKER: &str = "GET /rfc/666 HTTP/1.1\r\nHost: marker\r\n\r\n";

/// The fields of each line that is no comment.
fn lines<const N: usize>(file: &'static str) -> Vec<[&'static str; N]> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.splitn(N, " | ").collect::<Vec<_>>().try_into().unwrap()).collect()
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next().unwrap() {
                b'r' => out.push(b'\r'),
                b'n' => out.push(b'\n'),
                b't' => out.push(b'\t'),
                b'0' => out.push(0),
                b'\\' => out.push(b'\\'),
                b'x' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    out.push(u8::from_str_radix(str::from_utf8(&hex).unwrap(), 16).unwrap());
                }
                other => panic!("no such escape: {other}"),
            },
            byte => out.push(byte),
        }
    }
    out
}

/// What comes out of pieces, up to where nothing more does.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Decoded> {
    let now = Instant::now();
    let mut decoder = RequestDecoder::new();
    let mut all = Vec::new();
    for piece in pieces {
        decoder.push(piece, now);
        loop {
            match decoder.poll(now) {
                Decoded::Pending(_) => break,
                Decoded::Ended => return all,
                decoded => all.push(decoded),
            }
        }
    }
    all
}

fn told(decoded: &[Decoded]) -> String {
    match decoded.last() {
        Some(Decoded::Refused(refusal)) => refusal.status().code().to_string(),
        None => "wait".to_owned(),
        _ => format!("ok {}", decoded.len()),
    }
}

#[test]
fn ranges_select_what_the_vectors_say() {
    let vectors = lines::<3>(RANGES);
    assert!(vectors.len() > 100, "{}", vectors.len());
    for [size, value, expected] in vectors {
        let size = size.parse().unwrap();
        let selected = RangeSet::parse(value.as_bytes()).map_or(Selected::Whole, |set| set.select(size));
        let shown = match selected {
            Selected::Whole => "whole".to_owned(),
            Selected::Part(part) => shown_part(&part),
            Selected::Parts(parts) => parts.iter().map(shown_part).collect::<Vec<_>>().join(","),
            Selected::Unsatisfiable => "416".to_owned(),
        };
        assert_eq!(shown, expected, "{value} of {size}");
    }
}

fn shown_part(part: &std::ops::Range<u64>) -> String {
    format!("{}-{}", part.start, part.end - 1)
}

#[test]
fn more_than_a_thousand_ranges_are_ignored() {
    let many = format!("bytes={}", vec!["0-"; 1300].join(","));
    assert_eq!(RangeSet::parse(many.as_bytes()), None);
}

#[test]
fn what_two_programs_could_read_differently_is_refused_and_ends_the_connection() {
    let vectors = lines::<2>(SMUGGLING);
    assert!(vectors.len() >= 300, "{}", vectors.len());
    for [expected, text] in vectors {
        let bytes = unescaped(&text.replace("{M}", &MARKER.replace('\r', "\\r").replace('\n', "\\n")));
        let whole = decode([&bytes[..]]);
        assert_eq!(told(&whole), expected, "{text}");
        if expected.len() == 3 {
            let before = whole.iter().filter(|one| matches!(one, Decoded::Request(_))).count();
            let allowed = usize::from(text.ends_with("\\r\\n\\n{M}") && text.matches("Host").count() == 1);
            assert!(before <= allowed, "{text}");
            let marker = |one: &Decoded| matches!(one, Decoded::Request(request) if request.host.as_deref() == Some("marker"));
            assert!(!whole.iter().any(marker), "{text}");
        }
        for cut in 0..bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(decode([one, two]), whole, "{text} cut at {cut}");
        }
        assert_eq!(decode(bytes.chunks(1)), whole, "{text} byte by byte");
    }
}

#[test]
fn every_limit_holds_to_the_byte() {
    let refused = |bytes: &str| match decode([bytes.as_bytes()]).as_slice() {
        [Decoded::Request(_)] => None,
        [Decoded::Refused(refusal)] => Some(*refusal),
        other => panic!("{other:?}"),
    };
    let frame = |line: &str, headers: &str| format!("{line}\r\nHost: h\r\n{headers}\r\n");
    let path = |length: usize| format!("GET /{} HTTP/1.1", "x".repeat(length - "GET / HTTP/1.1".len()));
    assert_eq!(refused(&frame(&path(LINE_BYTES_MAX), "")), None);
    assert_eq!(refused(&frame(&path(LINE_BYTES_MAX + 1), "")), Some(Refusal::TargetTooLong));
    let header = |length: usize| format!("X: {}\r\n", "x".repeat(length - "X: ".len()));
    assert_eq!(refused(&frame("GET / HTTP/1.1", &header(LINE_BYTES_MAX))), None);
    assert_eq!(refused(&frame("GET / HTTP/1.1", &header(LINE_BYTES_MAX + 1))), Some(Refusal::HeaderTooLong));
    let rest = HEAD_BYTES_MAX - frame("GET / HTTP/1.1", &header(LINE_BYTES_MAX)).len();
    let filled = |more: usize| header(LINE_BYTES_MAX) + &header(rest - 2 + more);
    assert_eq!(frame("GET / HTTP/1.1", &filled(0)).len(), HEAD_BYTES_MAX);
    assert_eq!(refused(&frame("GET / HTTP/1.1", &filled(0))), None);
    assert_eq!(refused(&frame("GET / HTTP/1.1", &filled(1))), Some(Refusal::HeadTooLong));
    let headers = |count: usize| "X: y\r\n".repeat(count - 1);
    assert_eq!(refused(&frame("GET / HTTP/1.1", &headers(HTTP_HEADERS_MAX))), None);
    assert_eq!(
        refused(&frame("GET / HTTP/1.1", &headers(HTTP_HEADERS_MAX + 1))),
        Some(Refusal::TooManyHeaders)
    );
    // Without any end of line, and as a flood of lines, cut anywhere.
    for flood in
        ["x".repeat(100_000), "X: y\r\n".repeat(100_000), format!("GET / HTTP/1.1\r\n{}", "x".repeat(9000))]
    {
        let whole = decode([flood.as_bytes()]);
        assert!(matches!(whole[..], [Decoded::Refused(_)]), "{whole:?}");
        for size in [1, 7, 1000, 4096, 8192, 8193, 16384] {
            assert_eq!(decode(flood.as_bytes().chunks(size)), whole, "in pieces of {size}");
        }
    }
}

#[test]
fn a_head_has_ten_seconds_from_its_first_byte_and_a_later_one_from_its_turn() {
    let start = Instant::now();
    let mut decoder = RequestDecoder::new();
    assert_eq!(decoder.poll(start), Decoded::Pending(None));
    decoder.push(b"GET /rfc/1 HTTP/1.1\r\nHost: h\r\n\r\nGET /rf", start);
    assert!(matches!(decoder.poll(start), Decoded::Request(_)));
    // An hour for the first answer.
    let later = start + Duration::from_secs(3600);
    assert_eq!(decoder.poll(later), Decoded::Pending(Some(later + REQUEST_DEADLINE)));
    decoder.push(b"c", later + Duration::from_secs(9));
    assert_eq!(
        decoder.poll(later + Duration::from_secs(9)),
        Decoded::Pending(Some(later + REQUEST_DEADLINE))
    );
    assert_eq!(decoder.poll(later + REQUEST_DEADLINE), Decoded::Refused(Refusal::Late));
    decoder.push(MARKER.as_bytes(), later);
    assert_eq!(decoder.poll(later), Decoded::Ended);
}

/// RFC 9110, sections 15.5.6, 15.5.9, 15.5.15 and 15.6.6; RFC 6585, section 5.
#[test]
fn a_refusal_is_told_with_the_status_that_says_what_is_wrong() {
    let told = |refusal: Refusal| (refusal.status().code(), refusal.status().phrase());
    let expected = [
        (Refusal::TargetTooLong, (414, "URI Too Long")),
        (Refusal::HeaderTooLong, (431, "Request Header Fields Too Large")),
        (Refusal::HeadTooLong, (431, "Request Header Fields Too Large")),
        (Refusal::TooManyHeaders, (431, "Request Header Fields Too Large")),
        (Refusal::Late, (408, "Request Timeout")),
        (Refusal::Version, (505, "HTTP Version Not Supported")),
        (Refusal::Method, (405, "Method Not Allowed")),
        (Refusal::HostTwice, (400, "Bad Request")),
    ];
    for (refusal, status) in expected {
        assert_eq!(told(refusal), status, "{refusal}");
    }
}

#[test]
fn a_page_of_another_site_is_told_from_our_own() {
    let asker =
        |headers: &str| match decode([format!("GET / HTTP/1.1\r\nHost: h:80\r\n{headers}\r\n").as_bytes()])
            .pop()
        {
            Some(Decoded::Request(request)) => request.asker,
            other => panic!("{other:?}"),
        };
    for own in [
        "",
        "Origin: http://h:80\r\n",
        "Origin: https://H:80\r\nSec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: none\r\n",
    ] {
        assert_eq!(asker(own), Asker::Own, "{own}");
    }
    for foreign in [
        "Origin: http://h\r\n",
        "Origin: null\r\n",
        "Origin: h:80\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: http://h:80\r\nSec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n",
    ] {
        assert_eq!(asker(foreign), Asker::Foreign, "{foreign}");
    }
}

#[test]
fn empty_lines_between_requests_are_not_the_start_of_one() {
    let now = Instant::now();
    let mut decoder = RequestDecoder::new();
    decoder.push(b"\r\n\r\n", now);
    assert_eq!(decoder.poll(now), Decoded::Pending(None));
    decoder.push(MARKER.as_bytes(), now);
    assert!(matches!(decoder.poll(now), Decoded::Request(_)));
    decoder.push_end_of_file();
    assert_eq!(decoder.poll(now), Decoded::Ended);
}

#[test]
fn a_request_that_is_cut_off_is_no_request() {
    let now = Instant::now();
    for cut in 1..MARKER.len() {
        let mut decoder = RequestDecoder::new();
        decoder.push(&MARKER.as_bytes()[..cut], now);
        decoder.push_end_of_file();
        assert_eq!(decoder.poll(now), Decoded::Ended, "cut at {cut}");
    }
}

#[test]
fn connections_stay_open_unless_said_otherwise() {
    for (lines, stays) in [
        ("GET / HTTP/1.1\r\nHost: h", true),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive", true),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: close", false),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, CLOSE", false),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nConnection: close", false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", false),
    ] {
        match decode([format!("{lines}\r\n\r\n").as_bytes()]).as_slice() {
            [Decoded::Request(request)] => assert_eq!(request.keep_alive, stays, "{lines}"),
            other => panic!("{lines}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_give_the_same_however_they_are_cut(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), any::<u8>()], 0..200),
        cuts in proptest::collection::vec(1_usize..20, 1..40),
    ) {
        let stream = [b"GET /rfc/1 HTTP/1.1\r\nHost: h\r\n\r\nGET /file/", &bytes[..]].concat();
        let whole = decode([&stream[..]]);
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(decode(pieces), whole);
    }

    #[test]
    fn any_range_stays_within_the_file(size: u64, text in "bytes=[0-9,-]{0,60}") {
        let parts = match RangeSet::parse(text.as_bytes()).map(|set| set.select(size)) {
            Some(Selected::Part(part)) => vec![part],
            Some(Selected::Parts(parts)) => parts,
            _ => Vec::new(),
        };
        let mut last = 0;
        for part in parts {
            prop_assert!(last <= part.start && part.start < part.end && part.end <= size);
            last = part.end;
        }
    }

    #[test]
    fn any_name_comes_out_of_a_path_as_it_went_in(name in "[^/\\pC]{1,40}") {
        let path = format!("GET /file/d/{} HTTP/1.1\r\nHost: h\r\n\r\n", proto::value::file_name::percent_encode(&name));
        match decode([path.as_bytes()]).as_slice() {
            [Decoded::Request(request)] if name != "." && name != ".." => {
                prop_assert_eq!(&request.target, &Target::File(format!("d/{name}").into()));
            }
            [Decoded::Request(request)] => prop_assert_eq!(&request.target, &Target::Nothing),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

//! The request decoder: dialects, refusals, and the promise that only bytes and silence count, never how bytes were cut.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proto::limits::{HEADERS_MAX, LINE_BYTES_MAX, QUIET_CRLF, QUIET_LF, REQUEST_DEADLINE};
use proto::wire::decoder::{Decoded, Reading, RequestDecoder};
use proto::wire::departure::Departure;
use proto::wire::framing::Dialect;
use proto::wire::refusal::{Field, Reason};
use proto::wire::request::Verb;

/// What a stream was decoded to: one line for each result.
fn outcome(decoded: &Decoded<'_>) -> Option<String> {
    match decoded {
        Decoded::Request(request) => {
            let raw = String::from_utf8_lossy(request.raw);
            Some(format!(
                "{:?} of {raw:?} as {} ({})",
                request.verb,
                request.framing.dialect(),
                request.departures
            ))
        }
        Decoded::Refused(refusal) => {
            Some(format!("refused as {}: {}", refusal.framing.dialect(), refusal.reason))
        }
        Decoded::Pending(_) | Decoded::Ended => None,
    }
}

fn drain(decoder: &mut RequestDecoder, now: Instant, outcomes: &mut Vec<String>) {
    while let Some(outcome) = outcome(&decoder.poll(now)) {
        outcomes.push(outcome);
    }
}

/// Decodes a stream that comes in pieces while time stands still, and then falls silent until everything is decided.
fn decode(reading: Reading, pieces: &[&[u8]]) -> Vec<String> {
    let mut now = Instant::now();
    let mut decoder = RequestDecoder::new(reading);
    let mut outcomes = Vec::new();
    for piece in pieces {
        decoder.push(piece, now);
        drain(&mut decoder, now, &mut outcomes);
    }
    loop {
        match decoder.poll(now) {
            Decoded::Pending(Some(wake)) => now = wake,
            Decoded::Pending(None) | Decoded::Ended => return outcomes,
            decoded => outcomes.extend(outcome(&decoded)),
        }
    }
}

fn lenient(stream: &[u8]) -> Vec<String> {
    decode(Reading::Lenient, &[stream])
}

/// The dialects as existing programs write them, each an ADD, a LOOKUP and a LIST.
const DIALECTS: [(Dialect, [&str; 3]); 7] = [
    (
        Dialect::Spec,
        [
            "ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: x y\r\n\r\n",
            "LOOKUP RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: x y\r\n\r\n",
            "LIST ALL P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n\r\n",
        ],
    ),
    (
        Dialect::Original,
        [
            "ADD RFC 1 P2P-CI/1.0\nHost: a\nPost: 1\nTitle: x y\n",
            "LOOKUP RFC 1 P2P-CI/1.0\nHost: a\nPost: 1\nTitle: \n",
            "LIST ALL P2P-CI/1.0\nHost: a\nPost: 1\n",
        ],
    ),
    (
        Dialect::LfBlank,
        [
            "ADD RFC 1 P2P-CI/1.0\nHost: a\nPort: 1\nTitle: x y\n\n",
            "LOOKUP RFC 1 P2P-CI/1.0\nHost: a\nPort: 1\nTitle: x y\n\n",
            "LIST ALL P2P-CI/1.0\nHost: a\nPort: 1\n\n",
        ],
    ),
    (
        Dialect::CrlfPlain,
        [
            "ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: x y\r\n",
            "LOOKUP RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: x y\r\n",
            "LIST ALL P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n",
        ],
    ),
    (
        Dialect::Unterminated,
        [
            "ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: x y",
            "LOOKUP RFC 1 P2P-CI/1.0\nHost: a\nPort: 1\nTitle: x y",
            "LIST ALL P2P-CI/1.0\nHost: a\nPort: 1",
        ],
    ),
    (
        Dialect::Padded,
        [
            "ADD RFC 1 P2P-CI/1.0\nHost: a\nPort: 1\nTitle: x y\n~~~~~~",
            "LOOKUP RFC 1 P2P-CI/1.0\nHost: a\nPort: 1\nTitle: x y\n~~~~~~",
            "LIST ALL P2P-CI/1.0\nHost: a\nPort: 1\n~~~~~~",
        ],
    ),
    (
        Dialect::Tight,
        [
            "ADD RFC 1 P2P-CI/1.0\r\nHost:a\r\nPort:1\r\nTitle:x y\r\n\r\n",
            "LOOKUP RFC 1 P2P-CI/1.0\r\nHost:a\r\n\r\n",
            "LIST ALL P2P-CI/1.0\r\nHost:a\r\n\r\n",
        ],
    ),
];

#[test]
fn every_dialect_is_recognised() {
    for (dialect, requests) in DIALECTS {
        for request in requests {
            let outcomes = lenient(request.as_bytes());
            assert_eq!(outcomes.len(), 1, "{request:?} gave {outcomes:?}");
            assert!(outcomes[0].contains(&format!(" as {dialect} ")), "{request:?} gave {outcomes:?}");
        }
    }
}

#[test]
fn requests_that_mark_their_end_may_be_sent_in_one_segment() {
    for (dialect, requests) in DIALECTS.iter().filter(|(dialect, _)| *dialect != Dialect::Unterminated) {
        let singly: Vec<String> = requests.iter().flat_map(|request| lenient(request.as_bytes())).collect();
        assert_eq!(lenient(requests.concat().as_bytes()), singly, "{dialect}");
    }
}

#[test]
fn a_late_empty_line_belongs_to_the_request_before_it() {
    let [add, lookup, _] = DIALECTS[1].1;
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    let start = Instant::now();
    decoder.push(add.as_bytes(), start);
    assert!(matches!(decoder.poll(start), Decoded::Pending(Some(wake)) if wake == start + QUIET_LF));
    decoder.push(b"\n", start + QUIET_LF / 2);
    let Decoded::Request(request) = decoder.poll(start + QUIET_LF / 2) else { panic!("not complete") };
    assert_eq!(request.framing.dialect(), Dialect::LfBlank);
    // Later than the silence it is only padding before the next request.
    decoder.push(add.as_bytes(), start);
    assert!(matches!(decoder.poll(start + QUIET_LF), Decoded::Request(_)));
    decoder.push(b"\n", start + QUIET_LF * 2);
    assert_eq!(decoder.poll(start + QUIET_LF * 2), Decoded::Pending(None));
    decoder.push(lookup.as_bytes(), start + QUIET_LF * 3);
    assert!(matches!(decoder.poll(start + QUIET_LF * 4), Decoded::Request(_)));
}

#[test]
fn silence_ends_a_request_only_when_everything_needed_is_there() {
    let start = Instant::now();
    for (bytes, patience) in [
        (&b"LIST ALL P2P-CI/1.0\nHost: a\nPort: 1\n"[..], QUIET_LF),
        (b"LIST ALL P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n", QUIET_CRLF),
        (b"LIST ALL P2P-CI/1.0\nHost: a\nPort: 1", QUIET_CRLF),
        (b"QUIT\n", QUIET_LF),
        (b"LIST ALL P2P-CI/1.0\nHost: a\n", REQUEST_DEADLINE),
        (b"LIST ALL P2P-CI/1.0\nHost: a\nPort", REQUEST_DEADLINE),
        (b"ADD RFC 1 P2P-CI/1.0\nHost: a\nPort: 1\n", REQUEST_DEADLINE),
        (b"LIST ALL P2P-CI/1.0", REQUEST_DEADLINE),
    ] {
        let mut decoder = RequestDecoder::new(Reading::Lenient);
        decoder.push(bytes, start);
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(decoder.poll(start), Decoded::Pending(Some(start + patience)), "{shown:?}");
        let just_before = start + patience - Duration::from_nanos(1);
        assert!(matches!(decoder.poll(just_before), Decoded::Pending(_)), "{shown:?}");
        assert!(!matches!(decoder.poll(start + patience), Decoded::Pending(_)), "{shown:?}");
    }
}

#[test]
fn an_open_line_that_is_no_header_begins_the_next_request() {
    let start = Instant::now();
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    decoder.push(b"LIST ALL P2P-CI/1.0\nHost: a\nPort: 1\nLIST A", start);
    assert_eq!(decoder.poll(start), Decoded::Pending(Some(start + QUIET_CRLF)));
    let Decoded::Request(first) = decoder.poll(start + QUIET_CRLF) else { panic!("not complete") };
    assert_eq!(first.framing.dialect(), Dialect::Original);
    decoder.push(b"LL P2P-CI/1.0\nHost: b\nPort: 1\n\n", start + QUIET_CRLF);
    let Decoded::Request(second) = decoder.poll(start + QUIET_CRLF) else { panic!("not complete") };
    assert_eq!(second.framing.dialect(), Dialect::LfBlank);
}

#[test]
fn what_is_refused_before_its_end_is_answered_as_specified() {
    let start = Instant::now();
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    decoder.push(b"ADD RFC 1 P2P-CI/1.0\r\nHost:a\r\n", start);
    let Decoded::Refused(refusal) = decoder.poll(start + REQUEST_DEADLINE) else { panic!("still waiting") };
    assert_eq!((refusal.reason, refusal.framing.dialect()), (Reason::Incomplete, Dialect::Spec));
}

#[test]
fn the_time_that_telling_the_tongue_took_is_no_silence() {
    let began = Instant::now();
    let now = began + QUIET_LF * 10;
    let whole = b"GET RFC 1 P2P-CI/1.0\nHost: a\nOS: x\n";
    let mut decoder = RequestDecoder::opened(Reading::Lenient, whole, began, now);
    assert_eq!(decoder.poll(now), Decoded::Pending(Some(now + QUIET_LF)));
    assert!(matches!(decoder.poll(now + QUIET_LF), Decoded::Request(_)));
    let mut late = RequestDecoder::opened(Reading::Lenient, b"GET", began, now);
    assert_eq!(late.poll(now), Decoded::Pending(Some(began + REQUEST_DEADLINE)));
}

#[test]
fn the_deadline_counts_from_the_first_byte() {
    let start = Instant::now();
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    for second in 0..10u8 {
        let now = start + Duration::from_secs(u64::from(second));
        decoder.push(b"A", now);
        assert_eq!(decoder.poll(now), Decoded::Pending(Some(start + REQUEST_DEADLINE)));
    }
    let Decoded::Refused(refusal) = decoder.poll(start + REQUEST_DEADLINE) else { panic!("still waiting") };
    assert_eq!(refusal.reason, Reason::Incomplete);
    assert_eq!(decoder.poll(start + REQUEST_DEADLINE), Decoded::Ended);
}

#[test]
fn a_refused_request_does_not_hide_the_next() {
    let good = DIALECTS[0].1[0];
    for (bad, reason) in [
        ("ADD RFC -5 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: x\r\n\r\n", "RFC number"),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 0\r\nTitle: x\r\n\r\n", "'Port'"),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 65536\r\nTitle: x\r\n\r\n", "'Port'"),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost: two words\r\nPort: 1\r\nTitle: x\r\n\r\n", "'Host'"),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: \r\n\r\n", "'Title' is empty"),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: a\0b\r\n\r\n", "control"),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n\r\n", "'Title' header is missing"),
        (
            "ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nPost: 2\r\nTitle: x\r\n\r\n",
            "'Port' header comes twice",
        ),
        ("ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nno colon\r\nPort: 1\r\nTitle: x\r\n\r\n", "no colon"),
        ("ADD RFC 1 P2P-CI/2.0\r\nHost: a\r\nPort: 1\r\nTitle: x\r\n\r\n", "version"),
        ("ADD RFC 1\r\nHost: a\r\nPort: 1\r\nTitle: x\r\n\r\n", "request line"),
        ("LIST RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\n\r\n", "request line"),
        ("DEL RFC 1 P2P-CI/1.0\r\nHost: a\r\n\r\n", "method"),
        ("ADD RFC 1 P2P-CI/1.0\nHost: a\nPort: 1\n", "'Title' header is missing"),
        ("QUIT\r\n\r\n", "request line"),
    ] {
        let outcomes = lenient([bad, good].concat().as_bytes());
        assert_eq!(outcomes.len(), 2, "{bad:?} gave {outcomes:?}");
        assert!(
            outcomes[0].starts_with("refused") && outcomes[0].contains(reason),
            "{bad:?} gave {outcomes:?}"
        );
        assert!(outcomes[1].starts_with("Add("), "{bad:?} gave {outcomes:?}");
    }
}

#[test]
fn framing_in_doubt_ends_the_conversation() {
    let good = DIALECTS[0].1[0];
    let line = |length: usize| format!("ADD RFC 1 P2P-CI/1.0\r\nX: {}\r\n", "a".repeat(length - 3));
    let rest = "Host: a\r\nPort: 1\r\nTitle: x\r\n\r\n";
    assert!(
        lenient((line(LINE_BYTES_MAX) + rest).as_bytes())[0].starts_with("Add("),
        "the limit itself is allowed"
    );
    let headers = |count: usize| format!("LIST ALL P2P-CI/1.0\r\n{}\r\n", "X: 1\r\n".repeat(count));
    assert!(lenient(headers(HEADERS_MAX).as_bytes())[0].starts_with("List("));
    let long_head = format!("LIST ALL P2P-CI/1.0\r\n{}", format!("X: {}\r\n", "a".repeat(4000)).repeat(5));
    for (bad, reason) in [
        (line(LINE_BYTES_MAX + 1) + rest, "longer than 8192"),
        ("A".repeat(1 << 20), "longer than 8192"),
        (headers(HEADERS_MAX + 1), "32 header"),
        (long_head, "longer than 16384"),
        ("ADD RFC 1 P2P-CI/1.0\r\nContent-Length: 5\r\n".to_owned() + rest, "no body"),
        ("\u{80}\u{4}".to_owned(), "no letter"),
        ("\0\0\0\x10".to_owned(), "no letter"),
    ] {
        let outcomes = lenient([bad.as_str(), good].concat().as_bytes());
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        assert!(outcomes[0].contains(reason), "{outcomes:?}");
    }
}

#[test]
fn the_end_of_the_connection_is_no_request() {
    let now = Instant::now();
    for (bytes, found) in [
        (&b""[..], None),
        (b"\r\n\r\n", None),
        (
            b"ADD RFC 1 P2P-CI/1.0\r\nHost: a",
            Some("refused as spec: the connection ended in the middle of the request"),
        ),
        (b"LIST ALL P2P-CI/1.0\nHost: a\nPort: 1", Some("List(")),
        (b"LIST ALL P2P-CI/1.0\nHost: a\nPort: 1\n", Some("List(")),
    ] {
        let mut decoder = RequestDecoder::new(Reading::Lenient);
        decoder.push(bytes, now);
        decoder.push_end_of_file();
        let first = outcome(&decoder.poll(now));
        assert_eq!(first.is_some(), found.is_some(), "{first:?}");
        assert!(first.unwrap_or_default().starts_with(found.unwrap_or_default()));
        assert_eq!(decoder.poll(now), Decoded::Ended);
    }
}

#[test]
fn only_line_feeds_end_a_line() {
    for odd in ["\u{2028}", "\u{b}", "\u{1c}", "\u{85}", "\r"] {
        let stream = format!("ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPort: 1\r\nTitle: x{odd}Title: y\r\n\r\n");
        let outcomes = lenient(stream.as_bytes());
        assert_eq!(outcomes.len(), 1);
        let stored = odd == "\u{2028}" && outcomes[0].starts_with("Add(");
        assert!(stored || outcomes[0].contains("control character"), "{odd:?} gave {outcomes:?}");
    }
}

#[test]
fn header_names_come_in_any_case_and_order() {
    let outcomes = lenient(b"ADD RFC 7 P2P-CI/1.0\r\nTITLE: t\r\nport: 9\r\nX-Else: 1\r\nhOsT: h\r\n\r\n");
    assert!(outcomes[0].starts_with("Add("), "{outcomes:?}");
}

#[test]
fn strict_reading_names_the_departure() {
    let mut decoder = RequestDecoder::new(Reading::Strict);
    let now = Instant::now();
    decoder.push(b"ADD RFC 1 P2P-CI/1.0\r\nHost: a\r\nPost: 1\r\nTitle: x\r\n\r\n", now);
    let Decoded::Refused(refusal) = decoder.poll(now) else { panic!("accepted") };
    assert_eq!(refusal.reason, Reason::Strict(Departure::PostForPort));
    let [spec, _, _] = DIALECTS[0].1;
    assert!(decode(Reading::Strict, &[spec.as_bytes()])[0].starts_with("Add("));
    for (dialect, [request, ..]) in &DIALECTS[1..] {
        let outcomes = decode(Reading::Strict, &[request.as_bytes()]);
        assert!(outcomes[0].starts_with("refused"), "{dialect} gave {outcomes:?}");
    }
}

#[test]
fn departures_are_explained_in_a_sentence() {
    let outcomes = lenient(DIALECTS[1].1[0].as_bytes());
    let sentence =
        "lines end in LF, they should end in CRLF; 'Post' should be 'Port'; no empty line after the headers";
    assert!(outcomes[0].contains(sentence), "{outcomes:?}");
    assert!(lenient(DIALECTS[0].1[0].as_bytes())[0].ends_with("()"));
}

#[test]
fn missing_headers_are_named() {
    let now = Instant::now();
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    decoder.push(b"ADD RFC 1 P2P-CI/1.0\r\nPort: 1\r\nTitle: x\r\n\r\n", now);
    let Decoded::Refused(refusal) = decoder.poll(now) else { panic!("accepted") };
    assert_eq!(refusal.reason, Reason::Missing(Field::Host));
    decoder.push(b"GET RFC 1 P2P-CI/1.0\r\n\r\n", now);
    let Decoded::Request(request) = decoder.poll(now) else { panic!("refused") };
    assert!(matches!(request.verb, Verb::Get(_)));
    assert!(request.departures.contains(Departure::NoHost) && request.departures.contains(Departure::NoOs));
}

#[test]
fn what_lookup_and_list_do_not_need_may_be_empty() {
    for request in [
        "LOOKUP RFC 1 P2P-CI/1.0\r\nHost: \r\nPort:\r\nTitle:\r\n\r\n",
        "LIST ALL P2P-CI/1.0\r\nHost:\r\nPort: \r\n\r\n",
    ] {
        let outcomes = lenient(request.as_bytes());
        assert!(outcomes[0].contains("host: None, port: None"), "{outcomes:?}");
    }
    let wrong = lenient(b"LIST ALL P2P-CI/1.0\r\nHost: a\r\nPort: 0\r\n\r\n");
    assert!(wrong[0].contains("'Port' is not a number from 1 to 65535"), "{wrong:?}");
}

/// A stream of good and bad requests in mixed dialects, garbage included.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let dialects: Vec<Vec<u8>> = DIALECTS
        .iter()
        .flat_map(|(_, requests)| requests.map(|request| request.as_bytes().to_vec()))
        .collect();
    let part = prop_oneof![
        6 => proptest::sample::select(dialects),
        1 => Just(b"QUIT\n".to_vec()),
        1 => Just(b"\r\n~~ \n".to_vec()),
        1 => Just(b"ADD RFC x P2P-CI/1.0\r\nHost: a\r\n\r\n".to_vec()),
        1 => proptest::collection::vec(proptest::sample::select(b"AL:~ \r\n1P2-CI/.0\0\xff".to_vec()), 0..20),
    ];
    proptest::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

/// Requests of nearly the usual shape: a few bytes of one are others, or gone, or there twice.
fn nearly_canonical() -> impl Strategy<Value = Vec<u8>> {
    let usual = [&DIALECTS[0].1[0], &DIALECTS[0].1[1], &DIALECTS[2].1[0], &DIALECTS[2].1[1]]
        .map(|text| text.repeat(2));
    let bytes = || proptest::sample::select(b"\r\n :~1A\0\t\x7f\xc3".to_vec());
    let change = (any::<proptest::sample::Index>(), 0..3usize, bytes());
    let changes = proptest::collection::vec(change, 0..3);
    (proptest::sample::select(usual.to_vec()), changes).prop_map(|(text, changes)| {
        let mut stream = text.into_bytes();
        for (at, kind, byte) in changes {
            let at = at.index(stream.len());
            match kind {
                0 => stream[at] = byte,
                1 => drop(stream.remove(at)),
                _ => stream.insert(at, byte),
            }
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn what_is_read_in_one_go_is_what_is_read_byte_by_byte(stream in nearly_canonical(), is_strict in any::<bool>()) {
        let reading = if is_strict { Reading::Strict } else { Reading::Lenient };
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(decode(reading, &[&stream]), decode(reading, &bytes));
    }

    #[test]
    fn every_cut_gives_the_same_answers(stream in streams(), cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let whole = lenient(&stream);
        prop_assert_eq!(&decode(Reading::Lenient, &pieces), &whole);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&decode(Reading::Lenient, &bytes), &whole);
    }

    #[test]
    fn any_bytes_are_decoded_without_panic(stream in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let outcomes = lenient(&stream);
        prop_assert!(outcomes.len() <= stream.len());
    }
}

#[test]
fn every_single_cut_of_a_long_stream_gives_the_same_answers() {
    let stream: String = DIALECTS
        .iter()
        .filter(|(dialect, _)| *dialect != Dialect::Unterminated)
        .flat_map(|(_, requests)| *requests)
        .collect();
    let whole = lenient(stream.as_bytes());
    assert_eq!(whole.len(), 18);
    for cut in 0..=stream.len() {
        let (first, second) = stream.as_bytes().split_at(cut);
        assert_eq!(decode(Reading::Lenient, &[first, second]), whole, "cut at {cut}");
    }
}

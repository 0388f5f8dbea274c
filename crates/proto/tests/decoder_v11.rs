//! The request decoder and P2P-CI/1.1: bodies, cuts and deadlines, with time as an argument.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::time::{Duration, Instant};

use proto::limits::{BODY_DEADLINE, QUIET_CRLF, REQUEST_DEADLINE};
use proto::wire::decoder::{Decoded, Reading, RequestDecoder};
use proto::wire::refusal::Reason;
use proto::wire::request::Verb;
use proto::wire::version::Version;

const ADD: &[u8] = b"ADD FILES P2P-CI/1.1\r\nHost: h\r\nPort: 1\r\nContent-Length: 9\r\n\r\n{\"a\": 1}\n";

/// What the decoder says, in words.
fn said(decoded: &Decoded<'_>) -> String {
    match decoded {
        Decoded::Request(request) => match &request.verb {
            Verb::V11(ask) => format!("{ask:?}"),
            _ => String::from_utf8_lossy(request.raw).into_owned(),
        },
        Decoded::Refused(refusal) => format!("{:?} in {:?}", refusal.reason, refusal.version),
        Decoded::Pending(_) => "pending".to_owned(),
        Decoded::Ended => "ended".to_owned(),
    }
}

/// Everything that is said about these pieces, which all come at once.
fn heard(pieces: &[&[u8]], reading: Reading) -> Vec<String> {
    let now = Instant::now();
    let (mut decoder, mut heard) = (RequestDecoder::new(reading), Vec::new());
    for piece in pieces {
        decoder.push(piece, now);
        loop {
            match decoder.poll(now) {
                Decoded::Pending(_) | Decoded::Ended => break,
                decoded => heard.push(said(&decoded)),
            }
        }
    }
    heard
}

#[test]
fn every_cut_gives_the_same_requests() {
    let old: &[u8] = b"LIST ALL P2P-CI/1.0\r\nHost: h\r\nPort: 1\r\n\r\n";
    let odd: &[u8] = b"EAT ALL P2P-CI/1.1\r\nContent-Length: 5\r\n\r\nA B\r\n";
    let end: &[u8] = b"PING ALL P2P-CI/1.1\r\nno colon\r\n\r\nPING ALL P2P-CI/1.1\r\n\r\n";
    let bytes = [ADD, b"\r\n", old, odd, ADD, end].concat();
    for reading in [Reading::Lenient, Reading::Strict] {
        let whole = heard(&[&bytes], reading);
        assert_eq!(whole.len(), 5, "{whole:#?}");
        assert_eq!(whole[2], "UnknownMethodV11 in V1_1");
        assert_eq!(whole[4], "Framing in V1_1");
        for cut in 0..bytes.len() {
            let (one, other) = bytes.split_at(cut);
            assert_eq!(heard(&[one, other], reading), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(heard(&single, reading), whole);
    }
}

/// Pushes these bytes, polls until `time` is over, and gives the refusal with the moment at which it came.
fn refused_after(bytes: &[u8], time: Duration) -> Option<(Reason, Version, Duration)> {
    let began = Instant::now();
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    decoder.push(bytes, began);
    let mut now = began;
    loop {
        match decoder.poll(now) {
            Decoded::Pending(Some(wake)) if wake <= began + time => now = wake,
            Decoded::Pending(_) => return None,
            Decoded::Refused(refusal) => return Some((refusal.reason, refusal.version, now - began)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn silence_ends_no_request_and_deadlines_refuse_it() {
    let head = ADD.strip_suffix(b"\r\n{\"a\": 1}\n").unwrap();
    assert_eq!(refused_after(head, QUIET_CRLF * 10), None);
    let late = Some((Reason::Incomplete, Version::V1_1, REQUEST_DEADLINE));
    assert_eq!(refused_after(head, BODY_DEADLINE * 2), late);
    let body = ADD.strip_suffix(b"\n").unwrap();
    assert_eq!(refused_after(body, BODY_DEADLINE - Duration::from_millis(1)), None);
    let late = Some((Reason::BodyIncomplete, Version::V1_1, BODY_DEADLINE));
    assert_eq!(refused_after(body, BODY_DEADLINE * 2), late);
}

#[test]
fn what_comes_after_a_refusal_that_closes_is_not_read() {
    for bad in ["Content-Length: x", "Content-Length: 1048577", "Transfer-Encoding: chunked", "A : b", ": b"]
    {
        let bytes = format!("ADD FILES P2P-CI/1.1\r\nHost: h\r\n{bad}\r\n\r\nPING ALL P2P-CI/1.1\r\n\r\n");
        let now = Instant::now();
        let mut decoder = RequestDecoder::new(Reading::Lenient);
        decoder.push(bytes.as_bytes(), now);
        let closes = match decoder.poll(now) {
            Decoded::Refused(refusal) => refusal.reason.closes(),
            other => panic!("{other:?}"),
        };
        assert!(closes, "{bad}");
        assert_eq!(decoder.poll(now), Decoded::Ended, "{bad}");
    }
}

#[test]
fn a_decoder_is_idle_when_a_new_one_would_go_on_just_the_same() {
    let now = Instant::now();
    let ping: &[u8] = b"PING ALL P2P-CI/1.1\r\n\r\n";
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    assert!(decoder.is_idle());
    // No bytes are none: no time begins with them.
    decoder.push(b"", now);
    assert_eq!((said(&decoder.poll(now)).as_str(), decoder.is_idle()), ("pending", true));
    assert!(matches!(decoder.poll(now + REQUEST_DEADLINE), Decoded::Pending(None)));
    decoder.push(&ping[..5], now);
    assert!(!decoder.is_idle(), "a request is begun");
    decoder.push(&ping[5..], now);
    assert!(matches!(decoder.poll(now), Decoded::Request(_)));
    assert!(matches!(decoder.poll(now), Decoded::Pending(None)));
    assert!(decoder.is_idle(), "it is answered");
    decoder.push_end_of_file();
    assert!(!decoder.is_idle(), "a new one would wait for more");
    let mut refused = RequestDecoder::new(Reading::Lenient);
    refused.push(b"PING ALL P2P-CI/1.1\r\nno colon\r\n\r\n", now);
    assert!(matches!(refused.poll(now), Decoded::Refused(_)));
    assert!(matches!(refused.poll(now), Decoded::Ended));
    assert!(!refused.is_idle(), "a new one would take what comes after a framing in doubt");
    refused.push(ping, now);
    assert!(matches!(refused.poll(now), Decoded::Ended));
}

#[test]
fn a_body_that_is_cut_off_by_the_end_is_refused_at_once() {
    let now = Instant::now();
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    decoder.push(&ADD[..ADD.len() - 1], now);
    assert!(matches!(decoder.poll(now), Decoded::Pending(Some(_))));
    decoder.push_end_of_file();
    assert_eq!(said(&decoder.poll(now)), "EndOfFile in V1_1");
    assert!(matches!(decoder.poll(now), Decoded::Ended));
}

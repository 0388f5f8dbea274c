//! Handshakes that do not come to their end, on either side, and what people are told of it.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use rcgen::CertificateParams;

use super::{Secure, certified, expire, fails, list};
use crate::world::{Authority, Index, PATIENCE, Raw, spec};

/// How long a handshake may take, on both sides.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The beginning of a ClientHello of 508 bytes, and no more of it.
const CUT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random";
/// A record's head, and nothing behind it.
const RECORD_HEAD: &[u8] = b"\x16\x03\x01\x02\x00";

/// What the index tells of a connection that came to nothing.
fn told(secure: &Secure, reason: &str) {
    secure.index.wait_event(reason, |event| event["type"] == "not_served" && event["reason"] == reason);
}

#[test]
fn half_a_handshake_ends_in_time_is_told_and_nobody_else_notices() {
    let secure = Secure::with(&["--tls"]);
    let before = secure.index.status();
    let began = Instant::now();
    let mut silent = secure.index.raw();
    silent.send(RECORD_HEAD);
    let mut cut = secure.index.raw();
    cut.send(CUT_HELLO);
    cut.end_sending();
    // There may be an alert; what counts is that it ends.
    let _ = cut.try_to_end();
    told(&secure, "it closed in the middle of the TLS handshake");
    // What is no handshake although it begins like one.
    let mut junk = secure.index.raw();
    junk.send(b"\x16\x03\x01\x00\x05hello");
    let _ = junk.try_to_end();
    secure.index.wait_event("the junk in the log", |event| {
        event["type"] == "not_served" && event["reason"].to_string().contains("TLS handshake")
    });
    // Meanwhile everybody else is served, in TLS and in plain text.
    assert_eq!(list(&secure.address(), &[]).code, Some(3));
    secure.index.raw().exchange(spec::LIST, spec::NOT_FOUND);
    let _ = silent.try_to_end();
    let took = began.elapsed();
    assert!(took >= HANDSHAKE && took < 5 * HANDSHAKE, "{took:?}");
    told(&secure, "no TLS handshake within 10 s");
    crate::world::wait_for(PATIENCE, "everything to be as before", || {
        let now = secure.index.status();
        ((now.peers, now.tasks) == (before.peers, before.tasks)).then_some(())
    });
}

/// What somebody who answers so is to `list`: the exit code is 4, and this is said.
fn says(answer: &'static [u8], keeps_open: bool, sentence: &str) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut raw = Raw::from(socket);
        // The ClientHello, so that closing is no reset.
        raw.segment_within(PATIENCE).expect("a hello");
        raw.send(answer);
        if keeps_open {
            let _ = raw.try_to_end();
        }
    });
    let server = format!("tls://127.0.0.1:{port}#{}", "0a".repeat(32));
    let done = list(&server, &[]);
    serving.join().unwrap();
    fails(&done, 4, &[sentence]);
}

#[test]
fn whoever_does_not_end_the_handshake_is_told_from_one_who_speaks_none() {
    says(
        b"",
        true,
        "it did not answer the TLS handshake within 10 s; is it TLS that is spoken on this port?",
    );
    says(b"", false, "it closed the connection during the TLS handshake");
    says(b"\x16\x03\x03\x00\x7a\x02", false, "it closed the connection during the TLS handshake");
    says(
        b"P2P-CI/1.0 400 Bad Request\r\n\r\n",
        false,
        "it does not speak TLS on this port: leave tls:// away",
    );
    // An alert: handshake_failure.
    says(b"\x15\x03\x03\x00\x02\x02\x28", false, "the TLS handshake failed: received fatal alert");
}

fn early(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2901, 1, 1);
    params.not_after = rcgen::date_time_ymd(2902, 1, 1);
}

/// Whole lines, as a user reads them.
#[test]
fn why_there_is_no_secure_connection_is_said_in_one_line() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (_good, good) = certified(&ours.sign("localhost", |_| {}), &[]);
    let (_over, over) = certified(&ours.sign("localhost", expire), &[]);
    let (_early, soon) = certified(&ours.sign("localhost", early), &[]);
    let speaks_none = Index::start();
    let plain = format!("tls://localhost:{}", speaks_none.port());
    let untrusted =
        |why: &str| format!("its certificate is not to be trusted: {why} (--tls-ca names the authority)");
    for (server, ca, why) in [
        (&good, &theirs, untrusted("no authority that we were told to believe has signed it")),
        (&over, &ours, untrusted("its time is over")),
        (&soon, &ours, untrusted("its time has not come yet; is a clock wrong?")),
        (
            &plain,
            &ours,
            "it does not speak TLS on this port: leave tls:// away, or switch TLS on there (--tls)"
                .to_owned(),
        ),
    ] {
        let done = list(server, &["--tls-ca", &ca.file("ca.pem")]);
        let place = server.trim_start_matches("tls://");
        let line = format!("p2pci: no secure connection to the index {place}: {why}\n");
        assert_eq!((done.code, done.stderr), (Some(4), line));
    }
}

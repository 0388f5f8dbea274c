//! TLS at the door: told by the first byte, taken within a bound, and to both sides the same stream as any other.

use super::{LIMIT, Server, echo, hear, policy, say};
use net::accept::{AcceptNotice, Policy};
use net::stream::{Stream, WriteError};
use net::tls::pki_types::{CertificateDer, PrivateKeyDer};
use net::tls::{Acceptor, Connector, HandshakeError, Identity, authorities};
use rcgen::{CertificateParams, CertifiedIssuer, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

fn identity_of(certificate: &CertificateDer<'static>, key: &KeyPair) -> Identity {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Identity::new(vec![certificate.clone()], key).unwrap()
}

fn self_signed(key: &KeyPair) -> Identity {
    identity_of(params("localhost").self_signed(key).unwrap().der(), key)
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key()).unwrap()
}

fn signed(params: &CertificateParams, authority: &Issuer<'_, KeyPair>) -> Identity {
    let key = key();
    identity_of(params.signed_by(&key, authority).unwrap().der(), &key)
}

fn taking_tls(identity: &Identity) -> Policy {
    Policy { tls: Some(Acceptor::new(identity, None).unwrap()), ..policy() }
}

async fn secured(server: &Server, connector: &Connector) -> Result<Stream, HandshakeError> {
    connector.secure(server.connect().await, "localhost", LIMIT).await
}

/// Both ends of a connection in TLS.
async fn pair() -> (Stream, Stream) {
    let identity = self_signed(&key());
    let (send, mut streams) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(taking_tls(&identity), move |incoming| {
        let send = send.clone();
        async move { send.send(incoming.stream).unwrap() }
    });
    let mut client =
        secured(&server, &Connector::pinned(identity.fingerprint(), None).unwrap()).await.unwrap();
    say(&mut client, b"GET RFC").await;
    (client, timeout(LIMIT, streams.recv()).await.unwrap().unwrap())
}

async fn read_to_end(stream: &mut Stream) -> std::io::Result<bytes::BytesMut> {
    let mut bytes = bytes::BytesMut::new();
    while timeout(LIMIT, stream.read(&mut bytes)).await.unwrap()? > 0 {}
    Ok(bytes)
}

#[tokio::test]
async fn one_port_takes_tls_and_plain_text() {
    let identity = self_signed(&key());
    let server = Server::start(taking_tls(&identity), echo);
    let connector = Connector::pinned(identity.fingerprint(), None).unwrap();
    let mut secure = secured(&server, &connector).await.unwrap();
    let mut plain = server.connect().await;
    for stream in [&mut secure, &mut plain] {
        say(stream, b"LIST ALL ").await;
        hear(stream, b"LIST ALL ").await;
    }
    assert!(secure.is_secure() && !plain.is_secure());
}

#[tokio::test]
async fn a_renewed_certificate_keeps_its_fingerprint_and_another_key_does_not() {
    let key = key();
    let (old, new) = (self_signed(&key), self_signed(&key));
    assert_eq!(old.fingerprint(), new.fingerprint());
    let other = self_signed(&self::key());
    let server = Server::start(taking_tls(&other), echo);
    let error = secured(&server, &Connector::pinned(old.fingerprint(), None).unwrap()).await.unwrap_err();
    let HandshakeError::OtherKey { expected, found } = error else { panic!("{error}") };
    assert_eq!((expected, found), (old.fingerprint(), other.fingerprint()));
}

#[tokio::test]
async fn an_authority_vouches_for_a_name_and_a_time() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let roots = |of: &CertifiedIssuer<'_, KeyPair>| authorities(vec![of.as_ref().der().clone()]).unwrap();
    let trusting = Connector::trusting(roots(&ours), None).unwrap();
    let good = Server::start(taking_tls(&signed(&params("localhost"), &ours)), echo);
    secured(&good, &trusting).await.unwrap();
    let mut expired = params("localhost");
    expired.not_before = rcgen::date_time_ymd(2001, 1, 1);
    expired.not_after = rcgen::date_time_ymd(2002, 1, 1);
    for (identity, word) in [
        (signed(&params("localhost"), &theirs), "no authority that we were told to believe"),
        (signed(&expired, &ours), "its time is over"),
        (signed(&params("elsewhere"), &ours), "not valid for name"),
    ] {
        let server = Server::start(taking_tls(&identity), echo);
        let error = secured(&server, &trusting).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Untrusted(_)) && error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn where_clients_need_a_certificate_others_do_not_get_in() {
    let ours = authority("ours");
    let identity = self_signed(&key());
    let roots = authorities(vec![ours.as_ref().der().clone()]).unwrap();
    let tls = Some(Acceptor::new(&identity, Some(roots)).unwrap());
    let mut server = Server::start(Policy { tls, ..policy() }, echo);
    let own = signed(&params("a peer"), &ours);
    let mut known =
        secured(&server, &Connector::pinned(identity.fingerprint(), Some(&own)).unwrap()).await.unwrap();
    say(&mut known, b"LIST ALL ").await;
    hear(&mut known, b"LIST ALL ").await;
    let mut stranger =
        secured(&server, &Connector::pinned(identity.fingerprint(), None).unwrap()).await.unwrap();
    // Only after its own last word does a client hear that it is not believed.
    let heard = read_to_end(&mut stranger).await.unwrap_err();
    assert!(heard.to_string().contains("certificate"), "{heard}");
    let notice = server.other_notice().await;
    assert!(matches!(notice, AcceptNotice::HandshakeFailed { .. }), "{notice:?}");
}

#[tokio::test]
async fn whoever_speaks_no_tls_is_named_as_such() {
    let server = Server::start(policy(), |mut incoming: net::accept::Incoming| async move {
        say(&mut incoming.stream, b"P2P-CI/1.0 400 Bad Request\r\n\r\n").await;
        incoming.stream.close_lingering(LIMIT).await;
    });
    let connector = Connector::pinned(self_signed(&key()).fingerprint(), None).unwrap();
    let error = secured(&server, &connector).await.unwrap_err();
    assert!(matches!(error, HandshakeError::NotTls), "{error}");
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let stream = Stream::connect(silent.local_addr().unwrap(), LIMIT).await.unwrap();
    let error = connector.secure(stream, "localhost", Duration::from_millis(100)).await.unwrap_err();
    assert!(matches!(error, HandshakeError::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn half_a_handshake_is_cut_after_ten_seconds_and_holds_up_nobody() {
    let identity = self_signed(&key());
    let mut server = Server::start(taking_tls(&identity), echo);
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"\x16\x03\x01").await.unwrap();
    let connector = Connector::pinned(identity.fingerprint(), None).unwrap();
    let mut whole = secured(&server, &connector).await.unwrap();
    say(&mut whole, b"LIST ALL ").await;
    hear(&mut whole, b"LIST ALL ").await;
    let notice = timeout(Duration::from_secs(50), server.other_notice()).await.unwrap();
    let AcceptNotice::HandshakeFailed { error: HandshakeError::TimedOut(_), .. } = notice else {
        panic!("{notice:?}")
    };
    assert_eq!(timeout(LIMIT, half.read(&mut [0; 64])).await.unwrap().unwrap_or(0), 0);
}

#[tokio::test]
async fn bytes_come_whole_through_a_slow_reader_and_the_end_is_declared() {
    let (client, mut server) = pair().await;
    let sent: Vec<u8> = (0..8_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        server.write_all(&sent, Duration::from_secs(5)).await.unwrap();
        server.close_lingering(LIMIT).await;
    });
    let (mut taken, mut piece) = (Vec::new(), vec![0; 100_000]);
    loop {
        timeout(LIMIT, client.readable()).await.unwrap().unwrap();
        match client.try_read(&mut piece) {
            Ok(0) => break,
            Ok(count) => taken.extend_from_slice(&piece[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        if taken.len() < 1_000_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(taken == expected);
    drop(client);
    writing.await.unwrap();
}

#[tokio::test]
async fn what_one_write_left_over_leaves_while_the_writer_only_waits_to_read() {
    let (mut client, mut server) = pair().await;
    // More than the system takes: until nothing fits any more.
    let mut written = 0;
    while let Ok(count) = server.try_write(&[7; 100_000]) {
        written += count;
        tokio::task::yield_now().await;
    }
    assert!(written > 64 * 1024, "{written}");
    let waiting = tokio::spawn(async move {
        let mut word = bytes::BytesMut::new();
        server.read(&mut word).await.unwrap();
        word
    });
    let mut heard = bytes::BytesMut::new();
    while heard.len() < written {
        assert!(timeout(LIMIT, client.read(&mut heard)).await.unwrap().unwrap() > 0);
    }
    say(&mut client, b"thanks").await;
    assert_eq!(&timeout(LIMIT, waiting).await.unwrap().unwrap()[..], b"thanks");
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_a_stall_in_tls_too() {
    let (_client, mut server) = pair().await;
    let result =
        timeout(LIMIT, server.write_all(&vec![0; 64 << 20], Duration::from_millis(200))).await.unwrap();
    assert!(matches!(result, Err(WriteError::Stalled)), "{result:?}");
}

#[tokio::test]
async fn an_end_that_was_not_declared_is_an_error_to_whoever_was_to_receive() {
    let (mut client, server) = pair().await;
    drop(server);
    assert_eq!(read_to_end(&mut client).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let (mut client, server) = pair().await;
    server.close();
    assert_eq!(read_to_end(&mut client).await.unwrap().len(), 0);
    let (client, mut server) = pair().await;
    drop(client);
    assert_eq!(read_to_end(&mut server).await.unwrap().len(), 0, "a request says itself where it ends");
}

#[tokio::test]
async fn an_end_is_seen_although_nobody_reads() {
    for words in [&b""[..], b"unread"] {
        let (mut client, server) = pair().await;
        timeout(Duration::from_millis(50), server.ended()).await.unwrap_err();
        if !words.is_empty() {
            say(&mut client, words).await;
        }
        client.close();
        timeout(LIMIT, server.ended()).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_is_sent_through_tls_as_it_is() {
    let content: Vec<u8> = (0..3_000_001_u32).map(|at| u8::try_from(at % 239).unwrap()).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    let file = Arc::new(file);
    let (mut client, mut server) = pair().await;
    let sending = tokio::spawn(async move {
        server.send_file(file, 1, 3_000_000, LIMIT).await.unwrap();
        server.close_lingering(LIMIT).await;
    });
    assert!(read_to_end(&mut client).await.unwrap() == content[1..]);
    drop(client);
    sending.await.unwrap();
}

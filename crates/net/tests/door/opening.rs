//! What the handler gets, and when.

use crate::{LIMIT, Server, policy, say};
use bytes::BytesMut;
use net::accept::{AcceptNotice, Incoming};
use net::limits::FIRST_BYTES_WAIT;
use net::stream::Stream;
use proto::tongue::Tongue;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

/// A server whose handler only hands on what it got.
fn start() -> (Server, UnboundedReceiver<Incoming>) {
    let (sender, receiver) = unbounded_channel();
    let server = Server::start(policy(), move |incoming| {
        let sender = sender.clone();
        async move {
            let _ = sender.send(incoming);
        }
    });
    (server, receiver)
}

async fn next(receiver: &mut UnboundedReceiver<Incoming>, limit: Duration) -> Incoming {
    timeout(limit, receiver.recv()).await.unwrap().unwrap()
}

/// All bytes of a connection, those that were read ahead first.
async fn whole(mut incoming: Incoming) -> BytesMut {
    let mut bytes = incoming.first.split();
    while timeout(LIMIT, incoming.stream.read(&mut bytes)).await.unwrap().unwrap() > 0 {}
    bytes
}

#[tokio::test]
async fn the_tongue_is_told_and_no_byte_is_lost() {
    let (server, mut receiver) = start();
    let long = [b"LIST ALL P2P-CI/1.0\r\n".as_slice(), &[b'x'; 10_000]].concat();
    for (words, tongue) in [
        (b"ADD RFC 1 P2P-CI/1.0\r\n".as_slice(), Tongue::P2pCi),
        (b"GET /rfc1.txt HTTP/1.1\r\n".as_slice(), Tongue::Http),
        (b"\x16\x03\x01".as_slice(), Tongue::Tls),
        (&long, Tongue::P2pCi),
    ] {
        let mut client = server.connect().await;
        say(&mut client, words).await;
        client.shutdown_write().unwrap();
        let incoming = next(&mut receiver, LIMIT).await;
        assert_eq!(incoming.tongue, Some(tongue));
        assert_eq!(incoming.source, client.local_addr().unwrap());
        assert_eq!(incoming.local, SocketAddr::from(([127, 0, 0, 1], server.address.port())));
        assert!(!incoming.first.is_empty());
        assert!(whole(incoming).await == words);
    }
}

#[tokio::test]
async fn one_byte_at_a_time_tells_the_same_tongue() {
    let (server, mut receiver) = start();
    let mut client = server.connect().await;
    for byte in b"GET /rfc1.txt HTTP/1.1\r\n" {
        say(&mut client, &[*byte]).await;
        tokio::task::yield_now().await;
    }
    client.shutdown_write().unwrap();
    let incoming = next(&mut receiver, LIMIT).await;
    assert_eq!(incoming.tongue, Some(Tongue::Http));
    assert_eq!(whole(incoming).await, b"GET /rfc1.txt HTTP/1.1\r\n"[..]);
}

#[tokio::test]
async fn an_end_before_the_tongue_is_told_goes_to_the_handler_at_once() {
    let (server, mut receiver) = start();
    let mut client = server.connect().await;
    say(&mut client, b"GE").await;
    let began = Instant::now();
    client.shutdown_write().unwrap();
    let incoming = next(&mut receiver, LIMIT).await;
    assert!(began.elapsed() < FIRST_BYTES_WAIT);
    assert_eq!((incoming.tongue, &incoming.first[..]), (None, &b"GE"[..]));
}

#[tokio::test]
async fn too_many_undecided_bytes_go_to_the_handler_at_once() {
    let (server, mut receiver) = start();
    let mut client = server.connect().await;
    say(&mut client, &[b'\n'; 100_000]).await;
    let incoming = next(&mut receiver, FIRST_BYTES_WAIT / 2).await;
    assert_eq!(incoming.tongue, None);
    assert!(incoming.first.len() < 2048);
}

#[tokio::test]
async fn a_connection_that_began_and_fell_silent_reaches_the_handler_in_time_and_a_silent_one_waits() {
    let (mut server, mut receiver) = start();
    let _silent = server.connect().await;
    assert!(matches!(server.notice().await, AcceptNotice::Connected { .. }));
    let mut client = server.connect().await;
    assert!(matches!(server.notice().await, AcceptNotice::Connected { .. }));
    let began = std::time::Instant::now();
    say(&mut client, b"GE").await;
    let incoming = next(&mut receiver, FIRST_BYTES_WAIT * 5).await;
    assert_eq!((incoming.tongue, &incoming.first[..]), (None, &b"GE"[..]));
    assert!(began.elapsed() >= FIRST_BYTES_WAIT);
    assert!(incoming.first_byte_at >= began && incoming.first_byte_at.elapsed() >= FIRST_BYTES_WAIT);
    // The silent one has waited longer than that and is still neither ended nor handed on.
    assert!(receiver.try_recv().is_err() && server.notices.try_recv().is_err());
}

#[tokio::test]
async fn a_connection_without_a_word_only_ends() {
    let (mut server, mut receiver) = start();
    let endings: [fn(Stream); 2] = [drop, Stream::abort];
    for end in endings {
        let client = server.connect().await;
        let from = client.local_addr().unwrap();
        end(client);
        let notice = server.other_notice().await;
        assert!(matches!(notice, AcceptNotice::EndedUnheard { source } if source == from), "{notice:?}");
    }
    assert!(receiver.try_recv().is_err());
}

//! Who is let in, and that places come back.

use crate::{LIMIT, Server, echo, hear, hear_out, policy, say};
use net::accept::{AcceptNotice, Incoming, Policy, RefusedReason};
use net::stream::Stream;

async fn expect_refused(server: &mut Server, last: u8, reason: RefusedReason) {
    let mut refused = server.connect_from(last).await;
    let from = refused.local_addr().unwrap();
    let notice = server.other_notice().await;
    assert!(
        matches!(notice, AcceptNotice::Refused { source, reason: why } if source == from && why == reason),
        "{notice:?}"
    );
    assert_eq!(hear_out(&mut refused).await, policy().refusal);
}

/// Connects again and again until there is a place: a place comes back when the server has noticed the end.
async fn connect_when_free(server: &mut Server, last: u8) -> Stream {
    let trying = async {
        loop {
            let mut stream = server.connect_from(last).await;
            say(&mut stream, b"QUIT\n").await;
            if hear_out_first(&mut stream).await == b"QUIT\n"[..] {
                return stream;
            }
        }
    };
    tokio::time::timeout(LIMIT, trying).await.unwrap()
}

async fn hear_out_first(stream: &mut Stream) -> bytes::BytesMut {
    let mut heard = bytes::BytesMut::new();
    // A refusal may end in a reset; then there was no place.
    let _ = tokio::time::timeout(LIMIT, stream.read(&mut heard)).await.unwrap();
    heard.truncate(5);
    heard
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let mut server = Server::start(Policy { per_address_max: 2, ..policy() }, echo);
    let mut held = Vec::new();
    for last in [2, 2, 3, 3, 4] {
        let mut stream = server.connect_from(last).await;
        say(&mut stream, b"QUIT\n").await;
        hear(&mut stream, b"QUIT\n").await;
        held.push(stream);
    }
    expect_refused(&mut server, 2, RefusedReason::TooManyFromAddress { max: 2 }).await;
    expect_refused(&mut server, 3, RefusedReason::TooManyFromAddress { max: 2 }).await;
    drop(held.remove(0));
    connect_when_free(&mut server, 2).await;
}

#[tokio::test]
async fn silent_connections_take_at_most_half_of_the_places() {
    let mut server = Server::start(Policy { connections_max: 4, ..policy() }, echo);
    let mut held = Vec::new();
    for last in 2..6 {
        held.push(server.connect_from(last).await);
    }
    let mut gone = 0;
    while gone < 2 {
        match server.other_notice().await {
            AcceptNotice::Refused { reason, .. } => {
                assert_eq!(reason, RefusedReason::MadeRoom { max: 2 });
                gone += 1;
            }
            notice => assert!(matches!(notice, AcceptNotice::EndedUnheard { .. }), "{notice:?}"),
        }
    }
    held.push(connect_when_free(&mut server, 6).await);
    held.push(connect_when_free(&mut server, 7).await);
}

#[tokio::test]
async fn a_flood_of_refusals_does_not_stop_the_loop() {
    let mut server = Server::start(Policy { per_address_max: 1, ..policy() }, echo);
    let _held = server.connect_from(2).await;
    assert!(matches!(server.notice().await, AcceptNotice::Connected { .. }));
    // Far more than are closed politely at once, and none of them closes by itself.
    let mut refused = Vec::new();
    for _ in 0..200 {
        refused.push(server.connect_from(2).await);
        assert!(matches!(server.notice().await, AcceptNotice::Refused { .. }));
    }
    let mut honest = server.connect_from(3).await;
    say(&mut honest, b"QUIT\n").await;
    hear(&mut honest, b"QUIT\n").await;
    for mut stream in refused {
        assert_eq!(hear_out(&mut stream).await, policy().refusal);
    }
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_one_connection_and_gives_its_place_back() {
    async fn fragile(incoming: Incoming) {
        assert_ne!(&incoming.first[..], b"CRASH\n", "a handler that panics is the input of this test");
        echo(incoming).await;
    }
    let mut server = Server::start(Policy { connections_max: 1, ..policy() }, fragile);
    let mut unlucky = server.connect().await;
    say(&mut unlucky, b"CRASH\n").await;
    assert!(hear_out(&mut unlucky).await.is_empty());
    assert!(matches!(server.other_notice().await, AcceptNotice::HandlerPanicked(_)));
    connect_when_free(&mut server, 1).await;
}

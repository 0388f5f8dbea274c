//! The end of serving.

use crate::{LIMIT, Server, echo, hear, hear_out, policy, say};
use net::accept::{AcceptNotice, Incoming, Policy};
use net::stream::Stream;
use std::io::Write as _;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn a_stop_ends_silent_connections_and_waits_for_handlers() {
    let mut server = Server::start(policy(), echo);
    let mut silent = server.connect().await;
    let mut busy = server.connect().await;
    say(&mut busy, b"QUIT\n").await;
    hear(&mut busy, b"QUIT\n").await;
    server.stopper.stop();
    assert!(hear_out(&mut silent).await.is_empty());
    assert!(matches!(server.other_notice().await, AcceptNotice::EndedUnheard { .. }));
    assert!(Stream::connect(server.address, LIMIT).await.is_err(), "it still listens");
    assert!(!server.serving.is_finished(), "it did not wait for the handler");
    drop(busy);
    timeout(LIMIT, server.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_speaks_just_when_the_stop_comes_is_served() {
    let mut server = Server::start(policy(), echo);
    let mut late = std::net::TcpStream::connect(server.address).unwrap();
    assert!(matches!(server.notice().await, AcceptNotice::Connected { .. }));
    // Nothing is awaited from here to the stop, so the server hears of that first.
    late.write_all(b"QUIT\n").unwrap();
    server.stopper.stop();
    late.set_nonblocking(true).unwrap();
    let mut late = Stream::plain(TcpStream::from_std(late).unwrap());
    hear(&mut late, b"QUIT\n").await;
    drop(late);
    timeout(LIMIT, server.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_handler_that_does_not_end_is_ended_after_the_drain() {
    async fn endless(incoming: Incoming) {
        let _held = incoming;
        std::future::pending::<()>().await;
    }
    let server = Server::start(Policy { drain: Duration::from_millis(100), ..policy() }, endless);
    let mut client = server.connect().await;
    say(&mut client, b"QUIT\n").await;
    server.stopper.stop();
    timeout(LIMIT, server.serving).await.unwrap().unwrap();
    assert!(hear_out(&mut client).await.is_empty());
}

#[tokio::test]
async fn a_lost_stopper_is_a_stop() {
    let Server { stopper, serving, .. } = Server::start(policy(), echo);
    drop(stopper);
    timeout(LIMIT, serving).await.unwrap().unwrap();
}

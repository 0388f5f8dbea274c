//! The index asks the peers that let it for SHA-256, and holds what they say.

use std::time::Duration;

use proto::value::digest::Digest;

use crate::world::{Client, World};

const OK_EMPTY: &str = "P2P-CI/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: 0\r\n\r\n";
const TAKEN: &str = "P2P-CI/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nContent-Length: 31\r\n\r\n\
    {\"taken\":1,\"refused_in_all\":0}\n";
const PATIENCE: Duration = Duration::from_secs(30);

/// An ADD of a file of two pieces with the hash `07…`, and more members.
fn add(name: &str, more: &str) -> String {
    let hash = Digest([7; 32]);
    let line = format!("{{\"name\":\"{name}\",\"size\":1048577,\"modified\":0,\"hash\":\"{hash}\"{more}}}\n");
    let head = "ADD FILES P2P-CI/1.1\r\nHost: h\r\nPort: 1\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{line}", line.len())
}

fn sums(whole: u8, piece: u8) -> String {
    let (whole, piece) = (Digest([whole; 32]), Digest([piece; 32]));
    format!(",\"sha256\":\"{whole}\",\"pieces\":{{\"size\":1048576,\"sha256\":[\"{piece}\",\"{piece}\"]}}")
}

fn wanted(name: &str) -> String {
    let line = format!("{{\"name\":\"{name}\"}}\n");
    let head = "P2P-CI/1.1 103 Wanted\r\nContent-Type: application/x-ndjson\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{line}", line.len())
}

fn listening(world: &World, name: &str) -> Client {
    let mut peer = world.client();
    peer.ask("WANTS ALL P2P-CI/1.1\r\n\r\n", OK_EMPTY);
    peer.ask(add(name, ""), TAKEN);
    peer
}

#[test]
fn who_listens_is_asked_once_and_its_answer_ends_the_wait() {
    let world = World::new();
    let mut deaf = world.client();
    deaf.ask(add("deaf", ""), TAKEN);
    // Nobody who could be asked: the answer is there at once.
    let known = world.wait(world.server.checksums(Digest([7; 32]), PATIENCE));
    assert_eq!((known.sha256, known.pieces), (None, None));
    let mut peer = listening(&world, "a/b");
    let asking = world.spawn({
        let server = world.server.clone();
        async move { server.checksums(Digest([7; 32]), PATIENCE).await }
    });
    peer.expect(&wanted("a/b"));
    // What was not asked for is not held, and neither is what cannot be.
    deaf.ask(add("deaf", &sums(1, 1)), TAKEN);
    peer.ask(add("a/b", &sums(2, 2)), TAKEN);
    let known = world.wait(asking).unwrap();
    assert_eq!(known.sha256, Some(Digest([2; 32])));
    assert_eq!(*known.pieces.unwrap().digests, [Digest([2; 32]); 2]);
    // Known from now on, without asking, and told by LOOKUP; the first word is that of the record that came first.
    let again = world.wait(world.server.checksums(Digest([7; 32]), Duration::ZERO));
    assert!(again.pieces.is_some());
    drop(peer);
    world.wait_for_records(1);
    let left = world.wait(world.server.checksums(Digest([7; 32]), Duration::ZERO));
    assert_eq!((left.sha256, left.pieces), (Some(Digest([1; 32])), None));
}

#[test]
fn a_peer_that_does_not_answer_holds_nobody_up_for_longer_than_asked() {
    let world = World::new();
    let mut peer = listening(&world, "a");
    let began = std::time::Instant::now();
    let known = world.wait(world.server.checksums(Digest([7; 32]), Duration::from_millis(50)));
    assert_eq!(known.pieces, None);
    assert!(began.elapsed() < PATIENCE);
    peer.expect(&wanted("a"));
    // It goes on answering what it is asked.
    peer.ask("PING ALL P2P-CI/1.1\r\n\r\n", OK_EMPTY);
}

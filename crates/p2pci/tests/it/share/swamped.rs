//! An index that does not answer in time, or dies while it is greeted, is not taken for one of 1.0 for good: what has no number would
//! be told to nobody then.

use std::io::{Read, copy};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::foreign::Scripted;
use crate::places::tree;
use crate::world::{Index, PATIENCE, Sharer, wait_for};

/// Passes everything on to a port until either side has had enough.
fn join(client: TcpStream, port: u16) {
    let Ok(index) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), index.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = copy(&mut { index }, &mut { client });
    });
    let _ = copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    back.join().unwrap();
}

fn wait_names(index: &Index, names: &[&str]) {
    wait_for(PATIENCE, &format!("the index to list {names:?}"), || (index.names() == names).then_some(()));
}

#[test]
fn an_index_that_was_silent_at_first_is_told_everything_once_it_speaks() {
    let index = Index::start();
    let port = index.port();
    let slow = Scripted::start(move |mut client, number| match number {
        1 => _ = client.read_to_end(&mut Vec::new()),
        _ => join(client, port),
    });
    let (_outer, root) = tree("live", &[("a", "a")]);
    let _sharer = Sharer::start(&root, &slow.address());
    wait_names(&index, &["live/a"]);
}

#[test]
fn an_index_that_spoke_1_1_and_dies_while_it_is_greeted_is_no_older_one() {
    let index = Index::start();
    let port = index.port();
    let first: Arc<Mutex<Option<TcpStream>>> = Arc::default();
    let held = Arc::clone(&first);
    let dying = Scripted::start(move |mut client, number| match number {
        1 => {
            *held.lock().unwrap() = Some(client.try_clone().unwrap());
            join(client, port);
        }
        // Closed without an answer.
        2 => _ = client.read(&mut [0; 16]),
        _ => join(client, port),
    });
    let (_outer, root) = tree("live", &[("a", "a")]);
    let mut sharer = Sharer::start(&root, &dying.address());
    wait_names(&index, &["live/a"]);
    first.lock().unwrap().as_ref().unwrap().shutdown(Shutdown::Both).unwrap();
    wait_names(&index, &[]);
    wait_names(&index, &["live/a"]);
    let said = sharer.process().lines();
    let registered = said.iter().filter(|line| line.contains("\"registered\"")).count();
    assert_eq!(registered, 2, "{said:?}");
}

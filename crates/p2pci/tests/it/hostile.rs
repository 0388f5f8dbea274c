//! Peers that keep the protocol's rules and mean no good, or simply are too many.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use proto::limits::CUT_OFF_PER_MINUTE;

use crate::world::spec::{BAD_REQUEST, LIST, NOT_FOUND, add, lookup, ok};
use crate::world::v11::{LIST as PAGE, PING, PONG, add_files, file};
use crate::world::{Index, Namespace, PATIENCE, Raw, p2pci_behind, wait_for};

/// Connections that may be silent at once.
const SILENT: u32 = 2048;

/// The addresses of a crowd: 127.30.0.1 and on.
fn address(of: u32) -> Ipv4Addr {
    Ipv4Addr::from(Ipv4Addr::new(127, 30, 0, 1).to_bits() + of)
}

#[test]
fn i8_of_too_many_silent_connections_the_oldest_makes_room_and_nobody_else() {
    net::descriptors::raise_open_file_limit();
    // Lines about two thousand connections would hide the one that counts.
    let index = Index::with(&["--quiet"]);
    let mut registered = index.raw();
    registered.exchange(add(1, "One", "h", 1), ok(&["RFC 1 One h 1"]));
    let mut person = index.raw();
    // 64 from each address, as a flood comes from many.
    let mut silent: Vec<Raw> = (0..SILENT - 1).map(|at| index.raw_from(address(at / 64))).collect();
    assert!(person.is_silent_for(Duration::from_millis(200)), "they are not too many yet");
    let began = Instant::now();
    let mut newcomer = index.raw_from(address(99));
    newcomer.exchange(lookup(1), ok(&["RFC 1 One h 1"]));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // The person at the menu came first of all who are silent.
    assert_eq!(person.read_to_end(), BAD_REQUEST.as_bytes());
    index.wait_event("why", |event| {
        let reason = event["reason"].as_str().unwrap_or_default();
        event["type"] == "not_served" && reason.starts_with("made room")
    });
    assert!(silent[0].is_silent_for(Duration::from_millis(200)), "one made room, and no other");
    // Who speaks is not silent any more, so this one and the newcomer leave room for one.
    silent[0].exchange(LIST, ok(&["RFC 1 One h 1"]));
    let _one_more = index.raw_from(address(99));
    assert!(silent[1].is_silent_for(Duration::from_millis(200)));
    registered.exchange(LIST, ok(&["RFC 1 One h 1"]));
}

#[test]
fn i12_thousands_who_come_back_at_once_are_all_heard() {
    const PEERS: u32 = 4000;
    const THREADS: u32 = 8;
    net::descriptors::raise_open_file_limit();
    let index = Index::with(&["--quiet"]);
    let come = |thread: u32| -> Vec<(u32, Raw)> {
        let own = (0..PEERS).filter(|peer| peer % THREADS == thread);
        own.map(|peer| {
            let mut raw = index.raw_from(address(peer / 64));
            raw.send(add(peer + 1, "T", "h", 1));
            (peer + 1, raw)
        })
        .collect()
    };
    let peers: Vec<(u32, Raw)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || come(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for (number, mut raw) in peers {
        raw.expect(ok(&[&format!("RFC {number} T h 1")]));
    }
}

#[test]
fn i7_lists_that_are_asked_for_together_are_answered_one_after_the_other() {
    let mut index = Index::start();
    let mut peer = index.raw();
    let title = "t".repeat(400);
    for batch in 0..20 {
        let numbers = batch * 100 + 1..=batch * 100 + 100;
        let adds: String = numbers.clone().map(|n| add(n, &title, "h", 1)).collect();
        let answers: String = numbers.map(|n| ok(&[&format!("RFC {n} {title} h 1")])).collect();
        peer.exchange(adds, answers);
    }
    let before = index.process().resident_bytes();
    // A hundred LISTs are 80 MB; nobody reads them.
    let mut deaf = index.raw();
    deaf.send(LIST.repeat(100));
    for _ in 0..50 {
        peer.exchange(lookup(2001), NOT_FOUND);
    }
    let grown = index.process().resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
}

#[test]
fn a_tampered_cursor_is_refused_or_is_a_place_in_the_order_and_nothing_more() {
    let index = Index::start();
    let mut peer = index.raw();
    let names: Vec<String> = (0..20).map(|at| format!("d/{at:02}")).collect();
    let files: Vec<_> = names.iter().map(|name| file(name, 1)).collect();
    peer.ask_v11(add_files("h", 1, &files));
    let page =
        |headers: &str| PAGE.replacen("\r\n\r\n", &format!("\r\nPrefix: d/\r\nLimit: 5\r\n{headers}\r\n"), 1);
    let cursor = peer.ask_v11(page("")).header("Cursor").unwrap().to_owned();
    let mut forged = vec![String::new(), "%00".into(), "n".repeat(2000), format!("{cursor}x"), "n1.".into()];
    forged
        .extend(["n18446744073709551616.d", "r1.4294967296", "h1.00", "n-1.d/05", "r0.0"].map(str::to_owned));
    for at in 0..cursor.len() {
        for byte in ["0", "9", "z", "%ff", "%0a", "."] {
            forged.push(format!("{}{byte}{}", &cursor[..at], &cursor[at + 1..]));
        }
        forged.push(cursor[..at].to_owned());
    }
    for cursor in forged {
        let told = peer.ask_v11(page(&format!("Cursor: {cursor}\r\n")));
        match told.status {
            400 => {}
            200 => {
                let told = told.each("name");
                let known = |name: &serde_json::Value| names.iter().any(|known| name == known.as_str());
                assert!(told.len() <= 5 && told.iter().all(known), "{cursor}");
            }
            status => panic!("{status} for {cursor}"),
        }
    }
    peer.exchange(PING, PONG);
    let told = peer.ask_v11(page(&format!("Cursor: {cursor}\r\n"))).each("name");
    assert_eq!(told, ["d/05", "d/06", "d/07", "d/08", "d/09"]);
}

#[test]
fn i24_a_stop_with_many_peers_cuts_no_answer_in_a_line() {
    const PEERS: u32 = 300;
    net::descriptors::raise_open_file_limit();
    let mut index = Index::start();
    let mut peers: Vec<Raw> = (0..PEERS).map(|at| index.raw_from(address(at / 64))).collect();
    for (at, peer) in peers.iter_mut().enumerate() {
        let record = format!("RFC {} T h 1", at + 1);
        peer.exchange(add(at + 1, "T", "h", 1), ok(&[&record]));
    }
    peers.iter_mut().for_each(|peer| peer.send(LIST));
    let began = Instant::now();
    assert_eq!(index.stop(PATIENCE), Some(0));
    assert!(began.elapsed() < Duration::from_secs(35), "{:?}", began.elapsed());
    for mut peer in peers {
        let last = peer.read_to_end();
        assert!(last.is_empty() || last.ends_with(b"\r\n\r\n"), "{}", String::from_utf8_lossy(&last));
    }
}

#[test]
fn i5_a_crowd_that_drips_is_cut_in_time_and_others_notice_nothing() {
    const DRIPPING: u32 = 500;
    net::descriptors::raise_open_file_limit();
    let index = Index::start();
    let mut busy = index.raw();
    let began = Instant::now();
    let mut dripping: Vec<Raw> = (0..DRIPPING).map(|at| index.raw_from(address(at / 64))).collect();
    let mut slowest = Duration::ZERO;
    // A byte now and then is the input.
    for byte in b"LOO" {
        for raw in &dripping {
            // On a busy machine it may be late, and the first ones be cut already.
            let _ = raw.socket().write_all(&[*byte]);
        }
        for _ in 0..20 {
            let asked = Instant::now();
            busy.exchange(lookup(1), NOT_FOUND);
            slowest = slowest.max(asked.elapsed());
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    assert!(slowest < Duration::from_secs(2), "a LOOKUP took {slowest:?}");
    for raw in &mut dripping {
        assert_eq!(raw.read_to_end(), BAD_REQUEST.as_bytes());
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(60)).contains(&took), "{took:?}");
    wait_for(PATIENCE, "all of them to be gone", || (index.status().peers == 1).then_some(()));
}

#[test]
fn i8_who_drips_again_and_again_gets_no_new_connection_for_a_while_and_others_do() {
    let test = "i8_who_drips_again_and_again_gets_no_new_connection_for_a_while_and_others_do";
    let Some(namespace) = Namespace::with(test, &["10.0.0.1/24", "10.0.0.66/24", "10.0.0.99/24"]) else {
        return;
    };
    let index = Index::from_command(p2pci_behind(&namespace.before(), Index::args("10.0.0.1:0", &[])));
    let address = SocketAddr::from(([10, 0, 0, 1], index.port()));
    let from = |last| namespace.enter(|| Raw::connect_from([10, 0, 0, last].into(), address));
    let (mut stands, mut other) = (from(66), from(99));
    stands.exchange(lookup(1), NOT_FOUND);
    let mut dripping: Vec<Raw> = (0..CUT_OFF_PER_MINUTE / 2).map(|_| from(66)).collect();
    dripping.iter_mut().for_each(|raw| raw.send("LOOKUP RFC 1"));
    for raw in &mut dripping {
        assert!(raw.read_to_end().starts_with(b"P2P-CI/1.0 400 "), "cut off after 10 s");
    }
    assert!(from(66).read_to_end().starts_with(b"P2P-CI/1.0 400 "), "refused before it has said anything");
    index.wait_event("the reason in the log", |event| {
        event.to_string().contains("cut off too often; no new one is taken for")
    });
    // What stands is not touched, and neither is anybody else; and it is over soon.
    stands.exchange(lookup(1), NOT_FOUND);
    other.exchange(lookup(1), NOT_FOUND);
    from(99).exchange(lookup(1), NOT_FOUND);
    wait_for(PATIENCE, "the penalty to be paid", || {
        let mut again = from(66);
        again.ask(lookup(1)).starts_with("P2P-CI/1.0 404 ").then_some(())
    });
}

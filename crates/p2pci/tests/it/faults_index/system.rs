//! Faults that show at the edges of the system: names and addresses, restarts, descriptors, threads, signals.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::process::Signal;

use crate::world::spec::{LIST, NOT_FOUND, add, lookup, ok};
use crate::world::{Index, Namespace, PATIENCE, Raw, p2pci_behind, shown, wait_for};

/// Where the index is in a test's own namespace.
const INDEX: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// An index on all addresses of a namespace, and how to reach it from one of them.
fn index_in(namespace: &Namespace) -> (Index, impl Fn(&str) -> Raw) {
    let index = Index::from_command(p2pci_behind(&namespace.before(), Index::args("0", &[])));
    let port = index.port();
    let connect = move |source: &str| {
        let source: IpAddr = source.parse().unwrap();
        namespace.enter(|| Raw::connect_from(source, SocketAddr::from((INDEX, port))))
    };
    (index, connect)
}

#[test]
fn fault_s9_host_and_port_of_a_third_party_are_believed() {
    let addresses = ["10.77.0.1/24", "10.77.0.2/24", "10.77.0.3/24"];
    let Some(namespace) = Namespace::with("fault_s9", &addresses) else { return };
    let (_index, connect) = index_in(&namespace);
    let mut liar = connect("10.77.0.2");
    let claimed = ok(&["RFC 1 A victim.example.com 443"]);
    liar.exchange(add(1, "A", "victim.example.com", 443), claimed);
    liar.exchange(add(3, "C", "10.77.0.3", 444), ok(&["RFC 3 C 10.77.0.3 444"]));
    let mut asker = connect("10.77.0.3");
    let observed = ["RFC 1 A 10.77.0.2 443", "RFC 3 C 10.77.0.2 444"];
    asker.exchange(lookup(1), ok(&observed[..1]));
    asker.exchange(lookup(3), ok(&observed[1..]));
    asker.exchange(LIST, ok(&observed));
    // A claim that is true is shown as it was made.
    asker.exchange(add(2, "B", "10.77.0.3", 6000), ok(&["RFC 2 B 10.77.0.3 6000"]));
    liar.exchange(lookup(2), ok(&["RFC 2 B 10.77.0.3 6000"]));
}

#[test]
fn fault_s18_no_restart_after_a_kill() {
    let mut first = Index::start();
    let mut peer = first.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    first.process().kill();
    let second = Index::on(&first.address(), &[]);
    assert_eq!(second.port(), first.port());
    second.raw().exchange(LIST, NOT_FOUND);
}

#[test]
fn i9_fault_s19_running_out_of_descriptors_ends_the_index() {
    let limited = ["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    let mut index = Index::from_command(p2pci_behind(&limited, Index::args("127.0.0.1:0", &[])));
    let crowd: Vec<Raw> = (1..=200).map(|last| index.raw_from(Ipv4Addr::new(127, 0, 1, last))).collect();
    index.wait_event("word that not all can be served", |event| {
        event["type"] == "not_served" || event["type"] == "trouble"
    });
    assert!(!index.process().has_ended(), "the index has ended");
    drop(crowd);
    wait_for(PATIENCE, "the index to serve again", || (served(&index)).then_some(()));
}

/// Whether a new connection gets its answer.
fn served(index: &Index) -> bool {
    let mut raw = index.raw();
    raw.send(LIST);
    raw.try_to_answer(NOT_FOUND.len()).is_ok_and(|answer| answer == NOT_FOUND.as_bytes())
}

#[test]
fn fault_s20_every_connection_is_a_thread() {
    net::descriptors::raise_open_file_limit();
    let mut index = Index::start();
    let id = index.process().id();
    let threads = || std::fs::read_dir(format!("/proc/{id}/task")).unwrap().count();
    let address = |n: u32| Ipv4Addr::from(Ipv4Addr::new(127, 0, 2, 0).to_bits() + n);
    let mut crowd: Vec<Raw> = (1..=800).map(|n| index.raw_from(address(n))).collect();
    for peer in &mut crowd {
        peer.exchange(lookup(1), NOT_FOUND);
    }
    let count = threads();
    assert!(count <= 64, "{count} threads for 800 connections");
}

#[test]
fn fault_s28_a_backlog_of_five_stalls_a_crowd() {
    let index = Index::start();
    // All of them connect before anything is read, from an address each.
    let address = |n: u32| Ipv4Addr::from(Ipv4Addr::new(127, 0, 8, 0).to_bits() + n);
    let mut crowd = Vec::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u32)
            .map(|thread| {
                let index = &index;
                let connect = move |n| index.raw_from(address(thread * 100 + n));
                scope.spawn(move || (1..=50).map(connect).collect::<Vec<Raw>>())
            })
            .collect();
        crowd.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap()));
    });
    for peer in &mut crowd {
        peer.send(LIST);
    }
    for peer in &mut crowd {
        peer.expect(NOT_FOUND);
    }
}

#[test]
fn fault_s28_ctrl_c_cuts_peers_off() {
    let mut index = Index::start();
    let mut peer = index.raw();
    peer.exchange(add(1, "A", "julian", 5000), ok(&["RFC 1 A julian 5000"]));
    let before = index.descriptors();
    let mut silent = index.raw();
    // What nobody has accepted yet is the system's to end, and it resets it.
    wait_for(PATIENCE, "the silent peer to be accepted", || (index.descriptors() > before).then_some(()));
    index.process().signal(Signal::INT);
    assert_eq!(shown(&peer.read_to_end()), "", "the connection ends in order, without another byte");
    assert_eq!(shown(&silent.read_to_end()), "");
    drop((peer, silent));
    assert_eq!(index.process().exit_code(PATIENCE), Some(0));
    assert_eq!(index.events_of("stopping").len(), 1);
}

#[test]
fn fault_s28_ipv6_is_not_served() {
    let index = Index::on("[::1]:0", &[]);
    let server = SocketAddr::from((Ipv6Addr::LOCALHOST, index.port()));
    let mut peer = Raw::connect_from(Ipv6Addr::LOCALHOST.into(), server);
    peer.exchange(add(1, "A", "::1", 5000), ok(&["RFC 1 A ::1 5000"]));
    // By default both families are served on one port.
    let both = Index::on("0", &[]);
    Raw::connect(both.port()).exchange(LIST, NOT_FOUND);
    let server = SocketAddr::from((Ipv6Addr::LOCALHOST, both.port()));
    Raw::connect_from(Ipv6Addr::LOCALHOST.into(), server).exchange(LIST, NOT_FOUND);
}

#[test]
fn fault_s28_strangers_are_served_on_all_interfaces() {
    let addresses = ["10.77.0.1/24", "10.77.0.2/24", "203.0.113.7/24"];
    let Some(namespace) = Namespace::with("fault_s28_strangers", &addresses) else { return };
    let (index, connect) = index_in(&namespace);
    let mut stranger = connect("203.0.113.7");
    // The refusal comes without a question, and the connection ends with it.
    assert_eq!(shown(&stranger.read_to_end()).trim_end_matches("\\r\\n"), "P2P-CI/1.0 400 Bad Request");
    let told = index.wait_event("the stranger's line", |event| event["type"] == "not_served");
    assert!(told["reason"].as_str().is_some_and(|reason| reason.contains("--public")), "{told}");
    assert!(told["source"].as_str().is_some_and(|source| source.starts_with("203.0.113.7:")), "{told}");
    connect("10.77.0.2").exchange(LIST, NOT_FOUND);

    let public = p2pci_behind(&namespace.before(), Index::args("10.77.0.1:0", &["--public"]));
    let public = Index::from_command(public);
    let server = SocketAddr::from((INDEX, public.port()));
    let source = "203.0.113.7".parse().unwrap();
    namespace.enter(|| Raw::connect_from(source, server)).exchange(LIST, NOT_FOUND);
}

#[test]
fn fault_s28_an_error_that_nobody_expected_is_swallowed() {
    let index = Index::start();
    let mut other = index.raw();
    other.exchange(add(1, "A", "ada", 6000), ok(&["RFC 1 A ada 6000"]));
    // Whatever one connection sends, it is answered and logged with a reason, and the others go on.
    for garbage in [&b"\x80\x04\x95garbage"[..], b"\xff\xff\xff\xff", b"ADD\r\n\r\n", b"\x16\x03\x01\x02\x00"]
    {
        let mut raw = index.raw();
        raw.send(garbage);
        raw.end_sending();
        assert!(raw.read_to_end().starts_with(b"P2P-CI/1.0 400 Bad Request"), "{}", shown(garbage));
    }
    other.exchange(lookup(1), ok(&["RFC 1 A ada 6000"]));
    wait_for(Duration::from_secs(10), "a reason for each", || {
        let refused = index.events_of("refused").len() + index.events_of("not_served").len();
        (refused >= 3).then_some(())
    });
    assert!(!index.events().iter().any(|event| event["type"] == "trouble"), "nothing went wrong inside");
}

//! Listening: one port on both families, ranges, and errors that name the cause.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use net::listen::{ListenError, ListenSpec, Listeners, PortChoice};
use net::stream::Stream;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn bind(address: Option<IpAddr>, ports: PortChoice) -> Result<Listeners, ListenError> {
    Listeners::bind(ListenSpec { address, ports })
}

#[tokio::test]
async fn all_interfaces_are_both_families_on_one_port() {
    let listeners = bind(None, PortChoice::Any).unwrap();
    let port = listeners.port();
    assert_ne!(port, 0);
    assert!(
        listeners.local_addrs().iter().all(|address| address.port() == port && address.ip().is_unspecified())
    );
    // A machine without IPv6 has no such loopback; there one socket is right.
    let families = if std::net::TcpListener::bind((V6, 0)).is_ok() { vec![V4, V6] } else { vec![V4] };
    assert_eq!(listeners.local_addrs().len(), families.len());
    for loopback in families {
        let client = Stream::connect(SocketAddr::new(loopback, port), LIMIT).await.unwrap();
        let (stream, source) = tokio::time::timeout(LIMIT, listeners.accept()).await.unwrap().unwrap();
        assert_eq!(source, client.local_addr().unwrap());
        assert_eq!(source.ip(), loopback);
        assert_eq!(stream.local_addr().unwrap(), client.peer_addr().unwrap());
    }
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = bind(Some(V4), PortChoice::Any).unwrap();
    let error = bind(Some(V4), PortChoice::One(taken.port())).unwrap_err();
    assert!(matches!(error, ListenError::InUse { port, .. } if port == taken.port()));
    let words = error.to_string();
    assert!(words.contains("127.0.0.1") && words.contains("another program"), "{words}");
    let error = bind(None, PortChoice::One(taken.port())).unwrap_err();
    assert!(error.to_string().contains("all interfaces"), "{error}");
}

#[tokio::test]
async fn a_freed_port_can_be_taken_again_at_once() {
    let listeners = bind(Some(V4), PortChoice::Any).unwrap();
    let port = listeners.port();
    let client = Stream::connect((V4, port).into(), LIMIT).await.unwrap();
    // We close first, so the connection lingers in the system on our port.
    drop(listeners.accept().await.unwrap());
    drop(listeners);
    drop(client);
    assert_eq!(bind(Some(V4), PortChoice::One(port)).unwrap().port(), port);
}

#[tokio::test]
async fn a_range_gives_its_first_free_port() {
    let taken = bind(Some(V4), PortChoice::Any).unwrap().port();
    let _held = bind(Some(V4), PortChoice::One(taken)).unwrap();
    let last = taken.saturating_add(50);
    let found = bind(Some(V4), PortChoice::Range(taken, last)).unwrap().port();
    assert!(found > taken && found <= last, "{found} in {taken}-{last}");
    let error = bind(Some(V4), PortChoice::Range(taken, taken)).unwrap_err();
    assert!(matches!(error, ListenError::NoneFree { first, last, .. } if first == taken && last == taken));
    assert!(matches!(bind(Some(V4), PortChoice::Range(9, 8)), Err(ListenError::NoneFree { .. })));
}

#[tokio::test]
async fn an_address_of_another_machine_is_no_place_to_listen() {
    // TEST-NET-1 (RFC 5737) belongs to no machine.
    let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    assert!(matches!(bind(Some(foreign), PortChoice::Any), Err(ListenError::NoSuchAddress { .. })));
}

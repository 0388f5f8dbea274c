//! Several machines: each is a network namespace, all of them on one wire. Who fetches types no address but the index's.

use std::fs;

use crate::places::{empty_folder, folder, rfc};
use crate::world::{
    Finished, Index, Namespace, PATIENCE, Sharer, ip, p2pci_behind, run_command, skip, wait_for,
};

/// Machines `10.77.0.1`, `10.77.0.2` and so on, with `fd77::1` and `198.51.100.1` likewise. The last is of a range that is
/// nobody's own network.
pub(crate) struct Machines {
    hosts: Vec<Namespace>,
    wire: Namespace,
}

impl Machines {
    /// `None` where namespaces cannot be made; `test` is counted as skipped then.
    pub(crate) fn new(test: &str, count: usize) -> Option<Self> {
        let wire = Namespace::with(test, &[])?;
        if let Err(error) = ip(&["-n", wire.name(), "link", "add", "wire", "type", "bridge"]) {
            skip(test, &format!("no bridge here: {error}"));
            return None;
        }
        ip(&["-n", wire.name(), "link", "set", "wire", "up"]).unwrap();
        let hosts = (1..=count).map(|at| Self::host(test, &wire, at)).collect::<Option<_>>()?;
        Some(Self { hosts, wire })
    }

    /// One machine, plugged into the wire.
    fn host(test: &str, wire: &Namespace, at: usize) -> Option<Namespace> {
        let host = Namespace::with(test, &[])?;
        let plug = format!("plug{at}");
        let cable = ["link", "add", "eth0", "type", "veth", "peer", "name", &plug, "netns", wire.name()];
        ip(&[&["-n", host.name()], &cable[..]].concat()).unwrap();
        ip(&["-n", wire.name(), "link", "set", &plug, "master", "wire", "up"]).unwrap();
        for address in [format!("10.77.0.{at}/24"), format!("198.51.100.{at}/24"), format!("fd77::{at}/64")] {
            let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
            let add = ["-n", host.name(), "address", "add", &address, "dev", "eth0"];
            ip(&[&add[..], nodad].concat()).unwrap();
        }
        ip(&["-n", host.name(), "link", "set", "eth0", "up"]).unwrap();
        Some(host)
    }

    /// Runs a command of ours on a machine, counted from 1, to its end.
    fn run(&self, at: usize, args: &[&str]) -> Finished {
        run_command(p2pci_behind(&self.hosts[at - 1].before(), args))
    }

    /// An index on all interfaces of a machine, at the well-known port.
    pub(crate) fn index(&self, at: usize, flags: &[&str]) -> Index {
        Index::from_command(p2pci_behind(&self.hosts[at - 1].before(), Index::args("7734", flags)))
    }

    /// Does something on a machine, such as connecting.
    pub(crate) fn enter<T: Send>(&self, at: usize, work: impl FnOnce() -> T + Send) -> T {
        self.hosts[at - 1].enter(work)
    }

    /// Pulls a machine's cable out: nothing comes through any more, and nobody is told.
    pub(crate) fn unplug(&self, at: usize) {
        ip(&["-n", self.wire.name(), "link", "set", &format!("plug{at}"), "down"]).unwrap();
    }

    /// A peer on a machine that shares one text.
    fn sharer(&self, at: usize, number: u32, server: &str, flags: &[&str]) -> (Sharer, tempfile::TempDir) {
        let dir = folder(&[(number, rfc(number, "Host Software"))]);
        let args = Sharer::args(dir.path(), server, flags);
        (Sharer::from_command(p2pci_behind(&self.hosts[at - 1].before(), args)), dir)
    }

    /// Fetches a text on a machine and compares it.
    fn fetches(&self, at: usize, number: u32, server: &str) {
        let here = empty_folder();
        let file = here.path().join("got.txt");
        let args = ["get", &number.to_string(), "--server", server, "-o", file.to_str().unwrap()];
        let got = self.run(at, &args);
        assert_eq!(got.code, Some(0), "RFC {number} from {server}: {}", got.stderr);
        assert_eq!(fs::read_to_string(&file).unwrap(), rfc(number, "Host Software"));
    }

    /// The host that a machine is told for a text.
    fn host_of(&self, at: usize, number: u32, server: &str) -> String {
        let found = self.run(at, &["lookup", &number.to_string(), "--json", "--server", server]);
        assert_eq!(found.code, Some(0), "{}", found.stderr);
        found.objects()[0]["sources"][0]["host"].as_str().unwrap().to_owned()
    }
}

#[test]
fn who_fetches_types_no_address_but_the_indexs() {
    let Some(machines) = Machines::new("who_fetches_types_no_address_but_the_indexs", 3) else { return };
    let _index = machines.index(1, &[]);
    let (_beside, _kept) = machines.sharer(1, 1, "localhost", &[]);
    let (_nameless, _kept) = machines.sharer(3, 2, "10.77.0.1", &["--host", "no-such-name"]);
    let (_plain, _kept) = machines.sharer(3, 3, "10.77.0.1", &[]);
    for number in [1, 2, 3] {
        machines.fetches(2, number, "10.77.0.1");
        machines.fetches(2, number, "fd77::1");
        machines.fetches(1, number, "localhost");
        machines.fetches(3, number, "10.77.0.1");
    }
    assert_eq!(machines.host_of(2, 1, "10.77.0.1"), "10.77.0.1", "where the requester reached the index");
    assert_eq!(machines.host_of(2, 1, "fd77::1"), "fd77::1");
    assert_eq!(machines.host_of(1, 1, "localhost"), "127.0.0.1", "on loopback as it was claimed");
    assert_eq!(machines.host_of(2, 2, "10.77.0.1"), "10.77.0.3", "a name that cannot be resolved");
    assert_eq!(machines.host_of(2, 3, "10.77.0.1"), "10.77.0.3");
}

#[test]
fn a_machine_that_comes_back_finds_its_records_again() {
    let Some(machines) = Machines::new("a_machine_that_comes_back_finds_its_records_again", 2) else {
        return;
    };
    let mut index = machines.index(1, &[]);
    let (sharer, _kept) = machines.sharer(2, 1, "10.77.0.1", &[]);
    machines.fetches(1, 1, "10.77.0.1");
    index.process().kill();
    let here = empty_folder();
    let file = here.path().join("got.txt");
    let from = format!("10.77.0.2:{}", sharer.port());
    let got = machines.run(1, &["get", "1", "--from", &from, "-o", file.to_str().unwrap()]);
    assert_eq!(got.code, Some(0), "uploads go on without an index: {}", got.stderr);
    assert_eq!(machines.run(2, &["lookup", "1", "--server", "10.77.0.1"]).code, Some(4));
    let _index = machines.index(1, &[]);
    wait_for(PATIENCE, "the sharer to register again", || {
        (machines.run(1, &["lookup", "1"]).code == Some(0)).then_some(())
    });
    machines.fetches(1, 1, "10.77.0.1");
}

#[test]
fn a_stranger_is_served_only_by_who_says_public() {
    let Some(machines) = Machines::new("a_stranger_is_served_only_by_who_says_public", 2) else { return };
    let mut index = machines.index(1, &[]);
    let (own, _kept) = machines.sharer(1, 1, "localhost", &[]);
    let (public, _kept) = machines.sharer(1, 2, "localhost", &["--public"]);
    let got = |number: &str, port: u16| {
        let from = format!("198.51.100.1:{port}");
        machines.run(2, &["get", number, "--from", &from, "-o", "-"])
    };
    let refused = got("1", own.port());
    assert_eq!((refused.code, refused.text()), (Some(1), String::new()), "{}", refused.stderr);
    let served = got("2", public.port());
    assert_eq!((served.code, served.text()), (Some(0), rfc(2, "Host Software")), "{}", served.stderr);
    let ask = || machines.run(2, &["lookup", "1", "--server", "198.51.100.1"]);
    assert_eq!(ask().code, Some(1), "{}", ask().stderr);
    let event = index.wait_event("a line about the stranger", |event| event["type"] == "not_served");
    assert!(event["reason"].as_str().unwrap().contains("--public"), "{event}");
    index.process().kill();
    let _index = machines.index(1, &["--public"]);
    wait_for(PATIENCE, "the public index to know the file", || (ask().code == Some(0)).then_some(()));
}

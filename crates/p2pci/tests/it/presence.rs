//! Peers that are gone without a word: their machine, or the cable to it. Records must not outlive them by more than was promised.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::namespaces::Machines;
use crate::world::spec::{self, NOT_FOUND, add, ok};
use crate::world::v11::{PONG, watch};
use crate::world::{Index, Raw, p2pci, run_command, wait_for};

/// How long records took to go.
#[derive(Debug)]
struct Gone {
    /// Those of a peer that was silent.
    silent: Duration,
    /// Those of a peer to which bytes were on their way.
    sent_to: Duration,
}

fn join(machines: &Machines, at: usize, number: u32) -> Raw {
    machines.enter(at, || {
        let source: IpAddr = format!("10.77.0.{at}").parse().unwrap();
        let mut raw = Raw::connect_from(source, SocketAddr::from(([10, 77, 0, 1], 7734)));
        raw.exchange(add(number, "T", "h", 1), ok(&[&format!("RFC {number} T h 1")]));
        raw
    })
}

/// Two peers on machine 2, whose cable is pulled out; seen from machine 1, on which the index runs.
fn after_the_cable_is_pulled(machines: &Machines, index: &Index, bound: Duration) -> Gone {
    let before = index.descriptors();
    let _silent = join(machines, 2, 1);
    let mut sent_to = join(machines, 2, 2);
    sent_to.send(watch("ALL"));
    sent_to.expect(PONG);
    let mut here = join(machines, 1, 3);
    machines.unplug(2);
    let pulled = Instant::now();
    // A change for the one that watches: these bytes are never acknowledged.
    here.exchange(add(4, "T", "h", 1), ok(&["RFC 4 T h 1"]));
    let (mut silent, mut sent) = (None, None);
    wait_for(bound, "the records to go", || {
        for (number, gone) in [(1, &mut silent), (2, &mut sent)] {
            if gone.is_none() && here.ask_whole(&spec::lookup(number)) == NOT_FOUND {
                *gone = Some(pulled.elapsed());
            }
        }
        silent.zip(sent).map(|_| ())
    });
    // Of the three connections ours is left.
    wait_for(bound, "the descriptors to be free", || (index.descriptors() <= before + 1).then_some(()));
    Gone { silent: silent.unwrap(), sent_to: sent.unwrap() }
}

#[test]
fn i10_records_of_a_machine_that_is_cut_off_go_within_the_time_that_is_set() {
    let Some(machines) =
        Machines::new("i10_records_of_a_machine_that_is_cut_off_go_within_the_time_that_is_set", 2)
    else {
        return;
    };
    let index = machines.index(1, &["--presence", "6s"]);
    let gone = after_the_cable_is_pulled(&machines, &index, Duration::from_secs(30));
    assert!(gone.silent > Duration::from_secs(2) && gone.sent_to > Duration::from_secs(2), "{gone:?}");
}

#[test]
#[ignore = "takes more than two minutes; its figures are in docs/reliability.md"]
fn i10_the_same_with_the_time_that_is_set_by_itself() {
    let Some(machines) = Machines::new("i10_the_same_with_the_time_that_is_set_by_itself", 2) else { return };
    let index = machines.index(1, &[]);
    let gone = after_the_cable_is_pulled(&machines, &index, Duration::from_secs(200));
    eprintln!("records gone: {gone:?}");
    assert!(gone.silent.max(gone.sent_to) <= Duration::from_secs(130), "{gone:?}");
}

#[test]
fn a_presence_that_the_system_cannot_keep_is_refused() {
    for typed in ["1s", "forever", "2days"] {
        let finished = run_command(p2pci(["server", "--listen", "127.0.0.1:0", "--presence", typed]));
        assert_eq!(finished.code, Some(2), "{typed}");
    }
}

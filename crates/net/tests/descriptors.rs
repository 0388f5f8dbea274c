//! Running out of file descriptors. A process of its own (one test in one file), because the limit holds for the whole process.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use net::accept::{AcceptNotice, AcceptObserver, Incoming, Policy, serve};
use net::descriptors::raise_open_file_limit;
use net::listen::{ListenSpec, Listeners, PortChoice};
use net::stop::stop_pair;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(20);
fn policy() -> Policy {
    Policy {
        public: false,
        connections_max: 100,
        per_address_max: 100,
        refusal: b"",
        drain: Duration::ZERO,
        lists: net::lists::AddressLists::default(),
        tls: None,
    }
}

struct Ear(UnboundedSender<AcceptNotice>);

impl AcceptObserver for Ear {
    fn notice(&self, notice: AcceptNotice) {
        let _ = self.0.send(notice);
    }
}

async fn greet(mut incoming: Incoming) {
    // The client sees a missing greeting.
    let _ = incoming.stream.write_all(b"hello", LIMIT).await;
}

fn connect(port: u16) -> TcpStream {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(b"QUIT\n").unwrap();
    client
}

#[tokio::test]
async fn no_free_descriptor_delays_connections_and_loses_none() {
    let listeners =
        Listeners::bind(ListenSpec { address: Some(Ipv4Addr::LOCALHOST.into()), ports: PortChoice::Any })
            .unwrap();
    // Connected, and waiting in the system's queue: nobody accepts yet.
    let clients: Vec<TcpStream> = (0..8).map(|_| connect(listeners.port())).collect();
    let maximum = getrlimit(Resource::Nofile).maximum;
    let lowest_free = File::open("/dev/null").unwrap().as_raw_fd();
    let none_left = u64::try_from(lowest_free).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(none_left), maximum }).unwrap();

    let (sender, mut notices) = unbounded_channel();
    let (_stopper, stop) = stop_pair();
    tokio::spawn(serve(listeners, policy(), Arc::new(Ear(sender)), greet, stop));
    let notice = timeout(LIMIT, notices.recv()).await.unwrap().unwrap();
    let AcceptNotice::Trouble(error) = notice else { panic!("{notice:?}") };
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));

    let raised = raise_open_file_limit();
    assert_eq!((raised.before, raised.now), (none_left, maximum.unwrap_or(u64::MAX)));
    let greeted = tokio::task::spawn_blocking(|| {
        clients
            .into_iter()
            .map(|mut client| {
                let mut words = [0; 5];
                client.read_exact(&mut words).map(|()| words)
            })
            .filter(|words| matches!(words, Ok(words) if words == b"hello"))
            .count()
    });
    assert_eq!(greeted.await.unwrap(), 8);
}

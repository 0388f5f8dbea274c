//! The work of the index without sockets, to be counted and profiled: `engine WHAT TIMES`.
//!
//! It prints nothing. Whoever counts its instructions runs it twice with different times, and takes the difference: so starting
//! and filling the store cost nothing. See `cargo xtask bench instructions`.
#![allow(clippy::unwrap_used, reason = "a tool that fails has nothing else to say")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use index::store::{Asked, MemoryStore, Op, Peer, Range, Store};
use proto::directory::{Key, SessionId};
use proto::value::host::{Host, PeerAddr};
use proto::value::number::{Port, RfcNumber};
use proto::wire::decoder::{Decoded, Reading, RequestDecoder};

/// Requests that come in one read.
const BATCH: u32 = 16;
/// Records that are there before.
const RECORDS: u32 = 20_000;
/// Sessions that they belong to.
const SESSIONS: u32 = 10;

fn main() -> ExitCode {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let [what, times] = typed.as_slice() else { return ExitCode::FAILURE };
    let times = times.parse().unwrap();
    match what.as_str() {
        "decode-lookup" => decode(&batch(|number| format!("LOOKUP RFC {number} {REST}")), times),
        "decode-add" => decode(&batch(|number| format!("ADD RFC {number} {REST}")), times),
        "add" => World::filled().add(times),
        "lookup" => World::filled().lookup(times),
        "list" => World::filled().list(times),
        "leave" => World::filled().join_and_leave(times),
        "threads-1" => World::filled().share(1, times),
        "threads-2" => World::filled().share(2, times),
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

const REST: &str = "P2P-CI/1.0\nHost: host00000.example.org\nPort: 50000\nTitle: Some title\n\n";

fn batch(request: impl Fn(u32) -> String) -> Vec<u8> {
    (0..BATCH).map(|at| request(1_000_000 + at)).collect::<String>().into_bytes()
}

/// Reads batches: so many requests in all.
fn decode(batch: &[u8], times: u32) {
    let mut decoder = RequestDecoder::new(Reading::Lenient);
    let now = Instant::now();
    for _ in 0..times / BATCH {
        decoder.push(batch, now);
        for _ in 0..BATCH {
            assert!(matches!(black_box(decoder.poll(now)), Decoded::Request(_)));
        }
        assert_eq!(decoder.poll(now), Decoded::Pending(None));
    }
}

struct World {
    store: Store,
    sessions: Vec<SessionId>,
    peer: Arc<Peer>,
    random: fastrand::Rng,
}

impl World {
    fn filled() -> Self {
        let store = Store::Memory(MemoryStore::default());
        let sessions = (0..SESSIONS).map(|_| store.open()).collect();
        let claimed = PeerAddr::new(Host::parse(b"host.example.org").unwrap(), Port::new(7).unwrap());
        let peer = Arc::new(Peer::new(claimed, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let world = Self { store, sessions, peer, random: fastrand::Rng::with_seed(7) };
        for number in 1..=RECORDS {
            world.put(world.sessions[(number % SESSIONS) as usize], number);
        }
        world
    }

    fn put(&self, session: SessionId, number: u32) {
        let number = RfcNumber::new(number).unwrap();
        let op = Op::AddTitle { number, title: "Some title", peer: Arc::clone(&self.peer) };
        self.store.at_once().unwrap().apply(session, op).unwrap();
    }

    fn any_number(&mut self) -> u32 {
        self.random.u32(1..=RECORDS)
    }

    fn add(mut self, times: u32) {
        for at in 0..times {
            let number = self.any_number();
            self.put(self.sessions[(at % SESSIONS) as usize], number);
        }
    }

    fn lookup(mut self, times: u32) {
        for _ in 0..times {
            let key = Key::Rfc(RfcNumber::new(self.any_number()).unwrap());
            self.visit(Asked::Holders(&key), 1);
        }
    }

    /// So many records, in lists of all.
    fn list(self, times: u32) {
        for _ in 0..times / RECORDS {
            self.visit(Asked::Range(&Range::Numbers), RECORDS);
        }
    }

    fn visit(&self, asked: Asked<'_>, expected: u32) {
        let mut seen = 0;
        self.store.at_once().unwrap().visit(asked, None, &mut |record| {
            black_box(record);
            seen += 1;
            ControlFlow::Continue(())
        });
        assert!(seen >= expected);
    }

    /// So many pieces of work on each of some threads: seven look-ups to one ADD.
    fn share(self, threads: u32, times: u32) {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let world = &self;
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(u64::from(thread));
                    for at in 0..times {
                        let number = random.u32(1..=RECORDS);
                        if at % 8 == 0 {
                            world.put(world.sessions[thread as usize], number);
                        } else {
                            world.visit(Asked::Holders(&Key::Rfc(RfcNumber::new(number).unwrap())), 1);
                        }
                    }
                });
            }
        });
    }

    /// So many records, which a session adds and takes with it.
    fn join_and_leave(self, times: u32) {
        for _ in 0..times / RECORDS {
            let session = self.store.open();
            for number in 1..=RECORDS {
                self.put(session, number);
            }
            assert_eq!(self.store.close(session), RECORDS as usize);
        }
    }
}

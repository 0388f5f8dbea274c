//! What the dashboard and its viewers cost, measured when somebody asks:
//!
//!     cargo build --release -p p2pci
//!     P2PCI_MEASURED=$PWD/target/release/p2pci cargo test -p p2pci --test it web::measure -- --ignored --nocapture --test-threads 1

use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::v11::{add_lines, file};
use crate::world::{Browser, Index, PATIENCE, Raw, http_get};

/// Files that a peer may register, and that a list then has.
const FILES: usize = 100_000;

/// The index that is measured: the one that was named, as it is released.
fn index(flags: &[&str]) -> Index {
    match std::env::var_os("P2PCI_MEASURED") {
        None => Index::with(flags),
        Some(program) => {
            let mut command = Command::new(program);
            command.args(Index::args("127.0.0.1:0", flags));
            Index::from_command(command)
        }
    }
}

/// A peer that has registered [`FILES`] files.
fn large_peer(index: &Index) -> Raw {
    let mut peer = index.raw();
    for batch in 0..FILES / 1000 {
        let name = |number: usize| format!("datasets/part {:03}/picture {number:06}.jpg", number / 500);
        let lines: Vec<String> = (batch * 1000..(batch + 1) * 1000)
            .map(|number| file(&name(number), number as u64 * 977).to_string())
            .collect();
        peer.ask_v11(add_lines("localhost", 5000, &(lines.join("\n") + "\n")));
    }
    peer
}

/// Seconds of processor time that a process has used.
fn cpu(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[test]
#[ignore = "a measurement"]
fn frames_while_a_hundred_thousand_rows_scroll() {
    let Some(mut browser) = Browser::start("frames_while_a_hundred_thousand_rows_scroll") else { return };
    let index = index(&["--quiet"]);
    let _peer = large_peer(&index);
    let url = format!("http://{}/", index.address());
    browser.open(&url, &json!({}));
    let began = Instant::now();
    browser.wait("#list .row", "picture");
    println!("first rows after {:?}", began.elapsed());
    browser.wait("#count", "100,000 files");
    println!("all rows after {:?}", began.elapsed());
    // Five rows a frame, as a wheel scrolls, then anywhere.
    let near: Vec<usize> = (0..300).map(|step| step * 230).collect();
    let far: Vec<usize> = (0..100).map(|step| step * 7919 % 1000 * 4600).collect();
    for (what, tops) in [("scrolling", near), ("jumping", far)] {
        let times = browser.run("frames", &json!({"selector": "#list", "tops": tops}));
        let times: Vec<f64> =
            times.as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).collect();
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        println!("{what}: half {:.1} ms, 95 of 100 {:.1} ms, most {:.1} ms", at(50), at(95), at(100));
    }
    println!("heap {}", browser.evaluate("performance.memory.usedJSHeapSize"));
    browser.inspect("hundred-thousand");
}

#[test]
#[ignore = "a measurement"]
fn five_hundred_viewers_and_a_thousand_changes_a_second() {
    let mut index = index(&["--max-per-address", "3000", "--quiet"]);
    let id = index.process().id();
    let over = Arc::new(AtomicBool::new(false));
    let changes = {
        let (over, mut peer) = (Arc::clone(&over), index.raw());
        std::thread::spawn(move || {
            let (began, mut number) = (Instant::now(), 0_u64);
            while !over.load(Ordering::Relaxed) {
                let due = began.elapsed().as_millis() as u64;
                let adds: String = (number..due)
                    .map(|number| format!("ADD RFC {} P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T{number}\r\n\r\n", number % 90_000 + 1))
                    .collect();
                number = due;
                peer.send(adds);
                while peer.segment_within(Duration::from_millis(1)).is_some() {}
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    };
    let measured = |what: &str| {
        std::thread::sleep(Duration::from_secs(2));
        let before = cpu(id);
        std::thread::sleep(Duration::from_secs(10));
        let share = (cpu(id) - before) / 10.0;
        println!("{what}: {:.2} % of a core", share * 100.0);
        share
    };
    let alone = measured("without viewers");
    let viewers: Vec<_> = (0..500)
        .map(|_| {
            let mut raw = index.raw();
            raw.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let socket = raw.socket().try_clone().unwrap();
            let reader = std::thread::Builder::new().stack_size(64 * 1024).spawn(move || {
                let (mut socket, mut buffer) = (socket, [0; 16 * 1024]);
                while matches!(socket.read(&mut buffer), Ok(1..)) {}
            });
            (raw, reader.unwrap())
        })
        .collect();
    let together = measured("with 500 viewers");
    println!("the viewers: {:.2} % of a core", (together - alone) * 100.0);
    over.store(true, Ordering::Relaxed);
    changes.join().unwrap();
    drop(index);
    viewers.into_iter().for_each(|(_, reader)| reader.join().unwrap());
}

#[test]
#[ignore = "a measurement"]
fn metrics_with_many_records() {
    let index = index(&["--quiet"]);
    let _peers: Vec<Raw> = (0..10).map(|_| large_peer(&index)).collect();
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(http_get(index.port(), "/metrics").status, 200);
            began.elapsed()
        })
        .collect();
    times.sort();
    let records = http_get(index.port(), "/api/v1/status").json()["records"].clone();
    println!("/metrics with {records} records: half {:?}, most {:?}", times[50], times[100]);
    assert!(times[50] < PATIENCE);
}

//! What the dashboard and its viewers cost, measured when somebody asks:
//!
//!     cargo build --release -p p2pci
//!     P2PCI_MEASURED=$PWD/target/release/p2pci cargo test -p p2pci --test it web::measure -- --ignored --nocapture --test-threads 1

use std::io::Read;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
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

/// A peer that has registered [`FILES`] files beneath a folder of its own.
fn large_peer(index: &Index, folder: &str) -> Raw {
    let mut peer = index.raw();
    for batch in 0..FILES / 1000 {
        let name = |number: usize| format!("{folder}/part {:03}/picture {number:06}.jpg", number / 500);
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
    let _peer = large_peer(&index, "datasets");
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

/// How often each frame is heard in one measurement of memory: an hour's events in three minutes.
const SPEED: u32 = 20;

#[test]
#[ignore = "a measurement"]
fn memory_over_an_hours_events_at_twenty_times_the_speed() {
    let Some(mut browser) = Browser::start("memory_over_an_hours_events_at_twenty_times_the_speed") else {
        return;
    };
    let index = index(&["--quiet"]);
    let _peer = large_peer(&index, "datasets");
    browser.open(&format!("http://{}/", index.address()), &json!({"speed": SPEED}));
    browser.wait("#count", "100,000 files");
    let over = Arc::new(AtomicBool::new(false));
    let busy = {
        let (over, port) = (Arc::clone(&over), index.port());
        std::thread::spawn(move || {
            for number in 1.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Somebody comes, adds a file, and leaves: all that a frame can tell.
                let mut peer = Raw::connect(port);
                peer.ask_whole(&format!(
                    "ADD RFC {number} P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T{number}\r\n\r\n"
                ));
                std::thread::sleep(Duration::from_millis(100));
            }
        })
    };
    let mut heap = || browser.run("heap", &json!({})).as_f64().unwrap() / 1_048_576.0;
    let began = Instant::now();
    let length = Duration::from_secs(3600) / SPEED;
    while began.elapsed() < length {
        println!("after {:3.0} s: {:.2} MiB of heap", began.elapsed().as_secs_f64(), heap());
        std::thread::sleep(length / 12);
    }
    println!("after {:3.0} s: {:.2} MiB of heap", began.elapsed().as_secs_f64(), heap());
    over.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    println!("frames heard: {}", browser.evaluate("window.framesHeard"));
    browser.inspect("after-an-hour");
}

#[test]
#[ignore = "a measurement"]
fn two_thousand_ask_for_streams() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let mut index = index(&["--max-per-address", "3000", "--quiet"]);
    let id = index.process().id();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    };
    let before = resident();
    let mut viewers: Vec<Raw> = (0..2000).map(|_| index.raw()).collect();
    viewers
        .iter_mut()
        .for_each(|viewer| viewer.send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let starts = |viewer: &mut Raw| viewer.segment_within(PATIENCE).expect("an answer");
    let first: Vec<Vec<u8>> = viewers.iter_mut().map(starts).collect();
    let with = |status: &str| first.iter().filter(|answer| answer.starts_with(status.as_bytes())).count();
    println!("of 2,000: {} live, {} refused", with("HTTP/1.1 200 "), with("HTTP/1.1 503 "));
    println!("anonymous memory: {before:.1} MiB before, {:.1} MiB with all of them", resident());
    // From here on nobody reads, and there is something new all the time.
    let (began, mut peer, mut most) = (Instant::now(), index.raw(), 0.0_f64);
    while began.elapsed() < Duration::from_secs(60) {
        peer.ask_whole("ADD RFC 1 P2P-CI/1.0\r\nHost: localhost\r\nPort: 5000\r\nTitle: T\r\n\r\n");
        most = most.max(resident());
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("nobody reads for a minute: {most:.1} MiB at most");
}

#[test]
#[ignore = "a measurement"]
fn metrics_with_many_records() {
    let index = index(&["--quiet", "--no-search"]);
    let _peers: Vec<Raw> = (0..100).map(|peer| large_peer(&index, &format!("set {peer}"))).collect();
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

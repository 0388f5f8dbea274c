//! Faults of the upload server, against the port of a running `p2pci share`.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use proto::limits::REQUEST_DEADLINE;
use rustix::process::Signal;

use crate::places::{empty_folder, folder};
use crate::world::{Index, PATIENCE, Process, Raw, Sharer, p2pci, run, run_in, spec, wait_for};

const SECRET: &str = "nobody was meant to read this";
/// More than all buffers between two programs hold.
const LARGE: u64 = 256 * 1024 * 1024;

/// Asks a sharer's upload port and reads to the orderly end.
fn asked(sharer: &Sharer, request: impl AsRef<[u8]>) -> Vec<u8> {
    let mut raw = sharer.raw();
    raw.send(request);
    raw.read_to_end()
}

fn refused(answer: &[u8]) -> bool {
    answer.starts_with(b"P2P-CI/1.0 400 Bad Request") || answer.starts_with(b"P2P-CI/1.0 404 Not Found")
}

/// Head and body of an answer to a GET as specified.
fn split(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an empty line") + 4;
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end..].to_vec())
}

/// What the specification's GET brings, after it was checked against the length in the head.
fn body(sharer: &Sharer, number: u32) -> Vec<u8> {
    let (head, body) = split(&asked(sharer, spec::get(number)));
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    body
}

#[test]
fn fault_c1_a_number_with_a_path_in_it_reads_files_outside_of_the_folder() {
    let outer = empty_folder();
    let shared = outer.path().join("shared");
    for place in ["shared/rfc", "shared/rfcx", "shared/rfc1"] {
        fs::create_dir_all(outer.path().join(place)).unwrap();
    }
    fs::write(outer.path().join("secret.txt"), SECRET).unwrap();
    fs::write(shared.join("rfcx/secret.txt"), SECRET).unwrap();
    fs::write(shared.join("rfc1.txt"), "shared").unwrap();
    let index = Index::start();
    let sharer = Sharer::start(&shared, &index.address());
    let numbers = [
        "x/../../secret",
        "1/../../secret",
        "/../../secret",
        "../secret",
        "x/secret",
        "x\\..\\..\\secret",
        "1.txt/../../secret",
        "%2e%2e/secret",
        "x%2f..%2f..%2fsecret",
        "1\0/../../secret",
        "/etc/passwd",
    ];
    for number in numbers {
        let answer = asked(&sharer, spec::get(number));
        assert!(refused(&answer), "{number:?}: {}", answer.escape_ascii());
    }
    assert_eq!(body(&sharer, 1), b"shared");
}

#[test]
fn fault_c2_a_symbolic_link_in_the_folder_is_followed() {
    let outside = empty_folder();
    let secret = outside.path().join("secret.txt");
    fs::write(&secret, SECRET).unwrap();
    let dir = folder(&[(1, "one"), (2, "two")]);
    symlink(&secret, dir.path().join("rfc99.txt")).unwrap();
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    assert_eq!(sharer.registered()["files"], 2);
    assert_eq!(run(["lookup", "99", "--server", &index.address()]).code, Some(3));
    assert_eq!(asked(&sharer, spec::get(99)), spec::NOT_FOUND.as_bytes());
    assert_eq!(body(&sharer, 1), b"one");
    fs::remove_file(dir.path().join("rfc1.txt")).unwrap();
    symlink(&secret, dir.path().join("rfc1.txt")).unwrap();
    assert_eq!(asked(&sharer, spec::get(1)), spec::NOT_FOUND.as_bytes(), "a link that came later");
    fs::remove_file(dir.path().join("rfc2.txt")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join("rfc2.txt")).status().unwrap();
    assert!(made.success());
    assert_eq!(asked(&sharer, spec::get(2)), spec::NOT_FOUND.as_bytes(), "a FIFO that came later");
}

#[test]
fn fault_c5_a_binary_file_arrives_as_400_bad_request_under_a_200() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 % 256) as u8).collect();
    assert!(std::str::from_utf8(&bytes).is_err());
    let dir = folder(&[(1, &bytes)]);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    assert!(body(&sharer, 1) == bytes);
    let here = empty_folder();
    assert_eq!(run_in(here.path(), ["get", "1", "--server", &index.address()]).code, Some(0));
    assert!(fs::read(here.path().join("rfc1.txt")).unwrap() == bytes);
}

#[test]
fn fault_c6_line_ends_are_translated_and_the_body_is_shorter_than_its_length() {
    let text = "line\r\n\r\nother\nold\rmac\r\r\n".repeat(100);
    let dir = folder(&[(1, &text)]);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    assert!(body(&sharer, 1) == text.as_bytes());
    let here = empty_folder();
    assert_eq!(run_in(here.path(), ["get", "1", "--server", &index.address()]).code, Some(0));
    assert!(fs::read_to_string(here.path().join("rfc1.txt")).unwrap() == text);
}

fn threads(process: &Process) -> usize {
    fs::read_dir(format!("/proc/{}/task", process.id())).unwrap().count()
}

#[test]
fn fault_c12_silent_connections_hold_a_thread_each_and_stay_for_ever() {
    let dir = folder(&[(1, "one")]);
    let index = Index::start();
    let mut sharer = Sharer::start(dir.path(), &index.address());
    let before = threads(sharer.process());
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, sharer.port()));
    let source = |at: u8| IpAddr::from([127, 0, 12, at / 2 + 1]);
    let silent: Vec<Raw> = (0..150).map(|at| Raw::connect_from(source(at), server)).collect();
    let mut begun: Vec<Raw> = (0..150).map(|at| Raw::connect_from(source(at), server)).collect();
    let since = Instant::now();
    begun.iter_mut().for_each(|raw| raw.send("GET RFC 1 P2P-CI/1.0\r\nHo"));
    for _ in 0..3 {
        assert_eq!(body(&sharer, 1), b"one", "others are served meanwhile");
    }
    let now = threads(sharer.process());
    assert!(now < before + 30, "{before} threads before, {now} with 300 silent connections");
    for raw in &mut begun {
        assert!(raw.read_to_end().starts_with(b"P2P-CI/1.0 400 Bad Request"));
    }
    let took = since.elapsed();
    assert!(took < REQUEST_DEADLINE * 4, "a request that never came to its end was held for {took:?}");
    drop(silent);
}

#[test]
fn fault_c18_an_undecodable_request_leaves_the_socket_open_and_the_client_hanging() {
    let dir = folder(&[(1, "one")]);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    let requests: [&[u8]; 5] = [
        b"GET RFC \xff\xfe P2P-CI/1.0\r\nHost: a\r\nOS: b\r\n\r\n",
        b"\xff\xfe\xfd\xfc",
        b"\x80\x04\x95\x10\x00\x00\x00",
        b"G\xc3T RFC 1 P2P-CI/1.0\r\nHost: a\r\nOS: b\r\n\r\n",
        b"\x00\x00\x00\x2a",
    ];
    for request in requests {
        let answer = asked(&sharer, request);
        assert!(answer.starts_with(b"P2P-CI/1.0 400 Bad Request"), "{}", answer.escape_ascii());
    }
    // A host and a system that are no text matter to nobody.
    let odd = asked(&sharer, b"GET RFC 1 P2P-CI/1.0\r\nHost: \xff\r\nOS: \xfe\r\n\r\n");
    assert_eq!(split(&odd).1, b"one");
}

#[test]
fn fault_c19_a_file_that_shrinks_during_the_upload_ends_like_a_whole_one() {
    let dir = empty_folder();
    let path = dir.path().join("rfc1.txt");
    File::create(&path).unwrap().set_len(LARGE).unwrap();
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    let mut raw = sharer.raw();
    raw.send(spec::get(1));
    raw.exactly(100_000);
    File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
    let ended = raw.try_to_end();
    assert!(ended.is_err(), "a cut body ended in order, after {} bytes", ended.unwrap().len());
    assert_eq!(body(&sharer, 1).len(), 1000, "the next one gets what is there now");
}

#[test]
fn fault_c19_a_file_that_is_replaced_during_the_upload_is_sent_in_two_halves() {
    let old = vec![b'o'; 32 * 1024 * 1024];
    let dir = folder(&[(1, &old)]);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    let mut raw = sharer.raw();
    raw.send(spec::get(1));
    let mut answer = raw.exactly(100_000);
    let new = dir.path().join("new");
    fs::write(&new, vec![b'n'; 1000]).unwrap();
    fs::rename(&new, dir.path().join("rfc1.txt")).unwrap();
    answer.extend(raw.read_to_end());
    assert!(split(&answer).1 == old, "the whole old file comes");
    assert_eq!(body(&sharer, 1), [b'n'; 1000]);
}

#[test]
fn fault_c20_every_answer_names_the_kernel() {
    let dir = folder(&[(1, "one")]);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    let (head, _) = split(&asked(&sharer, spec::get(1)));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(!head.contains(kernel.trim()), "{head}");
    let system = head.lines().find_map(|line| line.strip_prefix("OS: ")).expect("an OS header");
    assert!(!system.chars().any(|c| c.is_ascii_digit()), "no version of anything: {system}");
}

#[test]
fn fault_c22_a_wrong_method_tells_whether_a_file_is_there() {
    let dir = folder(&[(1, "one")]);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    for method in ["FROB", "HEAD", "get", "ADD", "LOOKUP"] {
        let request = |number: u32| {
            format!("{method} RFC {number} P2P-CI/1.0\r\nHost: a\r\nPort: 5\r\nTitle: b\r\nOS: c\r\n\r\n")
        };
        let (there, not_there) = (asked(&sharer, request(1)), asked(&sharer, request(2)));
        assert_eq!(there, spec::BAD_REQUEST.as_bytes(), "{method}");
        assert_eq!(there, not_there, "{method}");
    }
}

#[test]
fn fault_c26_headers_are_misspelt_the_type_is_missing_and_nothing_ends_the_head() {
    let dir = folder(&[(1, "one")]);
    let index = Index::start();
    let sharer = Sharer::start(dir.path(), &index.address());
    let (head, body) = split(&asked(&sharer, spec::get(1)));
    let lines: Vec<&str> = head.split("\r\n").collect();
    let names: Vec<&str> = lines[1..6].iter().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(lines[0], "P2P-CI/1.0 200 OK");
    assert_eq!(names, ["Date", "OS", "Last-Modified", "Content-Length", "Content-Type"]);
    assert_eq!(&lines[4..], ["Content-Length: 3", "Content-Type: text/plain", "", ""]);
    assert_eq!(body, b"one");
}

#[test]
fn fault_c28_a_taken_upload_port_is_waited_for_without_end() {
    let index = Index::start();
    let dir = folder(&[(1, "one")]);
    let taken = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let share = |ports: &str| {
        let dir = dir.path().to_str().unwrap();
        p2pci(["share", dir, "--server", &index.address(), "--json", "--upload-port", ports])
    };
    let failed = crate::world::run_command(share(&port.to_string()));
    assert_eq!(failed.code, Some(1), "{}", failed.text());
    let message = failed.objects()[0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&port.to_string()) && message.contains("--upload-port"), "{message}");
    let last = port.saturating_add(50);
    if last > port {
        let sharer = Sharer::from_command(share(&format!("{port}-{last}")));
        assert!((port + 1..=last).contains(&sharer.port()), "{} of {port}-{last}", sharer.port());
    }
}

#[test]
fn fault_c28_shutting_down_cuts_running_uploads() {
    let dir = empty_folder();
    File::create(dir.path().join("rfc1.txt")).unwrap().set_len(LARGE / 4).unwrap();
    let index = Index::start();
    let mut sharer = Sharer::start(dir.path(), &index.address());
    let mut raw = sharer.raw();
    raw.send(spec::get(1));
    let mut answer = raw.exactly(100_000);
    sharer.process().signal(Signal::TERM);
    wait_for(PATIENCE, "the record to go", || {
        (index.raw().ask(spec::lookup(1)) == spec::NOT_FOUND).then_some(())
    });
    // It has left the index, and the upload is still on its way.
    answer.extend(raw.read_to_end());
    assert_eq!(split(&answer).1.len() as u64, LARGE / 4);
    drop(raw);
    assert_eq!(sharer.process().exit_code(PATIENCE), Some(0));
}

#[test]
fn an_upload_to_a_reader_that_went_away_ends_with_it() {
    let dir = empty_folder();
    File::create(dir.path().join("rfc1.txt")).unwrap().set_len(LARGE).unwrap();
    let index = Index::start();
    let mut sharer = Sharer::start(dir.path(), &index.address());
    let open = |process: &Process| fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count();
    let before = open(sharer.process());
    for _ in 0..20 {
        let mut raw = sharer.raw();
        raw.send(spec::get(1));
        raw.exactly(10_000);
        raw.reset();
    }
    wait_for(Duration::from_secs(20), "descriptors to be as before", || {
        (open(sharer.process()) <= before).then_some(())
    });
}

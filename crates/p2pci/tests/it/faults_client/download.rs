//! Faults of the downloader: `p2pci get` from peers that misbehave.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::foreign::uploader::{ForeignUploader, spec_head};
use crate::foreign::{Dialect, Scripted, finish, hold, read_some, say};
use crate::places::{empty_folder, folder, names_in};
use crate::world::{Finished, Index, Sharer, is_root, p2pci_behind, run_command, run_in, skip};

fn get(into: &Path, from: &str, more: &[&str]) -> Finished {
    run_in(into, [&["get", "1", "--from", from], more].concat())
}

/// What a whole download of this answer brings.
fn fetched(peer: &Scripted) -> Vec<u8> {
    let here = empty_folder();
    let got = get(here.path(), &peer.address(), &[]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert_eq!(names_in(here.path()), ["rfc1.txt"]);
    fs::read(here.path().join("rfc1.txt")).unwrap()
}

/// A download that fails leaves nothing, and nothing of a file that was there changes.
fn fails(peer: &Scripted) -> String {
    let here = empty_folder();
    let got = get(here.path(), &peer.address(), &[]);
    assert_eq!(got.code, Some(1), "{}{}", got.text(), got.stderr);
    assert_eq!(names_in(here.path()), [""; 0]);
    got.stderr
}

#[test]
fn fault_c3_a_body_in_the_segment_of_its_head_is_lost() {
    let file = vec![b'x'; 500];
    let peer = Scripted::saying([spec_head(500), file.clone()].concat());
    for _ in 0..20 {
        assert_eq!(fetched(&peer), file);
    }
}

#[test]
fn fault_c4_bytes_of_a_split_head_end_up_in_the_file() {
    let file = b"\r\nfirst line\r\n".to_vec();
    let answer = [spec_head(file.len()), file.clone()].concat();
    let peer = Scripted::start(move |mut stream, _| {
        read_some(&mut stream);
        for byte in &answer {
            say(&mut stream, &[*byte]);
            // The pause is the fault's cause: each byte in a segment of its own.
            std::thread::sleep(Duration::from_millis(2));
        }
        finish(&mut stream);
    });
    assert_eq!(fetched(&peer), file);
}

#[test]
fn fault_c7_a_character_across_two_reads_ends_the_download() {
    let text = format!("x{}", "\u{e9}\u{20ac}".repeat(3000));
    assert!(!text.is_char_boundary(1024) || !text.is_char_boundary(2048));
    let files = BTreeMap::from([(1, text.clone().into_bytes())]);
    let peer = ForeignUploader::start(Dialect::Original, files);
    let here = empty_folder();
    let got = get(here.path(), &peer.address(), &[]);
    assert_eq!(got.code, Some(0), "{}", got.stderr);
    assert!(fs::read_to_string(here.path().join("rfc1.txt")).unwrap() == text);
}

#[test]
fn fault_c8_a_failed_download_destroys_the_good_copy() {
    let reset = Scripted::start(|mut stream, _| {
        read_some(&mut stream);
        say(&mut stream, &spec_head(100_000));
        say(&mut stream, &[b'x'; 50_000]);
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let peers = [
        Scripted::saying([spec_head(4000), b"only this".to_vec()].concat()),
        Scripted::saying("P2P-CI/1.0 404 Not Found\r\n\r\n"),
        Scripted::saying("P2P-CI/1.0 400 Bad Request\r\n\r\n"),
        Scripted::saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"),
        Scripted::saying("P2P-CI/1.0 200 OK\r\nContent-Length: -1\r\n\r\n"),
        Scripted::saying("P2P-CI/1.0 200 OK\r\n\r\nno length"),
        Scripted::saying("P2P-CI/1.0 200 OK\r\nContent-Le"),
        Scripted::saying(""),
        reset,
    ];
    let good = vec![b'g'; 4000];
    let here = folder(&[(1, &good)]);
    for (at, peer) in peers.iter().enumerate() {
        let got = get(here.path(), &peer.address(), &["--force"]);
        assert!(matches!(got.code, Some(1 | 3)), "{at}: {:?} {}", got.code, got.stderr);
        assert!(fs::read(here.path().join("rfc1.txt")).unwrap() == good, "{at}: the good copy is gone");
        assert_eq!(names_in(here.path()), ["rfc1.txt"], "{at}");
    }
}

#[test]
fn fault_c10_more_bytes_than_announced_are_written() {
    let surplus = [spec_head(5), vec![b'x'; 5_000_000]].concat();
    let peer = Scripted::start(move |mut stream, _| {
        read_some(&mut stream);
        say(&mut stream, &surplus);
        hold(&mut stream);
    });
    assert_eq!(fetched(&peer), b"xxxxx");
}

#[test]
fn fault_c10_a_length_without_bound_is_believed() {
    for length in ["9223372036854775807", "99999999999999999999999", "4611686018427387904"] {
        let head = format!("P2P-CI/1.0 200 OK\r\nDate: a\r\nOS: b\r\nContent-Length: {length}\r\n\r\nxxxxx");
        fails(&Scripted::saying(head));
    }
}

#[test]
fn fault_c11_a_peer_that_falls_silent_is_waited_for_without_end() {
    let after = |bytes: Vec<u8>| {
        Scripted::start(move |mut stream, _| {
            read_some(&mut stream);
            say(&mut stream, &bytes);
            hold(&mut stream);
        })
    };
    let peers = [
        after(Vec::new()),
        after(b"P2P-CI/1.0 200 OK\r\nDate: Fri".to_vec()),
        after([spec_head(100), b"a part".to_vec()].concat()),
    ];
    // Each gives up within the bound that `run` has; together they take as long as the slowest.
    std::thread::scope(|scope| {
        let failing: Vec<_> = peers.iter().map(|peer| scope.spawn(|| fails(peer))).collect();
        failing.into_iter().for_each(|failing| assert!(!failing.join().unwrap().is_empty()));
    });
}

#[test]
fn fault_c17_a_505_passes_for_a_download() {
    for answer in ["P2P-CI/1.0 505 P2P-CI Version Not Supported\n", "P2P-CI/1.0 500 Whatever\r\n\r\n"] {
        let said = fails(&Scripted::saying(answer));
        assert!(said.contains(&answer[11..14]), "{said}");
    }
}

#[test]
fn fault_c25_a_part_stays_under_the_final_name_after_a_write_error() {
    let index = Index::start();
    let dir = folder(&[(1, vec![b'x'; 3_000_000])]);
    let sharer = Sharer::start(dir.path(), &index.address());
    let limited = ["sh", "-c", "ulimit -f 1000; trap '' XFSZ; exec \"$@\"", "sh"];
    let from = sharer.address();
    let limited_get = |here: &Path, more: &[&str]| {
        let mut command = p2pci_behind(&limited, [&["get", "1", "--from", &from], more].concat());
        command.current_dir(here);
        run_command(command)
    };
    let here = empty_folder();
    let got = limited_get(here.path(), &[]);
    assert_eq!(got.code, Some(1), "{}", got.stderr);
    assert!(got.stderr.contains("rfc1.txt"), "the sentence names the file: {}", got.stderr);
    assert_eq!(names_in(here.path()), [""; 0]);
    let good = folder(&[(1, "good")]);
    assert_eq!(limited_get(good.path(), &["--force"]).code, Some(1));
    assert_eq!(names_in(good.path()), ["rfc1.txt"]);
    assert_eq!(fs::read(good.path().join("rfc1.txt")).unwrap(), b"good");
}

#[test]
fn fault_c25_a_full_disk_leaves_a_part() {
    if !is_root() {
        return skip("fault_c25_a_full_disk_leaves_a_part", "a small file system needs root");
    }
    let index = Index::start();
    let dir = folder(&[(1, vec![b'x'; 3_000_000])]);
    let sharer = Sharer::start(dir.path(), &index.address());
    let place = empty_folder();
    // The mount is seen in this one program's namespace only, and gone with it. What is left in the folder is shown at the end.
    let script = "mount -t tmpfs -o size=64k none \"$1\" || exit 99; cd \"$1\"; shift; \
                  \"$@\"; code=$?; ls -A; exit $code";
    let full = ["unshare", "-m", "sh", "-c", script, "sh", place.path().to_str().unwrap()];
    let got = run_command(p2pci_behind(&full, ["get", "1", "--from", &sharer.address()]));
    if got.code == Some(99) {
        return skip("fault_c25_a_full_disk_leaves_a_part", "no mounts here");
    }
    assert_eq!((got.code, got.text()), (Some(1), String::new()), "{}", got.stderr);
    assert!(got.stderr.contains("room") || got.stderr.contains("full"), "{}", got.stderr);
}

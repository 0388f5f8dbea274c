//! Downloads from peers of every dialect, and from peers that lie, cut, stall or vanish.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer::download::{
    Destination, FetchAnyError, FetchError, Fetched, Outcome, Timing, fetch, fetch_from_any,
};
use peer::limit::RateLimit;
use proto::wire::file_decoder::FileError;
use tokio::net::TcpStream;

use crate::scripted::{BOUND, number, peer, request, send, server, until_closed};

const HEAD: &str = "P2P-CI/1.0 200 OK\nData: Fri, 11 Jan 2019 21:41:21 GMT\nOS: x\nLast-Modified: y\nContent-Length: LEN\nContent-Type: text/plain\n";

fn head(length: usize, separator: &str, end: &str) -> Vec<u8> {
    let head = format!("{}{separator}", HEAD.replace("LEN", &length.to_string()));
    head.replace('\n', end).into_bytes()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("rfc1.txt")
    }

    fn destination(&self, force: bool) -> Destination {
        Destination::File { path: self.target(), force }
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

/// A peer that sends these pieces to everybody, then closes or waits.
async fn peer_that_sends(pieces: Vec<Vec<u8>>, closes: bool) -> SocketAddr {
    server(move |_, mut stream| {
        let pieces = pieces.clone();
        async move {
            request(&mut stream).await;
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            send(&mut stream, &pieces).await;
            if !closes {
                until_closed(&mut stream).await;
            }
        }
    })
    .await
}

async fn get(address: SocketAddr, into: &mut Destination, timing: &Timing) -> Result<Fetched, FetchError> {
    tokio::time::timeout(BOUND, fetch(&peer(address), number(1), into, timing, &RateLimit::default()))
        .await
        .unwrap()
}

/// Fetches into a new folder, and checks that nothing else is left there.
async fn bytes_from(address: SocketAddr, timing: &Timing) -> Result<Vec<u8>, FetchError> {
    let folder = Folder::new();
    let fetched = get(address, &mut folder.destination(false), timing).await;
    match fetched {
        Ok(fetched) => {
            assert_eq!(fetched.outcome, Outcome::Saved(folder.target()));
            assert_eq!(folder.names(), ["rfc1.txt"]);
            Ok(std::fs::read(folder.target()).unwrap())
        }
        Err(error) => {
            assert!(folder.names().is_empty(), "{:?} left after {error}", folder.names());
            Err(error)
        }
    }
}

#[tokio::test]
async fn every_dialects_answer_brings_the_file() {
    let texts: [&[u8]; 6] =
        [b"", b"text\r\nmore\n", b"\n\n\nNetwork", b"\r\n\r\nNetwork", b"\xff\0\x80", b"\n"];
    for text in texts {
        // original, unterminated and padded alike; lf-blank; crlf-plain; spec and tight alike.
        for (separator, end) in [("", "\n"), ("\n", "\n"), ("", "\r\n"), ("\n", "\r\n")] {
            let head = head(text.len(), separator, end);
            for pieces in [vec![head.clone(), text.to_vec()], vec![[&head, text].concat()]] {
                let address = peer_that_sends(pieces, true).await;
                let bytes = bytes_from(address, &Timing::default()).await.unwrap();
                assert_eq!(bytes, text, "{text:?} {separator:?} {end:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_may_be_cut_at_every_byte() {
    let text = b"\nNetwork Working Group\n";
    let whole = [&head(text.len(), "\n", "\r\n")[..], text].concat();
    let sent = whole.clone();
    let address = server(move |cut, mut stream| {
        let whole = sent.clone();
        async move {
            request(&mut stream).await;
            let (first, second) = whole.split_at(cut.min(whole.len()));
            send(&mut stream, &[first, second]).await;
            until_closed(&mut stream).await;
        }
    })
    .await;
    for cut in 0..=whole.len() {
        assert_eq!(bytes_from(address, &Timing::default()).await.unwrap(), text, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_large_file_comes_whole_and_surplus_is_ignored() {
    let text: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let pieces = vec![head(text.len(), "", "\n"), text.clone(), b"surplus".repeat(1000)];
    let address = peer_that_sends(pieces, false).await;
    assert!(bytes_from(address, &Timing::default()).await.unwrap() == text);
}

#[tokio::test]
async fn a_first_empty_line_is_put_back_when_the_peer_stays_open() {
    let text = b"\n\nText";
    let address = peer_that_sends(vec![head(text.len(), "", "\n"), text.to_vec()], false).await;
    let timing = Timing { stall: Duration::from_millis(300), ..Timing::default() };
    assert_eq!(bytes_from(address, &timing).await.unwrap(), text);
}

#[tokio::test]
async fn what_is_not_the_whole_file_is_an_error_and_leaves_nothing() {
    let cases: [(Vec<u8>, FileError); 5] = [
        ([&head(9, "\n", "\n")[..], b"short"].concat(), FileError::Short { received: 5, length: 9 }),
        (head(5, "\n", "\n"), FileError::Short { received: 0, length: 5 }),
        (b"P2P-CI/1.0 200 OK\nDate: x\n\ntext".to_vec(), FileError::NoLength),
        (
            b"P2P-CI/1.0 200 OK\nContent-Length: 99999999999999\n\ntext".to_vec(),
            FileError::TooLong(99_999_999_999_999),
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), FileError::NotP2pCi),
    ];
    for (answer, wanted) in cases {
        let address = peer_that_sends(vec![answer], true).await;
        match bytes_from(address, &Timing::default()).await {
            Err(error @ FetchError::Answer { error: found, .. }) => {
                assert_eq!(found, wanted);
                assert!(error.is_source_fault() && !error.is_not_found());
            }
            other => panic!("{wanted:?}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn no_answer_and_404_mean_that_the_file_is_not_there() {
    for answer in [vec![], b"P2P-CI/1.0 404 Not Found\n".to_vec()] {
        let address = peer_that_sends(vec![answer], true).await;
        assert!(bytes_from(address, &Timing::default()).await.unwrap_err().is_not_found());
    }
}

#[tokio::test]
async fn a_peer_that_is_silent_or_stalls_is_given_up() {
    let timing = Timing {
        first_byte: Duration::from_millis(200),
        stall: Duration::from_millis(200),
        ..Timing::default()
    };
    let silent = peer_that_sends(vec![], false).await;
    assert!(matches!(bytes_from(silent, &timing).await, Err(FetchError::Silent { .. })));
    let stalls = peer_that_sends(vec![head(9, "\n", "\n"), b"text".to_vec()], false).await;
    assert!(matches!(bytes_from(stalls, &timing).await, Err(FetchError::Stalled { .. })));
    let in_head = peer_that_sends(vec![b"P2P-CI/1.0 200 OK\nDate".to_vec()], false).await;
    assert!(bytes_from(in_head, &timing).await.is_err());
}

#[tokio::test]
async fn a_reset_is_an_error_and_leaves_nothing() {
    let address = server(|_, mut stream: TcpStream| async move {
        request(&mut stream).await;
        send(&mut stream, &[&head(9, "\n", "\n"), b"text"]).await;
        net::stream::Stream::plain(stream).abort();
    })
    .await;
    assert!(matches!(bytes_from(address, &Timing::default()).await, Err(FetchError::Broken { .. })));
}

#[tokio::test]
async fn after_505_silence_or_no_answer_the_request_comes_once_more_in_lf() {
    for first in [&b"P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n"[..], b""] {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let address = server(move |connection, mut stream| {
            let seen = Arc::clone(&seen);
            async move {
                let asked = request(&mut stream).await;
                seen.lock().unwrap().push(asked);
                match connection {
                    0 => send(&mut stream, &[first]).await,
                    _ => send(&mut stream, &[&head(4, "\n", "\n"), b"text"]).await,
                }
            }
        })
        .await;
        assert_eq!(bytes_from(address, &Timing::default()).await.unwrap(), b"text");
        let lf = "GET RFC 1 P2P-CI/1.0\nHost: 127.0.0.1\nOS: Linux (p2pci)\n\n";
        assert_eq!(*asked.lock().unwrap(), [lf.replace('\n', "\r\n"), lf.to_owned()]);
    }
}

#[tokio::test]
async fn an_existing_file_is_kept_unless_forced() {
    let address = peer_that_sends(vec![head(4, "\n", "\n"), b"text".to_vec()], true).await;
    let folder = Folder::new();
    std::fs::write(folder.target(), "text").unwrap();
    let fetched = get(address, &mut folder.destination(false), &Timing::default()).await.unwrap();
    assert_eq!(fetched.outcome, Outcome::AlreadyHere(folder.target()));
    std::fs::write(folder.target(), "mine").unwrap();
    let refused = get(address, &mut folder.destination(false), &Timing::default()).await.unwrap_err();
    assert!(matches!(refused, FetchError::Exists { .. }) && !refused.is_source_fault());
    assert_eq!((folder.names(), read(&folder.target())), (vec!["rfc1.txt".to_owned()], "mine".to_owned()));
    get(address, &mut folder.destination(true), &Timing::default()).await.unwrap();
    assert_eq!((folder.names(), read(&folder.target())), (vec!["rfc1.txt".to_owned()], "text".to_owned()));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_failed_download_never_destroys_a_good_copy() {
    let address = peer_that_sends(vec![head(9, "\n", "\n"), b"evil".to_vec()], true).await;
    let folder = Folder::new();
    std::fs::write(folder.target(), "good").unwrap();
    get(address, &mut folder.destination(true), &Timing::default()).await.unwrap_err();
    assert_eq!((folder.names(), read(&folder.target())), (vec!["rfc1.txt".to_owned()], "good".to_owned()));
}

#[tokio::test]
async fn a_second_download_of_one_file_is_told_that_it_is_on_its_way() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let address = server(move |_, mut stream| {
        let mut wait = wait.clone();
        async move {
            request(&mut stream).await;
            send(&mut stream, &[&head(8, "\n", "\n"), b"text"]).await;
            wait.wait_for(|go| *go).await.unwrap();
            send(&mut stream, &[b"more"]).await;
        }
    })
    .await;
    let folder = Arc::new(Folder::new());
    let first = Arc::clone(&folder);
    let first =
        tokio::spawn(async move { get(address, &mut first.destination(false), &Timing::default()).await });
    let begun = async {
        while folder.names().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, begun).await.unwrap();
    let second = get(address, &mut folder.destination(false), &Timing::default()).await;
    assert!(matches!(second, Err(FetchError::Busy { .. })), "{second:?}");
    go.send_replace(true);
    first.await.unwrap().unwrap();
    assert_eq!(
        (folder.names(), read(&folder.target())),
        (vec!["rfc1.txt".to_owned()], "textmore".to_owned())
    );
}

#[tokio::test]
async fn a_download_that_is_given_up_leaves_nothing() {
    let address = peer_that_sends(vec![head(9, "\n", "\n"), b"text".to_vec()], false).await;
    let folder = Folder::new();
    let mut into = folder.destination(false);
    let source = peer(address);
    let (timing, limit) = (Timing::default(), RateLimit::default());
    tokio::select! {
        fetched = fetch(&source, number(1), &mut into, &timing, &limit) => panic!("{fetched:?}"),
        () = async { while folder.names().is_empty() { tokio::time::sleep(Duration::from_millis(5)).await } } => {}
    }
    let gone = async {
        while !folder.names().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, gone).await.unwrap();
}

#[tokio::test]
async fn the_next_peer_is_asked_when_one_fails() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let short = peer_that_sends(vec![head(9, "\n", "\n"), b"evil".to_vec()], true).await;
    let good = peer_that_sends(vec![head(4, "\n", "\n"), b"text".to_vec()], true).await;
    let folder = Folder::new();
    let own = peer("127.0.0.1:1".parse().unwrap());
    let sources = [own.clone(), peer(closed), peer(short), peer(short), peer(good)];
    let mut failures = Vec::new();
    let mut failed = |peer: &_, error: &FetchError| failures.push((Clone::clone(peer), error.to_string()));
    let mut into = folder.destination(false);
    let fetched = fetch_from_any(
        &sources,
        Some(&own),
        number(1),
        &mut into,
        &Timing::default(),
        &RateLimit::default(),
        &mut failed,
    )
    .await;
    assert_eq!(fetched.unwrap().source, peer(good));
    assert_eq!(read(&folder.target()), "text");
    let failed: Vec<_> = failures.iter().map(|(peer, _): &(_, String)| peer.clone()).collect();
    assert_eq!(failed, [peer(closed), peer(short)]);
    assert!(failures[0].1.contains("refuses connections"), "{}", failures[0].1);
}

#[tokio::test]
async fn when_nobody_gives_it_the_reason_is_told() {
    let mut into = Folder::new().destination(false);
    let mut ignore = |_: &_, _: &_| {};
    let none = fetch_from_any(
        &[],
        None,
        number(1),
        &mut into,
        &Timing::default(),
        &RateLimit::default(),
        &mut ignore,
    )
    .await;
    assert!(matches!(none, Err(FetchAnyError::NoSource)));
    let address = peer_that_sends(vec![b"P2P-CI/1.0 404 Not Found\n".to_vec()], true).await;
    let gone = fetch_from_any(
        &[peer(address)],
        None,
        number(1),
        &mut into,
        &Timing::default(),
        &RateLimit::default(),
        &mut ignore,
    )
    .await;
    assert!(matches!(gone, Err(FetchAnyError::AllFailed { tried: 1, not_found: true, .. })), "{gone:?}");
}

/// A writer that can be looked at afterwards.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_writer_gets_the_whole_file_or_nothing() {
    let short = peer_that_sends(vec![head(9, "\n", "\n"), b"evil".to_vec()], true).await;
    let good = peer_that_sends(vec![head(5, "", "\n"), b"\ntext".to_vec()], true).await;
    let out = Shared::default();
    let mut into = Destination::Writer(Box::new(out.clone()));
    get(short, &mut into, &Timing::default()).await.unwrap_err();
    assert!(out.0.lock().unwrap().is_empty());
    let fetched = get(good, &mut into, &Timing::default()).await.unwrap();
    assert_eq!(fetched, Fetched { bytes: 5, outcome: Outcome::Written });
    assert_eq!(*out.0.lock().unwrap(), b"\ntext");
}

#[tokio::test]
async fn a_full_disk_is_named_as_such_and_no_other_peer_is_asked() {
    let address = peer_that_sends(vec![head(4, "\n", "\n"), b"text".to_vec()], true).await;
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut into = Destination::Writer(Box::new(full));
    let error = get(address, &mut into, &Timing::default()).await.unwrap_err();
    assert!(!error.is_source_fault() && error.to_string().ends_with("the disk is full"), "{error}");
}

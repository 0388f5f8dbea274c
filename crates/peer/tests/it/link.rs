//! The link to the index against scripted indexes of every dialect, and against one that goes away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer::link::{IndexAddr, Link, LinkConfig, LinkError, Piece, Registration, list_once, lookup_once};
use peer::shares::ShareTable;
use proto::value::number::Port;
use tokio::net::TcpStream;

use crate::scripted::{BOUND, Recorder, number, request, send, server, until_closed};

fn index(address: SocketAddr) -> IndexAddr {
    IndexAddr::plain(address.ip().to_string(), address.port())
}

fn config(address: SocketAddr) -> LinkConfig {
    LinkConfig {
        index: index(address),
        host: Some("julian".to_owned()),
        upload_port: Port::new(7163).unwrap(),
        shares: Arc::new(ShareTable::new()),
        announce: true,
        seats: None,
        by_hand: Arc::default(),
    }
}

fn records(pieces: &[Piece]) -> Vec<u32> {
    pieces.iter().flat_map(|piece| &piece.records).map(|record| record.number.get()).collect()
}

/// What the requests of a link were answered, each in a write of its own, and what they were.
struct Dialect {
    status_then: &'static str,
    at_end: &'static str,
    end: &'static str,
}

impl Dialect {
    fn answer(&self, status: &str, records: &[&str]) -> String {
        let mut answer = format!("P2P-CI/1.0 {status}\n{}", self.status_then);
        records.iter().for_each(|record| answer.push_str(&format!("{record}\n")));
        answer.push_str(if records.is_empty() && !self.status_then.is_empty() { "" } else { self.at_end });
        answer.replace('\n', self.end)
    }

    async fn play(&self, mut stream: TcpStream) {
        loop {
            let asked = request(&mut stream).await;
            let answer = match asked.split(' ').next() {
                Some("ADD") => self.answer("200 OK", &["RFC 1 Example 1 julian 7163"]),
                Some("LOOKUP") if asked.starts_with("LOOKUP RFC 1 ") => {
                    self.answer("200 OK", &["RFC 1 Example 1 julian 7163", "RFC 1 Other  one hugo 9"])
                }
                Some("LIST") => self.answer("200 OK", &["RFC 1 a julian 7163", "RFC 2 b c hugo 9"]),
                Some("LOOKUP") => self.answer("404 Not Found", &[]),
                _ => return,
            };
            send(&mut stream, &[answer.as_bytes()]).await;
        }
    }
}

#[tokio::test]
async fn add_lookup_and_list_are_understood_in_every_dialect() {
    let dialects = [
        ("spec", Dialect { status_then: "\n", at_end: "\n", end: "\r\n" }),
        ("original, unterminated, padded", Dialect { status_then: "", at_end: "", end: "\n" }),
        ("lf-blank", Dialect { status_then: "", at_end: "\n", end: "\n" }),
        ("crlf-plain", Dialect { status_then: "", at_end: "", end: "\r\n" }),
        ("tight", Dialect { status_then: "", at_end: "\n", end: "\r\n" }),
    ];
    for (name, dialect) in dialects {
        let dialect = Arc::new(dialect);
        let played = Arc::clone(&dialect);
        let address = server(move |_, stream| {
            let dialect = Arc::clone(&played);
            async move { dialect.play(stream).await }
        })
        .await;
        let link = Link::start(config(address), Recorder::new()).unwrap();
        let added = link.add(number(1), "Example 1", BOUND).await.unwrap();
        assert_eq!(added.status.unwrap().get(), 200, "{name}");
        assert_eq!(added.records.len(), 1, "{name}");
        let found = link.lookup(number(1), None, BOUND).await.unwrap();
        let peers: Vec<_> = found.records.iter().map(|r| (&*r.title, r.peer.to_string())).collect();
        assert_eq!(
            peers,
            [("Example 1", "julian:7163".to_owned()), ("Other  one", "hugo:9".to_owned())],
            "{name}"
        );
        let whole = dialect.answer("200 OK", &["RFC 1 Example 1 julian 7163", "RFC 1 Other  one hugo 9"]);
        assert_eq!(String::from_utf8(found.raw).unwrap(), whole, "{name}");
        let missing = link.lookup(number(2), None, BOUND).await.unwrap();
        assert_eq!((missing.status.unwrap().get(), missing.records.len()), (404, 0), "{name}");
        let mut pieces = Vec::new();
        let status = link.list(BOUND, &mut |piece| pieces.push(piece)).await.unwrap();
        assert_eq!((status.unwrap().get(), records(&pieces)), (200, vec![1, 2]), "{name}");
        link.leave().await;
    }
}

#[tokio::test]
async fn requests_go_out_as_specified_and_leaving_closes() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let address = server(move |_, mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let text = request(&mut stream).await;
                seen.lock().unwrap().push(text.clone());
                match text.is_empty() {
                    true => return,
                    false => send(&mut stream, &[b"P2P-CI/1.0 404 Not Found\r\n\r\n"]).await,
                }
            }
        }
    })
    .await;
    let link = Link::start(LinkConfig { host: None, ..config(address) }, Recorder::new()).unwrap();
    link.connected(BOUND).await.unwrap();
    assert_eq!(link.claimed().unwrap().to_string(), "127.0.0.1:7163");
    link.add(number(1), " A title ", BOUND).await.unwrap();
    link.lookup(number(2), Some("T"), BOUND).await.unwrap();
    link.list(BOUND, &mut |_| {}).await.unwrap();
    assert!(matches!(link.add(number(1), " ", BOUND).await, Err(LinkError::Title(_))));
    let other = link.clone();
    link.leave().await;
    assert!(matches!(other.lookup(number(1), None, BOUND).await, Err(LinkError::Closed)));
    let closed = async {
        while asked.lock().unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, closed).await.unwrap();
    assert_eq!(
        *asked.lock().unwrap(),
        [
            "ADD RFC 1 P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: 7163\r\nTitle: A title\r\n\r\n",
            "LOOKUP RFC 2 P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: 7163\r\nTitle: T\r\n\r\n",
            "LIST ALL P2P-CI/1.0\r\nHost: 127.0.0.1\r\nPort: 7163\r\n\r\n",
            "",
        ]
    );
}

#[tokio::test]
async fn after_505_or_silence_requests_come_in_lf_for_good() {
    for first in [Some(&b"P2P-CI/1.0 505 P2P-CI Version Not Supported\r\n\r\n"[..]), None] {
        let address = server(move |_, mut stream| async move {
            loop {
                let asked = request(&mut stream).await;
                match (asked.contains('\r'), first) {
                    _ if asked.is_empty() => return,
                    (true, Some(answer)) => return send(&mut stream, &[answer]).await,
                    (true, None) => return until_closed(&mut stream).await,
                    (false, _) => send(&mut stream, &[b"P2P-CI/1.0 200 OK\nRFC 1 t h 2\n\n"]).await,
                }
            }
        })
        .await;
        let told = Recorder::new();
        let link = Link::start(config(address), told.clone()).unwrap();
        for _ in 0..2 {
            let found = link.lookup(number(1), None, BOUND).await.unwrap();
            assert_eq!((found.status.unwrap().get(), found.records.len()), (200, 1));
            assert_eq!(found.raw, b"P2P-CI/1.0 200 OK\nRFC 1 t h 2\n\n");
        }
        assert!(!told.told().iter().any(|told| told.contains("Lost")), "{:?}", told.told());
    }
}

fn shares(folder: &std::path::Path, numbers: &[u32]) -> Arc<ShareTable> {
    for n in numbers {
        std::fs::write(folder.join(format!("rfc{n}.txt")), "text").unwrap();
    }
    let table = ShareTable::new();
    table.scan(folder).unwrap();
    Arc::new(table)
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_everything_is_registered_again() {
    let added: Arc<Mutex<Vec<(usize, String)>>> = Arc::default();
    let seen = Arc::clone(&added);
    let (cut, cutting) = tokio::sync::watch::channel(false);
    let address = server(move |connection, mut stream| {
        let (seen, mut cutting) = (Arc::clone(&seen), cutting.clone());
        async move {
            loop {
                let asked = tokio::select! {
                    asked = request(&mut stream) => asked,
                    _ = cutting.wait_for(|cut| *cut), if connection == 0 => return,
                };
                let line = asked.lines().next().unwrap_or_default().to_owned();
                let refused = line.starts_with("ADD RFC 2 ");
                seen.lock().unwrap().push((connection, line));
                match (asked.is_empty(), refused) {
                    (true, _) => return,
                    (_, true) => send(&mut stream, &[b"P2P-CI/1.0 400 Bad Request\r\n\r\n"]).await,
                    (_, false) => send(&mut stream, &[b"P2P-CI/1.0 200 OK\r\n\r\nRFC 1 t h 2\r\n\r\n"]).await,
                }
            }
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let told = Recorder::new();
    let shared = LinkConfig { shares: shares(folder.path(), &[1, 2, 3]), ..config(address) };
    let link = Link::start(shared, told.clone()).unwrap();
    let done = link.registered(BOUND).await.unwrap();
    assert_eq!(done, Registration { files: 2, refused: 1 });
    link.add(number(9), "By hand", BOUND).await.unwrap();
    cut.send_replace(true);
    told.wait_for("Lost { why: \"the index closed the connection\" }").await;
    told.wait_for("RetryIn").await;
    // Asked while there is no connection: waits for the next one.
    link.lookup(number(5), None, BOUND).await.unwrap();
    let done = link.registered(BOUND).await.unwrap();
    assert_eq!(done, Registration { files: 3, refused: 1 });
    let second: Vec<String> = added
        .lock()
        .unwrap()
        .iter()
        .filter(|(n, l)| *n == 1 && l.starts_with("ADD"))
        .map(|(_, l)| l.clone())
        .collect();
    assert_eq!(second, [1, 2, 3, 9].map(|n| format!("ADD RFC {n} P2P-CI/1.0")));
    assert!(
        told.told().iter().any(|told| told.contains("Refused { number: RfcNumber(2)")),
        "{:?}",
        told.told()
    );
}

#[tokio::test]
async fn an_index_that_is_not_there_is_named_with_its_cause() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let told = Recorder::new();
    let link = Link::start(config(closed), told.clone()).unwrap();
    told.wait_for("RetryIn").await;
    let error = link.lookup(number(1), None, Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the index {closed} cannot be reached: {closed} refuses connections: nothing listens there")
    );
    assert!(matches!(link.connected(Duration::from_millis(50)).await, Err(LinkError::Unreachable { .. })));
    assert!(matches!(lookup_once(&index(closed), None, number(1)).await, Err(LinkError::Unreachable { .. })));
    let bad = LinkConfig { host: Some("two words".to_owned()), ..config(closed) };
    assert!(matches!(Link::start(bad, told).map(drop), Err(LinkError::Host(_))));
}

#[tokio::test]
async fn a_long_list_comes_in_pieces_and_one_question_needs_no_link() {
    const RECORDS: u32 = 100_000;
    let address = server(|_, mut stream| async move {
        let asked = request(&mut stream).await;
        let mut answer = "P2P-CI/1.0 200 OK\r\n\r\n".to_owned();
        let records = if asked.starts_with("LIST") { RECORDS } else { 1 };
        (1..=records).for_each(|n| answer.push_str(&format!("RFC {n} a title h 2\r\n")));
        answer.push_str("\r\n");
        send(&mut stream, &[answer.as_bytes()]).await;
        until_closed(&mut stream).await;
    })
    .await;
    let (mut largest, mut count, mut bytes) = (0, 0, 0);
    let mut sink = |piece: Piece| {
        largest = largest.max(piece.raw.len());
        count += piece.records.len();
        bytes += piece.raw.len();
    };
    let status = list_once(&index(address), Some("julian"), &mut sink).await.unwrap();
    assert_eq!((status.unwrap().get(), count), (200, 100_000));
    assert!(bytes > 2_000_000 && largest < 64 * 1024, "{bytes} bytes, {largest} at once");
    let found = lookup_once(&index(address), None, number(1)).await.unwrap();
    assert_eq!(found.records.len(), 1);
}

#[tokio::test]
async fn a_question_that_is_lost_with_its_connection_is_asked_once_more() {
    let address = server(|connection, mut stream| async move {
        for asked in 0.. {
            match request(&mut stream).await.is_empty() || (connection, asked) == (0, 1) {
                true => return,
                false => send(&mut stream, &[b"P2P-CI/1.0 404 Not Found\r\n\r\n"]).await,
            }
        }
    })
    .await;
    let told = Recorder::new();
    let link = Link::start(config(address), told.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(link.lookup(number(1), None, BOUND).await.unwrap().status.unwrap().get(), 404);
    }
    told.wait_for("Lost").await;
}

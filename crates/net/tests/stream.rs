//! Streams: writing with a bound, bodies from files, and the two ways to close.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use bytes::BytesMut;
use net::body::SendFileError;
use net::stream::{Stream, WriteError};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

const LIMIT: Duration = Duration::from_secs(20);

async fn pair() -> (Stream, Stream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let client = Stream::connect(listener.local_addr().unwrap(), LIMIT).await.unwrap();
    let (socket, _) = listener.accept().await.unwrap();
    (client, Stream::plain(socket))
}

async fn read_to_end(stream: &mut Stream) -> std::io::Result<BytesMut> {
    let mut bytes = BytesMut::new();
    while timeout(LIMIT, stream.read(&mut bytes)).await.unwrap()? > 0 {}
    Ok(bytes)
}

/// A file without a name, gone when it is closed.
fn file(content: &[u8]) -> Arc<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    Arc::new(file)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_a_stall() {
    let (mut writer, _reader) = pair().await;
    let stall = Duration::from_millis(200);
    let began = Instant::now();
    let result = timeout(LIMIT, writer.write_all(&vec![0; 64 * 1024 * 1024], stall)).await.unwrap();
    assert!(matches!(result, Err(WriteError::Stalled)), "{result:?}");
    assert!(began.elapsed() >= stall);
}

#[tokio::test]
async fn progress_starts_the_clock_anew() {
    let (mut writer, reader) = pair().await;
    let sent = pattern(24 * 1024 * 1024);
    let expected = sent.clone();
    let stall = Duration::from_secs(1);
    let writing = tokio::spawn(async move { writer.write_all(&sent, stall).await });
    let mut taken = Vec::new();
    let mut piece = vec![0; 1024 * 1024];
    let began = Instant::now();
    // A reader that rests for a fifth of the stall time again and again: all together lasts longer than one stall.
    while taken.len() < expected.len() {
        timeout(LIMIT, reader.readable()).await.unwrap().unwrap();
        match reader.try_read(&mut piece) {
            Ok(0) => break,
            Ok(count) => taken.extend_from_slice(&piece[..count]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        if began.elapsed() < stall * 2 {
            tokio::time::sleep(stall / 5).await;
        }
    }
    writing.await.unwrap().unwrap();
    assert!(began.elapsed() > stall, "the writer never had to wait");
    assert!(taken == expected);
}

#[tokio::test]
async fn writing_to_a_closed_connection_is_an_error_and_no_panic() {
    let (mut writer, reader) = pair().await;
    reader.abort();
    let result = timeout(LIMIT, writer.write_all(&vec![0; 16 * 1024 * 1024], LIMIT)).await.unwrap();
    assert!(matches!(result, Err(WriteError::Io(_))), "{result:?}");
}

#[tokio::test]
async fn an_abort_is_a_reset_at_the_other_side() {
    let (mut writer, mut reader) = pair().await;
    writer.write_all(b"half a bo", LIMIT).await.unwrap();
    let mut half = BytesMut::new();
    while half.len() < 9 {
        assert_ne!(timeout(LIMIT, reader.read(&mut half)).await.unwrap().unwrap(), 0);
    }
    writer.abort();
    assert_eq!(read_to_end(&mut reader).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_lingering_close_delivers_the_last_words_to_one_who_still_talks() {
    let (mut talker, mut closer) = pair().await;
    talker.write_all(&pattern(100_000), LIMIT).await.unwrap();
    closer.write_all(b"last words", LIMIT).await.unwrap();
    let closing = tokio::spawn(closer.close_lingering(LIMIT));
    assert_eq!(&read_to_end(&mut talker).await.unwrap()[..], b"last words");
    drop(talker);
    timeout(LIMIT, closing).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_lingering_close_has_an_end_when_the_other_side_has_none() {
    let (mut silent, closer) = pair().await;
    timeout(LIMIT, closer.close_lingering(Duration::from_millis(200))).await.unwrap();
    assert!(read_to_end(&mut silent).await.unwrap().is_empty());
    let (mut flood, closer) = pair().await;
    let closing = tokio::spawn(closer.close_lingering(LIMIT * 2));
    let result = timeout(LIMIT, flood.write_all(&vec![0; 64 * 1024 * 1024], LIMIT)).await.unwrap();
    assert!(matches!(result, Err(WriteError::Io(_))), "a flood is cut: {result:?}");
    timeout(LIMIT, closing).await.unwrap().unwrap();
}

/// The two ways in which a body travels.
#[derive(Debug, Clone, Copy)]
enum Way {
    BySystem,
    ByCopy,
}

const WAYS: [Way; 2] = [Way::BySystem, Way::ByCopy];

impl Way {
    async fn send(
        self,
        stream: &mut Stream,
        file: Arc<File>,
        offset: u64,
        len: u64,
        stall: Duration,
    ) -> Result<(), SendFileError> {
        match self {
            Self::BySystem => stream.send_file(file, offset, len, stall).await,
            Self::ByCopy => stream.copy_file(file, offset, len, stall).await,
        }
    }
}

#[tokio::test]
async fn a_piece_of_a_file_arrives_unchanged() {
    let content = pattern(3_000_000);
    let file = file(&content);
    for (offset, len) in
        [(0, 3_000_000), (0, 0), (7, 1), (13, 262_144), (13, 262_145), (2_999_999, 1), (500_000, 1_048_577)]
    {
        for way in WAYS {
            let (mut sender, mut receiver) = pair().await;
            let shared = Arc::clone(&file);
            let sending =
                tokio::spawn(async move { way.send(&mut sender, shared, offset, len, LIMIT).await });
            let received = read_to_end(&mut receiver).await.unwrap();
            sending.await.unwrap().unwrap();
            let from = usize::try_from(offset).unwrap();
            let expected = &content[from..from + usize::try_from(len).unwrap()];
            assert!(received == expected, "{len} bytes from {offset} {way:?}");
        }
    }
}

#[tokio::test]
async fn a_file_that_became_shorter_is_truncated_and_never_padded() {
    let content = pattern(300_000);
    for way in WAYS {
        let (mut sender, mut receiver) = pair().await;
        let file = file(&content);
        let sending =
            tokio::spawn(
                async move { (way.send(&mut sender, file, 0, 300_001, LIMIT).await, drop(sender)).0 },
            );
        let received = read_to_end(&mut receiver).await.unwrap();
        let result = sending.await.unwrap();
        assert!(matches!(result, Err(SendFileError::Truncated { sent: 300_000 })), "{way:?}: {result:?}");
        assert!(received == content);
    }
}

#[tokio::test]
async fn an_offset_beyond_every_file_is_no_panic() {
    let (mut sender, _receiver) = pair().await;
    for way in WAYS {
        for offset in [10, u64::MAX, u64::MAX - 1, 1 << 63] {
            let result = way.send(&mut sender, file(b"ten bytes."), offset, u64::MAX, LIMIT).await;
            assert!(
                matches!(result, Err(SendFileError::Truncated { sent: 0 } | SendFileError::Read(_))),
                "{way:?}: {result:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_to_one_who_does_not_read_stalls() {
    for way in WAYS {
        let (mut sender, _receiver) = pair().await;
        let sparse = tempfile::tempfile().unwrap();
        sparse.write_all_at(b"end", 64 * 1024 * 1024).unwrap();
        let sending = way.send(&mut sender, sparse.into(), 0, 64 * 1024 * 1024, Duration::from_millis(200));
        let result = timeout(LIMIT, sending).await.unwrap();
        assert!(matches!(result, Err(SendFileError::Write(WriteError::Stalled))), "{way:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_body_to_one_who_takes_next_to_nothing_stalls_as_well() {
    for way in WAYS {
        let (mut sender, reader) = pair().await;
        let sparse = tempfile::tempfile().unwrap();
        sparse.write_all_at(b"end", 256 * 1024 * 1024).unwrap();
        let dripping = tokio::spawn(async move {
            let mut byte = [0];
            while reader.readable().await.is_ok() && !matches!(reader.try_read(&mut byte), Ok(0)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let sending = way.send(&mut sender, sparse.into(), 0, 256 * 1024 * 1024, Duration::from_secs(1));
        let result = timeout(LIMIT, sending).await.unwrap();
        assert!(matches!(result, Err(SendFileError::Write(WriteError::Stalled))), "{way:?}: {result:?}");
        dripping.abort();
    }
}

#[tokio::test]
async fn a_receiver_that_goes_away_is_an_error() {
    for way in WAYS {
        let (mut sender, receiver) = pair().await;
        let sparse = tempfile::tempfile().unwrap();
        sparse.write_all_at(b"end", 64 * 1024 * 1024).unwrap();
        receiver.abort();
        let sending = way.send(&mut sender, sparse.into(), 0, 64 * 1024 * 1024, LIMIT);
        let result = timeout(LIMIT, sending).await.unwrap();
        assert!(matches!(result, Err(SendFileError::Write(WriteError::Io(_)))), "{way:?}: {result:?}");
    }
}

/// A file of the kernel's own has no pages that could be sent: it is read and written instead.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_system_cannot_send_is_copied() {
    let expected = std::fs::read("/proc/self/cmdline").unwrap();
    let (mut sender, mut receiver) = pair().await;
    let file = File::open("/proc/self/cmdline").unwrap();
    let len = expected.len() as u64;
    let sending = tokio::spawn(async move { sender.send_file(file, 0, len, LIMIT).await });
    assert_eq!(read_to_end(&mut receiver).await.unwrap(), expected);
    sending.await.unwrap().unwrap();
}

/// What `cargo test -p net --release --test stream -- --ignored --nocapture` measures: one file in memory to one who discards it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn rate_of_one_body() {
    const LEN: u64 = 1024 * 1024 * 1024;
    let mut file = tempfile::tempfile_in("/dev/shm").unwrap();
    for _ in 0..LEN / (1024 * 1024) {
        file.write_all(&pattern(1024 * 1024)).unwrap();
    }
    let file = Arc::new(file);
    for way in [WAYS, WAYS, WAYS].concat() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut sender = Stream::connect(listener.local_addr().unwrap(), LIMIT).await.unwrap();
        let discarding = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut buffer = vec![0; 1024 * 1024];
            let mut all = 0;
            loop {
                match std::io::Read::read(&mut socket, &mut buffer).unwrap() {
                    0 => return all,
                    count => all += count as u64,
                }
            }
        });
        let began = Instant::now();
        way.send(&mut sender, Arc::clone(&file), 0, LEN, LIMIT).await.unwrap();
        drop(sender);
        assert_eq!(discarding.join().unwrap(), LEN);
        let rate = LEN as f64 / began.elapsed().as_secs_f64() / 1e6;
        println!("{way:?}: {rate:.0} MB/s");
    }
}

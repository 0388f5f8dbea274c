//! Those who are slow, late, greedy or gone, and files that change.

use super::*;

/// Whoever takes much memory of this process, or looks how much it takes.
static MEMORY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn the_silent_and_the_late_are_let_go() {
    let server = serve();
    let silent = async {
        let mut client = Client::connect(&server).await;
        client.ask("GET", "/rfc/1", "").await;
        let began = Instant::now();
        assert_eq!(client.rest().await, (Vec::new(), true));
        began.elapsed()
    };
    let late = async {
        let mut client = Client::connect(&server).await;
        client.ask("GET", "/rfc/1", "").await;
        client.send(b"GET /rfc/1 HTTP/1.1\r\nHo").await;
        let (read, _) = client.rest().await;
        assert!(read.starts_with(b"HTTP/1.1 408 Request Timeout\r\n"), "{}", String::from_utf8_lossy(&read));
    };
    let (silence, ()) = tokio::join!(silent, late);
    assert!(silence >= Duration::from_secs(14), "{silence:?}");
}

#[tokio::test]
async fn a_file_that_becomes_shorter_resets_the_connection() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    client.send(b"GET /file/a/huge HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(client.more().await);
    File::options().write(true).open(server.shelf.path("huge")).unwrap().set_len(10).unwrap();
    let mut all = 0;
    let mut buffer = vec![0; 1 << 20];
    let error = loop {
        match timeout(BOUND, client.stream.read(&mut buffer)).await.unwrap() {
            Ok(0) => panic!("a clean end after {all} bytes"),
            Ok(count) => all += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.told.wait_for("cut: Some(Truncated").await;
}

#[tokio::test]
async fn a_file_that_is_replaced_or_removed_ends_as_it_began() {
    let server = serve();
    let mut client = Client::connect(&server).await;
    client.send(b"GET /file/a/huge HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(client.more().await);
    std::fs::remove_file(server.shelf.path("huge")).unwrap();
    std::fs::write(server.shelf.path("huge"), "another").unwrap();
    let head = client.read.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let mut all = client.read.len() - head;
    let mut buffer = vec![0; 1 << 20];
    while all < 1 << 30 {
        let count = timeout(BOUND, client.stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == 0));
        all += count;
    }
    client.read.clear();
    assert_eq!(client.ask("GET", "/file/a/huge", "").await.body, b"another");
}

#[tokio::test]
async fn a_stop_lets_the_current_answer_end() {
    let _alone = MEMORY.lock().await;
    let server = serve();
    let mut client = Client::connect(&server).await;
    let mut idle = Client::connect(&server).await;
    idle.ask("GET", "/rfc/1", "").await;
    let two = "GET /file/a/huge HTTP/1.1\r\nHost: h\r\nRange: bytes=0-99999999\r\n\r\n".repeat(2);
    client.send(two.as_bytes()).await;
    assert!(client.more().await);
    server.stopper.stop();
    assert_eq!(idle.rest().await, (Vec::new(), true));
    assert_eq!(client.answer("GET").await.body.len(), 100_000_000);
    // The second was asked for, but not begun: it is answered as the last, or not at all.
    let (rest, _) = client.rest().await;
    assert!(rest.is_empty() || rest.len() > 100_000_000, "{}", rest.len());
    timeout(BOUND, server.done).await.unwrap().unwrap();
}

async fn connect_from(source: [u8; 4], server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    timeout(BOUND, socket.connect(server.address)).await.unwrap().unwrap()
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn five_hundred_who_do_not_read_cost_little_and_hold_up_nobody_else() {
    let _alone = MEMORY.lock().await;
    // Both ends are in this process, and each answer holds its file.
    net::descriptors::raise_open_file_limit();
    let server = serve();
    let before = resident_bytes();
    let mut stalled = Vec::new();
    for _ in 0..500 {
        let mut stream = connect_from([127, 0, 0, 2], &server).await;
        stream.write_all(b"GET /file/a/huge HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
        stalled.push(stream);
    }
    let stream = connect_from([127, 0, 0, 3], &server).await;
    let mut honest = Client { stream, read: Vec::new() };
    let began = Instant::now();
    let answer = honest.ask("GET", "/file/a/large", "").await;
    assert!(answer.body == pattern(LARGE));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Those of the first address that got no place are told so, and are not kept waiting for ever.
    let mut buffer = vec![0; 4096];
    let last = stalled.last_mut().unwrap();
    let count = timeout(BOUND, last.read(&mut buffer)).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&buffer[..count]).into_owned();
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("\r\nRetry-After: "), "{told}");
    let grown = resident_bytes().saturating_sub(before);
    // Other tests of this process may run meanwhile: the bound is that of the limit, not of what was measured.
    assert!(grown < 64 * 1024 * 1024, "{grown}");
}

//! U7 with nginx in front: one connection to us carries the requests of many, so what two programs read differently would be the answer to
//! somebody else.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::smuggling::{VECTORS, unescaped};
use crate::places::{empty_folder, folder};
use crate::world::{Index, PATIENCE, Process, Sharer, on_path, shown, skip, wait_for};

/// As long as the marker, and without its end: whoever takes it for a request takes the next one for a field of it.
const BEGUN: &str = "GET /rfc/666 HTTP/1.1\\r\\nX: 0123456789abc";
const VICTIM: &str = "GET /rfc/2 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";

/// nginx, which hands on everything that it can to one port, over one connection.
struct Front {
    socket: PathBuf,
    _nginx: Process,
    _folder: tempfile::TempDir,
}

impl Front {
    fn of(port: u16) -> Self {
        let folder = empty_folder();
        let (settings, socket) = (folder.path().join("settings"), folder.path().join("socket"));
        std::fs::write(&settings, settings_for(folder.path(), port)).unwrap();
        let mut command = Command::new("nginx");
        command
            .arg("-e")
            .arg(folder.path().join("errors"))
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&settings);
        let mut nginx = Process::start(command);
        wait_for(PATIENCE, "nginx", || {
            assert!(!nginx.has_ended(), "nginx: {}", nginx.stderr());
            UnixStream::connect(&socket).ok()
        });
        Self { socket, _nginx: nginx, _folder: folder }
    }

    /// Everything that comes back until the connection ends.
    fn ask(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // nginx may have refused it, and closed, before it has everything.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{}", shown(bytes));
        }
        shown(&answer)
    }
}

/// It reads as leniently as it can, streams bodies, and goes on when the asker has said everything.
fn settings_for(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    let places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let places: String = places.iter().map(|of| format!("{of}_temp_path {folder}/{of};\n")).collect();
    format!(
        "daemon off; master_process off; pid {folder}/pid;
        events {{ worker_connections 64; }}
        http {{
            {places} access_log off; ignore_invalid_headers off; underscores_in_headers on;
            upstream peer {{ server 127.0.0.1:{port}; keepalive 1; }}
            server {{
                listen unix:{folder}/socket;
                location / {{
                    proxy_pass http://peer; proxy_http_version 1.1; proxy_redirect off;
                    proxy_set_header Connection \"\"; proxy_set_header Host $http_host;
                    proxy_request_buffering off; proxy_ignore_client_abort on;
                }}
            }}
        }}"
    )
}

/// Who takes what follows an empty line for a request, whatever the head says of a body.
fn careless() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer_each_head(stream));
        }
    });
    port
}

fn answer_each_head(mut stream: TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            let target = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            head.clear();
        }
    }
}

#[test]
fn u7_behind_nginx_nobody_gets_the_answer_of_another() {
    if !on_path("nginx") {
        return skip("u7_behind_nginx", "there is no nginx here");
    }
    let attack = format!("GET /rfc/1 HTTP/1.1\\r\\nHost: h\\r\\nContent-Length: 39\\r\\n\\r\\n{BEGUN}");
    let front = Front::of(careless());
    front.ask(&unescaped(&attack));
    let said = front.ask(VICTIM.as_bytes());
    assert!(said.contains("/rfc/666"), "what a careless program would do is seen: {said}");

    let shared = folder(&[(1, "the text of one"), (2, "the text of two"), (666, "the marker was answered")]);
    let index = Index::start();
    let sharer = Sharer::with(shared.path(), &index.address(), &["--as", "/"]);
    index.wait_hashed(3);
    let mut asked = 0;
    for (port, own) in [(sharer.port(), "the text of two"), (index.port(), "/rfc/2.meta4")] {
        let front = Front::of(port);
        let lines = VECTORS.lines().filter(|line| !line.starts_with('#'));
        let vectors = lines.filter_map(|line| line.split_once(" | ")).map(|(_, text)| text);
        // What holds no marker hides nothing.
        for text in vectors.filter(|text| text.contains("{M}")) {
            front.ask(&unescaped(&text.replace("{M}", BEGUN)));
            let said = front.ask(VICTIM.as_bytes());
            let is_own = said.matches("HTTP/1.1 ").count() == 1 && said.contains(own);
            assert!(is_own && !said.contains("rfc/666"), "{text}: {said}");
            asked += 1;
        }
    }
    assert!(asked >= 560, "{asked}");
}

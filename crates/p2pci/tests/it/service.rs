//! What a service manager hears of an index and of a share.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};

use crate::places::{empty_folder, folder, tree};
use crate::world::{BLOCK, Index, PATIENCE, Process, noise, p2pci, run, spec, wait_for};

/// A manager that wants a sign of life every two seconds at least.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn at(place: &Path) -> Self {
        let path = place.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    fn starts(&self, mut command: Command) -> Process {
        command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", "2000000");
        Process::start(command)
    }

    /// Everything that is said until a line, and that too.
    fn hears(&self, line: &str) -> Vec<String> {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        while !heard.iter().any(|heard| heard == line) {
            let count =
                self.socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{line}: {error}; {heard:?}"));
            heard.extend(std::str::from_utf8(&buffer[..count]).unwrap().lines().map(str::to_owned));
        }
        heard
    }
}

#[test]
fn a_service_manager_hears_when_an_index_is_ready_alive_reading_again_and_stopping() {
    let place = empty_folder();
    let manager = Manager::at(place.path());
    let mut index = manager.starts(p2pci(Index::args("127.0.0.1:0", &[])));
    let heard = manager.hears("STATUS=0 peers, 0 records");
    assert_eq!(heard.first().map(String::as_str), Some("READY=1"), "{heard:?}");
    manager.hears("WATCHDOG=1");
    index.signal(Signal::HUP);
    let heard = manager.hears("RELOADING=1");
    assert!(heard.iter().any(|line| line.starts_with("MONOTONIC_USEC=")), "{heard:?}");
    manager.hears("READY=1");
    index.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    assert_eq!(index.exit_code(PATIENCE), Some(0));
}

#[test]
fn a_service_manager_hears_when_a_share_is_ready_alive_and_stopping() {
    let (place, files, index) = (empty_folder(), folder(&[(1, "one")]), Index::start());
    let manager = Manager::at(place.path());
    let mut command = p2pci(["share", files.path().to_str().unwrap(), "--server", &index.address()]);
    command.arg("--state-dir").arg(place.path());
    let mut sharer = manager.starts(command);
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    sharer.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    assert_eq!(sharer.exit_code(PATIENCE), Some(0));
}

/// Starts a program whose reader goes away with the first line that has a port, which is given back.
fn start_unread(mut command: Command) -> (Killed, u16) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let (_, port) = line.split_once(" on port ")?;
        port.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    });
    (Killed(child), port.expect("a line with a port"))
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nobody_is_served_less_because_nobody_reads_what_is_shown() {
    let (mut index, port) = start_unread(p2pci(["server", "--listen", "127.0.0.1:0", "--warm-up", "0s"]));
    let server = format!("127.0.0.1:{port}");
    let files = folder(&[(1, "one")]);
    let (mut sharer, port) =
        start_unread(p2pci(["share", files.path().to_str().unwrap(), "--server", &server]));
    let place = empty_folder();
    // Each of them is something to be shown by both.
    for at in 0..3 {
        let to = place.path().join(at.to_string());
        let got = run(["get", "1", "--no-upload", "--server", &server, "-o", to.to_str().unwrap()]);
        assert_eq!(got.code, Some(0), "{}", got.stderr);
        begin(port, "/rfc/1", &mut [0; 3]);
    }
    for process in [&mut sharer.0, &mut index.0] {
        assert!(process.try_wait().unwrap().is_none(), "it has ended");
        let id = Pid::from_child(process);
        rustix::process::kill_process(id, Signal::TERM).unwrap();
        let ended = wait_for(PATIENCE, "its end", || process.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0));
    }
}

/// A program to which this socket is given, as a manager does that keeps it open.
fn given(socket: &TcpListener, args: &[&str]) -> Command {
    // Other shells take numbers of one digit only.
    let mut command = Command::new("bash");
    // It is inherited, also by what other tests start just now, which does no harm.
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    // Number 3 is the first that is given, and the process that execs keeps its own number.
    let script = format!("exec 3<&{}; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", socket.as_raw_fd());
    command.args(["-c", &script, "bash"]);
    let program = p2pci(args);
    command.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// The status of an answer in HTTP, and as much of its body as there is room for.
fn begin(port: u16, path: &str, into: &mut [u8]) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend_from_slice(&byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&head));
    stream.read_exact(into).unwrap();
    stream
}

#[test]
fn a_share_is_replaced_while_it_sends_and_neither_an_upload_nor_a_connection_is_lost() {
    // More than the system holds for a reader that rests.
    let content = noise(1, 32 * BLOCK as usize);
    let (_outer, root) = tree("live", &[("large", &content)]);
    let (index, socket) = (Index::start(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = socket.local_addr().unwrap().port();
    let (root, server) = (root.to_str().unwrap().to_owned(), index.address());
    let args = ["share", &root, "--server", &server, "--json"];
    let start = || {
        let mut process = Process::start(given(&socket, &args));
        process.wait_in_lines("the registration", |lines| {
            lines.iter().any(|line| line.contains("\"registered\"")).then_some(())
        });
        process
    };
    let mut old = start();
    let (mut first, mut second) = (vec![0; 1000], vec![0; content.len()]);
    let mut sending = begin(port, "/file/live/large", &mut first);
    old.signal(Signal::TERM);
    // Nobody listens now but the socket itself; who connects waits for the new one.
    let mut waiting = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    waiting.write_all(b"GET /hash/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut new = start();
    begin(port, "/file/live/large", &mut second);
    assert!(second == content, "from the new one");
    assert!(!old.has_ended(), "it still sends");
    sending.read_to_end(&mut first).unwrap();
    assert!(first == content, "from the old one");
    assert_eq!(old.exit_code(PATIENCE), Some(0), "{}", old.stderr());
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    new.signal(Signal::TERM);
    assert_eq!(new.exit_code(PATIENCE), Some(0), "{}", new.stderr());
}

#[test]
fn an_index_listens_on_the_socket_that_it_was_given_and_names_its_port() {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let index = Index::from_command(given(&socket, &["server", "--log-format", "json"]));
    assert_eq!(index.port(), port);
    assert!(index.raw().ask_whole(spec::LIST).starts_with("P2P-CI/1.0 404"));
}
